"""Similarity of classes: the paper's and the released rule by plain loops, prototypes, embeddings, refusals."""

import math

import numpy as np
import pytest

from nearbit.centers import (
    SimilarityRule,
    check_similarity,
    similarity_from_embeddings,
    similarity_from_logits,
    similarity_from_prototypes,
)
from nearbit.errors import InputError


def plain_similarity(logits, labels, mask, pool, steps):
    """Return the similarity of equations 2 to 12 by loops; labels are sets of class numbers, one a row."""
    n_classes = len(logits[0])
    sums, counts = [[0.0] * n_classes for _ in range(n_classes)], [0] * n_classes
    for row, classes in zip(logits, labels, strict=True):
        if not 0 < len(classes) < n_classes:
            continue
        best_first = sorted(range(n_classes), key=lambda c: (-row[c], c))
        masked = set(best_first[: len(classes)]) if mask == "predicted" else set(classes)
        powers = [0.0 if c in masked else math.exp(row[c]) for c in range(n_classes)]
        for own in classes:
            counts[own] += 1
            for c in range(n_classes):
                sums[own][c] += powers[c] / sum(powers)
    rows = [[v / counts[i] if pool == "mean" else v for v in row] for i, row in enumerate(sums)]
    for step in steps:
        if step == "symmetrize":
            rows = [[(rows[i][j] + rows[j][i]) / 2 for j in range(n_classes)] for i in range(n_classes)]
        else:
            rows = [plain_row(row) for row in rows]
    for i in range(n_classes):
        rows[i][i] = 1.0
    return np.array(rows)


def plain_row(row):
    mean = sum(row) / len(row)
    return [(v - mean) / max(abs(max(row) - mean), abs(min(row) - mean)) for v in row]


RULES = {
    "paper": ("predicted", "mean", ("normalize", "symmetrize")),
    "released": ("label", "sum", ("symmetrize", "normalize")),
}


def some_logits(n=60, n_classes=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % n_classes)
    logits = rng.normal(0, 1, (n, n_classes))
    logits[np.arange(n), labels] += 1
    return logits, labels


@pytest.mark.parametrize("order", RULES)
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_logits_give_the_similarity_of_plain_loops(order, n_classes):
    logits, labels = some_logits(n_classes=n_classes)
    expected = plain_similarity(logits.tolist(), [{int(label)} for label in labels], *RULES[order])
    found = similarity_from_logits(logits, labels, order=order)
    assert found == pytest.approx(expected, abs=1e-12)
    assert np.abs(found).max() <= 1
    assert (np.diagonal(found) == 1).all()


def test_the_two_rules_differ_and_the_released_one_is_not_symmetric():
    logits, labels = some_logits()
    paper, released = (similarity_from_logits(logits, labels, order=order) for order in RULES)
    assert np.array_equal(paper, paper.T)
    assert not np.allclose(released, released.T)
    assert "not symmetric" in check_similarity(released)[1]


@pytest.mark.parametrize(
    "change",
    [{"mask": "label"}, {"pool": "sum"}, {"steps": ("symmetrize", "normalize")}, {"steps": ("normalize",)},
     {"steps": ("symmetrize", "normalize", "symmetrize")}],
)  # fmt: skip
def test_each_difference_can_be_had_alone(change):
    logits, labels = some_logits()
    labels[:12] = 0  # classes of unequal size, so that mean and sum differ
    rule = SimilarityRule(**change)
    expected = plain_similarity(logits.tolist(), [{int(label)} for label in labels], rule.mask, rule.pool, rule.steps)
    found = similarity_from_logits(logits, labels, order=rule)
    assert found == pytest.approx(expected, abs=1e-12)
    if change != {"pool": "sum"}:  # sums are scaled away again, row by row
        assert not np.allclose(found, similarity_from_logits(logits, labels))


@pytest.mark.parametrize("order", RULES)
def test_images_with_several_labels_count_for_each_and_all_or_none_for_nothing(order):
    logits, labels = some_logits()
    several = np.zeros(logits.shape, bool)
    several[np.arange(60), labels] = True
    several[np.arange(0, 60, 3), (labels[::3] + 1) % 5] = True
    several[7], several[8] = True, False
    sets = [set(np.flatnonzero(row).tolist()) for row in several]
    found = similarity_from_logits(logits, several, order=order)
    assert found == pytest.approx(plain_similarity(logits.tolist(), sets, *RULES[order]), abs=1e-12)


def test_one_label_each_is_the_same_as_numbers_or_as_bools():
    logits, labels = some_logits()
    assert np.array_equal(
        similarity_from_logits(logits, labels), similarity_from_logits(logits, labels[:, None] == np.arange(5))
    )


def test_the_order_of_images_and_a_shift_of_their_logits_do_not_matter_and_parts_add_up(monkeypatch):
    logits, labels = some_logits()
    expected = similarity_from_logits(logits, labels)
    mixed = np.random.default_rng(1).permutation(60)
    shifted = (logits + 1000 * np.arange(60)[:, None])[mixed]
    monkeypatch.setattr("nearbit.centers.semantic.similarity.IMAGES_AT_ONCE", 7)
    assert similarity_from_logits(shifted, labels[mixed]) == pytest.approx(expected, abs=1e-9)


