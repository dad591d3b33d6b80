"""A model on its split: the figures are those of its codes, and what cannot be evaluated is refused."""

from dataclasses import replace

import numpy as np
import pytest

import oracles
from model_makers import random_model
from nearbit.centers.state import no_centers
from nearbit.codes import pack, signs_of
from nearbit.datasets import Split
from nearbit.errors import DataError, InputError
from nearbit.evaluation import evaluate
from nearbit.metrics import asymmetric_average_precision, scored
from nearbit.metrics.counting import comparison
from tiny_data import FailingImages, tiny_dataset, tiny_split


@pytest.fixture(scope="module")
def model():
    return random_model()


def codes_of(model, dataset, rows):
    return pack(signs_of(model.encode_dataset(dataset, rows).outputs))


def test_the_figures_are_those_of_query_and_database_codes(model):
    dataset = tiny_dataset()
    split = model.split
    evaluation = evaluate(model, dataset, device="cpu")
    queries, database = codes_of(model, dataset, split.query), codes_of(model, dataset, split.database)
    labels = dataset.labels
    expected = [
        oracles.mean_over_orders(
            oracles.ties(code, label, database, labels[split.database], 12), oracles.average_precision
        )
        for code, label in zip(queries, labels[split.query], strict=True)
    ]
    figures = evaluation.to_dict()
    assert figures["tie_aware_map"] == pytest.approx(float(sum(expected) / len(expected)), abs=1e-12)
    assert (figures["n_query"], figures["n_database"], figures["n_bits"]) == (6, 6, 12)
    assert (figures["model_id"], figures["split_hash"]) == (model.model_id, split.hash)
    assert figures["unread_images"] == 0


def test_asymmetric_figures_stand_beside_those_by_distance(model):
    dataset, split = tiny_dataset(), model.split
    figures = evaluate(model, dataset, device="cpu").to_dict()
    outputs = model.encode_dataset(dataset, split.query).outputs
    database, labels = codes_of(model, dataset, split.database), dataset.labels
    values = asymmetric_average_precision(outputs, labels[split.query], database, labels[split.database], 12)
    assert figures["asymmetric_tie_aware_map"] == pytest.approx(values.mean(), abs=1e-12)
    assert figures["asymmetric_tie_aware_map_at_100"] is None
    assert figures["conventions"]["asymmetric_tie_aware_map"].startswith("asymmetric: items ranked by the sum of")


def test_the_superclasses_of_the_data_grade_relevance(model):
    dataset = tiny_dataset(per_class=250)
    split = tiny_split(dataset)
    with pytest.raises(DataError, match=r"gives the class 'a' no superclass: leave the hierarchy out, or name a file"):
        evaluate(model, dataset, split, hierarchy="given", device="cpu")
    with pytest.raises(InputError, match=r"must be the parent of each class, or 'given', not 'mine'"):
        evaluate(model, dataset, split, hierarchy="mine", device="cpu")
    with_parents = replace(dataset, parents=("x", "x", "y"))
    tree = {"a": "x", "b": "x", "c": "y", "x": "everything", "y": "everything"}
    flat = dict.fromkeys(dataset.classes, "everything")
    given, named, without = (
        evaluate(model, with_parents, split, hierarchy=hierarchy, device="cpu").to_dict()["hierarchical_ndcg_at_100"]
        for hierarchy in ("given", tree, flat)
    )
    assert given == named != without
    own_name = replace(dataset, parents=("a", "a", "c"))  # as COCO's person is the one class of person
    for_it = evaluate(model, own_name, split, hierarchy="given", device="cpu").to_dict()["hierarchical_ndcg_at_100"]
    assert for_it == given


def test_another_split_takes_the_place_of_the_recorded_one(model):
    dataset = tiny_dataset()
    other = tiny_split(dataset, seed=7)
    evaluation = evaluate(model, dataset, other, device="cpu")
    assert evaluation.split_hash == other.hash != model.split.hash
    assert evaluate(replace(model, split=other), dataset, device="cpu").to_dict() == evaluation.to_dict()


def test_queries_that_the_model_was_trained_on_are_counted(model):
    dataset = tiny_dataset()
    assert evaluate(model, dataset, device="cpu").queries_seen_in_training == 0
    other = tiny_split(dataset, seed=7)
    seen = set(other.query.tolist()) & {*model.split.train.tolist(), *model.split.validation.tolist()}
    assert evaluate(model, dataset, other, device="cpu").queries_seen_in_training == len(seen) > 0
    assert evaluate(random_model(split=False), dataset, other, device="cpu").queries_seen_in_training is None


