"""What every method keeps to, in every regime and with one or several labels an image."""

from dataclasses import replace
from inspect import signature

import numpy as np
import pytest
import torch
from same_models import assert_same, history_of

from nearbit.centers import centers_from
from nearbit.codes import pack, signs_of
from nearbit.errors import InputError
from nearbit.methods import METHODS
from nearbit.training import TrainOptions, plan, train
from tiny_data import tiny_dataset, tiny_split

KINDS = ("crh", "shc", "ech", "mds", "dpsh", "dtsh", "greedyhash", "dcwh", "lthnet", "mlh", "cimon")
QUICK = {(method, "frozen") for method in KINDS} | {("crh", "scratch"), ("shc", "scratch")}
SCRATCH = [
    pytest.param(name, marks=() if name in KINDS else pytest.mark.slow)
    for name, method in METHODS.items()
    if "scratch" in method.schedules
]
ONE_LABEL = {"dsah"}
"""Methods that refuse images with several labels."""

EVERY = [
    pytest.param(method, regime, marks=() if (method, regime) in QUICK else pytest.mark.slow, id=f"{method}-{regime}")
    for method in METHODS
    for regime in ("scratch", "frozen")
    if regime in METHODS[method].schedules
]
"""Every method in both regimes; one that uses each part of the contract is among the quick ones."""


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(("method", "regime"), EVERY)
def test_every_method_gives_a_finite_model_of_its_data(run, method, regime, multi_label):
    dataset = tiny_dataset(multi_label=multi_label)
    if multi_label and method in ONE_LABEL:
        with pytest.raises(InputError, match=f"{method} .*is for one label an image, and some of these"):
            run(method, regime, multi_label=multi_label)
        return
    model = run(method, regime, multi_label=multi_label)
    assert all(bool(torch.isfinite(value).all()) for value in model.network.state_dict().values())
    encoded = model.encode_dataset(dataset)
    assert encoded.outputs.shape == (30, 12)
    assert pack(signs_of(encoded.outputs)).shape == (30, 2)
    assert model.centers.centers.shape == (3 if METHODS[method].make_centers else 0, 12)
    assert (model.record["certificate"] is None) == (METHODS[method].make_centers is None)
    assert all(("centers_changed" in epoch) == bool(METHODS[method].make_centers) for epoch in model.record["history"])
    assert set(np.unique(model.centers.centers)) <= {-1, 1}
    assert model.classes == ("a", "b", "c")
    assert model.record["regime"] == regime
    assert [epoch["epoch"] for epoch in model.record["history"]] == [1, 2, 3]
    assert all(np.isfinite(epoch["loss"]) for epoch in model.record["history"])


@pytest.mark.parametrize(("method", "regime"), EVERY)
def test_a_seed_decides_every_bit_of_the_model(run, method, regime):
    first = run(method, regime, seed=3)
    torch.manual_seed(99)
    np.random.default_rng()
    assert_same(first, run(method, regime, seed=3))
    other = run(method, regime, seed=4)
    assert other.model_id != first.model_id
    assert history_of(other) != history_of(first)


@pytest.mark.parametrize("method", SCRATCH)
def test_training_learns_what_is_easy(run, method):
    dataset = tiny_dataset()
    model = run(method, epochs=25, n_bits=16, select="last")
    assert model.record["validation_map"] > 0.9  # it is 1 with room to spare: for any seed, at any rounding
    history = model.record["history"]
    if method != "lbhc":  # its loss is of codes with drawn noise, which on so few images hides what is gained
        assert history[-1]["loss"] < history[0]["loss"]
    if METHODS[method].make_centers is None:
        return
    codes = signs_of(model.encode_dataset(dataset).outputs).astype(int)
    nearest = (codes @ model.centers.centers.T.astype(int)).argmax(axis=1)
    if method not in ("lbhc", "dcwh"):  # a surrogate learns where words are expected; signs of means can be the same
        assert (nearest == dataset.labels.argmax(axis=1)).mean() > 0.9


def test_a_planned_run_trains_the_same_model_each_time():
    dataset = tiny_dataset()
    options = TrainOptions(image_size=8, epochs=2, batch_size=8, device="cpu")
    planned = plan(dataset, tiny_split(dataset), n_bits=12, options=options)
    key = planned.key()
    first = planned.train(None, lambda *_: None)
    assert_same(first, planned.train(None, lambda *_: None))
    assert planned.key() == key == first.record["run_key"]


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"epochs": 4}, {"learning_rate": 0.1}, {"image_size": 9}, {"select": "last"}, {"head": "hidden"}],
)
def test_runs_that_differ_have_different_keys(change):
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    values = {"image_size": 8, "epochs": 3, "device": "cpu"}
    keys = {plan(dataset, split, n_bits=12, options=TrainOptions(**values | more)).key() for more in ({}, change)}
    assert len(keys) == 2


