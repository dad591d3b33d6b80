"""Batches of a few images each of many classes."""

import numpy as np
import pytest

from nearbit.methods.sampling import balanced_batches


def labels_of(counts):
    return np.repeat(np.eye(len(counts), dtype=bool), counts, axis=0)


@pytest.mark.parametrize("images_a_class", [1, 3, 4, 50])
@pytest.mark.parametrize("batch_size", [2, 7, 24, 500])
@pytest.mark.parametrize("counts", [[20] * 6, [1] * 9, [40, 1, 5], [2], [3, 3]], ids=str)
def test_every_image_is_in_one_batch_and_batches_are_alike(counts, batch_size, images_a_class):
    batches = balanced_batches(labels_of(counts), batch_size, images_a_class, np.random.default_rng(0))
    assert sorted(np.concatenate(batches)) == list(range(sum(counts)))
    sizes = [len(batch) for batch in batches]
    assert min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size + 1
    assert all(batch.dtype == np.int64 for batch in batches)


def test_a_batch_has_groups_of_many_classes():
    labels = labels_of([20] * 30)
    for batch in balanced_batches(labels, 40, 4, np.random.default_rng(1)):
        held = labels[batch].sum(axis=0)
        assert (held[held > 0] >= 4).sum() >= 6
        assert (held > 0).sum() >= 6


def test_where_a_batch_has_room_for_all_classes_each_has_all():
    labels = labels_of([40] * 5)
    for batch in balanced_batches(labels, 20, 4, np.random.default_rng(1)):
        assert labels[batch].sum(axis=0).min() >= 2


def test_a_rare_class_stands_beside_others_and_the_frequent_one_is_spread():
    labels = labels_of([400, 40])
    batches = balanced_batches(labels, 44, 4, np.random.default_rng(2))
    held = np.array([labels[batch].sum(axis=0) for batch in batches])
    assert held[:, 0].max() <= 44
    assert (held[:, 1] > 0).mean() > 0.9


def test_images_with_several_labels_stand_beside_those_of_each():
    labels = labels_of([12, 12, 12])
    labels[:12, 1] = True
    rng = np.random.default_rng(3)
    beside = set()
    for _ in range(20):
        for batch in balanced_batches(labels, 4, 3, rng):
            beside |= {(i // 12, j // 12) for i in batch.tolist() for j in batch.tolist()}
    assert {(0, 0), (1, 1), (0, 1)} <= beside


def test_an_rng_decides_the_batches():
    labels = labels_of([20] * 6)
    first, again, other = (balanced_batches(labels, 24, 4, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))
