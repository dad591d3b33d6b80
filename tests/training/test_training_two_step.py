"""Two steps: a backbone is fine-tuned as a classifier, and heads are trained on its frozen features."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from interrupted import Interrupted
from same_models import assert_same

import nearbit as nb
from nearbit.bits import length_curve
from nearbit.errors import InputError, TrainingError
from nearbit.model.card import card_of_folder
from nearbit.training import AutoRun, Callbacks, TrainOptions, context, differences, plan, trainer
from nearbit.training.stages.tuning import TITLE
from tiny_data import few_split, tiny_dataset, tiny_split

SCRATCH = TrainOptions(
    regime="two-step", image_size=8, epochs=2, batch_size=8, learning_rate=0.005, validate_every=1, head="linear",
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
    assert stages == ["tuning", "linear"]
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
    for given in ({"n_bits": 12}, {"method": "itq", "n_bits": 4}, {"method": "ridge"}):
        model, stages = stages_of(planned(cache=tmp_path, **given))
        assert "tuning" not in stages
        assert model.record["tuning"] == first.record["tuning"]
        assert model.network.backbone.fingerprint() == first.network.backbone.fingerprint()
    again, stages = stages_of(planned(cache=tmp_path, epochs=3))
    assert stages[0] == "tuning"
    assert again.network.backbone.fingerprint() != first.network.backbone.fingerprint()


def test_without_a_cache_it_is_the_same(planned):
    assert_same(stages_of(planned("ridge"))[0], stages_of(planned("ridge", cache=None))[0])


def test_of_its_epochs_the_best_by_cosine_is_kept(planned, tmp_path):
    record = stages_of(planned("itq", cache=tmp_path, epochs=4))[0].record["tuning"]
    scores = [epoch["validation_map"] for epoch in record["history"]]
    assert record["selected_epoch"] == len(scores) - int(np.argmax(scores[::-1]))
    last = stages_of(planned("itq", cache=tmp_path, epochs=4, select="last"))[0].record["tuning"]
    assert last["selected_epoch"] == 4
    assert [epoch["loss"] for epoch in last["history"]] == [epoch["loss"] for epoch in record["history"]]


def test_auto_chooses_on_the_tuned_features(planned):
    run = planned("auto")
    assert isinstance(run.second, AutoRun)
    model = run.train(None, silent)
    assert model.record["auto"]["chosen"] == model.method
    assert model.record["tuning"]["epochs_trained"] == 2


@pytest.mark.parametrize("stopped", ["tuning", "linear"])
def test_an_interrupted_run_goes_on_and_ends_as_an_undisturbed_one(planned, tmp_path, stopped, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    whole = planned(cache=None, epochs=4).train(None, silent)

    def interrupt(name, figures):
        if name == stopped and figures["epoch"] == 3:
            raise Interrupted(name)

    with pytest.raises(Interrupted, match=stopped):
        planned(cache=None, epochs=4).train(tmp_path, silent, Callbacks(epoch=interrupt))
    resumed = []
    again = planned(cache=None, epochs=4).train(tmp_path, silent, Callbacks(resumed=lambda *told: resumed.append(told)))
    assert_same(again, whole)
    assert resumed[-1][1] == 2
    assert (resumed[-1][0] == TITLE) == (stopped == "tuning")


def test_a_pretrained_backbone_is_tuned_and_not_only_taken(frozen, planned):
    options = replace(SCRATCH, backbone=frozen.backbone, weights=frozen.weights, image_size=32)
    model = planned("itq", options=options).train(None, silent)
    assert model.network.backbone.spec.pretrained
    assert model.network.backbone.spec.source == "resnet18.safetensors, tuned as a classifier of the training images"
    tuned = nb.train(
        tiny_dataset(), tiny_split(tiny_dataset()), method="itq", n_bits=8,
        options=replace(options, regime="frozen", batch_size=None, epochs=None, learning_rate=None, validate_every=5),
    )  # fmt: skip
    assert model.network.backbone.fingerprint() != tuned.network.backbone.fingerprint()
    rate = model.record["tuning"]["schedule"]["backbone_factor"]
    assert rate == 0.1


def test_several_labels(planned, tmp_path):
    data = tiny_dataset(multi_label=True)
    tuned = planned("ridge", data=data, cache=tmp_path, epochs=20).train(None, silent).record["tuning"]
    assert tuned["history"][-1]["loss"] < tuned["history"][0]["loss"]
    assert tuned["validation_accuracy"] > 0.5


def test_the_final_model_is_tuned_on_all_images_too(planned, tmp_path):
    chosen = planned("csq", cache=tmp_path, epochs=4).train(None, silent)
    model, stages = stages_of(planned("csq", cache=tmp_path, epochs=4, final=True))
    assert stages == ["linear", "final-tuning", "final-linear"]
    assert model.record["final"]["n_images"] == 30
    assert model.record["tuning"]["epochs_trained"] == chosen.record["tuning"]["selected_epoch"]
    assert model.record["schedule"]["epochs"] == chosen.record["selected_epoch"]
    assert model.network.backbone.fingerprint() != chosen.network.backbone.fingerprint()
    assert differences(model, planned("csq", cache=tmp_path, epochs=4, final=True)) == []


def test_the_model_serves_as_any_other(planned, tmp_path):
    model = planned("ridge").train(None, silent)
    model.save(tmp_path / "two.model")
    opened = nb.load_model(tmp_path / "two.model")
    rows = np.arange(6)
    assert np.array_equal(*(one.encode_dataset(tiny_dataset(), rows).outputs for one in (model, opened)))
    assert nb.evaluate(opened, tiny_dataset()).report.tie_aware_map > 0.5
    card = card_of_folder(tmp_path / "two.model")
    assert "The backbone has seen the training images only." in card
    tuned = model.record["tuning"]["selected_epoch"]
    assert "| regime | two-step |" in card
    assert f"| backbone, before | tuned as a classifier, epoch {tuned} of 2; batch size 8, optimizer adam, " in card
    assert json.loads((tmp_path / "two.model" / "bundle.json").read_text())["record"]["tuning"]["selected_epoch"] > 0


def test_augmentation_is_the_first_steps(planned, tmp_path):
    run = planned(augment="crop", cache=tmp_path)
    plain = planned(augment="none", cache=tmp_path)
    assert run.tuning.key() != plain.tuning.key()
    assert run.second.context.options.augment == "auto"
    assert planned(augment="crop", views=2).second.context.options.augment == "crop"


def test_whether_images_are_mirrored_names_the_backbone(planned):
    data = tiny_dataset()
    assert planned(data=data).tuning.key() != planned(data=replace(data, mirror=False)).tuning.key()
    told = planned(data=replace(data, mirror=False), augment="none").tuning.key()
    assert told == planned(data=data, augment="none").tuning.key()


def test_what_computes_the_features_does_not_depend_on_the_cache(planned, monkeypatch):
    asked = []
    monkeypatch.setattr(context, "chosen_way", lambda *given: asked.append(given[3]) or "torch")
    planned().second.key()
    assert asked
    assert set(asked) == {None}


def test_auto_does_not_rehearse_on_images_that_the_backbone_has_seen(planned, frozen):
    data = tiny_dataset(per_class=14)
    assert planned("auto", data=data, split=few_split(data), options=frozen, head="auto").is_rehearsed
    run = planned("auto", data=data, split=few_split(data))
    assert not run.second.is_rehearsed
    assert len(run.second.runs) == 1
    assert run.train(None, silent).method in run.second.runs


class Tied(torch.nn.Module):
    """Two layers that are one."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 3, 3, padding=1)
        self.second = self.first
        self.record = torch.nn.Parameter(torch.ones(1))

    def forward(self, images):
        return self.record * self.second(self.first(images)).flatten(1)


