"""In what a model differs from a run: no option hides another one of the same name, nor what became of it."""

from dataclasses import asdict, fields, replace

import pytest

from model_makers import random_model
from nearbit.methods import BASELINES, METHODS
from nearbit.training import TrainingRun, TrainOptions, differences, plan
from tiny_data import tiny_dataset, tiny_split

KNOWN = {**METHODS, **BASELINES}
OPTIONS = TrainOptions(backbone="thumbnail", device="cpu", precision="float32")


def planned(method, **given):
    dataset = tiny_dataset(per_class=20)
    options = OPTIONS if method in METHODS else replace(OPTIONS, precision="auto")
    return plan(dataset, tiny_split(dataset), method=method, n_bits=8, options=options, method_options=given)


def model_of(run):
    """Return a model that says of itself what that run would, without training it."""
    return replace(
        random_model(n_bits=8),
        method=(run.method if isinstance(run, TrainingRun) else run.baseline).name,
        method_options=asdict(run.method_options),
        split=run.context.split,
        record=run.context.record(),
    )


@pytest.mark.parametrize("method", KNOWN)
def test_every_option_that_differs_is_named_once(method):
    run = planned(method)
    model = model_of(run)
    assert differences(model, run) == []
    training = {one.name for one in fields(TrainOptions)}
    for name in model.method_options:
        shown = f"option {name}" if name in training else name
        changed = replace(model, method_options=model.method_options | {name: "other"})
        (line,) = differences(changed, run)
        assert line.startswith(f"{shown} other instead of ")
    for name in model.record["options"]:
        changed = replace(model, record=model.record | {"options": model.record["options"] | {name: "other"}})
        (line,) = differences(changed, run)
        assert line.startswith(f"{name} other instead of ")


def test_two_runs_of_other_hidden_units_of_the_method_differ_by_that():
    first, second = planned("lbhc"), planned("lbhc", hidden=8)
    assert first.key() != second.key()
    assert differences(model_of(first), second) == ["option hidden 256 instead of 8"]


def test_what_became_of_an_option_is_named_where_it_differs_and_else_what_was_asked():
    run = planned("csq")
    model = model_of(run)
    options = model.record["options"] | {"precision": "auto", "device": "auto"}
    other = replace(model, record=model.record | {"options": options})
    assert differences(other, run) == ["device auto instead of cpu", "precision auto instead of float32"]
    other.record["precision"] = "bfloat16"
    assert differences(other, run) == ["device auto instead of cpu", "precision bfloat16 instead of float32"]
