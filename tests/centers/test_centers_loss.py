"""The semantic loss and the correlation by plain loops; what is a similarity and what are centers."""

import itertools

import numpy as np
import pytest

from class_similarity import plain_loss, similarity_of
from nearbit.centers import check_similarity, hadamard_centers, random_signs, semantic_loss, similarity_correlation
from nearbit.errors import InputError


def plain_correlation(centers, similarity):
    """Return Pearson's correlation of products and similarities over pairs i < j, by loops."""
    pairs = list(itertools.combinations(range(len(centers)), 2))
    xs = [sum(int(a) * int(b) for a, b in zip(centers[i], centers[j], strict=True)) for i, j in pairs]
    ys = [float(similarity[i][j]) for i, j in pairs]
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    both = sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    return both / (sum((x - mx) ** 2 for x in xs) * sum((y - my) ** 2 for y in ys)) ** 0.5


@pytest.mark.parametrize(("n_classes", "n_bits"), [(2, 1), (3, 12), (7, 65), (20, 16)])
def test_loss_and_correlation_are_those_of_plain_loops(n_classes, n_bits):
    centers = random_signs((n_classes, n_bits), np.random.default_rng(1))
    similarity = similarity_of(n_classes, group=2)
    assert semantic_loss(centers, similarity) == pytest.approx(plain_loss(centers, similarity), rel=1e-12)
    found = similarity_correlation(centers, similarity)
    if n_classes == 2:
        assert found is None
    else:
        assert found == pytest.approx(plain_correlation(centers, similarity), abs=1e-12)


def test_loss_goes_over_blocks_of_rows(monkeypatch):
    centers, similarity = random_signs((20, 16), np.random.default_rng(1)), similarity_of(20)
    whole = semantic_loss(centers, similarity), similarity_correlation(centers, similarity)
    monkeypatch.setattr("nearbit.centers.semantic.loss.ROWS_AT_ONCE", 7)
    assert (semantic_loss(centers, similarity), similarity_correlation(centers, similarity)) == pytest.approx(whole)


def test_centers_that_are_equally_far_apart_have_no_correlation():
    assert similarity_correlation(hadamard_centers(4, 4), similarity_of(4, group=2)) is None


def test_an_asymmetric_similarity_is_the_mean_of_its_halves_and_that_is_said():
    given = np.array([[1, 0.2, 0.4], [0.6, 1, 0.0], [0.4, 0.0, 1]])
    matrix, note = check_similarity(given, 3)
    assert matrix[0, 1] == matrix[1, 0] == pytest.approx(0.4)
    assert note == "the similarity is not symmetric (by up to 0.4): the mean of both halves counts"
    assert given[0, 1] == 0.2
    assert check_similarity(matrix) == (pytest.approx(matrix), None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((1, 1, 0.5), "the diagonal of the similarity is not 1"),
        ((0, 2, 3.0), "similarities reach 3, beyond the -1 to 1"),
    ],
)
def test_what_is_odd_about_a_similarity_is_noted(change, words):
    matrix = similarity_of(4, group=2)
    row, column, value = change
    matrix[row, column] = matrix[column, row] = value
    assert words in check_similarity(matrix)[1]


@pytest.mark.parametrize(
    ("similarity", "message"),
    [
        (np.eye(3)[:2], r"square, one row and one column a class, not \(2, 3\)"),
        (np.ones(3), r"square.*not \(3,\)"),
        (np.eye(1), "at least 2 classes, not 1"),
        (np.full((3, 3), np.nan), "finite: 9 of 9 values"),
        (np.diag([1, np.inf, 1]), "finite: 1 of 9 values"),
        (np.eye(3), r"all classes are equally similar \(0\)"),
        (np.array([["a", "b"], ["c", "d"]]), "must be real numbers"),
        (np.array([[1, 1j], [1j, 1]]), "must be real numbers, not complex128"),
    ],
)
def test_what_is_no_similarity_is_refused(similarity, message):
    with pytest.raises(InputError, match=message):
        check_similarity(similarity)


def test_another_number_of_classes_is_refused():
    with pytest.raises(InputError, match="has 4 classes, but 5 are expected"):
        semantic_loss(random_signs((5, 8), np.random.default_rng(0)), similarity_of(4))


@pytest.mark.parametrize("centers", [np.zeros((4, 8)), np.ones(8), np.ones((1, 8)), np.full((4, 8), "a")])
def test_what_are_no_centers_is_refused(centers):
    with pytest.raises(InputError, match="centers must"):
        semantic_loss(centers, similarity_of(4))
