"""What float features give beside the codes made of them: the same queries, ranked by plain loops."""

import json
from dataclasses import replace

import numpy as np
import pytest

from model_makers import random_model
from nearbit import reference
from nearbit.datasets import Split
from nearbit.evaluation import evaluate
from nearbit.metrics import scored_average_precision
from nearbit.model.bundle import Model
from nearbit.reference import FeaturePart, FloatFigures, Reference, float_figures, linear_probe
from tiny_data import FailingImages, tiny_dataset, tiny_split


def cosines(queries, items):
    """Return cosines of float64 rows, rounded so that equal ones are equal."""
    queries, items = queries.astype(np.float64), items.astype(np.float64)
    lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(items, axis=1)
    return np.rint(queries @ items.T / lengths * 2**18)


def ridge_by_normal_equations(features, labels):
    """Return a function that answers by a ridge regression, penalized by the mean square length of a row."""
    features = features.astype(np.float64)
    centered = features - features.mean(axis=0)
    penalty = np.mean([row @ row for row in centered])
    gram = centered.T @ centered + penalty * np.eye(centered.shape[1])
    weights = np.linalg.inv(gram) @ centered.T @ (labels - labels.mean(axis=0))
    return lambda rows: (rows - features.mean(axis=0)) @ weights + labels.mean(axis=0)


def features_of(model, dataset, rows):
    return model.encode_dataset(dataset, rows, keep_features=True, device="cpu").features


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("train_in_database", [False, True])
def test_the_figures_are_those_of_plain_loops(multi_label, train_in_database):
    model, dataset = random_model(regime="frozen"), tiny_dataset(multi_label=multi_label)
    split = tiny_split(dataset)
    if train_in_database:
        split = with_rows(dataset, split, database=np.union1d(split.database, split.train[3:]))
    found = evaluate(model, dataset, split, device="cpu")
    query, database, train = (features_of(model, dataset, rows) for rows in (split.query, split.database, split.train))
    labels = dataset.labels
    wanted = scored_average_precision(cosines(query, database), labels[split.query], labels[split.database]).mean()
    figures = found.to_dict()["reference"]
    assert figures["float_cosine_map"] == pytest.approx(wanted, abs=1e-9)
    probe_of = ridge_by_normal_equations(train, labels[split.train])
    answers = cosines(probe_of(query), probe_of(database))
    probe = scored_average_precision(answers, labels[split.query], labels[split.database]).mean()
    assert figures["linear_probe_map"] == pytest.approx(probe, abs=1e-9)
    report = found.report
    for name, own in (("kept_share", wanted), ("probe_kept_share", probe)):
        assert figures[name] == pytest.approx(report.tie_aware_map / own, abs=1e-9)
        assert figures[f"asymmetric_{name}"] == pytest.approx(report.asymmetric_tie_aware_map / own, abs=1e-9)
    assert (figures["queries"], figures["queries_ranked"]) == (len(query), len(query))
    assert figures["training_images"] == len(train)
    assert set(figures["conventions"]) < set(figures)
    json.dumps(figures, allow_nan=False)


def with_rows(dataset, split, **parts):
    rows = {part: getattr(split, part) for part in ("train", "validation", "query", "database")}
    return Split(
        **rows | parts, dataset="tiny", recipe={}, digests=dataset.digests, keys=dataset.keys,
        fingerprint=dataset.fingerprint,
    )  # fmt: skip


def test_no_image_is_computed_twice(monkeypatch):
    model, dataset, asked = random_model(regime="frozen"), tiny_dataset(), []
    split = tiny_split(dataset)
    split = with_rows(dataset, split, database=np.union1d(split.database, split.train[3:]))
    real = Model.encode_source
    monkeypatch.setattr(
        Model, "encode_source", lambda self, source, rows, *more, **named: (
            asked.extend(rows) or real(self, source, rows, *more, **named)
        ),
    )  # fmt: skip
    evaluate(model, dataset, split, device="cpu")
    assert sorted(asked) == sorted({*split.query.tolist(), *split.database.tolist(), *split.train.tolist()})


def test_only_frozen_features_are_a_reference():
    dataset = tiny_dataset()
    assert evaluate(random_model(), dataset, device="cpu").to_dict()["reference"] is None
    model = random_model(regime="frozen")
    without = evaluate(model, dataset, device="cpu", reference=False).to_dict()
    assert without["reference"] is None
    beside = evaluate(model, dataset, device="cpu").to_dict()
    assert beside.pop("reference")["float_cosine_map"] > 0
    without.pop("reference")
    assert without == beside


