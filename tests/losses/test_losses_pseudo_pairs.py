"""CIMON's pseudo-similarity and losses by plain loops in float64, and at the ends."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch

from nearbit.losses.pairwise.pseudo_pairs import (
    Distances,
    confidence,
    pseudo_similarity,
    view_contrast,
    weighted_similarity_loss,
)

LIE = Distances(threshold=0.6, mode=0.9, below=0.25, above=0.15)


def phi(value, spread):
    return (1 + math.erf((value - LIE.mode) / spread / math.sqrt(2))) / 2


def unit_rows(n=7, width=4):
    rows = np.random.default_rng(0).normal(size=(n, width)) + 0.5
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def sure(d):
    if d <= LIE.threshold:
        low = phi(LIE.threshold, LIE.below)
        return min(max((low - phi(d, LIE.below)) / low, 0), 1)
    high = phi(LIE.threshold, LIE.above)
    return min(max((phi(d, LIE.above) - high) / (1 - high), 0), 1)


def test_confidence_by_plain_loops_from_nothing_at_the_threshold_to_one():
    distances = torch.linspace(0, 2, 101, dtype=torch.float64)
    found = confidence(distances, LIE)
    assert found.tolist() == pytest.approx([sure(d) for d in distances.tolist()], abs=1e-12)
    assert ((found >= 0) & (found <= 1)).all()
    assert confidence(torch.tensor([0.6], dtype=torch.float64), LIE).item() == pytest.approx(0, abs=1e-12)
    near, far = found[distances <= 0.6], found[distances > 0.6]
    assert (near.diff() <= 1e-12).all()
    assert (far.diff() >= -1e-12).all()
    assert far[-1] == pytest.approx(1, abs=1e-6)


def test_confidence_is_finite_however_far_the_threshold_is_from_the_mode():
    for threshold in (0.0, 1e-9, 2.0):
        for dtype in (torch.float32, torch.float64):
            found = confidence(torch.linspace(0, 2, 50, dtype=dtype), Distances(threshold, 1.0, 0.01, 0.01))
            assert bool(found.isfinite().all())


def test_similarity_and_weights_of_pairs_by_plain_loops():
    rows, clusters = unit_rows(), [0, 0, 1, 1, 2, 0, 2]
    similarity, weights = pseudo_similarity(torch.tensor(rows), torch.tensor(clusters), LIE)
    for i, one in enumerate(rows.tolist()):
        for j, other in enumerate(rows.tolist()):
            d = 1 - sum(a * b for a, b in zip(one, other, strict=True))
            similar, together = d <= LIE.threshold, clusters[i] == clusters[j]
            assert similarity[i, j].item() == (1 if similar else -1)
            assert weights[i, j].item() == pytest.approx(sure(d) if similar == together else 0, abs=1e-12)
    assert torch.allclose(weights, weights.T, atol=1e-12)
    assert torch.equal(similarity, similarity.T)
    assert set(similarity.flatten().tolist()) == {-1.0, 1.0}


def test_images_in_another_order_have_the_same_pairs():
    rows, clusters = torch.tensor(unit_rows()), torch.tensor([0, 0, 1, 1, 2, 0, 2])
    order = torch.tensor([3, 1, 6, 0, 5, 2, 4])
    for whole, moved in zip(
        pseudo_similarity(rows, clusters, LIE), pseudo_similarity(rows[order], clusters[order], LIE), strict=True
    ):
        assert torch.allclose(whole[order][:, order], moved, atol=1e-12)


def test_the_loss_of_pairs_by_plain_loops_and_nothing_where_codes_agree():
    rng = np.random.default_rng(1)
    codes, similarity, weights = rng.uniform(-1, 1, (4, 6)), rng.choice([-1.0, 1.0], (4, 4)), rng.random((4, 4))
    terms = [
        weights[i, j] * (sum(a * b for a, b in zip(codes[i], codes[j], strict=True)) / 6 - similarity[i, j]) ** 2
        for i in range(4)
        for j in range(4)
    ]
    found = weighted_similarity_loss(*map(torch.tensor, (codes, similarity, weights))).item()
    assert found == pytest.approx(sum(terms) / 16, rel=1e-12)
    word = torch.tensor(rng.choice([-1.0, 1.0], 6))
    exact = torch.stack([word, word, -word])
    wanted = torch.tensor([[1.0, 1, -1], [1, 1, -1], [-1, -1, 1]]).double()
    assert weighted_similarity_loss(exact, wanted, torch.ones(3, 3)).item() == 0


@pytest.mark.parametrize("temperature", [0.5, 0.1])
def test_the_contrast_of_views_by_plain_loops(temperature):
    rng = np.random.default_rng(2)
    views = rng.normal(size=(2, 4, 6))
    rows = views.reshape(8, 6)
    unit = [[value / math.hypot(*row) for value in row] for row in rows]
    terms = []
    for i in range(8):
        logits = {
            j: sum(a * b for a, b in zip(unit[i], unit[j], strict=True)) / temperature for j in range(8) if j != i
        }
        terms.append(math.log(sum(math.exp(value) for value in logits.values())) - logits[(i + 4) % 8])
    found = view_contrast(torch.tensor(views[0]), torch.tensor(views[1]), temperature=temperature).item()
    assert found == pytest.approx(sum(terms) / 8, rel=1e-10)


def test_of_all_pairings_the_contrast_is_least_where_views_agree():
    one = torch.eye(3, 6, dtype=torch.float64)
    costs = {order: view_contrast(one, one[list(order)], temperature=0.5).item() for order in permutations(range(3))}
    assert min(costs, key=costs.__getitem__) == (0, 1, 2)
