"""CRH: the loss, the schedule of reassignment, the codebook's options."""

import math

import numpy as np
import pytest
import torch

import oracles
from nearbit.centers import centers_from, reassign
from nearbit.errors import InputError
from nearbit.methods import CRH, CRHOptions, Targets, Task
from nearbit.methods.hash_centers.crh import reassigns_after

TASK = Task(n_classes=10, n_bits=48, multi_label=False)


def start(options=CRH.options, task=TASK):
    return CRH.make_centers(task, options, np.random.default_rng(0))


def test_the_papers_defaults():
    options = CRH.options
    assert (options.margin, options.scale, options.quantization_weight, options.n_codewords) == (0.2, None, None, None)
    assert (options.assignment, options.reassign_always_until, options.reassign_every) == ("greedy", 20, 5)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(
    ("options", "scale", "margin", "weights"),
    [
        (CRHOptions(), math.sqrt(2) * math.log(9), 0.2, (0.1, 0.0)),
        (CRHOptions(scale=3.0, margin=0.0, quantization_weight=0.5), 3.0, 0.0, (0.5, 0.5)),
        (CRHOptions(quantization_weight=0), math.sqrt(2) * math.log(9), 0.2, (0.0, 0.0)),
    ],
)
def test_loss_is_margin_cosine_plus_quantization_for_one_label(multi_label, options, scale, margin, weights):
    task = Task(n_classes=10, n_bits=48, multi_label=multi_label)
    state = start(options, task)
    labels = np.eye(10)[:6]
    if multi_label:
        labels[:, 9] = 1
    outputs = np.random.default_rng(1).normal(0, 1, (6, 48))
    targets = Targets(torch.tensor(state.centers).double(), torch.tensor(state.tie_break).double())
    found = CRH.loss(torch.tensor(outputs), torch.tensor(labels), targets, task, options).item()
    expected = oracles.margin_cosine(outputs, labels, state.centers.tolist(), scale, margin)
    expected += weights[multi_label] * oracles.quantization(outputs)
    assert found == pytest.approx(expected, rel=1e-12)


def test_reassigned_after_each_of_the_first_twenty_epochs_then_every_fifth():
    done = [epoch + 1 for epoch in range(40) if reassigns_after(epoch, CRHOptions())]
    assert done == [*range(1, 21), 25, 30, 35, 40]


@pytest.mark.parametrize(
    ("always", "every", "expected"),
    [(0, 0, []), (3, 0, [1, 2, 3]), (0, 5, [5, 10]), (2, 4, [1, 2, 4, 8]), (0, 1, list(range(1, 11)))],
)
def test_other_schedules_and_zero_means_never(always, every, expected):
    options = CRHOptions(reassign_always_until=always, reassign_every=every)
    assert [epoch + 1 for epoch in range(10) if reassigns_after(epoch, options)] == expected


@pytest.mark.parametrize("assignment", ["greedy", "exact"])
def test_centers_change_by_schedule_only_and_by_the_chosen_assignment(assignment):
    options = CRHOptions(assignment=assignment)
    state, means = start(), np.random.default_rng(2).uniform(-1, 1, (10, 48))
    assert CRH.reassign(state, means, 20, options, np.random.default_rng(3)) is state
    found = CRH.reassign(state, means, 19, options, np.random.default_rng(3))
    expected = reassign(state, means, np.random.default_rng(3), assignment=assignment)
    assert np.array_equal(found.centers, expected.centers)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ({}, (8, 20, 6)),
        ({"n_codewords": 10}, (12, 10, 4)),
        ({"head_bits": 24}, (2, 20, 24)),
        ({"n_codewords": 64, "head_bits": 48}, (1, 64, 48)),
    ],
)
def test_codebook_by_the_options_and_the_first_words_are_the_first_centers(given, shape):
    state = start(CRHOptions(**given))
    assert state.codebook.shape == shape
    assert state.assignment.tolist() == [list(range(10))] * shape[0]
    assert np.array_equal(state.centers, centers_from(state.codebook, state.assignment))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"n_codewords": 9}, "n_codewords must be at least the 10 classes, not 9"),
        ({"n_codewords": 0}, "n_codewords must be a whole number of at least 2, not 0"),
        ({"head_bits": 7}, "head_bits must divide 48 bits"),
        ({"head_bits": 0}, "head_bits must be a whole number of at least 1, not 0"),
        ({"head_bits": 6.0}, r"head_bits must be a whole number of at least 1, not 6\.0"),
        ({"scale": 0}, "scale must be a number above 0, not 0: a scale of 0"),
        ({"scale": -1.0}, "scale must be a number above 0"),
        ({"quantization_weight": -0.1}, "quantization_weight must be a number of at least 0"),
        ({"assignment": "hungarian"}, "assignment must be one of greedy, exact, not 'hungarian'"),
        ({"codebook": "far"}, "codebook must be one of uniform, separated, not 'far'"),
        ({"reassign_every": -1}, "reassign_every must be a whole number of at least 0, not -1"),
        ({"reassign_always_until": 2.5}, "reassign_always_until must be a whole number"),
    ],
)
def test_options_that_make_no_sense_are_refused(given, match):
    with pytest.raises(InputError, match=match):
        start(CRH.with_options(given))


def test_a_separated_codebook_has_words_further_apart():
    least = {}
    for codebook in ("uniform", "separated"):
        words = start(CRHOptions(codebook=codebook, head_bits=12)).codebook
        assert words.shape == (4, 20, 12)
        least[codebook] = min(min(oracles.all_sign_distances(head.tolist())) for head in words)
    assert least["separated"] >= 4 > least["uniform"]


def test_more_classes_than_words_are_refused():
    with pytest.raises(InputError, match="9 classes need 9 distinct words, but 3 bits have only 8"):
        start(task=Task(n_classes=9, n_bits=3, multi_label=False))
