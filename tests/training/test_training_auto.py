"""`auto`: what is tried where, by what it is chosen, and what a person is told of it."""

from dataclasses import replace

import numpy as np
import pytest

from nearbit.cli.train_outcome import about_choice
from nearbit.errors import InputError
from nearbit.methods import METHODS
from nearbit.model.bundle import load_model
from nearbit.training import AutoRun, TrainOptions, differences, plan, train
from nearbit.training.runs.auto import CANDIDATES
from tiny_data import dataset_of, few_split, tiny_dataset, tiny_labels, tiny_pixels, tiny_split


def planned(frozen, dataset=None, split=None, **given):
    dataset = dataset or tiny_dataset()
    return plan(dataset, split or tiny_split(dataset), n_bits=8, options=replace(frozen, epochs=2), **given)


def test_the_best_on_validation_is_kept(frozen, feature_cache):
    run = planned(frozen, cache=feature_cache)
    assert isinstance(run, AutoRun)
    model = run.train(None, lambda *_: None)
    auto = model.record["auto"]
    assert set(auto["scores"]) == set(CANDIDATES)
    assert auto["scores"][auto["chosen"]] == max(auto["scores"].values())
    assert model.method == auto["chosen"]
    own = TrainOptions()
    unused = {
        name: getattr(own, name) for name in ("epochs", "learning_rate", "hidden", "validate_every", "batch_size")
    }
    for name, score in auto["scores"].items():
        options = replace(frozen, **({"epochs": 2} if name in METHODS else unused))
        dataset = tiny_dataset()
        given = {"method": name, "n_bits": 8, "options": options, "cache": feature_cache}
        assert train(dataset, tiny_split(dataset), **given).record["validation_map"] == score


def test_a_model_says_that_it_was_chosen_and_is_found_again(frozen, feature_cache, tmp_path):
    run = planned(frozen, cache=feature_cache)
    run.train(None, lambda *_: None).save(tmp_path / "a.model")
    model = load_model(tmp_path / "a.model")
    beside = model.record["reference"]
    assert 0 < beside["float_cosine_map"] <= 1
    assert beside["images_per_class"] == run.context.labels["train"].sum(axis=0).mean()
    assert model.record["run_key"] == run.key() == planned(frozen, cache=feature_cache).key()
    assert differences(model, run) == []
    assert differences(model, planned(replace(frozen, seed=5), cache=feature_cache))[0].startswith(
        "seed 0 instead of 5"
    )
    first, *rest = about_choice(model.record, 8)
    assert first.startswith(f"auto: {model.method}, best by mAP of validation images that search each other")
    assert all(f"{name} {score:.3f}" in first for name, score in model.record["auto"]["scores"].items())
    assert len(rest) == 1
    assert rest[0].startswith("only 4 training images a class")
    assert rest[0].endswith("once it is measured, training on the images of all parts (--final)")
    assert about_choice({"validation_map": 0.5}, 8) == []


def test_with_one_validation_image_a_class_the_choice_is_rehearsed(frozen, feature_cache):
    dataset = tiny_dataset()
    split = few_split(dataset)
    run = planned(frozen, dataset, split, cache=feature_cache)
    assert all(len(one.context.split.train) == 3 for one in run.runs.values())
    assert all(len(one.context.split.validation) == 6 for one in run.runs.values())
    query_side = np.concatenate([split.query, split.database])
    for one in run.runs.values():
        used = np.concatenate([one.context.split.train, one.context.split.validation])
        assert not np.isin(used, query_side).any()
        assert sorted(used.tolist()) == sorted([*split.train.tolist(), *split.validation.tolist()])
    model = run.train(None, lambda *_: None)
    assert model.record["auto"]["rehearsed"]
    assert model.record["auto"]["searched"] == "validation"
    assert model.record["n_train"] == 6
    assert np.array_equal(model.split.train, split.train)
    assert "in a rehearsal on fewer training images" in about_choice(model.record, 8)[0]


