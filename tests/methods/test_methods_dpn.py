"""DPN: the hinge by plain loops, its random targets, and the update of targets."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nearbit.centers import CenterState
from nearbit.errors import InputError
from nearbit.losses import polarization
from nearbit.methods import DPN, DPNOptions, Targets, Task


def drawn(*, several, n_bits=12, n_classes=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.eye(n_classes)[np.arange(6) % n_classes]
    if several:
        labels[:, 1] = 1
    return rng.normal(0, 2, (6, n_bits)), labels, rng.choice([-1.0, 1.0], (n_classes, n_bits))


def hinges(outputs, labels, centers, margin):
    total = 0.0
    for u, y in zip(outputs, labels, strict=True):
        for center, has in zip(centers, y, strict=True):
            if has:
                total += sum(max(margin - float(a) * float(b), 0) for a, b in zip(u, center, strict=True))
    return total / len(outputs)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("margin", [0.0, 1.0, 2.5])
def test_the_loss_is_a_hinge_summed_over_bits_and_labels(margin, several):
    outputs, labels, centers = drawn(several=several)
    expected = hinges(outputs, labels, centers, margin)
    found = polarization(torch.tensor(outputs), torch.tensor(labels), torch.tensor(centers), margin=margin)
    assert found.item() == pytest.approx(expected, rel=1e-12)
    task = Task(n_classes=5, n_bits=12, multi_label=several)
    targets = Targets(torch.tensor(centers), torch.ones(12).double())
    of_method = DPN.loss(torch.tensor(outputs), torch.tensor(labels), targets, task, DPNOptions(margin=margin))
    assert of_method.item() == pytest.approx(expected, rel=1e-12)


def test_nothing_is_lost_beyond_the_margin_and_huge_outputs_are_finite():
    _, labels, centers = drawn(several=False)
    own = torch.tensor(labels @ centers)
    given = (torch.tensor(labels), torch.tensor(centers))
    assert polarization(1.0 * own, *given).item() == 0
    assert polarization(0.9 * own, *given).item() == pytest.approx(1.2)  # 12 bits, each a tenth short
    outputs = (-1e4 * own).requires_grad_()
    polarization(outputs, *given).backward()
    assert bool(torch.isfinite(outputs.grad).all())


@pytest.mark.parametrize("kind", ["bernoulli", "maxhd", "csq"])
def test_targets_are_those_that_the_option_names(kind):
    task = Task(n_classes=100, n_bits=64, multi_label=False)
    centers = DPN.make_centers(task, DPNOptions(targets=kind), np.random.default_rng(0)).centers
    gram = centers.astype(int) @ centers.T
    least = (64 - (gram - 200 * np.eye(100)).max()) / 2
    assert {"bernoulli": 8 <= least < 24, "maxhd": least >= 0.2 * 64, "csq": least == 32}[kind]


def test_after_so_many_epochs_a_target_is_the_sign_of_the_mean_of_its_codes():
    rng = np.random.default_rng(0)
    state = CenterState(
        centers=rng.choice([-1, 1], (3, 6)).astype(np.int8), tie_break=np.ones(6, np.int8), codebook=None
    )
    means = rng.uniform(-1, 1, (3, 6))
    means[1, 2] = 0
    for epoch, changes in ((0, False), (1, True), (2, False), (3, True)):
        new = DPN.reassign(state, means, epoch, DPNOptions(update_every=2), rng)
        expected = [
            [int(old) if mean == 0 else (1 if mean > 0 else -1) for mean, old in zip(*rows, strict=True)]
            for rows in zip(means, state.centers, strict=True)
        ]
        assert new.centers.tolist() == (expected if changes else state.centers.tolist())
        assert new.centers.dtype == np.int8
    assert DPN.reassign(state, means, 1, DPN.options, rng) is state
    assert np.array_equal(replace(state).tie_break, new.tie_break)


@pytest.mark.parametrize(("given", "match"), [
    ({"targets": "ternary"}, "targets must be one of bernoulli, maxhd, csq, not 'ternary'"),
    ({"update_every": 1.5}, r"update_every must be a whole number of at least 0, not 1\.5"),
])  # fmt: skip
def test_options_that_make_no_sense_are_refused(given, match):
    with pytest.raises(InputError, match=match):
        DPNOptions(**given)
