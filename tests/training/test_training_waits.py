"""A step of training asks a device for nothing: each answer would let a GPU wait for Python."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nearbit.methods import METHODS
from nearbit.training.stepping import Stepper
from nearbit.training.terms.epoch_mean import EpochMean

WAITS = ("_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "masked_select", "equal", "is_nonzero")
"""Operations whose result, or its size, Python has to know."""

TRIPLETS = {"dtsh": {"nonzero"}}
"""What the losses of methods ask all the same: how many pairs and triplets a batch holds."""

QUICK = ("crh", "mds", "dtsh", "idcwh")
ALL = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in METHODS]


class Asked(TorchDispatchMode):
    """Counts what a device is asked for."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in WAITS:
            self.found[name] += 1
        if name.startswith(("index", "_index")) and any(is_mask(one) for given in args[1:] for one in listed(given)):
            self.found["mask"] += 1
        return function(*args, **(kwargs or {}))


def listed(given):
    return given if isinstance(given, list | tuple) else [given]


def is_mask(given):
    return isinstance(given, torch.Tensor) and given.dtype == torch.bool


@pytest.fixture
def asked(monkeypatch):
    """What the steps of training ask for."""
    counter, step = Asked(), Stepper.step

    def watched(self, *given):
        with counter:
            return step(self, *given)

    monkeypatch.setattr(Stepper, "step", watched)
    return counter.found


@pytest.mark.parametrize("name", ALL)
def test_steps_ask_for_nothing(run, asked, name):
    regime = "frozen" if "scratch" not in METHODS[name].schedules else "scratch"
    run(name, regime, epochs=2)
    assert set(asked) == TRIPLETS.get(name, set())


def test_what_is_asked_for_is_seen(run, asked):
    run("crh", adversarial=8.0, adversarial_steps=1, epochs=1)
    assert set(asked) == {"unique_dim"}  # center codes are of the label vectors that differ
    asked.clear()
    run("crh", candidate_weight=0.05, epochs=3)
    assert asked["_local_scalar_dense"] > 0


def test_float16_finds_its_factor_without_asking(run, asked):
    run("csq", precision="float16", epochs=1)
    assert set(asked) == set()


def test_the_mean_of_an_epoch_is_that_of_its_images_in_python_numbers():
    mean, values, sizes = EpochMean(), [0.1, 3.7, -2.2], [5, 8, 3]
    assert mean.figures("term") == {}
    for value, size in zip(values, sizes, strict=True):
        mean.add(torch.tensor(value, requires_grad=True), size)
    shorter = [float(torch.tensor(value)) for value in values]
    total = 0.0
    for value, size in zip(shorter, sizes, strict=True):
        total += value * size
    assert mean.figures("term") == {"term": total / 16}
