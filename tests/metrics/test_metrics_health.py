"""The health of codes against small loops, and its advice."""

from dataclasses import replace

import numpy as np
import pytest

import oracles
from nearbit.codes import pack
from nearbit.errors import InputError
from nearbit.metrics.health import health_of


def test_numbers_equal_the_loops():
    rng = np.random.default_rng(0)
    signs = np.where(rng.random((40, 12)) < 0.3, 1, -1)
    signs[:, 3] = 1
    codes, centers = pack(signs), pack(np.array([[1] * 12, [-1] * 12]))
    health = health_of(codes, 12, k=5, centers=centers)
    counts = sorted((codes.tolist().count(code) for code in np.unique(codes, axis=0).tolist()), reverse=True)
    assert (health.distinct_codes, health.constant_bits) == (len(counts), 1)
    assert health.share_in_largest_groups == pytest.approx(sum(counts[:10]) / 40)
    assert health.bit_imbalance == pytest.approx(np.mean([abs((signs[:, b] > 0).mean() - 0.5) for b in range(12)]))
    varied = np.delete(signs, 3, axis=1)
    pairs = [abs(np.corrcoef(varied[:, a], varied[:, b])[0, 1]) for a in range(11) for b in range(a)]
    assert health.bit_correlation == pytest.approx(np.mean(pairs), abs=1e-5)
    ties = []
    for i in range(40):
        distances = sorted(oracles.hamming(codes[i], codes[j], 12) for j in range(40) if j != i)
        ties.append(distances.count(distances[4]))
    assert health.tie_at_k == pytest.approx(np.mean(ties))
    nearest = [min(oracles.hamming(code, center, 12) for center in centers) for code in codes]
    assert (health.center_margin, health.center_spread) == (12, pytest.approx(np.mean(nearest)))


def test_collapsed_codes_are_told_what_to_do():
    health = health_of(np.zeros((50, 2), np.uint8), 12, centers=np.zeros((2, 2), np.uint8))
    advice = "\n".join(health.advice())
    for words in ("1 distinct codes", "49 items tie at result 10", "12 of 12 bits never change", "classes overlap"):
        assert words in advice
    assert health.to_dict()["advice"] == health.advice()


def test_healthy_codes_get_no_advice():
    codes = np.random.default_rng(0).integers(0, 256, (500, 8), dtype=np.uint8)
    assert health_of(codes, 64, k=100).advice() == []


@pytest.mark.parametrize(("tie_at_k", "advised"), [(10.0, False), (10.5, True)])
def test_ties_are_advised_on_beyond_k(tie_at_k, advised):
    health = health_of(np.random.default_rng(0).integers(0, 256, (500, 8), dtype=np.uint8), 64, k=10)
    assert bool(replace(health, tie_at_k=tie_at_k).advice()) == advised


def test_one_code_and_none():
    health = health_of(np.array([[128]], np.uint8), 3)
    assert (health.tie_at_k, health.bit_correlation, health.distinct_codes) == (None, None, 1)
    with pytest.raises(InputError, match="codes are empty"):
        health_of(np.zeros((0, 1), np.uint8), 3)
