"""MLH: what its loss is made of, and its options."""

import numpy as np
import pytest
import torch

from nearbit.errors import InputError
from nearbit.losses import center_softmax, quantization
from nearbit.losses.mutual import batch_pair_likelihood, disagreement
from nearbit.methods import MDS, MLH, MDSOptions, MLHOptions, Targets, Task

TASK = Task(n_classes=5, n_bits=12, multi_label=False)


def case():
    rng = np.random.default_rng(0)
    state = MLH.first_centers(TASK, MLH.options, rng)
    labels = torch.eye(5)[[0, 1, 2, 3, 4, 0, 0]].double()
    return torch.tensor(rng.normal(size=(7, 24))), labels, Targets(torch.tensor(state.centers).double(), torch.ones(12))


@pytest.mark.parametrize(("reduction", "factor"), [("sum", 5), ("mean", 1)])
def test_the_loss_is_the_weighted_sum_of_its_terms(reduction, factor):
    outputs, labels, targets = case()
    options = MLHOptions(center_reduction=reduction, pair_weight=2.0, mutual_weight=3.0, quantization_weight=0.5)
    central, paired = outputs[:, :12], outputs[:, 12:]
    expected = 4 * factor * center_softmax(central, labels, targets.centers, scale=12**0.5)
    expected += 2 * batch_pair_likelihood(paired.tanh(), labels, scale=1.0)
    expected += 3 * disagreement(central.tanh(), paired.tanh())
    expected += 0.5 * (quantization(central) + quantization(paired))
    assert MLH.loss(outputs, labels, targets, TASK, options).item() == pytest.approx(expected.item(), rel=1e-12)


def test_with_the_centers_alone_it_is_mds():
    outputs, labels, targets = case()
    options = MLHOptions(
        center_weight=1,
        pair_weight=0,
        mutual_weight=0,
        quantization_weight=0,
        center_reduction="mean",
        experts=1,
        active=1,
    )
    twice = torch.cat([outputs[:, :12]] * 2, dim=1)  # what one shared expert gives
    expected = MDS.loss(outputs[:, :12], labels, targets, TASK, MDSOptions(quantization_weight=0)).item()
    assert MLH.loss(twice, labels, targets, TASK, options).item() == pytest.approx(expected, rel=1e-12)


def test_each_branch_feels_the_other_through_the_mutual_term_alone():
    outputs, labels, targets = case()
    for weight, reaches in ((0.0, False), (1.0, True)):
        given = outputs.clone().requires_grad_()
        options = MLHOptions(pair_weight=0, quantization_weight=0, mutual_weight=weight)
        MLH.loss(given, labels, targets, TASK, options).backward()
        assert bool(given.grad[:, 12:].any()) is reaches
        assert bool(given.grad[:, :12].any())


def test_wrong_options_are_refused():
    for given, match in (
        ({"center_reduction": "both"}, "center_reduction must be one of sum, mean, not 'both'"),
        ({"experts": 65}, "experts must be at most 64, not 65"),
        ({"experts": 2, "active": 3}, "active must be at most the 2 experts, not 3"),
        ({"active": 0}, "active must be a whole number of at least 1, not 0"),
        ({"trunk": 1}, "trunk must be True or False, not 1"),
        ({"pair_weight": -1.0}, r"pair_weight must be a number of at least 0, not -1\.0"),
    ):
        with pytest.raises(InputError, match=match):
            MLH.with_options(given)
    assert MLH.head_options(TASK, MLHOptions(experts=0)) == {
        "experts": 0,
        "active": 1,
        "trunk": True,
    }
