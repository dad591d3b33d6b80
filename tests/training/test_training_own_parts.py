"""Methods with parts of their own (weights of the loss, heads, views): they resume to the last bit, and save."""

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from same_models import assert_same

from nearbit.datasets import make_split
from nearbit.errors import BundleError, InputError
from nearbit.files.writing import write_json
from nearbit.model.bundle import load_model
from nearbit.model.manifest import with_digest
from nearbit.networks import backbone_of
from nearbit.training import TrainOptions, trainer
from nearbit.training.terms.index_term import IndexTerm
from tiny_data import tiny_dataset, tiny_split


class Broken(Exception):
    """Raised from the progress callback."""


def assert_resumes(run, tmp_path, method, regime="frozen", **given):
    """Train undisturbed, and with an interruption after the third of four epochs; return the model."""

    def stop(stage, done, total):
        if stage.startswith("Training") and done == 3:
            raise Broken(stage)

    undisturbed = run(method, regime, epochs=4, **given)
    with pytest.raises(Broken, match="Training"):
        run(method, regime, epochs=4, checkpoint=tmp_path, progress=stop, **given)
    assert_same(run(method, regime, epochs=4, checkpoint=tmp_path, **given), undisturbed)
    return undisturbed


@pytest.fixture(autouse=True)
def every_epoch_is_kept(monkeypatch):
    """Write a checkpoint after each epoch."""
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_a_module_whose_weights_have_channels_last_resumes(run, tmp_path, optimizer):
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
    module = torch.nn.Sequential(*layers).to(memory_format=torch.channels_last)
    backbone = backbone_of(module, image_size=8, pretrained=False)
    given = {"backbone": backbone, "optimizer": optimizer, "learning_rate": 0.001}
    assert assert_resumes(run, tmp_path, "csq", "scratch", **given).record["regime"] == "scratch"


@pytest.mark.parametrize("surrogate", ["joint", "alternating", "random", "independent"])
def test_lbhc_resumes_with_its_surrogate_which_is_no_part_of_the_model(run, tmp_path, surrogate):
    options = {"surrogate": surrogate, "permute_every": 2, "flips": 1}
    model = assert_resumes(run, tmp_path, "lbhc", head="linear", method_options=options)
    assert not any("mapper" in name for name in model.network.state_dict())


def test_more_flips_than_bits_are_refused_before_training(run):
    with pytest.raises(InputError, match="flips must be at most the 12 bits of a code, not 13"):
        run("lbhc", method_options={"flips": 13})


@pytest.mark.parametrize("own", [{"experts": 4}, {"trunk": False}])
def test_mlh_resumes_saves_and_is_exported_with_its_experts(run, tmp_path, own):
    model = assert_resumes(run, tmp_path / "checkpoint", "mlh", method_options=own)
    model.save(tmp_path / "mlh.model")
    opened = load_model(tmp_path / "mlh.model")
    assert_same(opened, model)
    images = [tiny_dataset().source.read(row) for row in range(6)]
    outputs = model.outputs(images)
    assert outputs.shape == (6, 12)
    assert np.array_equal(opened.outputs(images), outputs)
    if all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")):
        from nearbit.onnx_export import export_onnx

        export_onnx(model)  # it refuses what differs from the model


def test_a_folder_of_mlh_that_asks_for_very_many_experts_is_refused(run, tmp_path):
    run("mlh", "frozen", method_options={"experts": 4}).save(tmp_path / "mlh.model")
    path = tmp_path / "mlh.model" / "bundle.json"
    for many, match in ((64, "layers.4.weight has the shape .*expected"), (10**9, "experts must be .* from 0 to 64")):
        description = json.loads(path.read_text(encoding="utf-8"))
        description["head"]["own"]["experts"] = many
        write_json(path, with_digest({name: value for name, value in description.items() if name != "digest"}))
        with pytest.raises(BundleError, match=match):
            load_model(tmp_path / "mlh.model")


@pytest.mark.parametrize("regime", ["frozen", "scratch"])
def test_cimon_resumes_and_labels_decide_nothing(run, tmp_path, regime):
    model = assert_resumes(run, tmp_path, "cimon", regime)
    assert model.record["selected_epoch"] == 4
    assert model.centers.centers.shape == (0, 12)
    other = tiny_dataset()
    shuffled = replace(other, labels=other.labels[np.random.default_rng(0).permutation(len(other.labels))])
    split = replace(tiny_split(other), fingerprint=shuffled.fingerprint)
    again = run("cimon", regime, epochs=4, data=shuffled, split=split)
    assert again.model_id == model.model_id


@pytest.mark.parametrize("regime", ["frozen", "scratch"])
def test_cimon_trains_on_images_without_classes(run, regime):
    dataset = tiny_dataset()
    bare = replace(dataset, labels=dataset.labels[:, :0], classes=())
    model = run("cimon", regime, data=bare, split=make_split(bare))
    assert model.classes == ()
    assert model.record["validation_map"] is None
    assert model.encode_dataset(bare).outputs.shape == (30, 12)


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("csq", {"head": "linear", "candidate_weight": 0.1, "radius_weight": 0.1}),
        ("csq", {"head": "hidden", "candidate_weight": 0.1}),
        ("mlh", {"radius_weight": 0.1}),
        ("cimon", {"candidate_weight": 0.1, "radius_weight": 0.1}),
    ],
)
def test_terms_for_the_index_join_any_method_and_resume(run, tmp_path, method, given):
    model = assert_resumes(run, tmp_path, method, n_bits=40, **given)
    assert ["index_loss" in epoch for epoch in model.record["history"]][1:] == [True] * 3
    weights = {name: given.get(name, 0.0) for name in ("candidate_weight", "radius_weight")}
    assert {name: model.record["options"].get(name, 0.0) for name in weights} == weights


def test_without_terms_for_the_index_a_run_is_named_as_before(run):
    options = run("csq", "frozen", head="linear", epochs=1).record["options"]
    assert not {"candidate_weight", "radius_weight"} & set(options)


def test_the_radius_term_brings_neighbors_nearer():
    options = TrainOptions(radius_weight=1.0)
    rows, generator = torch.arange(30), torch.Generator().manual_seed(0)
    outputs = torch.randn(30, 40, generator=generator).requires_grad_()
    term, spread = IndexTerm(options, 30, 40), []
    for _ in range(200):
        signs = torch.where(outputs.detach() >= 0, 1.0, -1.0)
        spread.append(float(((40 - signs @ signs.T) / 2).mean()))
        term.term(outputs, rows, outputs.__getitem__).backward()
        with torch.no_grad():
            outputs -= 5 * outputs.grad
            outputs.grad = None
    assert spread[-1] < spread[0] - 2


@pytest.mark.parametrize("name", ["candidate_weight", "radius_weight"])
def test_weights_for_the_index_are_checked(run, name):
    with pytest.raises(InputError, match=f"{name} must be a number of at least 0, not -1"):
        run("csq", **{name: -1.0})