def test_a_rehearsal_on_few_images_has_as_many_bits_as_closed_forms_can_have(frozen, feature_cache):
    dataset = tiny_dataset()
    options = replace(frozen, epochs=1)
    run = plan(dataset, few_split(dataset), n_bits=4, options=options, cache=feature_cache)
    assert set(run.runs) == {"ridge", "itq"}
    assert run.bits_tried == 2  # of 3 training images
    model = run.train(None, lambda *_: None)
    assert model.n_bits == 4
    assert set(model.record["auto"]["scores"]) == {"ridge", "itq"}
    why = "with 2 training images a class its closed form, ridge, has been as good or better and takes a second"
    assert model.record["auto"]["refused"] == {"ech": why}
    assert "in a rehearsal on fewer training images with 2 bits" in about_choice(model.record, 4)[0]
    shorter = plan(dataset, few_split(dataset), n_bits=2, options=options, cache=feature_cache)
    assert shorter.bits_tried == 2
    assert shorter.key() != run.key()


def test_nothing_is_rehearsed_where_the_database_is_trained_on(frozen, feature_cache):
    dataset = tiny_dataset()
    split = few_split(dataset)
    split = replace(split, database=split.train)
    model = planned(frozen, dataset, split, cache=feature_cache).train(None, lambda *_: None)
    assert not model.record["auto"]["rehearsed"]
    assert model.record["auto"]["searched"] == "train"


@pytest.mark.parametrize(("per_class", "chosen"), [(5, "ridge"), (10, "ech")])
def test_without_validation_images_the_number_of_images_decides(frozen, per_class, chosen):
    dataset = tiny_dataset(per_class=per_class + 2)
    split = tiny_split(dataset, validation=None)
    rows = np.concatenate([np.flatnonzero(dataset.labels[:, label])[:per_class] for label in range(3)])
    rest = np.setdiff1d(np.arange(len(dataset)), rows)
    split = replace(split, train=np.sort(rows), query=rest[:3], database=rest[3:], validation=rest[:0])
    run = plan(dataset, split, n_bits=8, options=replace(frozen, epochs=2, select="last", head="linear"))
    assert list(run.runs) == [chosen]
    model = run.train(None, lambda *_: None)
    assert model.method == chosen
    why = "there are no validation images to choose another method by"
    assert about_choice(model.record, 8)[0] == f"auto: {chosen}; {why}"


def test_what_cannot_be_trained_is_left_out_and_told(frozen, feature_cache):
    dataset = tiny_dataset()
    run = plan(dataset, tiny_split(dataset), n_bits=1, options=replace(frozen, epochs=1), cache=feature_cache)
    assert set(run.runs) == {"ridge", "itq"}
    assert run.train(None, lambda *_: None).record["auto"]["refused"] == {
        "ech": "3 classes are more than the words of 1 bits"
    }
    wide = plan(dataset, tiny_split(dataset), n_bits=16, options=replace(frozen, epochs=1), cache=feature_cache)
    model = wide.train(None, lambda *_: None)
    assert model.method == "ech"
    why = "16 bits need as many directions, and 12 training images vary in fewer"
    assert model.record["auto"]["refused"] == {"ridge": why, "itq": why}
    assert f"auto: itq was not tried: {why}" in about_choice(model.record, 16)


def test_elsewhere_there_is_one_method(frozen):
    dataset = tiny_dataset()
    scratch = plan(dataset, tiny_split(dataset), n_bits=8, options=replace(frozen, backbone="small", weights=None))
    assert scratch.method.name == "crh"
    unlabelled = dataset_of(tiny_pixels(tiny_labels()), np.zeros((30, 0), np.bool_), ())
    from nearbit.datasets import make_split

    free = plan(unlabelled, make_split(unlabelled), n_bits=8, options=replace(frozen, select="last"))
    assert free.baseline.name == "itq"


def test_options_of_a_method_need_its_name(frozen):
    with pytest.raises(InputError, match="method 'auto' chooses a method: name one"):
        planned(frozen, method_options={"members": 2})


def test_it_goes_on_where_it_was_interrupted(frozen, feature_cache, tmp_path):
    run = planned(frozen, cache=feature_cache)
    whole = run.train(None, lambda *_: None)

    def stop(stage, done, total):
        if stage.startswith("Training ech") and "hidden" in stage:
            raise KeyboardInterrupt("as hidden begins")

    with pytest.raises(KeyboardInterrupt, match="as hidden begins"):
        run.train(tmp_path, stop)
    again = planned(frozen, cache=feature_cache).train(tmp_path, lambda *_: None)
    assert again.model_id == whole.model_id
