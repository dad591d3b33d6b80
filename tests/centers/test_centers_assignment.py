"""Words of a code given to classes: against all assignments there are, with spare words, and refusals."""

import itertools

import numpy as np
import pytest

from class_similarity import plain_loss, similarity_of
from nearbit.centers import assign_words, random_signs, semantic_loss, separated_centers
from nearbit.errors import InputError


@pytest.mark.parametrize("seed", range(3))
def test_small_assignments_are_the_best_there_are(seed):
    similarity = similarity_of(4, seed=seed, group=2)
    words = random_signs((6, 8), np.random.default_rng(seed))
    best = min(plain_loss(words[list(chosen)], similarity) for chosen in itertools.permutations(range(6), 4))
    chosen = assign_words(words, similarity, np.random.default_rng(0))
    assert chosen.dtype == np.int64
    assert len(set(chosen.tolist())) == 4
    assert semantic_loss(words[chosen], similarity) == pytest.approx(best)


def test_an_assignment_gains_by_spare_words_and_more_classes_start_at_random(monkeypatch):
    similarity = similarity_of(20)
    words = separated_centers(64, 16, np.random.default_rng(0))

    def loss(n_words):
        chosen = assign_words(words[:n_words], similarity, np.random.default_rng(0))
        return semantic_loss(words[chosen], similarity)

    few, many = loss(20), loss(64)
    assert many < few < semantic_loss(words[:20], similarity)
    monkeypatch.setattr("nearbit.centers.semantic.quadratic_assignment.GREEDY_CLASSES", 5)
    assert loss(64) == pytest.approx(many, rel=0.2)


def test_the_greedy_start_alone_is_better_than_words_in_order(monkeypatch):
    from nearbit.centers.semantic import quadratic_assignment

    similarity, words = similarity_of(20), separated_centers(64, 16, np.random.default_rng(0))
    first = quadratic_assignment._greedy(words, similarity, np.random.default_rng(0))
    assert len(set(first.tolist())) == 20
    assert semantic_loss(words[first], similarity) < semantic_loss(words[:20], similarity)


def test_too_few_words_are_refused():
    with pytest.raises(InputError, match="20 classes need at least as many words, not 19"):
        assign_words(random_signs((19, 8), np.random.default_rng(0)), similarity_of(20), np.random.default_rng(0))
