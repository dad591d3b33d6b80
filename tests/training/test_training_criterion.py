"""What validation images search, and what that makes of the score."""

from dataclasses import replace

import numpy as np
import pytest

from nearbit.codes import binarize
from nearbit.errors import InputError
from nearbit.metrics import leave_one_out_average_precision, scored_average_precision, tie_aware_average_precision
from nearbit.training.criterion import Criterion, accuracy, searched_by_validation
from tiny_data import tiny_dataset, tiny_split


def labels_of(*numbers):
    return np.array(numbers)[:, None] == np.arange(4)


def split_with(*, trained):
    """A split whose database of six holds so many training images."""
    split = tiny_split(tiny_dataset())
    free = np.setdiff1d(np.arange(30), np.concatenate([split.train, split.validation, split.query]))
    database = np.sort(np.concatenate([split.train[:trained], free[: 6 - trained]]))
    return replace(split, database=database)


@pytest.mark.parametrize(("trained", "searched"), [(0, "validation"), (2, "validation"), (3, "train"), (6, "train")])
def test_images_search_each_other_where_the_database_is_not_trained_on(trained, searched):
    split = split_with(trained=trained)
    assert len(split.database) == 6
    assert searched_by_validation(split, labels_of(0, 0, 1, 1), "auto") == searched


@pytest.mark.parametrize(
    ("labels", "searched"), [((0, 0, 1, 2), "train"), ((0, 0, 1, 1, 2), "validation"), ((0, 1, 2), "train")]
)
def test_images_search_each_other_only_where_most_share_a_label(labels, searched):
    assert searched_by_validation(split_with(trained=0), labels_of(*labels), "auto") == searched


def test_what_is_wanted_is_done_or_refused():
    split = split_with(trained=6)
    assert searched_by_validation(split, labels_of(0, 0, 1), "validation") == "validation"
    assert searched_by_validation(split_with(trained=0), labels_of(0, 0, 1, 1), "train") == "train"
    with pytest.raises(InputError, match=r"only where some share a label.*--validate-against train"):
        searched_by_validation(split, labels_of(0, 1, 2), "validation")


def criterion_of(searched, outputs, labels):
    return Criterion(
        searched=searched, train_labels=labels["train"], validation_labels=labels["validation"], n_bits=12, seed=0
    )


@pytest.mark.parametrize("searched", ["train", "validation"])
def test_by_cosine_the_outputs_rank_as_they_are(searched):
    rng = np.random.default_rng(3)
    outputs = {part: rng.normal(size=(n, 12)).astype(np.float32) for part, n in (("train", 20), ("validation", 9))}
    labels = {part: rng.integers(0, 3, len(rows))[:, None] == np.arange(4) for part, rows in outputs.items()}
    by_codes = criterion_of(searched, outputs, labels)
    by_cosine = replace(by_codes, by="cosine")
    assert by_cosine.score(outputs) == by_codes.float_score(outputs) != by_codes.score(outputs)


@pytest.mark.parametrize("searched", ["train", "validation"])
def test_the_score_is_the_mean_of_what_each_image_finds(searched):
    rng = np.random.default_rng(4)
    outputs = {part: rng.normal(size=(n, 12)).astype(np.float32) for part, n in (("train", 20), ("validation", 9))}
    labels = {"train": rng.integers(0, 4, 20)[:, None] == np.arange(4)}
    labels["validation"] = labels_of(0, 0, 1, 1, 1, 2, 2, 0, 3)  # nothing else shows the last class
    criterion = criterion_of(searched, outputs, labels)
    assert set(criterion.positions()) == ({"train", "validation"} if searched == "train" else {"validation"})
    codes = {part: binarize(values) for part, values in outputs.items()}
    if searched == "train":
        queries = (codes["validation"], labels["validation"], codes["train"], labels["train"])
        expected = tie_aware_average_precision(*queries, 12).mean()
    else:
        each = [
            tie_aware_average_precision(
                codes["validation"][[row]],
                labels["validation"][[row]],
                np.delete(codes["validation"], row, axis=0),
                np.delete(labels["validation"], row, axis=0),
                12,
            )[0]
            for row in range(8)
        ]
        expected = np.mean(each)
    assert criterion.score({part: outputs[part] for part in criterion.positions()}) == pytest.approx(
        expected, abs=1e-12
    )


@pytest.mark.parametrize("n_bits", [1, 2, 4])
@pytest.mark.parametrize("share", [0.1, 0.3, None])
def test_left_out_once_is_a_search_of_all_the_others(share, n_bits):
    rng = np.random.default_rng(7)
    codes = rng.integers(0, 2**n_bits, (40, 1), dtype=np.uint8) << (8 - n_bits)
    labels = rng.integers(0, 6, 40) if share is None else rng.random((40, 5)) < share  # some have none
    found = leave_one_out_average_precision(codes, labels, n_bits)
    for row in range(40):
        others = (np.delete(codes, row, axis=0), np.delete(labels, row, axis=0))
        assert found[row] == tie_aware_average_precision(codes[[row]], labels[[row]], *others, n_bits)[0]


@pytest.mark.parametrize("searched", ["train", "validation"])
def test_features_are_scored_by_cosine_on_the_same_images(searched):
    rng = np.random.default_rng(4)
    features = {part: rng.normal(size=(n, 5)).astype(np.float32) for part, n in (("train", 9), ("validation", 7))}
    features["validation"][1] = features["validation"][0]
    labels = {"train": labels_of(*[0, 1, 2] * 3), "validation": labels_of(0, 0, 1, 1, 1, 2, 3)}
    criterion = Criterion(
        searched=searched, train_labels=labels["train"], validation_labels=labels["validation"], n_bits=1, seed=0
    )
    own, values = features["validation"], []
    for row in range(len(own)):
        keep = np.arange(len(own)) != row
        items, marks = (
            (features["train"], labels["train"]) if searched == "train" else (own[keep], labels["validation"][keep])
        )
        lengths = np.linalg.norm(items, axis=1) * np.linalg.norm(own[row])
        scores = np.rint(items.astype(np.float64) @ own[row] / lengths * 2**18)
        if searched == "train" or (labels["validation"][row] & labels["validation"][keep]).any():
            values.append(scored_average_precision([scores], labels["validation"][row][None], marks)[0])
    assert criterion.float_score(features) == pytest.approx(np.mean(values), abs=1e-9)


def test_accuracy_is_of_the_images_that_have_a_label():
    logits = np.array([[1.0, 0, 0], [0, 2, 1], [0, 2, 1], [5, 0, 0]], np.float32)
    labels = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 1], [0, 0, 0]], bool)
    assert accuracy(logits, labels) == 2 / 3
    assert accuracy(logits[:0], labels[:0]) is accuracy(logits[3:], labels[3:]) is None
