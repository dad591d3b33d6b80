"""Which epoch and which head are kept, and what of that stands in the record."""

from dataclasses import replace

import numpy as np
import pytest
from same_models import history_of

from nearbit.methods import CRH, METHODS
from nearbit.training import TrainOptions, plan
from nearbit.training.options import resolve_schedule
from nearbit.training.trainer import Trainer
from tiny_data import tiny_dataset, tiny_split


@pytest.mark.parametrize("method", ["crh", "csq"])
def test_the_epoch_that_is_best_on_validation_is_kept(run, method):
    model = run(method, epochs=5, learning_rate=0.02)
    scores = [epoch["validation_map"] for epoch in model.record["history"]]
    assert model.record["validation_map"] == max(scores)
    assert model.record["selected_epoch"] == len(scores) - scores[::-1].index(max(scores))


@pytest.mark.parametrize("select", ["validation", "last"])
def test_the_kept_centers_are_those_that_the_kept_weights_were_trained_towards(run, monkeypatch, select):
    used, train_pass = [], Trainer._pass

    def watched(self, centers, *rest):
        used.append(centers)
        return train_pass(self, centers, *rest)

    monkeypatch.setattr(Trainer, "_pass", watched)
    model = run("crh", select=select)
    assert np.array_equal(model.centers.centers, used[model.record["selected_epoch"] - 1].centers)


def test_last_takes_the_last_epoch_whatever_validation_says(run):
    best = run("csq", epochs=5, learning_rate=0.02)
    last = run("csq", epochs=5, learning_rate=0.02, select="last")
    assert last.record["selected_epoch"] == 5
    assert history_of(last) == history_of(best)
    assert last.record["validation_map"] == last.record["history"][-1]["validation_map"]


def test_selection_and_last_differ_where_the_best_epoch_is_not_the_last(run, monkeypatch):
    scores = iter([0.1, 0.9, 0.5, 0.1, 0.9, 0.5])
    monkeypatch.setattr(Trainer, "validation_map", lambda self: next(scores))
    best, last = run("csq"), run("csq", select="last")
    assert (best.record["selected_epoch"], best.record["validation_map"]) == (2, 0.9)
    assert (last.record["selected_epoch"], last.record["validation_map"]) == (3, 0.5)
    assert best.model_id != last.model_id


def test_of_equal_scores_the_last_epoch_is_kept(run, monkeypatch):
    monkeypatch.setattr(Trainer, "validation_map", lambda self: 0.0)
    assert run("csq").record["selected_epoch"] == 3


def test_validation_is_looked_at_every_so_many_epochs_and_at_the_end(run):
    history = run("csq", epochs=5, validate_every=2).record["history"]
    assert [epoch["epoch"] for epoch in history if "validation_map" in epoch] == [2, 4, 5]


@pytest.mark.parametrize("scores", [(0.2, 0.7), (0.7, 0.2)])
def test_head_auto_records_both_candidates_and_takes_the_better(run, monkeypatch, scores):
    by_head = dict(zip(("linear", "hidden"), scores, strict=True))
    monkeypatch.setattr(Trainer, "validation_map", lambda self: by_head[self.stage.title.split(", ")[-1].split()[0]])
    model = run("csq", "frozen")
    assert model.record["head_candidates"] == by_head
    better = "linear" if scores[0] > scores[1] else "hidden"
    assert model.head["kind"] == better
    assert model.record["validation_map"] == max(scores)
    assert len(model.network.head.layers) == (1 if better == "linear" else 5)


def test_head_auto_is_one_linear_layer_from_scratch(run):
    model = run("csq")
    assert model.head["kind"] == "linear"
    assert list(model.record["head_candidates"]) == ["linear"]


def test_a_named_head_is_the_only_candidate(run):
    assert run("csq", "frozen", head="hidden").head["kind"] == "hidden"
    assert list(run("csq", "frozen", head="linear").record["head_candidates"]) == ["linear"]


@pytest.mark.parametrize(("n_train", "epochs"), [(9000, 20), (8960, 21), (5525, 33), (256, 720), (257, 360), (1, 720)])
def test_a_small_set_gets_as_many_steps_as_a_large_one(n_train, epochs):
    for method in METHODS.values():
        assert resolve_schedule(method, TrainOptions(), "frozen", "hidden", n_train).epochs == epochs
        assert resolve_schedule(method, TrainOptions(epochs=3), "frozen", "linear", n_train).epochs == 3
        if "scratch" in method.schedules:
            assert resolve_schedule(method, TrainOptions(), "scratch", "linear", n_train).epochs == 60


def test_crh_is_fine_tuned_for_fewer_epochs_where_images_have_several_labels():
    for several, epochs in ((False, 300), (True, 30)):
        for n_train in (10, 10**5):
            found = resolve_schedule(CRH, TrainOptions(), "fine-tuned", "linear", n_train, multi_label=several)
            assert found.epochs == epochs
        for regime, same in (("scratch", 60), ("frozen", 20)):
            found = resolve_schedule(CRH, TrainOptions(), regime, "linear", 10**5, multi_label=several)
            assert found.epochs == same
        given = resolve_schedule(CRH, TrainOptions(epochs=7), "fine-tuned", "linear", 10, multi_label=several)
        assert given.epochs == 7


def test_a_fine_tuned_run_knows_that_images_have_several_labels(frozen):
    options = replace(frozen, regime="fine-tuned", epochs=None)
    for several, epochs in ((False, 300), (True, 30)):
        dataset = tiny_dataset(multi_label=several)
        run = plan(dataset, tiny_split(dataset), method="crh", n_bits=12, options=options)
        assert run.schedules["linear"].epochs == epochs


def test_more_images_than_the_search_had_get_no_fewer_epochs_and_small_batches_count():
    assert resolve_schedule(CRH, TrainOptions(), "frozen", "hidden", 10**6).epochs == 20
    assert resolve_schedule(CRH, TrainOptions(batch_size=32), "frozen", "hidden", 274).epochs == 80
