"""Words for sets of labels: which sets, how alike they are, and what classes have of their words."""

import numpy as np
import pytest

from class_similarity import similarity_of
from nearbit.centers import label_sets, means_of_classes, words_of_sets
from nearbit.centers.label_sets import MOST_SETS, similarity_of_sets


def labels_of(*sets, n_classes=5):
    rows = np.zeros((len(sets), n_classes), bool)
    for row, classes in zip(rows, sets, strict=True):
        row[list(classes)] = True
    return rows


def test_the_sets_are_the_distinct_rows_and_the_frequent_ones_come_first():
    rows = labels_of({0}, {1, 2}, {0}, {3}, {1, 2}, {1, 2})
    found = label_sets(rows)
    assert found.counts.tolist() == [3, 2, 1]
    assert [set(np.flatnonzero(row)) for row in found.sets] == [{1, 2}, {0}, {3}]


def test_of_very_many_sets_the_rare_ones_are_left_out():
    rng = np.random.default_rng(0)
    rows = rng.random((MOST_SETS + 500, 30)) < 0.3
    rows[-3:] = rows[0]
    found = label_sets(rows)
    assert len(found.sets) == MOST_SETS
    assert (found.sets[0] == rows[0]).all()


def test_sets_with_a_common_label_are_alike_and_others_follow_their_classes():
    similarity = similarity_of(5)
    sets = labels_of({0, 1}, {1, 2}, {3}, {4, 2})
    alike = similarity_of_sets(sets, similarity)
    pairs = {
        (a, b): np.mean([similarity[i, j] for i in np.flatnonzero(sets[a]) for j in np.flatnonzero(sets[b])])
        for a in range(4)
        for b in range(4)
        if not (sets[a] & sets[b]).any()
    }
    reach = max(abs(value) for value in pairs.values())
    for a in range(4):
        for b in range(4):
            expected = 1.0 if (sets[a] & sets[b]).any() else 0.3 * pairs[a, b] / reach
            assert alike[a, b] == pytest.approx(expected)


def test_words_are_distinct_and_nearer_for_sets_with_a_common_label():
    sets = np.unique(np.random.default_rng(3).random((40, 12)) < 0.2, axis=0)
    sets = sets[sets.any(axis=1)]
    words = words_of_sets(sets, similarity_of(12), 24, np.random.default_rng(0))
    assert words.dtype == np.int8
    assert len(np.unique(words, axis=0)) == len(words) == len(sets)
    products = words.astype(int) @ words.T
    related = sets.astype(int) @ sets.T > 0
    beside = ~np.eye(len(sets), dtype=bool)
    assert products[related & beside].mean() > products[~related].mean() + 6
    again = words_of_sets(sets, similarity_of(12), 24, np.random.default_rng(0))
    assert (words == again).all()


def test_sets_that_all_share_a_label_get_words_far_apart():
    sets = labels_of({0}, {0, 1}, {0, 2}, {0, 3})
    words = words_of_sets(sets, similarity_of(5), 12, np.random.default_rng(0)).astype(int)
    assert (12 - words @ words.T)[~np.eye(4, dtype=bool)].min() >= 2 * 6


def test_more_sets_than_half_of_the_words_get_none():
    sets = np.eye(12, dtype=bool)
    assert len(words_of_sets(sets, similarity_of(12), 4, np.random.default_rng(0))) == 8


def test_a_class_has_the_mean_of_the_words_of_its_images():
    rows = labels_of({0}, {0, 1}, {0, 1}, {3})
    known = label_sets(rows)
    words = np.array([[1, 1, 1], [1, -1, -1], [-1, -1, 1]], np.int8)[: len(known.sets)]
    tie_break = np.array([1, -1, 1], np.int8)
    means, signs = means_of_classes(known, words, tie_break)
    by_set = {tuple(np.flatnonzero(row)): word for row, word in zip(known.sets, words, strict=True)}
    assert means[0] == pytest.approx((by_set[0,].astype(float) + 2 * by_set[0, 1]) / 3)
    assert means[1] == pytest.approx(by_set[0, 1])
    assert (means[2] == 0).all()
    assert (signs[2] == tie_break).all()
    assert (signs[3] == by_set[3,]).all()
