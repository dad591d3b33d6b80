"""What batch normalisation of a backbone goes by while it is trained: its own statistics, or those of each batch."""

import copy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nearbit.errors import InputError
from nearbit.methods.presets import preset_named
from nearbit.networks import ResNet
from nearbit.networks.backbones import NORMS
from nearbit.training import TrainOptions, differences, plan
from tiny_data import tiny_dataset, tiny_split

WITHOUT_NORMS = {"backbone": nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.Flatten()), "weights": None}


@pytest.fixture(scope="session")
def pretrained(frozen, tmp_path_factory):
    """Options of a ResNet-18 with random weights that has seen images."""
    path = tmp_path_factory.mktemp("seen") / "resnet18.safetensors"
    save_file(having_seen(ResNet("resnet18")).state_dict(), path)
    return replace(frozen, weights=path)


def having_seen(module):
    """Give batch normalisation statistics as images would."""
    generator = torch.Generator().manual_seed(3)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.1, 0.1, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
    return module


def fine_tuned(pretrained, method="csq", **given):
    dataset = tiny_dataset()
    given = {"regime": "fine-tuned", "head": "linear", "hidden": 1024, "epochs": 2} | given
    return plan(dataset, tiny_split(dataset), method=method, n_bits=12, options=replace(pretrained, **given))


def norms_of(module):
    """Return the buffers and the weights of batch normalisation."""
    layers = [layer for layer in module.modules() if isinstance(layer, NORMS)]
    buffers = torch.cat([value.double().flatten() for layer in layers for value in layer.buffers()])
    return buffers, torch.cat([value.detach().flatten() for layer in layers for value in layer.parameters()])


@pytest.mark.parametrize("adversarial", [None, 2.0])
@pytest.mark.parametrize("method", ["csq", "shc"])
@pytest.mark.parametrize(("asked", "stays"), [("auto", True), ("fixed", True), ("batch", False)])
def test_statistics_of_pretrained_weights_stay_unless_asked(pretrained, asked, stays, method, adversarial):
    given = {} if adversarial is None else {"adversarial": adversarial, "adversarial_steps": 1}
    run = fine_tuned(pretrained, method, batch_norm=asked, **given)
    buffers, weights = norms_of(run.context.backbone.module)
    model = run.train(None, lambda *_: None)
    after, trained = norms_of(model.network.backbone.module)
    assert torch.equal(after, buffers) is stays
    assert not torch.equal(trained, weights)
    assert model.record["batch_norm"] == ("fixed" if stays else "batch")
    assert ("batch_norm" in model.record["options"]) is not stays


def test_outputs_of_training_are_those_of_evaluation_where_statistics_stay(pretrained):
    backbone = copy.deepcopy(fine_tuned(pretrained).context.backbone)
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.manual_seed(0))
    of_the_batch = backbone.train()(pixels)
    plain = backbone.eval()(pixels)
    assert not torch.allclose(of_the_batch, plain, atol=1e-3)
    backbone.keeps_statistics = True
    assert torch.allclose(backbone.train()(pixels), plain, atol=1e-4)
    assert backbone.training
    assert any(layer.training for layer in backbone.module.modules() if isinstance(layer, nn.Conv2d))


def test_a_network_from_scratch_goes_by_its_batches(run):
    model = run("csq", "scratch")
    assert model.record["batch_norm"] == "batch"
    assert run("csq", "scratch", batch_norm="batch").record["batch_norm"] == "batch"


def test_the_first_of_two_steps_keeps_statistics_too(pretrained):
    backbones = {}
    for asked in ("auto", "batch"):
        run = fine_tuned(pretrained, regime="two-step", batch_norm=asked)
        buffers, _ = norms_of(run.context.backbone.module)
        model = run.train(None, lambda *_: None)
        backbones[asked], _ = norms_of(model.network.backbone.module)
        assert model.record["batch_norm"] == ("fixed" if asked == "auto" else "batch")
    assert torch.equal(backbones["auto"], buffers)
    assert not torch.equal(backbones["batch"], buffers)


def test_runs_that_go_by_other_statistics_have_other_keys(pretrained):
    auto, fixed, batch = (fine_tuned(pretrained, batch_norm=asked).key() for asked in ("auto", "fixed", "batch"))
    assert auto == fixed != batch


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"regime": "frozen", "batch_norm": "batch"}, r"batch_norm is for a network that is trained whole"),
        (
            {**WITHOUT_NORMS, "batch_norm": "fixed"},
            r"the backbone module:Sequential has no batch normalisation: leave batch_norm",
        ),
        (
            {**WITHOUT_NORMS, "batch_norm": "fixed", "preset": "shc-paper"},  # which has "batch"
            r"the backbone module:Sequential has no batch normalisation: leave batch_norm",
        ),
        ({"batch_norm": "frozen"}, r"batch_norm must be one of auto, fixed, batch, not 'frozen'"),
    ],
)
def test_statistics_of_what_is_not_trained_are_not_chosen(pretrained, asked, message):
    with pytest.raises(InputError, match=message):
        fine_tuned(pretrained, "shc", **asked)


def test_what_the_recipe_says_of_norms_does_nothing_where_there_are_none(pretrained):
    given = {"preset": "shc-paper", "batch_norm": preset_named("shc-paper").options["batch_norm"]}
    assert fine_tuned(pretrained, "shc", **WITHOUT_NORMS, **given).context.batch_norm is None


@pytest.mark.parametrize(
    "given",
    [
        {"image_size": 8},
        {"image_size": 32, "backbone": ResNet("resnet18"), "regime": "fine-tuned"},  # said to be pretrained, and is not
    ],
)
def test_random_weights_have_no_statistics_to_keep(given):
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    with pytest.raises(InputError, match=r"no means and variances that could be kept: leave batch_norm 'fixed'"):
        plan(dataset, split, method="csq", n_bits=12, options=TrainOptions(**given, batch_norm="fixed"))
    run = plan(dataset, split, method="csq", n_bits=12, options=TrainOptions(**given))
    assert run.context.batch_norm == "batch"


def test_a_module_of_ones_own_with_odd_momentum_is_warned_of_only_where_it_remembers(recwarn):
    module = having_seen(ResNet("resnet18"))
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.99
    dataset = tiny_dataset()
    options = TrainOptions(backbone=module, image_size=32, regime="fine-tuned", epochs=1)
    plan(dataset, tiny_split(dataset), method="csq", n_bits=12, options=options)
    assert not [one for one in recwarn if "momentum" in str(one.message)]
    with pytest.warns(UserWarning, match=r"batch normalisation of the module has momentum 0\.99"):
        plan(dataset, tiny_split(dataset), method="csq", n_bits=12, options=replace(options, batch_norm="batch"))


def test_a_backbone_without_batch_normalisation_is_trained_under_the_name_that_it_had():
    dataset = tiny_dataset()
    options = TrainOptions(
        backbone=nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.Flatten()), image_size=16, regime="fine-tuned", epochs=1
    )
    run = plan(dataset, tiny_split(dataset), method="csq", n_bits=12, options=options)
    assert run.context.batch_norm is None
    assert "batch_norm" not in run.context.record()
    key = run.key()
    run.context.batch_norm = "fixed"
    assert run.key() != key


def test_a_model_from_before_differs_by_the_statistics_of_its_norms(pretrained):
    model = fine_tuned(pretrained, epochs=1).train(None, lambda *_: None)
    del model.record["batch_norm"]
    assert differences(model, fine_tuned(pretrained, epochs=1)) == ["batch_norm batch instead of fixed"]
