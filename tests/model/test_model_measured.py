"""What a record says of a model that was made of a trained one: nothing that was measured on other codes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nearbit.model.add_class import add_class
from nearbit.model.card import model_card
from nearbit.model.measured import OF_CENTERS, OF_CODES, PARTS
from nearbit.training import TrainOptions, plan
from tiny_data import tiny_dataset, tiny_split

SCRATCH = TrainOptions(image_size=8, epochs=2, batch_size=8, validate_every=1, device="cpu", published_selection=True)
FROZEN = TrainOptions(backbone="thumbnail", device="cpu")
TRAINED = {
    "csq": (SCRATCH, {}), "crh": (SCRATCH, {}), "shc": (SCRATCH, {}), "mds": (SCRATCH, {}),
    "ech": (replace(FROZEN, epochs=1, head="linear"), {"members": 1, "member_hidden": 16}), "ridge": (FROZEN, {}),
}  # fmt: skip
METHODS = [*TRAINED, pytest.param("auto", marks=pytest.mark.slow)]
OF_TRAINING = {
    "regime", "options", "n_train", "n_validation", "dataset", "dataset_fingerprint", "device", "precision",
    "processes", "threads", "encoder", "batch_norm", "schedule", "patience", "epochs_trained", "selected_epoch",
    "reference", "classifier", "seconds", "expected_center", "auto", "final", "recipe",
}  # fmt: skip
"""Fields that hold for a model with other codes, too: how it was trained, and what its backbone gives without codes."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train a method on the classes a, b and c, once: trained("crh", final=True)."""
    cache, models = tmp_path_factory.mktemp("cache"), {}
    dataset = tiny_dataset(per_class=20)

    def model_of(method, *, final=False):
        if (method, final) not in models:
            options, given = TRAINED.get(method, (FROZEN, {}))
            run = plan(
                dataset, tiny_split(dataset), method=method, n_bits=12, options=options, method_options=given,
                cache=cache, final=final,
            )  # fmt: skip
            models[method, final] = run.train(None, lambda *_: None)
        return models[method, final]

    return model_of


def with_class(model, *, keep):
    images = tiny_dataset(n_classes=4)
    keep = tiny_dataset(per_class=20) if keep else None
    return add_class(model, images, name="d", rows=np.arange(30, 36), keep=keep, device="cpu").model


def fields_in(record):
    """Return the names of the fields of a record and of its parts, of those that have a value."""
    found = {name for name, value in record.items() if value is not None}
    return found.union(*(fields_in(record[name]) for name in PARTS if record.get(name)))


@pytest.mark.parametrize("method", METHODS)
def test_every_field_of_a_record_is_of_the_training_or_measured_on_codes(trained, method):
    assert set(trained(method).record) <= OF_TRAINING | {*OF_CODES}


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_shortened_model_has_no_figure_of_the_longer_codes(trained, method, final):
    model = trained(method, final=final)
    before = json.dumps(model.record)
    short = model.shortened(8).shortened(4)
    assert fields_in(short.record) & {*OF_CODES} <= {"certificate"}
    assert set(short.record) - {"shortened_from", "validation_map", "certificate"} <= OF_TRAINING
    assert short.record["shortened_from"] == {
        "model_id": model.model_id, "n_bits": 12, "validation_map": model.record["validation_map"],
    }  # fmt: skip
    assert (short.record["validation_map"], short.record["certificate"]["n_bits"]) == (None, 4)
    kept = [name for name in ("options", "schedule", "selected_epoch", "reference", "seconds") if name in model.record]
    assert {name: short.record[name] for name in kept} == {name: model.record[name] for name in kept}
    assert json.dumps(model.record) == before


@pytest.mark.parametrize("method", ["csq", "crh"])
def test_a_class_for_which_the_codes_changed_leaves_no_figure(trained, method):
    added = with_class(trained(method), keep=True)
    assert fields_in(added.record) & {*OF_CODES} <= {"certificate"}
    assert not {"center_condition", "head_candidates", "history"} & set(added.record)
    assert added.record["certificate"]["n_classes"] == 4
    assert (added.record["validation_map"], added.record["reference"]) == (None, None)


@pytest.mark.parametrize("method", ["csq", "ech"])
def test_a_class_that_changes_no_code_leaves_what_is_measured_on_codes_alone(trained, method):
    model = trained(method)
    added = with_class(model, keep=False)
    assert fields_in(added.record) & {*OF_CENTERS} == {"certificate"}
    assert "center_condition" not in added.record
    for name in {*OF_CODES} - {*OF_CENTERS}:
        assert added.record.get(name) == model.record.get(name)


def test_a_card_tells_no_figure_of_other_codes(trained):
    for final in (False, True):
        card = model_card(trained("csq", final=final).shortened(8), {}, "x")
        assert (
            "None: its codes are the first bits of those of a model of 12 bits, and so few were not\nmeasured." in card
        )
        assert "average precision" not in card
        assert "best epoch" not in card
        assert ("The model that it was made of is trained on all 60 images." in card) is final
    moved = with_class(trained("csq"), keep=True)
    card = model_card(moved, {}, "x")
    assert "None: after training the last layer was changed to add classes, and with it the codes" in card
    assert "They were not measured since. Added: d.\n" in card
    assert "made without validation images" not in card
    assert "the first bits of those of a model of 12 bits" in model_card(moved.shortened(8), {}, "x")
    again = with_class(trained("csq").shortened(8), keep=True)
    assert "shortened_from" not in again.record
    assert "They were not measured since. Added: d.\n" in model_card(again, {}, "x")
    plain = with_class(trained("csq"), keep=False)
    assert f"validation: {trained('csq').record['validation_map']:.4f}" in model_card(plain, {}, "x")
