"""Center codes: the best of all words, whatever the labels, the weights and the ties."""

import itertools

import numpy as np
import pytest
import torch

from nearbit.attacks import center_codes

TIES = np.array([1, -1, 1, -1, -1, 1])
WORDS = [np.array(word) for word in itertools.product((-1, 1), repeat=6)]


def case(seed, *, multi_label):
    """Return labels of queries, codes, their labels: small enough for plain loops."""
    rng = np.random.default_rng(seed)
    codes = rng.choice([-1, 1], size=(11, 6))
    if multi_label:
        return rng.random((4, 3)) < 0.5, codes, rng.random((11, 3)) < 0.4
    one_hot = np.eye(3, dtype=bool)
    return one_hot[rng.integers(3, size=4)], codes, one_hot[rng.integers(3, size=11)]


def weight(one, other, relevance):
    """Return how much a code with the labels `other` counts for the labels `one`."""
    common = sum(a and b for a, b in zip(one, other, strict=True))
    if not common or relevance == "shared":
        return float(common > 0)
    if relevance == "jaccard":
        return common / sum(a or b for a, b in zip(one, other, strict=True))
    return common / (sum(one) * sum(other)) ** 0.5


def objective(word, label, codes, code_labels, relevance):
    """Return the mean agreement of a word with what is relevant, less that with the rest, by plain loops."""
    label, code_labels = np.asarray(label, int).tolist(), np.asarray(code_labels, int).tolist()
    sums, shares = [0.0, 0.0], [0.0, 0.0]
    for code, other in zip(codes, code_labels, strict=True):
        if not any(other):
            continue
        own = weight(label, other, relevance)
        agreement = sum(a * b for a, b in zip(word, code, strict=True))
        sums[own == 0] += agreement * (own or 1.0)
        shares[own == 0] += own if own and relevance == "cosine" else 1.0
    return sums[0] / (shares[0] or 1.0) - sums[1] / (shares[1] or 1.0)


def found(labels, codes, code_labels, relevance="shared"):
    given = (torch.tensor(np.asarray(array, dtype=np.float32)) for array in (labels, codes, code_labels, TIES))
    return center_codes(*given, relevance=relevance).numpy().astype(int)


@pytest.mark.parametrize("relevance", ["shared", "jaccard", "cosine"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_a_center_code_is_the_best_of_all_words(relevance, multi_label):
    for seed in range(6):
        labels, codes, code_labels = case(seed, multi_label=multi_label)
        for label, word in zip(labels, found(labels, codes, code_labels, relevance), strict=True):
            values = {tuple(one): objective(one, label, codes, code_labels, relevance) for one in WORDS}
            assert values[tuple(word)] == pytest.approx(max(values.values()), abs=1e-9)


def test_even_votes_take_the_given_signs():
    one_hot = np.eye(2)
    assert found(one_hot[:1], np.array([[1] * 6, [1] * 6]), one_hot).tolist() == [TIES.tolist()]


def test_codes_without_labels_have_no_vote_and_without_any_the_given_signs_stand():
    labels, codes, code_labels = case(0, multi_label=False)
    more = np.concatenate([codes, -np.ones((50, 6), int)])
    unknown = np.concatenate([code_labels, np.zeros((50, 3), bool)])
    assert np.array_equal(found(labels, more, unknown), found(labels, codes, code_labels))
    assert found(labels, codes, np.zeros((11, 3))).tolist() == [TIES.tolist()] * 4


def test_with_one_label_an_image_all_weights_are_the_same():
    given = case(3, multi_label=False)
    words = [found(*given, relevance).tolist() for relevance in ("shared", "jaccard", "cosine")]
    assert words[0] == words[1] == words[2]


def test_graded_weights_can_choose_another_word():
    label = np.array([[1, 1, 0]], bool)
    code_labels = np.array([[1, 1, 0], [1, 0, 0]], bool)
    codes = np.array([[1] * 6, [-1] * 6])
    assert found(label, codes, code_labels).tolist() == [TIES.tolist()]
    for relevance in ("jaccard", "cosine"):
        assert found(label, codes, code_labels, relevance).tolist() == [[1] * 6]
