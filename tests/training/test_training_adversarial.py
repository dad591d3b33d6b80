"""Adversarial training: its memory and term by plain loops, resumed, and refused where there is nothing to attack."""

import numpy as np
import pytest
import torch
from interrupted import Interrupted
from same_models import assert_same, history_of

from nearbit.attacks import Budget, pgd
from nearbit.errors import InputError
from nearbit.methods import CSQ, METHODS
from nearbit.training import TrainOptions, trainer
from nearbit.training.distributed.processes import Processes
from nearbit.training.terms.adversary import Adversary, check_adversarial

ON = {"adversarial": 8.0, "adversarial_steps": 2, "head": "linear"}


class Flat(torch.nn.Module):
    """A linear map of pixels, and whether it was in training mode at each call."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(12, 4, dtype=torch.float64)
        self.modes = []

    def forward(self, pixels):
        self.modes.append(self.training)
        return self.linear((pixels.double().flatten(1) - 128) / 20)


def adversary(**given):
    """Return a network of four bits, five images of two classes, and its adversary."""
    torch.manual_seed(0)
    module = Flat()
    options = TrainOptions(**{"adversarial": 8.0, "adversarial_steps": 3, "adversarial_weight": 2.0} | given)
    found = Adversary(options, module, (5, 2), 4, torch.device("cpu"))
    found.begin(0)
    pixels = torch.randint(0, 256, (5, 3, 2, 2), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return module, found, pixels, torch.eye(2)[[0, 1, 0, 1, 0]]


def center(label, codes, labels, tie_break):
    """Return a center code by plain loops."""
    word = []
    for bit, tie in enumerate(tie_break):
        sides = {True: [], False: []}
        for code, other in zip(codes, labels, strict=True):
            if any(other):
                sides[other == label].append(code[bit])
        means = [sum(side) / max(len(side), 1) for side in (sides[True], sides[False])]
        word.append(tie if means[0] == means[1] else 1.0 if means[0] > means[1] else -1.0)
    return word


def test_memory_and_term_are_those_of_plain_loops_and_the_attack_is_in_evaluation_mode():
    module, found, pixels, labels = adversary()
    codes, known, values = [[0.0] * 4] * 5, [[0.0] * 2] * 5, []
    noise = torch.Generator()
    noise.set_state(found._noise.get_state())
    for batch in ([4, 1], [0, 2, 3], [1, 2]):
        inputs, own = pixels[batch], labels[batch]
        before = [center(label, codes, known, found.tie_break.tolist()) for label in own.tolist()]
        outputs = module(inputs)
        module.modes.clear()
        term = found.term(inputs, outputs, own, np.array(batch))
        assert module.modes == [False] * 3 + [True]
        assert module.training
        for row, output in zip(batch, outputs.tolist(), strict=True):
            codes[row], known[row] = [1.0 if value >= 0 else -1.0 for value in output], labels[row].tolist()
        assert found.codes.tolist() == codes
        assert found.labels.tolist() == known
        budget = Budget(eps=8.0, steps=3, step_size=2.0)
        moved = pgd(module, inputs, torch.tensor(before), budget, toward=False, noise=noise)
        after = [center(label, codes, known, found.tie_break.tolist()) for label in own.tolist()]
        outputs = torch.tanh(module(moved)).tolist()
        products = [a * b for pair in zip(outputs, after, strict=True) for a, b in zip(*pair, strict=True)]
        assert term.item() == pytest.approx(-2.0 * sum(products) / len(products), rel=1e-5)
        values += [-sum(products) / len(products)] * len(batch)
    assert found.figures() == {"adversarial_loss": pytest.approx(sum(values) / 7, rel=1e-5)}


def test_without_a_budget_the_term_is_that_of_the_images_as_they_are():
    module, found, pixels, labels = adversary(adversarial=0.0)
    term = found.term(pixels, module(pixels), labels, np.arange(5))
    words = torch.tensor([center(one, found.codes.tolist(), labels.tolist(), found.tie_break.tolist())
                          for one in labels.tolist()])  # fmt: skip
    assert term.item() == pytest.approx(-2.0 * (torch.tanh(module(pixels)) * words).mean().item(), rel=1e-6)
    term.backward()
    assert module.linear.weight.grad.abs().sum() > 0


def test_the_plain_loss_of_a_step_is_that_of_a_run_without(run):
    """Until the first step the weights are the same; with a weight of 0 they stay so in a network without noise."""
    one, other = run("csq", head="linear", epochs=2, select="last"), run("csq", **ON, adversarial_weight=0.0, epochs=2)
    assert history_of(other)[0]["adversarial_loss"] < 0.5
    assert history_of(one)[0]["loss"] == pytest.approx(history_of(other)[0]["loss"], rel=1e-6)


@pytest.mark.parametrize("method", ["crh", "csq", "mds", "mlh"])
def test_an_interrupted_run_ends_in_the_model_of_an_undisturbed_one(run, tmp_path, monkeypatch, method):
    given = ON | ({} if METHODS[method].head is None else {"head": "auto"})
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    undisturbed = run(method, **given)

    def stop(stage, done, total):
        if stage.startswith("Training") and done == 2:
            raise Interrupted(stage)

    with pytest.raises(Interrupted, match="Training"):
        run(method, checkpoint=tmp_path, progress=stop, **given)
    assert_same(run(method, checkpoint=tmp_path, **given), undisturbed)
    assert all(np.isfinite(epoch["adversarial_loss"]) for epoch in undisturbed.record["history"])


def test_options_are_recorded_and_name_the_run_where_it_is_on(run):
    plain, other = run("csq", epochs=1), run("csq", epochs=1, **ON)
    assert not any(name.startswith("adversarial") for name in plain.record["options"])
    assert other.record["options"]["adversarial"] == 8.0
    assert plain.record["run_key"] != other.record["run_key"]
    assert "adversarial_loss" not in plain.record["history"][0]


def test_multi_label_images_are_attacked_with_graded_weights(run):
    model = run("csq", multi_label=True, epochs=1, **ON, adversarial_relevance="cosine")
    assert "adversarial_loss" in model.record["history"][0]


@pytest.mark.parametrize("method", ["crh", "auto", "ridge", "itq"])
def test_cached_features_have_nothing_to_attack(run, method):
    with pytest.raises(InputError, match="there is nothing to attack: train all of the network"):
        run(method, "frozen", adversarial=8.0)


def test_methods_without_labels_and_several_processes_are_refused():
    from dataclasses import replace

    options = TrainOptions(adversarial=8.0)
    with pytest.raises(InputError, match="csq looks at none"):
        check_adversarial(options, replace(CSQ, needs_labels=False), Processes())
    with pytest.raises(InputError, match="train in one process"):
        check_adversarial(options, CSQ, Processes(rank=0, count=2))
    check_adversarial(TrainOptions(), replace(CSQ, needs_labels=False), Processes(rank=0, count=2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"adversarial": -1.0}, "adversarial must be a number of at least 0"),
        ({"adversarial": 8.0, "adversarial_steps": 0}, "adversarial_steps must be a whole number of at least 1"),
        ({"adversarial": 8.0, "adversarial_relevance": "dice"}, "adversarial_relevance must be one of"),
        ({"adversarial_steps": 3}, "adversarial_steps is of adversarial training, which is off"),
        ({"adversarial_weight": 2.0}, "adversarial_weight is of adversarial training, which is off"),
    ],
)
def test_wrong_options_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        TrainOptions(**given)
