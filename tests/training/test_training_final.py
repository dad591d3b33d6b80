"""`final`: what was chosen is trained once more, on the images of all parts, and nothing measures it on them."""

from dataclasses import replace

import numpy as np
import pytest
from same_models import assert_same

from nearbit.datasets import SplitSizes, make_split
from nearbit.errors import DataError, InputError
from nearbit.evaluation import evaluate
from nearbit.model.bundle import load_model
from nearbit.training import Callbacks, FinalRun, TrainOptions, differences, plan, train, trainer
from nearbit.training.runs.final import NOTE
from tiny_data import few_split, tiny_dataset, tiny_split

SMALL = {"members": 2, "member_epochs": 2, "member_hidden": 8}
CLOSED = {"epochs": None, "learning_rate": None, "batch_size": None, "hidden": 1024, "validate_every": 5}


def silent(stage, done, total):
    """Show nothing."""


@pytest.fixture
def planned(frozen, feature_cache):
    """Plan a run on the tiny data: planned("crh", final=True, …)."""

    def plan_one(method="crh", *, data=None, split=None, final=True, n_bits=8, method_options=None, **options):
        dataset = data or tiny_dataset()
        given = {"method": method, "n_bits": n_bits, "method_options": method_options, "final": final}
        return plan(
            dataset, split or tiny_split(dataset), options=replace(frozen, **options), cache=feature_cache, **given
        )

    return plan_one


def everything(split):
    """Return the split whose training images are those of all parts, made by hand."""
    rows = np.sort(np.concatenate([split.train, split.validation, split.query, split.database]))
    return replace(split, train=rows, validation=rows[:0], query=rows[:0], database=rows[:0])


@pytest.mark.parametrize(("method", "first"), [("crh", None), ("shc", {"classifier_epochs": 4})])
def test_it_is_what_one_would_train_by_hand(planned, method, first):
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    chosen = planned(method, final=False, epochs=4).train(None, silent)
    model = planned(method, epochs=4).train(None, silent)
    by_hand = planned(
        method,
        split=everything(split),
        final=False,
        method_options=first,
        head=chosen.head["kind"],
        epochs=chosen.record["selected_epoch"],
        select="last",
    ).train(None, silent)
    assert_same(model, by_hand)
    assert model.model_id != chosen.model_id
    assert model.split.train.tolist() == list(range(30))
    assert model.split.sizes() == {"train": 30, "validation": 0, "query": 0, "database": 0}


@pytest.mark.parametrize("method", ["shc", "hclm"])
def test_the_classifier_before_the_network_is_trained_for_as_long_as_it_was(planned, method):
    run = planned(method, final=False, head="linear", epochs=3)
    chosen = run.train(None, silent)
    earlier = replace(chosen, record=chosen.record | {"selected_epoch": 1})
    again = run.again(run.context, earlier)
    model = again.train(None, silent)
    assert (model.record["schedule"]["epochs"], model.record["classifier"]["epochs"]) == (1, 3)
    assert again.key() != planned(method, final=False, head="linear", epochs=1, select="last").key()
    once_more = again.again(run.context, earlier).train(None, silent)
    assert once_more.record["classifier"]["epochs"] == 3


def test_the_record_says_what_was_measured_and_that_this_model_cannot_be(planned, tmp_path):
    chosen = planned("csq", final=False)
    before = chosen.train(None, silent)
    run = planned("csq")
    run.train(None, silent).save(tmp_path / "final.model")
    model = load_model(tmp_path / "final.model")
    assert model.record["final"] == {
        "n_images": 30,
        "images_per_class": 10.0,
        "left_out_without_labels": 0,
        "recipe": {
            "method": "csq",
            "head": before.head["kind"],
            "epochs": before.record["selected_epoch"],
            "expected_center": None,
        },
        "measured": {
            "model_id": before.model_id,
            "run_key": chosen.key(),
            "split_hash": before.split.hash,
            "n_train": 12,
            "n_validation": 6,
            "validation_map": before.record["validation_map"],
            "validation_searched": "validation",
        },
        "note": NOTE,
    }
    assert (model.record["n_train"], model.record["n_validation"]) == (30, 0)
    assert (model.record["validation_map"], model.record["run_key"]) == (None, run.key())
    assert model.record["options"] == before.record["options"]