def test_a_module_of_ones_own_with_shared_weights_is_kept(planned, tmp_path):
    torch.manual_seed(0)
    own = nb.backbone_of(Tied(), image_size=8)
    options = replace(SCRATCH, backbone=own, image_size=None)
    first, stages = stages_of(planned("itq", options=options, cache=tmp_path))
    assert "tuning" in stages
    again, stages = stages_of(planned("itq", options=options, cache=tmp_path))
    assert "tuning" not in stages
    assert first.network.backbone.fingerprint() == again.network.backbone.fingerprint() != own.fingerprint()


def test_a_damaged_backbone_in_the_cache_is_tuned_anew(planned, tmp_path):
    first, _ = stages_of(planned("ridge", cache=tmp_path))
    (kept,) = (tmp_path / "stages").glob("tuned-*.weights")
    kept.write_bytes(kept.read_bytes()[:-9])
    again, stages = stages_of(planned("ridge", cache=tmp_path))
    assert stages[0] == "tuning"
    assert_same(first, again)


def test_bits_chooses_once_and_compares_with_the_tuned_features(cache):
    data = tiny_dataset()
    curve = length_curve(data, tiny_split(data), [4, 8], options=SCRATCH, cache=cache)
    assert curve.method in ("ech", "ridge", "itq")
    assert curve.float_map is not None


def test_the_classifier_needs_labels_whatever_comes_after(planned):
    data = tiny_dataset()
    split = tiny_split(data)
    bare = replace(data, labels=data.labels[:, :0], classes=())
    with pytest.raises(TrainingError, match="two steps begin with a classifier, which needs images of at least 2"):
        planned("itq", data=bare, split=replace(split, fingerprint=bare.fingerprint))
    some = data.labels.copy()
    some[split.train[0]] = False
    some = replace(data, labels=some)
    with pytest.raises(TrainingError, match="every training image needs at least one label"):
        planned("itq", data=some, split=replace(split, fingerprint=some.fingerprint))


def test_without_validation_images_it_is_trained_to_the_end_or_not_at_all(planned, tmp_path):
    split = tiny_split(tiny_dataset())
    split = replace(split, validation=split.validation[:0])
    with pytest.raises(InputError, match="the epoch of the backbone is chosen on validation images with labels"):
        planned("itq", split=split)
    model = planned("itq", split=split, select="last", cache=tmp_path, n_bits=4).train(None, silent)
    assert model.record["tuning"]["validation_accuracy"] is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"adversarial": 8.0}, "adversarial training perturbs pixels"),
        ({"preset": "crh-paper"}, "a recipe of one step"),
        ({"backbone": "thumbnail", "image_size": None}, "no weights .* leave regime 'two-step' .* out"),
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