def test_classes_that_are_taken_for_each_other_are_alike():
    logits, labels = np.zeros((40, 4)), np.arange(40) % 4
    logits[np.arange(40), labels] = 9
    logits[np.arange(40), labels ^ 1] = 5  # 0 looks like 1, and 2 like 3
    found = similarity_from_logits(logits, labels)
    assert found[0, 1] == found[2, 3] == pytest.approx(1)
    assert found[0, 2] < 0


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.full((3, 3), np.nan), [0, 1, 2], "logits must be finite: 9 of 9 values"),
        (np.zeros((3, 1)), [0, 0, 0], "at least 2 classes, not 1"),
        (np.zeros((0, 3)), [], r"neither of them 0, not \(0, 3\)"),
        (np.zeros(3), [0, 1, 2], r"logits must have the shape \(rows, columns\)"),
        (np.array([["a", "b"]]), [0], "logits must be real numbers"),
        (np.zeros((3, 3)), [0, 1, 3], "labels must be 0 to 2: 3 is out of range"),
        (np.zeros((3, 3)), [0, 1, -1], "-1 is out of range"),
        (np.zeros((3, 3)), [0, 1], r"labels must be class numbers \(3,\) or bool \(3, 3\), not int64 \(2,\)"),
        (np.zeros((3, 3)), [0.0, 1.0, 2.0], "not float64"),
        (np.eye(3), [0, 1, 1], "1 of 3 classes have no image that tells about them, such as class 2"),
        (np.zeros((3, 3)), np.ones((3, 3), bool), "3 of 3 classes have no image"),
        (np.array([[9, 0, 0], [9, 8, 8], [9, 8, 8]]), [0, 1, 2], None),
    ],
)
def test_what_gives_no_similarity_is_refused(logits, labels, message):
    if message is None:
        assert similarity_from_logits(logits, labels).shape == (3, 3)
        return
    with pytest.raises(InputError, match=message):
        similarity_from_logits(logits, np.array(labels) if len(labels) else np.zeros(0, np.int64))


def test_a_class_that_is_equally_similar_to_all_cannot_be_scaled():
    features = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    with pytest.raises(InputError, match="class 0 is equally similar to all classes"):
        similarity_from_embeddings(features)
    assert np.array_equal(similarity_from_embeddings(features, scaling="plain"), np.eye(3))


def test_unknown_names_of_rules_are_refused():
    logits, labels = some_logits()
    with pytest.raises(InputError, match="order must be one of paper, released, not 'papr'"):
        similarity_from_logits(logits, labels, order="papr")
    for change, message in (
        ({"mask": "all"}, "mask must"),
        ({"pool": "max"}, "pool must"),
        ({"steps": ()}, "steps must"),
    ):
        with pytest.raises(InputError, match=message):
            SimilarityRule(**change)
    with pytest.raises(InputError, match="scaling must be one of rows, plain, not 'columns'"):
        similarity_from_embeddings(np.eye(3), scaling="columns")


def plain_cosines(vectors):
    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    return [[cosine(a, b) for b in vectors] for a in vectors]


@pytest.mark.parametrize("scaling", ["rows", "plain"])
def test_embeddings_give_cosines_scaled_without_their_diagonal(scaling):
    vectors = np.random.default_rng(0).normal(0.5, 1, (6, 4))
    rows = plain_cosines(vectors.tolist())
    if scaling == "rows":
        scaled = []
        for i, row in enumerate(rows):
            beside = plain_row(row[:i] + row[i + 1 :])
            scaled.append([*beside[:i], 1.0, *beside[i:]])
        rows = [[(scaled[i][j] + scaled[j][i]) / 2 for j in range(6)] for i in range(6)]
    assert similarity_from_embeddings(vectors, scaling=scaling) == pytest.approx(np.array(rows), abs=1e-12)


def test_prototypes_are_the_mean_features_of_each_class():
    rng = np.random.default_rng(1)
    features, labels = rng.normal(0, 1, (30, 4)), np.arange(30) % 5
    means = [features[labels == c].mean(axis=0) for c in range(5)]
    for scaling in ("rows", "plain"):
        expected = similarity_from_embeddings(means, scaling=scaling)
        assert similarity_from_prototypes(features, labels, scaling=scaling) == pytest.approx(expected, abs=1e-12)
    several = labels[:, None] == np.arange(5)
    several[0, 3] = True
    means[3] = features[several[:, 3]].mean(axis=0)
    assert similarity_from_prototypes(features, several) == pytest.approx(similarity_from_embeddings(means), abs=1e-12)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.ones((3, 2)), [0, 0, 0], "at least 2 classes, not 1"),
        (np.ones((3, 2)), [0, 2, 2], "such as class 1"),
        (np.ones((3, 2)), [0, -1, 1], "-1 is out of range"),
        (np.array([[1.0], [-1.0], [2.0]]), [0, 0, 1], "the vector of class 0 is 0"),
        (np.array([[1.0], [np.inf], [2.0]]), [0, 0, 1], "features must be finite"),
    ],
)
def test_what_gives_no_prototypes_is_refused(features, labels, message):
    with pytest.raises(InputError, match=message):
        similarity_from_prototypes(features, np.array(labels))
