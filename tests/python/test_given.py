"""Numbers of NumPy, paths as texts, and values of a wrong type: taken as meant, or refused in one line."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import nearbit as nb
from nearbit.datasets.splits.long_tail import Imbalance
from nearbit.encoding.feature_cache import FeatureStore
from nearbit.errors import InputError
from nearbit.estimators import ITQ, Ridge
from nearbit.given import check_choice, check_number, path_of
from nearbit.methods import BASELINES, METHODS
from nearbit.methods.method import options_text
from nearbit.robustness import AttackOptions
from nearbit.training import TrainOptions, plan
from tiny_data import tiny_dataset, tiny_split

FEW = {"image_size": 8, "epochs": 1, "batch_size": 8, "device": "cpu"}
ALL = {**METHODS, **BASELINES}


def test_a_number_of_numpy_is_one_of_python():
    found = check_number("a", np.int64(3), whole=True), check_number("a", np.float32(0.5)), check_number("a", 2)
    assert found == (3, 0.5, 2)
    assert [type(one) for one in found] == [int, float, int]


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        ("3", {}, "a must be a number of at least 0, not '3'"),
        (True, {}, "a must be a number of at least 0, not True"),
        (np.bool_(True), {}, "a must be a number of at least 0, not "),
        (float("nan"), {}, "a must be a number of at least 0, not nan"),
        (np.float64("inf"), {}, "a must be a number of at least 0, not "),
        (1.0, {"whole": True}, r"a must be a whole number of at least 0, not 1\.0"),
        (1, {"at_least": 2, "whole": True}, "a must be a whole number of at least 2, not 1"),
        (0, {"is_positive": True}, "a must be a number above 0, not 0$"),
        (0, {"is_positive": True, "why": "it divides"}, "a must be a number above 0, not 0: it divides"),
        (1, {"below": 1}, "a must be a number of at least 0 and below 1, not 1"),
        (1, {"below": 1, "is_positive": True}, "a must be a number above 0 and below 1, not 1"),
        (10**400, {}, "a must be a number of at least 0, not 1000"),
        (np.arange(2), {}, "a must be a number of at least 0, not array"),
    ],
)
def test_a_number_that_is_none_is_refused(value, limits, message):
    with pytest.raises(InputError, match=message):
        check_number("a", value, **limits)


def test_a_path_is_a_text_or_a_path():
    assert path_of("a", "b/c") == path_of("a", Path("b/c")) == Path("b/c")
    for value in (b"b", 3, None, "", "a\0b"):
        with pytest.raises(InputError, match="a must be a path, not "):
            path_of("a", value)


@pytest.mark.parametrize("rows", [[2, 0, 0], np.array([2, 0, 0], np.uint8)])
def test_rows_are_numbers_in_the_order_that_is_wanted(rows):
    assert tiny_dataset(per_class=1).chosen(rows).tolist() == [2, 0, 0]


def test_rows_may_be_told_by_true_and_false():
    dataset = tiny_dataset(per_class=1)
    assert dataset.chosen([False, True, True]).tolist() == [1, 2]
    assert dataset.chosen([]).tolist() == []
    assert dataset.chosen().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([3], r"rows must lie in 0 … 2; they go from 3 to 3"),
        ([-1, 2], r"rows must lie in 0 … 2; they go from -1 to 2"),
        ([1.0], r"rows must be row numbers \(n,\) or 3 of True and False, not float64 \(1,\)"),
        ([True, False], r"not bool \(2,\)"),
        ([[1]], r"not int64 \(1, 1\)"),
        (["a"], r"not <U1 \(1,\)"),
        (1, r"not int64 \(\)"),
    ],
)
def test_rows_that_are_none_are_refused(rows, message):
    with pytest.raises(InputError, match=message):
        tiny_dataset(per_class=1).chosen(rows)


def test_a_choice_is_one_of_the_texts():
    check_choice("a", "b", ("b", "c"))
    for value in ("d", None, 3, np.arange(2)):
        with pytest.raises(InputError, match="a must be one of b, c, not "):
            check_choice("a", value, ("b", "c"))


def of_numpy(value):
    return {int: np.int64, float: np.float64}.get(type(value), lambda same: same)(value)


def test_options_of_numpy_are_those_of_python():
    given = {"epochs": 3, "batch_size": 8, "dropout": 0.25, "learning_rate": 0.5, "seed": 7, "adversarial": 8.0}
    plain, numpy = TrainOptions(**given), TrainOptions(**{name: of_numpy(value) for name, value in given.items()})
    assert numpy == plain
    assert json.dumps(numpy.to_dict()) == json.dumps(plain.to_dict())
    assert type(numpy.epochs) is int
    assert type(TrainOptions(learning_rate=np.float32(0.5)).learning_rate) is float
    assert type(AttackOptions(steps=np.int64(3)).steps) is int
    assert TrainOptions(device=torch.device("cpu")).device == "cpu"


@pytest.mark.parametrize("one", fields(TrainOptions), ids=lambda one: one.name)
def test_an_option_of_a_wrong_type_is_refused_when_it_is_given(one):
    with pytest.raises(InputError, match=rf"^(the )?{one.name} must be "):
        TrainOptions(**{one.name: object()})
    if one.type not in ("str", str) and one.name not in ("backbone", "weights"):
        with pytest.raises(InputError, match=rf"^(the )?{one.name} must be "):
            TrainOptions(**{one.name: "7"})


@pytest.mark.parametrize("method", ALL)
def test_options_of_a_method_of_numpy_name_the_same_run(method):
    options = ALL[method].options
    given = {one.name: of_numpy(getattr(options, one.name)) for one in fields(options) if one.init}
    made = ALL[method].with_options(given)
    assert (made, options_text(made)) == (options, options_text(options))


def test_numbers_of_numpy_train_and_are_saved(tmp_path):
    dataset = tiny_dataset()
    split = nb.make_split(dataset, seed=np.int64(0), sizes=nb.SplitSizes(train=np.int64(6), database="rest"))
    assert split.hash == nb.make_split(dataset, seed=0, sizes=nb.SplitSizes(train=6, database="rest")).hash
    options = TrainOptions(**FEW, seed=np.int64(0))
    model = nb.train(dataset, split, method="csq", n_bits=np.int64(8), options=options)
    assert type(model.n_bits) is int
    model.save(tmp_path / "a.model")
    model.shortened(np.int64(4)).save(tmp_path / "b.model")
    assert nb.load_model(tmp_path / "b.model").n_bits == 4
    with nb.create_index(tmp_path / "a.index", n_bits=np.int64(8)) as index:
        assert type(index.n_bits) is int


def test_a_run_is_named_alike_by_numbers_of_either_kind():
    dataset = tiny_dataset()
    keys = {
        plan(dataset, tiny_split(dataset), method="crh", n_bits=n_bits, method_options={"margin": margin}).key()
        for n_bits, margin in ((16, 0.25), (np.int64(16), np.float64(0.25)))
    }
    assert len(keys) == 1


def test_an_imbalance_and_a_share_of_numpy_make_the_same_split():
    dataset = tiny_dataset()
    assert type(Imbalance(factor=np.float32(2)).factor) is float
    plain, numpy = (nb.make_split(dataset, imbalance=factor) for factor in (2.0, np.float64(2)))
    assert numpy.recipe == plain.recipe
    json.dumps(numpy.recipe)
    shares = {nb.make_split(dataset, protocol="seen@seen", unseen=share).hash for share in (0.25, np.float32(0.25))}
    assert len(shares) == 1


def test_a_backbone_of_ones_own_with_numbers_of_numpy_is_saved(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    mean, std = np.full(3, 0.5), np.full(3, 0.25, np.float32)
    backbone = nb.backbone_of(module, image_size=np.int64(16), resize=np.int64(18), mean=mean, std=std)
    assert (
        backbone.preprocessing
        == nb.backbone_of(module, image_size=16, resize=18, mean=(0.5,) * 3, std=(0.25,) * 3).preprocessing
    )
    dataset = tiny_dataset()
    options = TrainOptions(backbone=backbone, device="cpu")
    model = nb.train(dataset, tiny_split(dataset), method="itq", n_bits=2, options=options)
    with pytest.warns(UserWarning, match="holds the weights of"):
        model.save(tmp_path / "a.model")
    with pytest.raises(InputError, match="image_size must be a whole number of at least 1, not '16'"):
        nb.backbone_of(module, image_size="16")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": 3}, "method must be a name, a Method or a Baseline, not int"),
        ({"options": {"epochs": 3}}, r"options must be TrainOptions\(…\), not dict"),
        ({"method": "crh", "method_options": "margin=1"}, "the options of crh must be a mapping such as .*'margin=1'"),
    ],
)
def test_what_train_is_told_in_another_form_is_refused(given, message):
    dataset = tiny_dataset()
    with pytest.raises(InputError, match=message):
        nb.train(dataset, tiny_split(dataset), **{"options": TrainOptions(**FEW), **given})


@pytest.mark.parametrize("kind", [ITQ, Ridge])
def test_an_estimator_with_numbers_of_numpy_is_saved(kind, tmp_path):
    features = np.random.default_rng(0).normal(size=(40, 12))
    fitted = kind(n_bits=np.int64(8), iterations=np.int64(3), seed=np.int64(0)).fit(features, np.arange(40) % 4)
    fitted.save(tmp_path / "a")
    assert (kind.load(tmp_path / "a").encode(features) == fitted.encode(features)).all()


@pytest.mark.parametrize("seed", [1.5, "0", -1, True])
def test_there_is_one_rule_for_seeds(seed):
    dataset = tiny_dataset()
    for call in (
        lambda: nb.make_split(dataset, seed=seed),
        lambda: TrainOptions(seed=seed),
        lambda: AttackOptions(seed=seed),
        lambda: nb.make_centers("csq", n_classes=3, n_bits=8, seed=seed),
        lambda: ITQ(n_bits=2, seed=seed).fit(np.eye(4)),
    ):
        with pytest.raises(InputError, match="seed must be a whole number of at least 0, not "):
            call()


@pytest.mark.parametrize("place", [str, Path, FeatureStore])
def test_a_cache_is_a_text_a_path_or_a_store(tmp_path, place):
    dataset = tiny_dataset()
    options = TrainOptions(backbone="thumbnail", image_size=8, device="cpu")
    cache = place(tmp_path / "cache")
    model = nb.train(dataset, tiny_split(dataset), method="itq", n_bits=4, options=options, cache=cache)
    files = sorted((tmp_path / "cache").rglob("*"))
    assert files
    found = nb.evaluate(model, dataset, cache=cache)
    assert (model.encode_dataset(dataset, cache=cache).outputs == model.encode_dataset(dataset).outputs).all()
    assert found.report.figures == nb.evaluate(model, dataset).report.figures


@pytest.mark.parametrize(
    "call",
    [
        lambda model, dataset: nb.train(dataset, tiny_split(dataset), cache=3),
        lambda model, dataset: nb.train(dataset, tiny_split(dataset), checkpoint=3, options=TrainOptions(**FEW)),
        lambda model, dataset: nb.evaluate(model, dataset, tiny_split(dataset), cache=3),
        lambda model, dataset: model.encode_dataset(dataset, cache=3),
        lambda model, dataset: nb.compare_methods(dataset, out="unused", cache=3),
    ],
)
def test_a_path_that_is_none_is_refused(call):
    dataset = tiny_dataset()
    model = nb.train(
        dataset, tiny_split(dataset), method="itq", n_bits=4, options=TrainOptions(backbone="thumbnail", device="cpu")
    )
    with pytest.raises(InputError, match=r"(cache|checkpoint) must be a path, not int"):
        call(model, dataset)


@pytest.mark.parametrize("value", [3, b"birds", None, ["birds"], "bi\0rds"])
@pytest.mark.parametrize("opens", [nb.load_dataset, nb.load_model, nb.load_split, nb.open_index])
def test_what_opens_a_path_refuses_what_is_none(opens, value):
    with pytest.raises(InputError, match=r"(path|source) must be a path, not "):
        opens(value)


def test_what_writes_to_a_path_refuses_what_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    model = nb.train(dataset, split, method="itq", n_bits=4, options=TrainOptions(backbone="thumbnail", device="cpu"))
    for writes in (
        model.save,
        split.save,
        lambda value: nb.create_index(value, 8),
        lambda value: nb.load_images([value]),
    ):
        for value in (3, b"birds", "bi\0rds"):
            with pytest.raises(InputError, match=r"(path|an image file) must be a path, not "):
                writes(value)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_and_weights_may_be_texts(tmp_path):
    dataset = tiny_dataset()
    model = nb.train(
        dataset, tiny_split(dataset), method="csq", n_bits=8, options=TrainOptions(**FEW),
        checkpoint=str(tmp_path / "checkpoint"),
    )  # fmt: skip
    assert (tmp_path / "checkpoint" / "linear.checkpoint").is_file()
    assert model.n_bits == 8
    options = TrainOptions(backbone="resnet18", weights="gone.safetensors")
    assert options == TrainOptions(backbone="resnet18", weights=Path("gone.safetensors"))
    assert options.to_dict()["weights"] == "gone.safetensors"


def test_a_comparison_takes_numbers_of_numpy_and_a_cache_as_text(tmp_path):
    options = TrainOptions(backbone="thumbnail", image_size=8, device="cpu")
    compared = nb.compare_methods(
        tiny_dataset(), ["itq", "pca"], bits=np.array([4, 8]), seeds=np.int64(1), out=str(tmp_path / "out"),
        cache=str(tmp_path / "cache"), options=options,
    )  # fmt: skip
    assert {(row["bits"], row["status"]) for row in compared.rows()} == {(4, "done"), (8, "done")}
    for given, message in (
        ({"bits": 16}, r"bits must be a list: give \[16\]"),
        ({"methods": "crh"}, r"methods must be a list: give \['crh'\]"),
        ({"seeds": 1.5}, r"seeds must be a list: give \[1\.5\]"),
        ({"bits": ["16"]}, "bits must be a whole number of at least 1, not '16'"),
    ):
        with pytest.raises(InputError, match=message):
            nb.compare_methods(tiny_dataset(), **given, out=tmp_path / "out", options=options)
