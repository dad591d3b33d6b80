"""HCLM and sHCLM: points on the sphere, their words, the swaps that give them to classes, and the losses."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

import oracles
from nearbit.centers import (
    similarity_from_distances,
    similarity_from_shared_images,
    swap_cost,
    swapped_words,
    tammes_points,
)
from nearbit.errors import InputError
from nearbit.losses import balanced_proxies, code_triplets, proxy_softmax
from nearbit.methods import HCLM, HCLMOptions, Targets, Task
from nearbit.methods.hash_centers.hclm import proxy_words


@pytest.mark.parametrize(("n_classes", "n_bits"), [(2, 3), (5, 4), (10, 16)])
def test_few_points_are_a_simplex(n_classes, n_bits):
    points = tammes_points(n_classes, n_bits, np.random.default_rng(0))
    assert np.allclose(np.linalg.norm(points, axis=1), 1)
    products = points @ points.T
    beside = products[~np.eye(n_classes, dtype=bool)]
    assert np.allclose(beside, -1 / (n_classes - 1), atol=1e-3)


def test_more_points_are_farther_apart_than_random_ones():
    points = tammes_points(100, 16, np.random.default_rng(0))
    cosines = points @ points.T - 2 * np.eye(100)
    assert cosines.max() < 0.25  # of random points it is about .8
    words = proxy_words(100, 16, np.random.default_rng(0))
    assert len(np.unique(words, axis=0)) == 100
    assert min(oracles.all_sign_distances(words.tolist())) >= 2


@pytest.mark.parametrize(("n_classes", "n_bits"), [(2, 1), (4, 2), (40, 6), (64, 6)])
def test_words_all_differ_where_bits_are_few(n_classes, n_bits):
    for seed in range(4):
        words = proxy_words(n_classes, n_bits, np.random.default_rng(seed))
        assert len(np.unique(words, axis=0)) == n_classes


def loops_cost(words, similarity):
    total = 0.0
    for i, a in enumerate(words):
        for j, b in enumerate(words):
            if i != j:
                total += similarity[i][j] * (1 - sum(int(x) * int(y) for x, y in zip(a, b, strict=True)) / len(a))
    return total


def test_swaps_end_where_none_gains_and_below_random_orders():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(8, 3))
    similarity = np.exp(-np.linalg.norm(vectors[:, None] - vectors, axis=2))
    words = rng.choice([-1, 1], (8, 10)).astype(np.int8)
    found = swapped_words(words, similarity, np.random.default_rng(1))
    assert sorted(found.tolist()) == sorted(words.tolist())
    cost = loops_cost(found, similarity)
    assert swap_cost(found, similarity) == pytest.approx(cost, rel=1e-12)
    for a, b in combinations(range(8), 2):
        other = found.copy()
        other[[a, b]] = other[[b, a]]
        assert loops_cost(other, similarity) >= cost - 1e-9
    assert cost < min(loops_cost(words[rng.permutation(8)], similarity) for _ in range(20))
    assert np.array_equal(found, swapped_words(words, similarity, np.random.default_rng(1)))
    with pytest.raises(InputError, match="8 classes need as many words, not 7"):
        swapped_words(words[:7], similarity, rng)


def test_likeness_by_distance_and_by_shared_images():
    values, numbers = np.array([[0.0, 0], [2, 0], [0, 3], [0, 5], [1, 0]]), [0, 1, 2, 2, 0]
    means = [[0.5, 0], [2, 0], [0, 4]]
    distances = [[math.dist(a, b) for b in means] for a in means]
    width = (distances[0][1] + distances[0][2] + distances[1][2]) / 3
    expected = [[math.exp(-(d**2) / (2 * width**2)) for d in row] for row in distances]
    np.testing.assert_allclose(similarity_from_distances(values, numbers), expected, rtol=1e-12)
    with pytest.raises(InputError, match="mean features of all classes are the same"):
        similarity_from_distances(np.ones((4, 2)), [0, 1, 0, 1])
    labels = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1], [1, 1, 0]], bool)
    found = similarity_from_shared_images(labels)
    assert found[0, 1] == 1  # two tags that always stand together
    assert found[0, 2] == pytest.approx(2 * 1 / (3 + 2))
    with pytest.raises(InputError, match="1 of 2 classes have no image"):
        similarity_from_shared_images(np.array([[True, False]]))


def drawn(*, several, n_bits=7, n_classes=4):
    rng = np.random.default_rng(5)
    labels = np.eye(n_classes)[np.arange(6) % n_classes]
    if several:
        labels[::2, 1] = 1
    return rng.normal(0, 1, (6, n_bits)), labels, rng.choice([-1.0, 1.0], (n_classes, n_bits))


def product_of(u, h):
    return sum(math.tanh(a) * b for a, b in zip(u, h, strict=True))


def balanced(outputs, labels, centers, weights):
    total = 0.0
    for u, y in zip(outputs, labels, strict=True):
        for h, t, w in zip(centers, y, weights, strict=True):
            p = 1 / (1 + math.exp(-product_of(u, h)))
            total -= w * t * math.log(p) + (1 - w) * (1 - t) * math.log(1 - p)
    return total / len(outputs)


def triplets(outputs, labels, margin):
    v = [[math.tanh(x) for x in row] for row in outputs]
    terms = []
    for a, p, n in ((a, p, n) for a in range(len(v)) for p in range(len(v)) for n in range(len(v))):
        shares = [any(x and y for x, y in zip(labels[a], labels[other], strict=True)) for other in (p, n)]
        if a != p and shares == [True, False]:
            near, far = ((len(v[0]) - sum(x * y for x, y in zip(v[a], v[o], strict=True))) / 2 for o in (p, n))
            terms.append(math.log(1 + math.exp(margin + near - far)))
    return sum(terms) / len(terms)


def test_one_label_is_a_softmax_of_plain_products():
    outputs, labels, centers = drawn(several=False)
    logits = [[product_of(u, h) for h in centers] for u in outputs]
    expected = oracles.cross_entropy(logits, labels.tolist())
    given = (torch.tensor(outputs), torch.tensor(labels), torch.tensor(centers))
    assert proxy_softmax(*given).item() == pytest.approx(expected, rel=1e-12)
    task = Task(n_classes=4, n_bits=7, multi_label=False)
    targets = Targets(given[2], torch.ones(7).double())
    assert HCLM.loss(*given[:2], targets, task, HCLM.options).item() == pytest.approx(expected, rel=1e-12)
    both = HCLM.loss(*given[:2], targets, task, HCLMOptions(triplet_weight=0.5, triplet_margin=1.5)).item()
    assert both == pytest.approx(expected + 0.5 * triplets(outputs, labels, 1.5), rel=1e-12)


def test_several_labels_are_yes_no_questions_weighted_by_how_rare_a_label_is():
    outputs, labels, centers = drawn(several=True)
    shares = np.array([0.1, 0.4, 0.25, 0.9])
    given = (torch.tensor(outputs), torch.tensor(labels), torch.tensor(centers))
    expected = balanced(outputs, labels, centers, 1 - shares)
    assert balanced_proxies(*given, torch.tensor(1 - shares)).item() == pytest.approx(expected, rel=1e-12)
    targets = Targets(given[2], torch.ones(7).double())
    for known, weights in ((shares, 1 - shares), (None, [0.5] * 4)):
        task = Task(n_classes=4, n_bits=7, multi_label=True, label_shares=known)
        found = HCLM.loss(*given[:2], targets, task, HCLM.options).item()
        assert found == pytest.approx(balanced(outputs, labels, centers, weights), rel=1e-12)


def test_triplets_by_plain_loops_and_none_without_any():
    outputs, labels, _ = drawn(several=True)
    found = code_triplets(torch.tensor(outputs), torch.tensor(labels), margin=2.0).item()
    assert found == pytest.approx(triplets(outputs, labels, 2.0), rel=1e-12)
    for alone in (torch.eye(4), torch.ones(4, 4)):  # no positives, no negatives
        values = torch.zeros(4, 7, requires_grad=True)
        loss = code_triplets(values, alone, margin=2.0)
        loss.backward()
        assert loss.item() == 0
        assert not values.grad.any()


def test_losses_are_finite_far_out():
    _, labels, centers = drawn(several=True)
    outputs = torch.full((6, 7), 1e4).requires_grad_()
    given = (torch.tensor(labels).float(), torch.tensor(centers).float())
    loss = proxy_softmax(outputs, *given) + balanced_proxies(outputs, *given, torch.full((4,), 0.5))
    (loss + code_triplets(outputs, given[0], margin=2.0)).backward()
    assert bool(torch.isfinite(outputs.grad).all())


class Images:
    """Images of four classes, of which the first two look alike, and the last two."""

    labels = np.eye(4, dtype=bool)[np.arange(12) % 4]

    def features(self):
        middles = np.array([[0, 0], [0.5, 0], [9, 0], [9, 0.5]], np.float32)
        return middles[np.arange(12) % 4]

    def logits(self, epochs):
        assert epochs is None
        return self.features()[:, ::-1].copy()


def test_like_classes_get_near_words_and_what_says_so():
    task = Task(n_classes=4, n_bits=8, multi_label=False)
    for kind in ("classifier", "features"):
        similarity = HCLM.similarity(Images(), task, HCLMOptions(similarity=kind))
        assert similarity[0, 1] > 0.9 > 0.9 * similarity[0, 2]
    assert HCLM.similarity(Images(), task, HCLMOptions(assignment="random")) is None
    two = Task(n_classes=2, n_bits=8, multi_label=False)
    assert HCLM.similarity(Images(), two, HCLM.options) is None
    several = Task(n_classes=4, n_bits=8, multi_label=True)
    assert HCLM.similarity(Images(), several, HCLM.options) is None  # no two labels ever stand together
    paired = Images()
    paired.labels = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 1, 1]], bool)
    assert np.array_equal(HCLM.similarity(paired, several, HCLM.options), similarity_from_shared_images(paired.labels))


@pytest.mark.parametrize("proxies", ["published", "separated"])
def test_centers_follow_the_similarity_unless_they_are_given_at_random(proxies):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, 2))
    similarity = np.exp(-np.linalg.norm(vectors[:, None] - vectors, axis=2))
    task = Task(n_classes=30, n_bits=16, multi_label=False, similarity=similarity)
    costs = {}
    for assignment in ("semantic", "random"):
        options = HCLMOptions(assignment=assignment, proxies=proxies)
        centers = HCLM.make_centers(task, options, np.random.default_rng(1)).centers
        assert len(np.unique(centers, axis=0)) == 30
        costs[assignment] = swap_cost(centers, similarity)
    assert costs["semantic"] < 0.99 * costs["random"]