def test_queries_and_database_are_compared_once_whatever_is_asked(monkeypatch):
    model, compared = random_model(n_bits=4), []
    for module in (comparison, scored):
        real = module.relevance_of
        monkeypatch.setattr(module, "relevance_of", lambda *labels, real=real: compared.append(1) or real(*labels))
    found = evaluate(model, tiny_dataset(), device="cpu", each_query=True, convention="hashnet", k=3)
    assert (len(compared), found.report.convention) == (1, "hashnet")
    assert found.average_precision.mean() == found.report.tie_aware_map > found.report.lowest_map
    assert found.asymmetric["asymmetric_tie_aware_map"] == found.report.asymmetric_tie_aware_map is not None


def test_a_model_without_split_needs_one():
    with pytest.raises(DataError, match="the model holds no split: give one"):
        evaluate(random_model(split=False), tiny_dataset(), device="cpu")


def test_other_images_than_those_of_the_split_are_refused(model):
    with pytest.raises(DataError, match="not those that the split was made for"):
        evaluate(model, tiny_dataset(seed=3), device="cpu")


def test_empty_parts_are_refused(model):
    dataset = tiny_dataset()
    rows = {part: getattr(model.split, part) for part in ("train", "validation", "database")}
    split = Split(
        **rows, query=np.empty(0, np.int64), dataset="tiny", recipe={}, digests=dataset.digests, keys=dataset.keys,
        fingerprint=dataset.fingerprint,
    )  # fmt: skip
    with pytest.raises(DataError, match="needs query and database images, and the split has 0 and 6"):
        evaluate(model, dataset, split, device="cpu")


def test_images_that_cannot_be_read_are_counted_and_left_out(model):
    split = model.split
    broken = replace(tiny_dataset(), source=FailingImages([split.query[1], split.database[0], split.train[0]]))
    figures = evaluate(model, broken, device="cpu").to_dict()
    assert (figures["n_query"], figures["n_database"], figures["unread_images"]) == (5, 5, 2)


def test_the_labels_are_those_of_the_images_that_were_read(model):
    split, dataset = model.split, tiny_dataset()
    unread = [split.query[0], split.query[2], split.database[1], split.database[3]]
    evaluation = evaluate(model, replace(dataset, source=FailingImages(unread)), device="cpu", each_query=True)
    query, database = (rows[~np.isin(rows, unread)] for rows in (split.query, split.database))
    codes, labels = codes_of(model, dataset, database), dataset.labels
    expected = [
        oracles.mean_over_orders(oracles.ties(code, label, codes, labels[database], 12), oracles.average_precision)
        for code, label in zip(codes_of(model, dataset, query), labels[query], strict=True)
    ]
    assert evaluation.average_precision.tolist() == pytest.approx([float(one) for one in expected], abs=1e-12)
    for row in (split.query, split.database):  # what the labels of the rows as asked would give is something else
        assert (labels[row[: len(row) - 2]] != labels[row[~np.isin(row, unread)]]).any()


def test_the_figures_of_classes_have_their_names(model):
    dataset, query = tiny_dataset(), model.split.query
    found = evaluate(model, dataset, device="cpu", each_query=True)
    labels = dataset.labels[query].argmax(axis=1)
    expected = {dataset.classes[one]: found.average_precision[labels == one].mean() for one in np.unique(labels)}
    assert found.report.per_class == pytest.approx(expected)
    assert found.to_dict()["per_class"] == found.report.per_class


def test_a_part_of_which_no_image_can_be_read_is_refused(model):
    broken = replace(tiny_dataset(), source=FailingImages(model.split.query))
    with pytest.raises(InputError, match="query_codes are empty"):
        evaluate(model, broken, device="cpu")


def test_codes_are_set_beside_the_centers_of_their_own_classes(model):
    dataset, split = tiny_dataset(), model.split
    known = replace(model, classes=dataset.classes)
    found = evaluate(known, dataset, device="cpu").center_condition
    rows = np.concatenate([split.query, split.database])
    signs = signs_of(model.encode_dataset(dataset, rows).outputs)
    own = model.centers.centers[dataset.labels[rows].argmax(axis=1)]
    radii = (signs != own).sum(axis=1)
    assert (found.n_items, found.radius_100) == (len(rows), radii.max())
    assert found.share_within == pytest.approx((4 * radii < found.center_distance_min).mean())
    assert evaluate(known, dataset, device="cpu").to_dict()["center_condition"] == found.to_dict()
    assert evaluate(replace(known, centers=no_centers(12)), dataset, device="cpu").center_condition is None
    assert evaluate(model, dataset, device="cpu").center_condition is None  # it has a class that the data has not
