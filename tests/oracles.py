"""Plain loops that say what the library should return; they share no code with it."""

import math
from fractions import Fraction
from itertools import permutations, product


def bit_string(code, n_bits):
    """Return the first `n_bits` bits of a packed code as a str of 0 and 1."""
    return "".join(format(int(byte), "08b") for byte in code)[:n_bits]


def hamming(code_a, code_b, n_bits):
    """Return the number of bits in which two packed codes differ."""
    pairs = zip(bit_string(code_a, n_bits), bit_string(code_b, n_bits), strict=True)
    return sum(1 for a, b in pairs if a != b)


def share_label(label_a, label_b):
    """Return whether two items share a label; a label is a class number or a row of bools."""
    if hasattr(label_a, "__len__"):
        return any(a and b for a, b in zip(label_a, label_b, strict=True))
    return label_a == label_b


def average_precision(hits):
    """Return AP of one ranked list of bools, divided by all its hits."""
    found, total = 0, Fraction(0)
    for rank, hit in enumerate(hits, start=1):
        if hit:
            found += 1
            total += Fraction(found, rank)
    return total / found if found else Fraction(0)


def ties(query_code, query_label, database_codes, database_labels, n_bits):
    """Return, for each distance from 0 to n_bits, the bools of the items at it, in database order."""
    groups = [[] for _ in range(n_bits + 1)]
    for code, label in zip(database_codes, database_labels, strict=True):
        groups[hamming(query_code, code, n_bits)].append(share_label(query_label, label))
    return groups


def all_orders(groups):
    """Yield every ranked list of bools that some order of the ties gives; equally likely ones as often."""
    for orders in product(*(list(permutations(group)) for group in groups)):
        yield [hit for order in orders for hit in order]


def mean_over_orders(groups, figure):
    """Return the mean of a figure over all orders of the ties, as a Fraction."""
    values = [figure(hits) for hits in all_orders(groups)]
    return sum(values, Fraction(0)) / len(values)


def ordered_hits(groups, k=None):
    """Return the bools in rank order, ties in database order, cut at k."""
    hits = [hit for group in groups for hit in group]
    return hits if k is None else hits[:k]


def precision(hits, k):
    """Return the share of hits among the first k ranks."""
    return Fraction(sum(hits[:k]), k)


def r_precision(hits):
    """Return the share of hits among as many first ranks as there are hits in all; 0 without any."""
    return precision(hits, sum(hits)) if any(hits) else Fraction(0)


def top_k(query_code, items, n_bits, k=None, radius=None):
    """Return the ranked (id, distance) of a dict of id to code: by distance, then by id."""
    ranked = sorted((hamming(query_code, code, n_bits), item_id) for item_id, code in items.items())
    near = [(item_id, distance) for distance, item_id in ranked if radius is None or distance <= radius]
    return near if k is None else near[:k]


def sign_distance(row_a, row_b):
    """Return the number of places in which two rows of -1 and +1 differ."""
    return sum(1 for a, b in zip(row_a, row_b, strict=True) if a != b)


def all_sign_distances(rows):
    """Return the distances of all pairs of two different rows, in the order (0, 1), (0, 2), …, (1, 2), …"""
    return [sign_distance(rows[i], rows[j]) for i in range(len(rows)) for j in range(i + 1, len(rows))]


def centroid(label_row, centers, tie_break):
    """Return, bit by bit, the sign that most of the centers of an image's labels have, or the tie sign."""
    target = []
    for bit, tie in enumerate(tie_break):
        votes = [int(center[bit]) for center, has in zip(centers, label_row, strict=True) if has]
        plus, minus = votes.count(1), votes.count(-1)
        target.append(1 if plus > minus else -1 if minus > plus else int(tie))
    return target


def codeword_cost(signs, labels, class_number, head, codeword):
    """Return the mean squared distance of a class's sub-codes to a codeword, an image weighing 1 / its labels."""
    width, total, weights = len(codeword), 0.0, 0.0
    for row, label_row in zip(signs, labels, strict=True):
        if label_row[class_number]:
            weight = 1 / sum(1 for has in label_row if has)
            part = row[head * width : (head + 1) * width]
            total += weight * sum((float(b) - float(z)) ** 2 for b, z in zip(part, codeword, strict=True))
            weights += weight
    return total / weights