def test_images_that_cannot_be_read_are_left_out():
    model = random_model(regime="frozen")
    split, dataset = model.split, tiny_dataset()
    gone = {part: getattr(split, part)[:1] for part in ("query", "database", "train")}
    found = evaluate(model, replace(dataset, source=FailingImages(np.concatenate([*gone.values()]))), device="cpu")
    parts = [FeaturePart(features_of(model, dataset, rows), dataset.labels[rows]) for rows in (
        split.query[1:], split.database[1:], split.train[1:]
    )]  # fmt: skip
    assert found.reference.figures.to_dict() == pytest.approx(float_figures(*parts).to_dict(), abs=1e-9)


def random_part(n, *, n_classes=3, width=5, seed=0):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, n_classes, n)
    return FeaturePart(rng.standard_normal((n, width)).astype(np.float32), numbers[:, None] == np.arange(n_classes))


def test_a_sample_of_queries_has_the_values_of_all(monkeypatch):
    query, database, train = random_part(200), random_part(30, seed=1), random_part(20, seed=2)
    whole = float_figures(query, database, train)
    assert (len(whole.queries), whole.n_query) == (200, 200)
    monkeypatch.setattr(reference, "MOST_PAIRS", 30 * 120)
    some = float_figures(query, database, train)
    assert (len(some.queries), len(set(some.queries.tolist())), some.n_query) == (120, 120, 200)
    assert some.float_cosine == pytest.approx(whole.float_cosine[some.queries], abs=1e-12)
    assert some.linear_probe == pytest.approx(whole.linear_probe[some.queries], abs=1e-12)
    monkeypatch.setattr(reference, "MOST_PAIRS", 30)
    assert len(float_figures(query, database, train).queries) == reference.FEWEST_QUERIES


def test_without_labelled_training_images_there_is_no_probe():
    query, database, train = random_part(6), random_part(9, seed=1), random_part(4, seed=2)
    for few in (FeaturePart(train.features[:0], train.labels[:0]), FeaturePart(train.features, train.labels & False)):
        figures = float_figures(query, database, few)
        assert figures.linear_probe is None
        assert figures.to_dict()["linear_probe_map"] is None


def test_training_images_that_look_the_same_tell_nothing():
    query, database = random_part(6), random_part(9, seed=1)
    one = FeaturePart(np.ones((4, 5), np.float32) / 3, np.eye(4, 3, dtype=bool))
    assert not linear_probe(one).weights.any()
    chance = scored_average_precision(np.zeros((6, 9)), query.labels, database.labels)
    assert float_figures(query, database, one).linear_probe == pytest.approx(chance, abs=1e-12)


def beside(kept, asymmetric, *, method="crh", n_bits=16, images=30.0):
    half = np.full(4, 0.5)
    figures = FloatFigures(queries=np.arange(4), n_query=4, n_train=9, float_cosine=half, linear_probe=None)
    return Reference(
        figures=figures, method=method, n_bits=n_bits, images_per_class=images, code_map=kept / 2,
        asymmetric_map=asymmetric / 2,
    )  # fmt: skip


def test_a_reference_is_shown_in_one_short_line():
    found = beside(0.5, 0.5)
    assert repr(found.figures) == "FloatFigures(float_cosine_map 0.5000; 4 of 4 queries)"
    codes = "crh's codes of 16 bits: tie_aware_map 0.2500"
    assert repr(found) == f"Reference(float_cosine_map 0.5000; 4 of 4 queries; {codes})"


def test_advice_says_what_fits():
    (line,) = beside(0.684, 0.75, images=4.0).advice()
    assert line == (
        "the codes keep 68% of the mAP of their float features by cosine (0.342 of 0.500); what helps: "
        "more bits (--bits 32); another method than crh (--method auto, ech or ridge); "
        "ranking by real outputs (nearbit search --asymmetric), which keeps 75%; more images a class than 4, "
        "for a start those of all parts (nearbit train --final)"
    )
    (line,) = beside(0.684, 0.6, method="ridge").advice()
    assert line.endswith("what helps: more bits (--bits 32)")
    assert beside(0.85, 0.9).advice() == beside(2.3, 2.4).advice() == []


def test_features_that_find_nothing_have_no_share():
    figures = replace(beside(0.5, 0.5).figures, float_cosine=np.zeros(4))
    told = replace(beside(0.5, 0.5), figures=figures).to_dict()
    assert (told["kept_share"], told["probe_kept_share"], told["advice"]) == (None, None, [])
