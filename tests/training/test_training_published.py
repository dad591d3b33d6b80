"""The papers' choice of an epoch, on the queries: what is written down, and that it chooses nothing."""

from dataclasses import replace

import pytest
import torch
from same_models import history_of

from model_makers import random_model
from nearbit.datasets import make_split
from nearbit.errors import BundleError, InputError
from nearbit.evaluation import evaluate
from nearbit.methods import METHODS
from nearbit.methods.presets import preset_named
from nearbit.model.card import model_card
from nearbit.training import TrainOptions, plan
from nearbit.training.published import published_choice
from tiny_data import tiny_dataset, tiny_split


def test_queries_are_measured_at_each_look_and_choose_nothing(run):
    plain, model = run("csq", "scratch"), run("csq", "scratch", published_selection=True)
    for name, value in plain.network.state_dict().items():
        assert torch.equal(value, model.network.state_dict()[name]), name
    measured = [entry.pop("query_map") for entry in model.record["history"]]
    assert history_of(model) == history_of(plain)
    assert len(measured) == 3
    selected, published = model.record["selected_epoch"], model.record["published"]
    assert published == {
        "epoch": 1 + measured.index(max(measured)),
        "query_map": max(measured),
        "query_map_of_selected": measured[selected - 1],
    }
    dataset = tiny_dataset()
    found = evaluate(model, dataset, tiny_split(dataset))
    assert found.report.tie_aware_map == pytest.approx(measured[selected - 1], abs=0.05)  # a bit of an output near 0
    assert "published" not in plain.record
    assert "published_selection" not in plain.record["options"]


def test_the_first_of_equally_good_epochs_is_the_published_one():
    history = [
        {"epoch": 1},
        {"epoch": 2, "query_map": 0.5},
        {"epoch": 4, "query_map": 0.5},
        {"epoch": 6, "query_map": 0.25},
    ]
    assert published_choice(history, 6) == {"epoch": 2, "query_map": 0.5, "query_map_of_selected": 0.25}
    assert published_choice(history, 5) == {"epoch": 2, "query_map": 0.5, "query_map_of_selected": None}
    assert published_choice([{"epoch": 1}], 1) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"regime": "frozen"}, r"published_selection is for a network that is trained whole"),
        ({"regime": "two-step"}, r"in two steps none is: leave it or regime 'two-step' out"),
    ],
)
def test_where_no_whole_network_is_trained_for_codes_queries_are_not_measured(frozen, given, message):
    dataset = tiny_dataset()
    options = replace(frozen, published_selection=True, **given)
    with pytest.raises(InputError, match=message):
        plan(dataset, tiny_split(dataset), method="csq", n_bits=12, options=options)


def test_a_split_without_queries_has_nothing_to_measure():
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    options = TrainOptions(image_size=8, published_selection=True)
    none = replace(split, query=split.query[:0], database=split.database[:0])
    with pytest.raises(InputError, match=r"has no query and no database images .*--no-published-selection"):
        plan(dataset, none, method="csq", n_bits=12, options=options)


@pytest.mark.parametrize("protocol", ["unseen@unseen", "unseen@all"])
def test_queries_of_unseen_classes_are_refused_for_what_they_are(protocol):
    dataset = tiny_dataset(n_classes=4)
    split = make_split(dataset, protocol=protocol)
    options = TrainOptions(image_size=8, published_selection=True)
    parts = "query and database" if protocol == "unseen@unseen" else "query"
    message = f"all {parts} images of this split are of unseen classes, which training does not know: leave it out"
    with pytest.raises(InputError, match=message):
        plan(dataset, split, method="csq", n_bits=12, options=options)