def margin_cosine(outputs, labels, centers, scale, margin):
    """Return the cross-entropy of scaled cosines with a margin on every label of an image."""
    losses = []
    for v, y in zip(outputs, labels, strict=True):
        logits = []
        for z, has in zip(centers, y, strict=True):
            dot = sum(a * b for a, b in zip(v, z, strict=True))
            length = math.sqrt(sum(a * a for a in v)) * math.sqrt(sum(b * b for b in z))
            logits.append(scale * ((dot / length if length else 0.0) - margin * has))
        total = sum(math.exp(logit) for logit in logits)
        losses.append(-sum(math.log(math.exp(logits[c]) / total) for c, has in enumerate(y) if has) / sum(y))
    return sum(losses) / len(losses)


def central_similarity(outputs, targets):
    """Return the mean binary cross-entropy between (tanh(u) + 1) / 2 and (h + 1) / 2."""
    losses = []
    for us, hs in zip(outputs, targets, strict=True):
        for u, h in zip(us, hs, strict=True):
            p = (math.tanh(u) + 1) / 2
            losses.append(-math.log(p) if h > 0 else -math.log(1 - p))
    return sum(losses) / len(losses)


def quantization(outputs):
    """Return the mean of (|tanh(u)| - 1) squared."""
    values = [(abs(math.tanh(u)) - 1) ** 2 for row in outputs for u in row]
    return sum(values) / len(values)


def triangle_row(pixels, start, length, size):
    """Return a row of numbers resampled from [start, start + length) to `size` with a triangle filter."""
    step = length / size
    reach, out = max(step, 1.0), []
    for i in range(size):
        middle = start + (i + 0.5) * step
        weights = [max(0.0, 1 - abs(x + 0.5 - middle) / reach) for x in range(len(pixels))]
        out.append(sum(w * p for w, p in zip(weights, pixels, strict=True)) / sum(weights))
    return out


