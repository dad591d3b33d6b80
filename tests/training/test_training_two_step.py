"""Two steps: a backbone is fine-tuned as a classifier, and heads are trained on its frozen features."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from interrupted import Interrupted
from same_models import assert_same

import nearbit as nb
from nearbit.errors import InputError
from nearbit.model.card import card_of_folder
from nearbit.training import AutoRun, Callbacks, TrainOptions, differences, plan, trainer
from nearbit.training.stages.tuning import TITLE
from tiny_data import tiny_dataset, tiny_split

SCRATCH = TrainOptions(
    regime="two-step", image_size=8, epochs=2, batch_size=8, learning_rate=0.005, hidden=16, validate_every=1,
    device="cpu",
)  # fmt: skip


def silent(stage, done, total):
    """Show nothing."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("two-step")


@pytest.fixture
def planned(cache):
    def plan_one(method="csq", *, data=None, split=None, n_bits=8, final=False, cache=cache, options=SCRATCH, **given):
        dataset = data or tiny_dataset()
        split = split or tiny_split(dataset)
        given = replace(options, **given)
        return plan(dataset, split, method=method, n_bits=n_bits, options=given, cache=cache, final=final)

    return plan_one


def stages_of(run, checkpoint=None):
    """Train a run; return its model and the names of what was trained on the way, in order."""
    names = []
    model = run.train(checkpoint, silent, Callbacks(epoch=lambda name, _: names.append(name)))
    return model, list(dict.fromkeys(names))


def test_the_head_is_trained_on_what_a_classifier_tuned(planned, tmp_path):
    run = planned(cache=tmp_path)
    model, stages = stages_of(run)
    assert stages == ["tuning", "linear", "hidden"]
    assert model.record["regime"] == "frozen"
    assert model.record["run_key"] == run.key()
    assert model.record["options"]["regime"] == "two-step"
    tuned = model.record["tuning"]
    assert tuned["schedule"]["epochs"] == tuned["epochs_trained"] == 2
    assert model.record["schedule"]["epochs"] > 2  # the head's own, not those of the first step
    assert 0 <= tuned["validation_accuracy"] <= 1
    assert max(epoch["validation_map"] for epoch in tuned["history"]) == tuned["validation_map"]
    assert model.network.backbone.spec.source == "random weights, tuned as a classifier of the training images"
    assert not model.network.backbone.spec.pretrained
    start = run.context.backbone.state_dict()
    assert any(not torch.equal(start[name], value) for name, value in model.network.backbone.state_dict().items())
    assert differences(model, run) == []


def test_other_lengths_and_methods_take_the_backbone_from_the_cache(planned, tmp_path):
    first, _ = stages_of(planned(cache=tmp_path))
    for given in ({"n_bits": 12}, {"method": "itq", "n_bits": 4, "hidden": 1024}, {"method": "ech", "head": "hidden"}):
        model, stages = stages_of(planned(cache=tmp_path, **given))
        assert "tuning" not in stages
        assert model.record["tuning"] == first.record["tuning"]
        assert model.network.backbone.fingerprint() == first.network.backbone.fingerprint()
    again, stages = stages_of(planned(cache=tmp_path, epochs=3))
    assert stages[0] == "tuning"
    assert again.network.backbone.fingerprint() != first.network.backbone.fingerprint()


def test_without_a_cache_it_is_the_same(planned):
    assert_same(stages_of(planned())[0], stages_of(planned(cache=None))[0])


def test_of_its_epochs_the_best_by_cosine_is_kept(planned, tmp_path):
    record = stages_of(planned(cache=tmp_path, epochs=4))[0].record["tuning"]
    scores = [epoch["validation_map"] for epoch in record["history"]]
    assert record["selected_epoch"] == 1 + int(np.argmax(scores))
    last = stages_of(planned(cache=tmp_path, epochs=4, select="last"))[0].record["tuning"]
    assert last["selected_epoch"] == 4
    assert [epoch["loss"] for epoch in last["history"]] == [epoch["loss"] for epoch in record["history"]]


def test_auto_chooses_on_the_tuned_features(planned):
    run = planned("auto")
    assert isinstance(run.second, AutoRun)
    model = run.train(None, silent)
    assert model.record["auto"]["chosen"] == model.method
    assert model.record["tuning"]["epochs_trained"] == 2