def test_keys_tell_method_bits_options_and_split_apart():
    dataset = tiny_dataset()
    split, options = tiny_split(dataset), TrainOptions(image_size=8, device="cpu")
    runs = [
        plan(dataset, split, n_bits=12, options=options),
        plan(dataset, split, n_bits=16, options=options),
        plan(dataset, split, n_bits=12, options=options, method="csq"),
        plan(dataset, split, n_bits=12, options=options, method="crh", method_options={"margin": 0.3}),
        plan(dataset, tiny_split(dataset, seed=1), n_bits=12, options=options),
        plan(tiny_dataset(seed=1), tiny_split(tiny_dataset(seed=1)), n_bits=12, options=options),
    ]
    assert len({one.key() for one in runs}) == len(runs)


@pytest.mark.parametrize("regime", ["auto", "two-step", "frozen"])
def test_norms_of_another_momentum_than_their_library_gives_are_another_run_where_they_are_trained(regime, frozen):
    dataset = tiny_dataset()
    start = frozen if regime == "frozen" else TrainOptions(image_size=8, device="cpu")
    options = replace(start, regime=regime)
    run = plan(dataset, tiny_split(dataset), method="csq", n_bits=12, options=options)
    before = run.key()
    run.context.backbone.module.has_other_norms = True
    assert (run.key() != before) == (regime != "frozen")


def test_crh_chooses_its_centers_from_its_codebook_and_changes_them(run):
    model = run("crh")
    state = model.centers
    assert np.array_equal(centers_from(state.codebook, state.assignment), state.centers)
    assert sum(epoch["centers_changed"] for epoch in model.record["history"]) > 0
    fixed = run("crh", method_options={"reassign_always_until": 0, "reassign_every": 0})
    assert [epoch["centers_changed"] for epoch in fixed.record["history"]] == [0, 0, 0]


def test_csq_keeps_its_centers(run):
    assert [epoch["centers_changed"] for epoch in run("csq").record["history"]] == [0, 0, 0]


def test_query_and_database_images_have_no_part_in_training(run):
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    read = []

    class Watched:
        def __len__(self):
            return len(dataset)

        def read(self, row, at_least=None):
            read.append(row)
            return dataset.source.read(row, at_least)

    run("crh", data=replace(dataset, source=Watched()), split=split)
    assert set(read) == set(split.train.tolist()) | set(split.validation.tolist())


def test_a_batch_of_one_image_left_over_joins_the_batch_before(run):
    dataset = tiny_dataset(per_class=9)  # 9 - 2 - 2 - 2 = 3 a class, 9 train images, batches of 8 would leave 1
    model = run("csq", data=dataset, batch_size=8, head="hidden", hidden=4)
    assert model.record["n_train"] == 9
    assert len(model.record["history"]) == 3


def test_several_views_of_frozen_features_train_another_model_with_the_same_seed(run):
    one, three = run("csq", "frozen", head="linear"), run("csq", "frozen", head="linear", views=3)
    assert one.model_id != three.model_id
    assert_same(three, run("csq", "frozen", head="linear", views=3))


def test_labels_outside_the_training_part_decide_nothing():
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    labels = dataset.labels.copy()
    labels[split.database[0]] = True
    labels[split.query[0]] = False
    noted = replace(dataset, labels=labels)
    other = replace(split, fingerprint=noted.fingerprint)
    options = TrainOptions(image_size=8, epochs=1, batch_size=8, device="cpu")
    assert not plan(noted, other, n_bits=12, options=options).task.multi_label
    multi = tiny_dataset(multi_label=True)
    assert plan(multi, tiny_split(multi), n_bits=12, options=options).task.multi_label


def test_where_a_backbone_lies_is_not_recorded(run, monkeypatch):
    from nearbit.training import starting as module

    make = module.make_backbone

    def from_folder(name, **given):
        made = make("small", image_size=given["image_size"])
        made.spec = replace(made.spec, name="hf:mine")
        return made

    monkeypatch.setattr(module, "make_backbone", from_folder)
    one, other = (run("csq", backbone=f"hf:/{place}/mine") for place in ("here", "there"))
    assert one.record["options"]["backbone"] == "hf:mine"
    assert one.record["run_key"] == other.record["run_key"]


def test_train_takes_and_describes_what_plan_takes_and_has_the_same_defaults():
    taken, planned = (signature(function).parameters for function in (train, plan))
    assert set(taken) - set(planned) == {"checkpoint", "progress", "callbacks"}
    assert all(taken[name].default == parameter.default for name, parameter in planned.items())
    assert all(f"        {name}: " in train.__doc__ for name in taken)


def test_a_keyword_that_train_does_not_know_is_an_error():
    dataset = tiny_dataset()
    with pytest.raises(InputError, match=r"has no option 'n_bit'.* Did you mean 'n_bits'"):
        train(dataset, tiny_split(dataset), n_bit=12)
