"""MLH's terms over pairs by plain loops in float64, and at the ends."""

import math

import numpy as np
import pytest
import torch

from nearbit.losses.mutual import batch_pair_likelihood, disagreement


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_the_likelihood_of_pairs_by_plain_loops(scale):
    rng = np.random.default_rng(0)
    codes = rng.uniform(-1, 1, (5, 6)).tolist()
    labels = [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    terms = []
    for i, one in enumerate(codes):
        for j, other in enumerate(codes):
            if i != j:
                theta = scale / 2 * sum(a * b for a, b in zip(one, other, strict=True))
                shared = any(a and b for a, b in zip(labels[i], labels[j], strict=True))
                terms.append(math.log1p(math.exp(theta)) - shared * theta)
    found = batch_pair_likelihood(torch.tensor(codes).double(), torch.tensor(labels).double(), scale=scale).item()
    assert found == pytest.approx(sum(terms) / len(terms), rel=1e-6)


def test_one_image_has_no_pair_and_huge_codes_are_finite():
    codes = torch.full((3, 64), 1e4, dtype=torch.float64, requires_grad=True)
    loss = batch_pair_likelihood(codes, torch.eye(3).double(), scale=1.0)
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(codes.grad.isfinite().all())
    assert batch_pair_likelihood(codes[:1], torch.eye(3)[:1].double(), scale=1.0).item() == 0


def test_branches_disagree_by_nothing_where_they_are_parallel_and_by_two_where_they_are_opposite():
    codes = torch.tensor(np.random.default_rng(1).normal(size=(4, 6)))
    assert disagreement(codes, 3 * codes).item() == pytest.approx(0, abs=1e-12)
    assert disagreement(codes, -codes / 2).item() == pytest.approx(2, rel=1e-12)
    others = codes.roll(1, 0)
    terms = []
    for one, other in zip(codes.tolist(), others.tolist(), strict=True):
        product = sum(a * b for a, b in zip(one, other, strict=True))
        terms.append(1 - product / math.hypot(*one) / math.hypot(*other))
    assert disagreement(codes, others).item() == pytest.approx(sum(terms) / 4, rel=1e-12)
