"""CIMON: what is read off the features, what its loss is made of, and its options."""

import numpy as np
import pytest
import torch

from nearbit.errors import InputError
from nearbit.losses.pairwise.pseudo_pairs import Distances, pseudo_similarity, view_contrast, weighted_similarity_loss
from nearbit.methods import CIMON, CIMONOptions, Targets, Task
from nearbit.methods.unlabelled.grouping import BIN, centered_unit_rows, clusters_of, distances_of

TASK = Task(n_classes=0, n_bits=6, multi_label=False)


def blobs(n=60, width=8, middles=3):
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 3, (middles, width))
    numbers = np.arange(n) % middles
    return (centers[numbers] + rng.normal(0, 0.3, (n, width)) + 5).astype(np.float32), numbers


class Images:
    """Two views of the blobs, and no labels."""

    def plain_views(self):
        features, _ = blobs()
        return [features, features + np.float32(0.01), features * np.nan]


def test_rows_are_centered_and_of_length_one_and_a_row_in_the_middle_stays():
    rows = centered_unit_rows(np.array([[1.0, 2], [3, 4], [2, 3]], np.float32))
    assert np.allclose(rows, [[-(0.5**0.5)] * 2, [0.5**0.5] * 2, [0, 0]], atol=1e-6)
    assert rows.dtype == np.float32


def test_how_distances_lie_by_plain_loops():
    rows = centered_unit_rows(blobs()[0])
    found = distances_of(rows, np.random.default_rng(0), similar_share=0.25, threshold=None)
    distances = []
    for i in range(60):
        for j in range(i):
            product = sum(float(a) * float(b) for a, b in zip(rows[i], rows[j], strict=True))
            distances.append(min(max(1 - product, 0), 2))
    counts = {}
    for d in distances:
        counts[int(d / BIN)] = counts.get(int(d / BIN), 0) + 1
    assert counts[int(found.mode / BIN)] == max(counts.values())
    below = [(d - found.mode) ** 2 for d in distances if d <= found.mode]
    above = [(d - found.mode) ** 2 for d in distances if d >= found.mode]
    assert found.below == pytest.approx(max((sum(below) / len(below)) ** 0.5, BIN), rel=1e-6)
    assert found.above == pytest.approx(max((sum(above) / len(above)) ** 0.5, BIN), rel=1e-6)
    assert sum(d <= found.threshold for d in distances) == pytest.approx(0.25 * len(distances), abs=2)
    given = distances_of(rows, np.random.default_rng(0), similar_share=0.25, threshold=0.1)
    assert given.threshold == 0.1
    assert given[1:] == found[1:]


def test_equal_images_have_distances_too():
    found = distances_of(np.ones((2, 1), np.float32), np.random.default_rng(0), similar_share=0.5, threshold=None)
    assert np.isfinite(found).all()
    assert min(found.below, found.above) >= BIN


def test_clusters_are_those_of_the_blobs_and_never_more_than_images():
    features, numbers = blobs()
    rows = centered_unit_rows(features)
    found = [clusters_of(rows, 3, np.random.default_rng(seed)).tolist() for seed in range(8)]
    assert found == [clusters_of(rows, 3, np.random.default_rng(seed)).tolist() for seed in range(8)]
    pairs = [len(set(zip(one, numbers.tolist(), strict=True))) for one in found]
    assert min(pairs) == 3  # from one start or another each blob is a cluster
    assert len(clusters_of(rows[:2], 70, np.random.default_rng(0))) == 2


def test_what_is_prepared_has_a_row_for_each_image_and_nothing_for_each_pair():
    arrays = CIMON.prepare(Images(), TASK, CIMON.options, np.random.default_rng(0))
    assert {name: array.shape for name, array in arrays.items()} == {
        **{f"features_{view}": (60, 8) for view in (0, 1)},
        **{f"clusters_{view}": (60,) for view in (0, 1)},
        **{f"distances_{view}": (4,) for view in (0, 1)},
    }


@pytest.mark.parametrize("n_views", [1, 2])
def test_the_loss_is_over_both_codes_with_each_similarity_and_never_looks_at_labels(n_views):
    arrays = CIMON.prepare(Images(), TASK, CIMON.options, np.random.default_rng(0))
    prepared = {name: torch.tensor(array) for name, array in arrays.items() if int(name[-1]) < n_views}
    rows = torch.tensor([5, 0, 17, 3])
    outputs = torch.tensor(np.random.default_rng(3).normal(size=(8, 6))).float().requires_grad_()
    targets = Targets(torch.zeros(0, 6), torch.ones(6), rows=rows.repeat(2), prepared=prepared)
    found = CIMON.loss(outputs, torch.zeros(8, 0), targets, TASK, CIMONOptions(contrast_weight=0.7))
    codes = (outputs[:4].tanh(), outputs[4:].tanh())
    expected = 0.7 * view_contrast(*codes, temperature=0.5)
    for view in (0, 1):
        own = view if n_views == 2 else 0
        features, clusters = prepared[f"features_{own}"][rows], prepared[f"clusters_{own}"][rows]
        pairs = pseudo_similarity(features, clusters, Distances(*arrays[f"distances_{own}"].tolist()))
        expected = expected + sum(weighted_similarity_loss(one, *pairs) for one in codes)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()
    assert bool(outputs.grad.isfinite().all())


def test_wrong_options_are_refused():
    for given, match in (
        ({"similar_share": 0.0}, r"similar_share must be a number above 0 and below 1, not 0\.0"),
        ({"similar_share": 1.0}, r"similar_share must be a number above 0 and below 1, not 1\.0"),
        ({"temperature": 0}, "temperature must be a number above 0, not 0"),
        ({"threshold": -0.1}, r"threshold must be a number of at least 0, not -0\.1"),
        ({"clusters": 0}, "clusters must be a whole number of at least 1, not 0"),
        ({"contrast_weight": -1.0}, "contrast_weight must be a number of at least 0, not -1"),
    ):
        with pytest.raises(InputError, match=match):
            CIMON.with_options(given)