def test_its_key_is_its_own_and_another_model_is_told_apart(planned):
    run, plain = planned("csq"), planned("csq", final=False)
    assert isinstance(run, FinalRun)
    assert run.key() == planned("csq").key() != plain.key()
    assert run.key() != planned("csq", seed=5).key()
    model, other = run.train(None, silent), plain.train(None, silent)
    assert differences(model, run) == differences(other, plain) == []
    assert differences(model, plain) == ["final True instead of False"]
    assert differences(other, run) == ["final False instead of True"]
    assert differences(model, planned("csq", seed=5)) == ["seed 0 instead of 5"]


def test_classifiers_join_as_validation_chose(planned):
    chosen = planned("ech", final=False, method_options=SMALL).train(None, silent)
    model = planned("ech", method_options=SMALL).train(None, silent)
    joined = chosen.record["expected_center"]
    assert model.record["expected_center"] == joined | {"score": None}
    assert model.record["final"]["recipe"]["expected_center"] == joined | {"score": None}
    center = model.network.head.expected_center
    assert float(center.temperature) == pytest.approx(joined["temperature"])
    assert center.weights.tolist() == pytest.approx(list(joined["weights"]))
    assert len(center.committee) == 2
    assert model.model_id != chosen.model_id


def test_the_mixture_is_set_whatever_it_is(planned):
    run = planned("ech", final=False, method_options=SMALL)
    chosen = run.train(None, silent)
    other = {"temperature": 3.0, "weights": (1.0, 0.5, 0.25), "score": 0.9}
    again = run.again(run.context, replace(chosen, record=chosen.record | {"expected_center": other}))
    center = again.train(None, silent).network.head.expected_center
    assert (float(center.temperature), center.weights.tolist()) == (3.0, [1.0, 0.5, 0.25])
    assert again.key() != run.again(run.context, chosen).key()


@pytest.mark.parametrize("rehearsed", [False, True])
def test_auto_trains_its_choice_again(planned, rehearsed):
    dataset = tiny_dataset()
    split = few_split(dataset) if rehearsed else tiny_split(dataset)
    chosen = planned("auto", split=split, final=False).train(None, silent)
    assert chosen.record["auto"]["rehearsed"] == rehearsed
    model = planned("auto", split=split).train(None, silent)
    auto, before = model.record["auto"], chosen.record["auto"]
    assert {name: auto[name] for name in auto if name != "seconds"} == {
        name: before[name] for name in before if name != "seconds"
    }
    assert model.method == model.record["final"]["recipe"]["method"] == before["chosen"]
    assert model.record["final"]["measured"]["model_id"] == chosen.model_id
    assert model.record["final"]["images_per_class"] == (5 if rehearsed else 10)
    assert model.split.train.tolist() == everything(split).train.tolist()


def test_no_image_that_it_was_trained_on_measures_it_unseen(planned):
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    model = planned("csq", epochs=1).train(None, silent)
    message = (
        r"has 0 and 0: the model is final, trained on all 30 images, and no figure .* give a split of other images"
    )
    with pytest.raises(DataError, match=message):
        evaluate(model, dataset, device="cpu")
    assert evaluate(model, dataset, split, device="cpu").queries_seen_in_training == len(split.query)
    other = tiny_dataset(seed=5)
    measured = evaluate(model, other, tiny_split(other), device="cpu")
    assert measured.queries_seen_in_training == 0
    assert measured.report.n_query == len(split.query)
    with pytest.raises(DataError, match=r"has 0 and 0: give another split \(--split FILE\)"):
        evaluate(model, dataset, replace(split, query=[], database=[]), device="cpu")


def with_unlabelled(split, dataset):
    """Return the data set with two database images that have no label, and its split."""
    labels = dataset.labels.copy()
    labels[split.database[:2]] = False
    bare = replace(dataset, labels=labels)
    return bare, replace(split, fingerprint=bare.fingerprint)


def test_images_without_labels_are_left_out_and_counted(planned):
    dataset = tiny_dataset()
    bare, split = with_unlabelled(tiny_split(dataset), dataset)
    model = planned("csq", data=bare, split=split, epochs=1).train(None, silent)
    assert model.record["final"]["left_out_without_labels"] == 2
    assert model.record["final"]["n_images"] == model.record["n_train"] == 28
    assert not np.isin(split.database[:2], model.split.train).any()
    free = planned("itq", data=bare, split=split, **CLOSED).train(None, silent)
    assert free.record["final"]["left_out_without_labels"] == 0
    assert free.record["final"]["n_images"] == 30


