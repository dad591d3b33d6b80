"""The bound of average precision and the condition on centers: never violated, and reached where they can be."""

import numpy as np
import pytest

import oracles
from nearbit.codes import pack
from nearbit.errors import InputError
from nearbit.metrics import evaluate_codes, tie_aware_average_precision
from nearbit.metrics.separation import average_precision_lower_bound, center_condition
from nearbit.metrics.tie_aware import average_precision_bounds


def random_case(seed, n_bits=6):
    """Return codes and labels of queries and database: scattered around centers, more or less."""
    rng = np.random.default_rng(seed)
    n_classes, noise = int(rng.integers(2, 5)), rng.uniform(0, 0.5)
    centers = rng.choice([-1, 1], size=(n_classes, n_bits))

    def part(n):
        own = rng.integers(n_classes, size=n)
        labels = np.eye(n_classes, dtype=bool)[own] | (rng.random((n, n_classes)) < 0.2 * (seed % 2))
        return pack(centers[own] * np.where(rng.random((n, n_bits)) < noise, -1, 1)), labels

    return (*part(7), *part(int(rng.integers(1, 20))))


@pytest.mark.parametrize("seed", range(40))
def test_no_order_of_ties_falls_below_the_bound_and_it_is_that_of_plain_loops(seed):
    given = random_case(seed)
    bounds, lowest = average_precision_lower_bound(*given, 6), average_precision_bounds(*given, 6)[0]
    assert (bounds <= lowest + 1e-12).all()
    assert ((bounds == 1) == (lowest == 1)).all()
    for bound, code, label in zip(bounds, *given[:2], strict=True):
        groups = oracles.ties(code, label, *given[2:], 6)
        last = max((distance for distance, group in enumerate(groups) if any(group)), default=-1)
        others = sum(not hit for group in groups[: last + 1] for hit in group)
        total = sum(hit for group in groups for hit in group)
        expected = sum(i / (i + others) for i in range(1, total + 1)) / total if total else 0.0
        assert bound == pytest.approx(expected, abs=1e-12)


def test_a_report_holds_the_mean_of_the_bound_and_the_share_that_is_certain():
    given = random_case(3)
    report = evaluate_codes(*given, n_bits=6)
    bounds = average_precision_lower_bound(*given, 6)
    assert report.guaranteed_map == pytest.approx(bounds.mean())
    assert report.separated_queries == (bounds == 1).mean()
    assert np.array_equal(report.per_query["guaranteed_map"], bounds)
    assert report.guaranteed_map <= report.lowest_map + 1e-12


@pytest.mark.parametrize("flips", [0, 1, 2, 3])
def test_where_centers_lie_four_radii_apart_every_query_finds_all_of_its_class_first(flips):
    rng = np.random.default_rng(flips)
    centers = np.array([[1] * 12, [-1] * 12])
    own = rng.integers(2, size=40)
    own[:2] = (0, 1)
    signs = centers[own].copy()
    for row in signs:
        row[rng.permutation(12)[:flips]] *= -1
    labels = np.eye(2, dtype=bool)[own]
    found = center_condition(pack(signs), labels, pack(centers), 12)
    assert (found.n_items, found.center_distance_min, found.radius_100) == (40, 12, flips)
    assert found.holds == (flips < 3) == (found.share_within == 1.0)
    if found.holds:
        values = tie_aware_average_precision(pack(signs), labels, pack(signs), labels, 12)
        assert values == pytest.approx(np.ones(40))


def test_quantiles_are_distances_that_occur_and_items_with_several_labels_or_none_are_left_out():
    centers = np.array([[1] * 8, [-1] * 8])
    signs = np.ones((5, 8), int)
    signs[1, :1], signs[2, :3], signs[3:] = -1, -1, -1
    labels = np.array([[1, 0], [1, 0], [1, 0], [1, 1], [0, 0]], bool)
    found = center_condition(pack(signs), labels, pack(centers), 8)
    assert (found.n_items, found.radius_50, found.radius_95, found.radius_100) == (3, 1, 3, 3)
    assert found.share_within == pytest.approx(2 / 3)


def test_without_centers_or_single_labels_there_is_no_figure():
    codes = pack(np.ones((2, 8), int))
    assert center_condition(codes, np.zeros((2, 0), bool), codes[:0], 8) is None
    assert center_condition(codes, np.ones((2, 2), bool), codes, 8) is None
    with pytest.raises(InputError, match="labels must be bool of the shape"):
        center_condition(codes, np.ones((2, 3), bool), codes, 8)