def central_square(plane, resize, size):
    """Return the square that is left of a plane (rows of numbers) resized to `resize` and cut to `size`."""
    height, width = len(plane), len(plane[0])
    side = min(height, width) * size / resize
    rows = [triangle_row(row, (width - side) / 2, side, size) for row in plane]
    columns = [triangle_row(list(column), (height - side) / 2, side, size) for column in zip(*rows, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def expected_average_precision(groups):
    """Return the expectation of AP over orders of ties, rank by rank: the formula of McSherry and Najork (2008)."""
    total, before, relevant_before = 0.0, 0, 0
    for group in groups:
        n, r = len(group), sum(group)
        for t in range(1, n + 1):
            others = (t - 1) * (r - 1) / (n - 1) if n > 1 else 0.0
            total += r / n * (relevant_before + 1 + others) / (before + t)
        before, relevant_before = before + n, relevant_before + r
    return total / relevant_before if relevant_before else 0.0


def cut_average_precision(hits, k, divisor):
    """Return the sum of precision at the relevant ranks up to k over all relevant items, or over at most k of them."""
    total = sum((Fraction(sum(hits[:rank]), rank) for rank in range(1, min(k, len(hits)) + 1) if hits[rank - 1]), 0)
    relevant = {"relevant": sum(hits), "at most k": min(sum(hits), k), "found": sum(hits[:k])}[divisor]
    return Fraction(total) / relevant if relevant else Fraction(0)


def graded_ties(query_code, query_label, database_codes, database_labels, n_bits, grade):
    """Return, for each distance from 0 to n_bits, the grades of the items at it."""
    groups = [[] for _ in range(n_bits + 1)]
    for code, label in zip(database_codes, database_labels, strict=True):
        groups[hamming(query_code, code, n_bits)].append(grade(query_label, label))
    return groups


def discounted_gain(grades, k):
    """Return the sum of (2^grade - 1) / log2(rank + 1) over the first k ranks."""
    return sum((2**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades[:k], start=1))


def normalized_gain(grades, k):
    """Return the discounted gain of a ranking over that of the best one."""
    best = discounted_gain(sorted(grades, reverse=True), k)
    return discounted_gain(grades, k) / best if best else 0.0


def hierarchical_precision(grades, k):
    """Return the mean over ranks 1 to k of the sum of grades over the largest sum."""
    best, ranks = sorted(grades, reverse=True), range(1, min(k, len(grades)) + 1)
    return sum(sum(grades[:r]) / sum(best[:r]) for r in ranks) / len(ranks) if best[0] else 0.0


def shared_levels(parents, a, b):
    """Return how many nodes two classes have above or at them in common, the root not counted."""

    def path(node):
        return [] if parents[node] == -1 else [node, *path(parents[node])]

    return len(set(path(a)) & set(path(b)))


def map_of_repository(rankings, has_label, k, drops, all_relevant=False):
    """Return mAP as the field's repositories do: divided by what was found; `drops` names the queries left out."""
    values = []
    for hits, labeled in zip(rankings, has_label, strict=True):
        if "unlabeled" in drops and not labeled:
            continue
        if "nothing relevant" in drops and not any(hits):
            continue
        top = hits if k is None else hits[:k]
        found, total = 0, 0.0
        for rank, hit in enumerate(top, start=1):
            if hit:
                found += 1
                total += found / rank
        if found:
            values.append(total / (sum(hits) if all_relevant else found))
        elif "nothing found" not in drops:
            values.append(0.0)
    return sum(values) / len(values)


def cosine(u, z):
    """Return the cosine between two lists of numbers; 0 where one of them is 0."""
    length = math.sqrt(sum(a * a for a in u)) * math.sqrt(sum(b * b for b in z))
    return sum(a * b for a, b in zip(u, z, strict=True)) / length if length else 0.0


def center_softmax(outputs, labels, centers, scale):
    """Return -mean over images and classes of y log p + (1 - y) log(1 - p), p the softmax of scaled cosines."""
    terms = []
    for u, y in zip(outputs, labels, strict=True):
        powers = [math.exp(scale * cosine(u, z)) for z in centers]
        for power, has in zip(powers, y, strict=True):
            rest = sum(powers) - power
            terms.append(-math.log(power / sum(powers)) if has else -math.log(rest / sum(powers)))
    return sum(terms) / len(terms)


def memory_pairs(outputs, labels, memory, memory_labels):
    """Return the mean of log(1 + exp((1 - cos) / 2)) of tanh outputs over pairs that share a label; 0 without pairs."""
    terms = []
    for u, y in zip(outputs, labels, strict=True):
        for v, z in zip(memory, memory_labels, strict=True):
            if any(a and b for a, b in zip(y, z, strict=True)):
                cos = cosine([math.tanh(a) for a in u], [math.tanh(b) for b in v])
                terms.append(math.log(1 + math.exp((1 - cos) / 2)))
    return sum(terms) / len(terms) if terms else 0.0


def cross_entropy(logits, labels):
    """Return the mean over images of -sum of log softmax at the labels, over the number of labels."""
    losses = []
    for row, y in zip(logits, labels, strict=True):
        total = sum(math.exp(value) for value in row)
        losses.append(
            -sum(math.log(math.exp(value) / total) for value, has in zip(row, y, strict=True) if has) / sum(y)
        )
    return sum(losses) / len(losses)


def shc_similarity(logits, numbers, n_classes):
    """Return SHC's similarity by the paper's equations 2 to 12, one number after the other."""
    sums, counts = [[0.0] * n_classes for _ in range(n_classes)], [0] * n_classes
    for row, number in zip(logits, numbers, strict=True):
        largest = max(range(n_classes), key=lambda c: (row[c], -c))
        powers = [0.0 if c == largest else math.exp(row[c]) for c in range(n_classes)]
        counts[number] += 1
        for c in range(n_classes):
            sums[number][c] += powers[c] / sum(powers)
    rows = []
    for number in range(n_classes):
        means = [value / counts[number] for value in sums[number]]
        middle = sum(means) / n_classes
        reach = max(abs(max(means) - middle), abs(min(means) - middle))
        rows.append([(value - middle) / reach for value in means])
    both = [[(rows[a][b] + rows[b][a]) / 2 for b in range(n_classes)] for a in range(n_classes)]
    return [[1.0 if a == b else both[a][b] for b in range(n_classes)] for a in range(n_classes)]


def gilbert_varshamov(n_classes, n_bits):
    """Return the smallest d whose ball of radius d - 1 holds at least 2^n_bits / n_classes words (SHC, equation 13)."""
    d, ball = 1, 1
    while ball * n_classes < 2**n_bits:
        ball += math.comb(n_bits, d)
        d += 1
    return d


def inner(u, v):
    """Return the inner product of two lists of numbers."""
    return sum(a * b for a, b in zip(u, v, strict=True))


def mean_or_zero(terms):
    """Return the mean of a list; 0 for an empty one."""
    return sum(terms) / len(terms) if terms else 0.0


def pair_likelihood(outputs, labels, memory, memory_labels, balanced=False):
    """Return the mean of log(1 + e^θ) - s θ, θ = u · v / 2, over pairs with seen rows of a memory."""
    similar, others = [], []
    for u, y in zip(outputs, labels, strict=True):
        for v, z in zip(memory, memory_labels, strict=True):
            if not any(z):
                continue
            theta, s = inner(u, v) / 2, share_label(y, z)
            (similar if s else others).append(math.log(1 + math.exp(theta)) - s * theta)
    return mean_or_zero(similar) + mean_or_zero(others) if balanced else mean_or_zero(similar + others)


def triplet_likelihood(outputs, labels, margin):
    """Return the mean over anchors of the mean over their triplets of log(1 + e^-(θ_ap - θ_an - margin))."""
    anchors = []
    for a, u in enumerate(outputs):
        terms = []
        for p, v in enumerate(outputs):
            for n, w in enumerate(outputs):
                if p != a and share_label(labels[a], labels[p]) and not share_label(labels[a], labels[n]):
                    gap = inner(u, v) / 2 - inner(u, w) / 2 - margin
                    terms.append(math.log(1 + math.exp(-gap)))
        if terms:
            anchors.append(sum(terms) / len(terms))
    return mean_or_zero(anchors)


def tanh_pairs(outputs, labels, beta, scale, balanced=True, jaccard=False):
    """Return HashNet's weighted mean over pairs of different images of log(1 + e^t) - s t."""
    values = [[math.tanh(beta * a) for a in u] for u in outputs]
    similar, others = [], []
    for i, y in enumerate(labels):
        for j, z in enumerate(labels):
            if i == j:
                continue
            t, s = scale * inner(values[i], values[j]) / len(values[i]), share_label(y, z)
            term = math.log(1 + math.exp(t)) - s * t
            if jaccard and s:
                both = sum(1 for a, b in zip(y, z, strict=True) if a and b)
                term *= both / sum(1 for a, b in zip(y, z, strict=True) if a or b)
            (similar if s else others).append(term)
    return mean_or_zero(similar) + mean_or_zero(others) if balanced else mean_or_zero(similar + others)


def graded_pairs(outputs, labels, scale, soft_weight):
    """Return IDHN's mean over pairs of different images: a likelihood for hard pairs, a squared error for soft ones."""
    n_bits = len(outputs[0])
    values = [[a / (1 + abs(a)) for a in u] for u in outputs]
    terms = []
    for i, y in enumerate(labels):
        for j, z in enumerate(labels):
            if i == j:
                continue
            product, grade = inner(values[i], values[j]), cosine(y, z)
            if grade > 0.99 or grade < 0.01:
                w = scale * product / n_bits
                terms.append(math.log(1 + math.exp(w)) - (w if grade > 0.99 else 0))
            else:
                terms.append(soft_weight * n_bits * ((product + n_bits) / (2 * n_bits) - grade) ** 2)
    return mean_or_zero(terms)
