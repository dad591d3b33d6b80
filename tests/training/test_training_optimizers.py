"""The optimizers against the formulas in plain loops, their speeds, their resumption, and published recipes."""

from dataclasses import fields, replace

import pytest
import torch
from interrupted import Interrupted, stop_after
from same_models import assert_same
from torch import nn

from nearbit.errors import InputError
from nearbit.methods import METHODS, Schedule
from nearbit.methods.presets import PRESETS, preset_named
from nearbit.training import TrainOptions, plan, trainer
from nearbit.training.optimizers import make_optimizer
from nearbit.training.options import hurried, resolve_schedule
from tiny_data import tiny_dataset, tiny_split


class Two(nn.Module):
    """A "backbone" and a "head" of three numbers each."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(3, 1, bias=False)
        self.head = nn.Linear(3, 1, bias=False)


def by_hand(name, weights, gradients, rate, decay):
    """SGD with Nesterov momentum .9, RMSprop with smoothing .99, Adam with (.9, .999): number by number."""
    momentum, square = [0.0] * len(weights), [0.0] * len(weights)
    weights = list(weights)
    for step, gradient in enumerate(gradients, start=1):
        for i, value in enumerate(gradient):
            g = value + decay * weights[i]
            if name == "sgd":
                momentum[i] = g if step == 1 else 0.9 * momentum[i] + g
                weights[i] -= rate * (g + 0.9 * momentum[i])
            elif name == "rmsprop":
                square[i] = 0.99 * square[i] + 0.01 * g * g
                weights[i] -= rate * g / (square[i] ** 0.5 + 1e-8)
            else:
                momentum[i] = 0.9 * momentum[i] + 0.1 * g
                square[i] = 0.999 * square[i] + 0.001 * g * g
                unbiased = (momentum[i] / (1 - 0.9**step)) / ((square[i] / (1 - 0.999**step)) ** 0.5 + 1e-8)
                weights[i] -= rate * unbiased
    return weights


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop"])
def test_steps_are_those_of_the_formulas(name):
    torch.manual_seed(0)
    module = Two().double()
    schedule = Schedule(
        epochs=1, batch_size=2, learning_rate=0.05, backbone_factor=0.1, weight_decay=0.01, optimizer=name
    )
    gradients = torch.randn(7, 3, dtype=torch.float64)
    expected = {
        part: by_hand(name, getattr(module, part).weight[0].tolist(), gradients.tolist(), rate, 0.01)
        for part, rate in (("head", 0.05), ("backbone", 0.005))
    }
    optimizer = make_optimizer(module, schedule)
    for gradient in gradients:
        for part in ("head", "backbone"):
            getattr(module, part).weight.grad = gradient.reshape(1, 3).clone()
        optimizer.step()
    for part, weights in expected.items():
        assert getattr(module, part).weight[0].tolist() == pytest.approx(weights, rel=1e-9)


@pytest.mark.parametrize("name", ["sgd", "rmsprop"])
def test_training_goes_on_from_a_checkpoint_to_the_same_bits(run, tmp_path, monkeypatch, name):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    settings = {"epochs": 4, "optimizer": name, "learning_rate": 1e-3, "weight_decay": 0.1}
    undisturbed = run("csq", "scratch", **settings)
    with pytest.raises(Interrupted, match="Training"):
        run("csq", "scratch", checkpoint=tmp_path, progress=stop_after(3), **settings)
    assert_same(run("csq", "scratch", checkpoint=tmp_path, **settings), undisturbed)
    assert undisturbed.record["schedule"]["optimizer"] == name
    assert undisturbed.record["options"]["optimizer"] == name


def test_options_take_the_place_of_the_schedule():
    options = TrainOptions(optimizer="sgd", weight_decay=0.0, backbone_factor=0.0, learning_rate=0.1)
    schedule = resolve_schedule(METHODS["csq"], options, "fine-tuned", "linear", 1000)
    assert (schedule.optimizer, schedule.weight_decay, schedule.backbone_factor) == ("sgd", 0.0, 0.0)
    assert resolve_schedule(METHODS["csq"], TrainOptions(), "fine-tuned", "linear", 1000).optimizer == "adam"
    assert not {"optimizer", "weight_decay", "backbone_factor", "preset"} & set(TrainOptions().to_dict())
    with pytest.raises(InputError, match=r"optimizer must be one of adam, sgd, rmsprop, not 'adamw'"):
        TrainOptions(optimizer="adamw")
    with pytest.raises(InputError, match=r"weight_decay must be"):
        TrainOptions(weight_decay=-1.0)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_recipes_are_options_that_there_are(preset):
    assert set(preset.options) <= {one.name for one in fields(TrainOptions)}
    options = TrainOptions(**preset.options)
    method = METHODS[preset.method]
    schedule = resolve_schedule(method, options, "fine-tuned", "linear", 10_000)
    assert schedule.epochs == 300
    assert schedule.weight_decay == 1e-5
    assert replace(method.options, **preset.method_options)
    names = {one.name for one in fields(method.options)}
    assert not names & {one.name for one in fields(TrainOptions)}, "a record has what was given instead by name alone"
    assert preset.citation.startswith(method.citation)
    assert any("query images" in line for line in preset.differs)


def test_the_recipes_are_those_of_the_papers():
    shc, cifar, crh = (preset_named(name) for name in ("shc-paper", "shc-paper-cifar100", "crh-paper"))
    assert (shc.options["optimizer"], shc.options["batch_size"], shc.options["learning_rate"]) == ("rmsprop", 64, 1e-4)
    assert cifar.options["learning_rate"] == 7e-5
    schedule = resolve_schedule(METHODS["crh"], TrainOptions(**crh.options), "fine-tuned", "linear", 10_000)
    assert (schedule.optimizer, schedule.betas, schedule.batch_size) == ("adam", (0.5, 0.999), 128)
    many = resolve_schedule(
        METHODS["crh"], TrainOptions(**crh.options), "fine-tuned", "linear", 10_000, multi_label=True
    )
    assert many.epochs == 30
    with pytest.raises(InputError, match=r"the preset must be one of .*, not 'shc-papr'\. Did you mean 'shc-paper'"):
        preset_named("shc-papr")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"regime": "auto"}, "the recipe shc-paper trains the whole network, .* or leave the preset .* out"),
        ({}, "thumbnail has no weights .*, and the recipe shc-paper trains the whole network: take another backbone"),
    ],
)
def test_a_backbone_that_a_recipe_cannot_train_is_refused_by_the_name_of_the_recipe(given, message):
    dataset, recipe = tiny_dataset(), preset_named("shc-paper").options
    options = TrainOptions(preset="shc-paper", **{**recipe, "backbone": "thumbnail", "image_size": None, **given})
    with pytest.raises(InputError, match=message) as found:
        plan(dataset, tiny_split(dataset), method="shc", options=options)
    assert "factor" not in str(found.value)


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("shc", {"epochs": 16}, "16 epochs at the learning rate 0.0001, which shc has for 300: in few epochs"),
        ("shc", {"epochs": 75}, "75 epochs at the learning rate"),
        ("shc", {"epochs": 76}, None),
        ("shc", {}, None),
        ("shc", {"epochs": 16, "learning_rate": 1e-4}, None),
        ("csq", {"epochs": 8}, "8 epochs at the learning rate 0.001, which csq has for 90"),
        ("csq", {"epochs": 8, "backbone_factor": 0.1}, None),
    ],
)
def test_few_epochs_at_a_learning_rate_for_many_are_said(method, given, said):
    found = hurried(METHODS[method], TrainOptions(**given), "fine-tuned")
    assert (found is None) is (said is None)
    assert said is None or found.startswith(said)
    assert hurried(METHODS[method], TrainOptions(**given), "frozen") is None
