"""DSAH: the identities it rests on, its loss by plain loops, its words and what becomes of them."""

import math

import numpy as np
import pytest
import torch

from nearbit.centers import distinct_words, polar_factor, regressed_words, regression_centers
from nearbit.errors import InputError
from nearbit.losses import class_structure
from nearbit.methods import DSAH, DSAHOptions, Task


def drawn(n=12, n_bits=6, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    numbers = np.arange(n) % n_classes
    return rng.normal(0, 1, (n, n_bits)), numbers, rng.choice([-1.0, 1.0], (n_classes, n_bits))


@pytest.mark.parametrize("weight", [0.0, 0.1, 2.0])
def test_the_loss_is_that_of_words_and_of_all_pairs_of_a_class(weight):
    outputs, numbers, centers = drawn()
    v = [[math.tanh(u) for u in row] for row in outputs]
    words = sum((a - b) ** 2 for row, c in zip(v, numbers, strict=True) for a, b in zip(row, centers[c], strict=True))
    pairs = 0.0
    for i, own in enumerate(numbers):
        for j, other in enumerate(numbers):
            if own == other:
                size = int((numbers == own).sum())
                pairs += sum((a - b) ** 2 for a, b in zip(v[i], v[j], strict=True)) / (2 * size)
    expected = (words + weight * pairs) / outputs.size
    labels = torch.eye(3).double()[torch.tensor(numbers)]
    found = class_structure(torch.tensor(outputs), labels, torch.tensor(centers), pair_weight=weight).item()
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_mean_code_of_a_class_is_the_same_target_as_all_codes_of_the_class():
    """Σ_ij |v_i - b_j|² / n_c and Σ_i |v_i - mean b|² differ by what does not depend on v."""
    rng = np.random.default_rng(1)
    codes = rng.choice([-1.0, 1.0], (5, 4))
    differences = []
    for _ in range(2):
        v = rng.uniform(-1, 1, (5, 4))
        all_pairs = sum(((a - b) ** 2).sum() for a in v for b in codes) / 5
        differences.append(all_pairs - ((v - codes.mean(axis=0)) ** 2).sum())
    assert differences[0] == pytest.approx(differences[1], rel=1e-12)


def test_the_loss_is_nothing_only_at_the_words():
    _, numbers, centers = drawn()
    labels = torch.eye(3)[torch.tensor(numbers)]
    words = torch.tensor(centers).float()
    assert class_structure(30 * words[numbers], labels, words).item() == 0
    outputs = (-1e4 * words[numbers]).requires_grad_()
    loss = class_structure(outputs, labels, words)
    loss.backward()
    assert loss.item() == 4
    assert bool(torch.isfinite(outputs.grad).all())


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (5, 5)])
def test_polar_factors_are_orthonormal_and_the_nearest(shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    found = polar_factor(matrix)
    small = found.T @ found if shape[0] >= shape[1] else found @ found.T
    assert np.allclose(small, np.eye(min(shape)))
    rng = np.random.default_rng(1)
    for _ in range(50):  # no other orthonormal matrix has a larger inner product
        other, _ = np.linalg.qr(rng.normal(size=(max(shape), min(shape))))
        other = other if shape[0] >= shape[1] else other.T
        assert (found * matrix).sum() >= (other * matrix).sum()


def test_directions_without_any_size_have_no_part_in_a_polar_factor():
    matrix = np.outer([3.0, 4.0], [1.0, 0.0, 0.0])
    assert np.allclose(polar_factor(matrix), np.outer([0.6, 0.8], [1.0, 0.0, 0.0]))
    assert not polar_factor(np.zeros((2, 3))).any()


def test_words_of_the_next_step_by_the_formula():
    rng = np.random.default_rng(3)
    words, means = rng.choice([-1, 1], (4, 9)).astype(np.int8), rng.uniform(-1, 1, (4, 9))

    def polar(a):
        left, _, right = np.linalg.svd(a, full_matrices=False)
        return left @ right

    centered = np.eye(4) - 0.25
    wish = 0.5 * means + 3 * (2 * polar(words.T.astype(float)).T + centered @ polar(words.T @ centered).T)
    found = regressed_words(words, means, code_weight=0.5, label_weight=2.0, contrast_weight=1.0)
    assert found.tolist() == np.where(wish > 0, 1, -1).tolist()
    alone = regressed_words(words, means, code_weight=1.0, label_weight=0.0, contrast_weight=0.0)
    assert alone.tolist() == np.where(means > 0, 1, -1).tolist()
    assert np.array_equal(regressed_words(words, 0 * means, label_weight=0.0, contrast_weight=0.0), words)


@pytest.mark.parametrize(("n_classes", "n_bits"), [(2, 1), (4, 2), (10, 8), (40, 6), (64, 6), (100, 32)])
def test_every_class_has_a_word_of_its_own_from_first_to_last(n_classes, n_bits):
    words = regression_centers(n_classes, n_bits, np.random.default_rng(0))
    assert len(np.unique(words, axis=0)) == n_classes
    task = Task(n_classes=n_classes, n_bits=n_bits, multi_label=False)
    state = DSAH.make_centers(task, DSAH.options, np.random.default_rng(0))
    means = np.repeat(np.random.default_rng(1).uniform(-1, 1, (1, n_bits)), n_classes, axis=0)  # all classes merge
    options = DSAHOptions(code_weight=100.0)
    new = DSAH.reassign(state, means, 0, options, np.random.default_rng(2)).centers
    assert len(np.unique(new, axis=0)) == n_classes


def test_equal_words_are_parted_and_others_stay():
    words = np.array([[1, 1, 1], [1, 1, 1], [-1, 1, 1], [1, 1, 1]], np.int8)
    wish = np.array([[1, 1, 1], [1, 1, -0.1], [-1, 1, 1], [1, -0.2, 1]])
    found = distinct_words(words, wish, np.random.default_rng(0))
    assert found.tolist() == [[1, 1, 1], [1, 1, -1], [-1, 1, 1], [1, -1, 1]]


def test_both_regressions_left_out_and_several_labels_are_refused():
    with pytest.raises(InputError, match="are both 0: words would follow the codes alone, and classes merge"):
        DSAHOptions(label_weight=0.0, contrast_weight=0.0)
    assert DSAHOptions(label_weight=0.0).contrast_weight == 1
    with pytest.raises(InputError, match="for one label an image, and some of these images have several"):
        DSAH.check(Task(n_classes=3, n_bits=8, multi_label=True), DSAH.options)
    DSAH.check(Task(n_classes=3, n_bits=8, multi_label=False), DSAH.options)
