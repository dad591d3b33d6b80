"""Plain loops that say what the library should return; they share no code with it."""

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


def top_k(query_code, items, n_bits, k=None, radius=None):
    """Return the ranked (id, distance) of a dict of id to code: by distance, then by id."""
    ranked = sorted((hamming(query_code, code, n_bits), item_id) for item_id, code in items.items())
    near = [(item_id, distance) for distance, item_id in ranked if radius is None or distance <= radius]
    return near if k is None else near[:k]