def test_images_of_no_part_stay_out(planned):
    dataset = tiny_dataset()
    sizes = SplitSizes(train=4, validation=1, query=1, database=1)
    split = make_split(dataset, sizes=sizes)
    model = planned("csq", split=split, epochs=1).train(None, silent)
    assert model.record["final"]["n_images"] == 21
    unused = np.setdiff1d(np.arange(30), model.split.train)
    new = replace(split, query=unused[:3], database=unused[3:])
    assert evaluate(model, dataset, new, device="cpu").queries_seen_in_training == 0


def test_without_validation_images_the_recipe_is_what_was_asked(planned):
    dataset = tiny_dataset()
    split = tiny_split(dataset, validation=None)
    split = replace(split, validation=split.validation[:0])
    model = planned("csq", split=split, select="last", head="linear", epochs=2).train(None, silent)
    assert model.record["final"]["recipe"] == {
        "method": "csq",
        "head": "linear",
        "epochs": 2,
        "expected_center": None,
    }
    assert model.record["final"]["measured"]["validation_map"] is None


def test_what_cannot_be_final_is_refused(planned):
    dataset = tiny_dataset(n_classes=4)
    unseen = make_split(dataset, protocol="unseen@all", unseen=["b"])
    with pytest.raises(
        InputError, match=r"this split keeps classes unseen.*: leave --final .* out, or take a protocol"
    ):
        planned("csq", data=dataset, split=unseen)
    whole = everything(tiny_split(tiny_dataset()))
    with pytest.raises(InputError, match=r"all 30 images of the split .* are training images already"):
        planned("csq", split=whole, select="last", head="linear")


@pytest.mark.parametrize("in_final", [False, True])
def test_it_goes_on_where_it_was_interrupted(planned, tmp_path, monkeypatch, in_final):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    whole = planned("crh", epochs=2).train(None, silent)
    stop_at = f"{whole.head['kind']} head, all images" if in_final else "hidden head"
    trained, train_epoch = [], trainer.Trainer._epoch

    def watched(self, state, stepper):
        trained.append((len(self._labels), state.epoch))
        train_epoch(self, state, stepper)

    monkeypatch.setattr(trainer.Trainer, "_epoch", watched)

    def stop(stage, done, total):
        if stage.endswith(stop_at) and done == total:
            raise KeyboardInterrupt(stage)

    with pytest.raises(KeyboardInterrupt, match=stop_at):
        planned("crh", epochs=2).train(tmp_path, stop)
    trained.clear()
    again = planned("crh", epochs=2).train(tmp_path, silent)
    assert_same(again, whole)
    first = [epoch for n_images, epoch in trained if n_images == 12]
    last = [epoch for n_images, epoch in trained if n_images == 30]
    final_epochs = whole.record["schedule"]["epochs"]
    if in_final:
        assert (first, last) == ([], [final_epochs - 1])
    else:
        assert (first, last) == ([1], list(range(final_epochs)))


def test_the_final_training_is_told_under_names_of_its_own(planned):
    epochs, stages = [], []
    run = planned("csq", head="linear", epochs=2)
    run.train(None, lambda stage, *_: stages.append(stage), Callbacks(epoch=lambda name, _: epochs.append(name)))
    assert set(epochs) == {"linear", "final-linear"}
    assert {stage for stage in stages if stage.startswith("Training")} == {
        "Training csq, 8 bits, linear head",
        "Training csq, 8 bits, linear head, all images",
    }


def test_train_takes_it(frozen, feature_cache):
    dataset = tiny_dataset()
    own = TrainOptions()
    options = replace(frozen, **{name: getattr(own, name) for name in CLOSED})
    given = {"method": "ridge", "n_bits": 8, "options": options, "cache": feature_cache}
    model = train(dataset, tiny_split(dataset), final=True, **given)
    assert_same(model, train(dataset, everything(tiny_split(dataset)), **given))
    assert model.record["final"]["recipe"]["epochs"] == 0


def test_whole_networks_are_trained_again_too(run, planned):
    dataset = tiny_dataset()
    model = planned("csq", backbone="small", weights=None, image_size=8, hidden=1024, epochs=2).train(None, silent)
    split = everything(tiny_split(dataset))
    epochs = model.record["final"]["recipe"]["epochs"]
    by_hand = run("csq", "scratch", split=split, epochs=epochs, select="last", n_bits=8)
    assert_same(model, by_hand)
