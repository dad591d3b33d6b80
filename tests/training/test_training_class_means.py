"""Means of classes beside plain loops, and what is said of the step at which numbers stop being finite."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nearbit.errors import TrainingError
from nearbit.methods import CSQ
from nearbit.training import stepping
from nearbit.training.distributed.class_means import ClassMeans
from nearbit.training.distributed.processes import Processes

N_CLASSES, N_BITS = 5, 7


def made(several):
    """Return batches of labels and outputs: one of them with more columns, a class without images, zeros."""
    rng = np.random.default_rng(4)
    for size, width in ((6, N_BITS), (3, N_BITS + 2)):
        labels = np.zeros((size, N_CLASSES), np.float32)
        labels[np.arange(size), rng.integers(0, N_CLASSES - 1, size)] = 1
        if several:
            labels[::2, 0] = 1
        outputs = rng.normal(size=(size, width)).astype(np.float32)
        outputs[0, :2] = (0.0, -0.0)
        yield labels, outputs


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("of", ["signs", "outputs"])
def test_means_are_those_of_a_plain_loop(of, several):
    found = ClassMeans(N_CLASSES, N_BITS, of, torch.device("cpu"))
    sums, weights = np.zeros((N_CLASSES, N_BITS)), np.zeros(N_CLASSES)
    for labels, outputs in made(several):
        found.add(torch.from_numpy(labels), torch.from_numpy(outputs))
        for row, own in zip(labels, outputs, strict=True):
            for number in np.flatnonzero(row):
                share = 1 / row.sum()
                weights[number] += share
                for bit in range(N_BITS):
                    sums[number, bit] += share * ((1 if own[bit] >= 0 else -1) if of == "signs" else own[bit])
    expected = np.array([total / weight if weight else 0 * total for total, weight in zip(sums, weights, strict=True)])
    means = found.means(Processes())
    assert (means[-1] == 0).all()
    np.testing.assert_allclose(means, expected, rtol=1e-5, atol=1e-7)
    if of == "signs" and not several:
        assert np.array_equal(means, expected)


def failing_at(number, value):
    """Return CSQ whose loss is `value` at a step, counted from 1 over all epochs."""
    steps = []

    def loss(outputs, *rest):
        steps.append(1)
        own = CSQ.loss(outputs, *rest)
        return own + value if len(steps) == number else own

    return replace(CSQ, loss=loss), steps


@pytest.mark.parametrize("every", [1, 2, 32])
def test_the_first_step_that_is_not_finite_is_named_however_seldom_one_looks(run, monkeypatch, tmp_path, every):
    monkeypatch.setattr(stepping, "READ_EVERY", every)
    method, steps = failing_at(0, 0.0)
    run(method, epochs=1, batch_size=4)
    assert len(steps) > 2
    method, _ = failing_at(len(steps) + 2, float("inf"))
    with pytest.raises(TrainingError, match=r"the loss became inf in epoch 2, step 2: .*no model was saved"):
        run(method, checkpoint=tmp_path, epochs=4, batch_size=4)
    assert list(tmp_path.iterdir()) == []


def test_losses_are_read_only_once_in_a_while(run, monkeypatch):
    monkeypatch.setattr(stepping, "READ_EVERY", 32)
    method, steps = failing_at(1, float("inf"))
    with pytest.raises(TrainingError, match="epoch 1, step 1"):
        run(method, batch_size=4)
    assert len(steps) > 1  # it was noticed at the end of the epoch


def test_an_error_that_follows_from_numbers_that_are_not_finite_is_not_what_is_said(run):
    method, steps = failing_at(1, float("nan"))
    inner = method.loss

    def fragile(outputs, *rest):
        value = inner(outputs, *rest)
        if len(steps) == 2:
            raise ValueError("array must not contain infs or NaNs")
        return value

    with pytest.raises(TrainingError, match="the loss became nan in epoch 1, step 1"):
        run(replace(method, loss=fragile), batch_size=4)
    calm = replace(CSQ, loss=lambda outputs, *rest: (_ for _ in ()).throw(ValueError("of another kind")))
    with pytest.raises(ValueError, match="of another kind"):
        run(calm)