@pytest.mark.parametrize("stopped", ["tuning", "hidden"])
def test_an_interrupted_run_goes_on_and_ends_as_an_undisturbed_one(planned, tmp_path, stopped, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    whole = planned(cache=None, epochs=4).train(None, silent)

    def interrupt(name, figures):
        if name == stopped and figures["epoch"] == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        planned(cache=None, epochs=4).train(tmp_path, silent, Callbacks(epoch=interrupt))
    resumed = []
    again = planned(cache=None, epochs=4).train(tmp_path, silent, Callbacks(resumed=lambda *told: resumed.append(told)))
    assert_same(again, whole)
    assert resumed[-1][1] == 2
    assert (resumed[-1][0] == TITLE) == (stopped == "tuning")


def test_a_pretrained_backbone_is_tuned_and_not_only_taken(frozen, planned):
    options = replace(SCRATCH, backbone=frozen.backbone, weights=frozen.weights, image_size=32)
    model = planned(options=options).train(None, silent)
    assert model.network.backbone.spec.pretrained
    assert model.network.backbone.spec.source == "resnet18.safetensors, tuned as a classifier of the training images"
    tuned = nb.train(
        tiny_dataset(), tiny_split(tiny_dataset()), method="csq", n_bits=8,
        options=replace(options, regime="frozen", batch_size=None, epochs=None, learning_rate=None),
    )  # fmt: skip
    assert model.network.backbone.fingerprint() != tuned.network.backbone.fingerprint()
    rate = model.record["tuning"]["schedule"]["backbone_factor"]
    assert rate == 0.1


def test_several_labels(planned, tmp_path):
    data = tiny_dataset(multi_label=True)
    model = planned("crh", data=data, cache=tmp_path).train(None, silent)
    assert 0 <= model.record["tuning"]["validation_accuracy"] <= 1


def test_the_final_model_is_tuned_on_all_images_too(planned, tmp_path):
    chosen = planned("csq", cache=tmp_path, epochs=4).train(None, silent)
    model, stages = stages_of(planned("csq", cache=tmp_path, epochs=4, final=True))
    assert stages == ["linear", "hidden", "final-tuning", f"final-{chosen.head['kind']}"]
    assert model.record["final"]["n_images"] == 30
    assert model.record["tuning"]["epochs_trained"] == chosen.record["tuning"]["selected_epoch"]
    assert model.record["schedule"]["epochs"] == chosen.record["selected_epoch"]
    assert model.network.backbone.fingerprint() != chosen.network.backbone.fingerprint()
    assert differences(model, planned("csq", cache=tmp_path, epochs=4, final=True)) == []


def test_the_model_serves_as_any_other(planned, tmp_path):
    model = planned("ech").train(None, silent)
    model.save(tmp_path / "two.model")
    opened = nb.load_model(tmp_path / "two.model")
    rows = np.arange(6)
    assert np.array_equal(*(one.encode_dataset(tiny_dataset(), rows).outputs for one in (model, opened)))
    assert nb.evaluate(opened, tiny_dataset()).report.tie_aware_map > 0.5
    card = card_of_folder(tmp_path / "two.model")
    assert "The backbone has seen the training images only." in card
    tuned = model.record["tuning"]["selected_epoch"]
    assert f"| backbone, before | tuned as a classifier, epoch {tuned} of 2 |" in card
    assert json.loads((tmp_path / "two.model" / "bundle.json").read_text())["record"]["tuning"]["selected_epoch"] > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"adversarial": 8.0}, "adversarial training perturbs pixels"),
        ({"preset": "crh-paper"}, "a recipe of one step"),
        ({"backbone": "thumbnail", "image_size": None}, "has no weights that could be trained"),
        ({"method": "itq", "hidden": 16}, "itq trains no hash network, so hidden would do nothing"),
        ({"views": 2, "augment": "none"}, "all views but the first are augmented"),
    ],
)
def test_what_cannot_be_is_said_before_hours_of_training(planned, given, message):
    with pytest.raises(InputError, match=message):
        planned(**given)


def test_features_have_no_backbone_to_tune():
    features = nb.from_features(np.eye(12, 4, dtype=np.float32), [n % 3 for n in range(12)])
    with pytest.raises(InputError, match="there is no backbone to fine-tune"):
        plan(features, nb.make_split(features), n_bits=4, options=TrainOptions(regime="two-step"))