def test_a_recipe_is_one_for_the_classifier_too_and_its_card_says_all_of_it(run):
    recipe = {name: value for name, value in preset_named("shc-paper-cifar100").options.items() if name != "image_size"}
    del recipe["regime"]
    given = recipe | {"preset": "shc-paper-cifar100", "backbone": "small", "epochs": 2}
    model = run("shc", "scratch", **given)
    record = model.record
    assert (record["classifier"]["optimizer"], record["classifier"]["learning_rate"]) == ("rmsprop", 7e-5)
    without = run("shc", "scratch", **(given | {"preset": None}))
    assert (without.record["classifier"]["optimizer"], without.record["classifier"]["learning_rate"]) == ("adam", 2e-3)
    card = model_card(model, {}, "x")
    assert "| published recipe | shc-paper-cifar100 |" in card
    assert "| optimizer | rmsprop |" in card
    assert "| epoch chosen by | validation |" in card
    assert "- gradients are clipped to norm 1" in card
    published = record["published"]
    assert f"the best epoch was {published['epoch']}, with a tie-aware mean average\nprecision of" in card
    assert f"The epoch that was kept had {published['query_map_of_selected']:.4f} on them" in card
    instead = {"backbone": "small", "image_size": 8, "regime": "auto", "epochs": 2, "centers": "search"}
    assert record["recipe"]["instead"] == instead
    told = [line for line in card.splitlines() if line.startswith("- given for this model: ")]
    assert len(told) == len(instead)
    assert "- given for this model: epochs 2" in told
    assert "recipe" not in without.record


def test_a_final_model_says_what_the_queries_of_its_recipe_gave():
    dataset = tiny_dataset()
    options = TrainOptions(
        image_size=8, epochs=2, batch_size=8, validate_every=1, device="cpu", published_selection=True
    )
    model = plan(dataset, tiny_split(dataset), method="csq", n_bits=12, options=options, final=True).train(
        None, lambda *_: None
    )
    published = model.record["final"]["measured"]["published"]
    assert published["epoch"] in (1, 2)
    assert not any("query_map" in entry for entry in model.record["history"])
    card = model_card(model, {}, "x")
    assert f"the best epoch was {published['epoch']}, with" in card
    assert f"The epoch that was kept had {published['query_map_of_selected']:.4f} on them" in card
    assert "published" not in model.shortened(8).record


def test_of_a_final_model_only_what_was_given_is_said(run):
    dataset = tiny_dataset()
    options = TrainOptions(image_size=8, epochs=2, batch_size=8, validate_every=1, device="cpu", preset="crh-paper")
    model = plan(dataset, tiny_split(dataset), method="crh", n_bits=12, options=options, final=True).train(
        None, lambda *_: None
    )
    assert model.record["recipe"]["instead"].get("select") is None
    assert model.record["recipe"]["instead"]["epochs"] == 2


@pytest.mark.parametrize(
    ("method", "regime", "of"),
    [("csq", "scratch", "csq"), ("auto", "scratch", "crh"), ("auto", "frozen", "auto"), ("itq", "frozen", "itq")],
)
def test_a_recipe_of_another_method_is_refused(frozen, method, regime, of):
    dataset = tiny_dataset()
    options = replace(TrainOptions(image_size=8) if regime == "scratch" else frozen, preset="shc-paper")
    with pytest.raises(InputError, match=f"the preset shc-paper is of the method shc, not of {of}: leave one of them"):
        plan(dataset, tiny_split(dataset), method=method, n_bits=12, options=options)


def test_a_recipe_of_the_method_that_auto_takes_is_planned():
    dataset, options = tiny_dataset(), TrainOptions(image_size=8, preset="crh-paper")
    assert plan(dataset, tiny_split(dataset), n_bits=12, options=options).method is METHODS["crh"]


def test_an_unknown_recipe_is_refused_before_anything_is_trained():
    with pytest.raises(InputError, match=r"the preset must be one of .*, not 'my-own'"):
        TrainOptions(preset="my-own")


@pytest.mark.parametrize("damaged", [{"recipe": {}}, {"recipe": "x"}, {"published": {}}, {"published": "x"}])
def test_a_record_that_nobody_trained_makes_no_card(damaged):
    model = random_model()
    model.record.update(damaged, validation_map=0.5)
    with pytest.raises(BundleError, match=r"no card can be written of x: its record is not one that nearbit wrote"):
        model_card(model, {}, "x")
