"""What is told of a training: going on from a checkpoint, the figures of each epoch, TensorBoard's file of them."""

import sys
from collections import Counter
from dataclasses import replace

import pytest

from nearbit.errors import MissingExtraError
from nearbit.training import Callbacks, plan, trainer
from nearbit.training.tensorboard import scalars_in
from tiny_data import few_split, tiny_dataset, tiny_split


class Told:
    """Notes what callbacks are given."""

    def __init__(self):
        self.resumed, self.epochs = [], []
        self.callbacks = Callbacks(
            resumed=lambda *given: self.resumed.append(given), epoch=lambda *given: self.epochs.append(given)
        )


def interrupt_after(number):
    def progress(stage, done, total):
        if done == number and stage.startswith("Training"):
            raise KeyboardInterrupt("interrupted here")

    return progress


def test_callbacks_hear_of_every_epoch_what_the_record_holds(run):
    told = Told()
    model = run("crh", callbacks=told.callbacks)
    assert [name for name, _ in told.epochs] == ["linear"] * 3
    assert [figures for _, figures in told.epochs] == model.record["history"]
    rates = [figures["learning_rate"] for _, figures in told.epochs]
    assert rates == pytest.approx([0.005, 0.005 * 0.75, 0.005 * 0.25])  # (1 + cos(pi e / 3)) / 2
    assert told.resumed == []


def test_what_a_callback_makes_of_its_figures_changes_no_record_and_no_end(run):
    undisturbed = run("csq", epochs=6, patience=1)
    spoilt = run("csq", epochs=6, patience=1, callbacks=Callbacks(epoch=lambda name, figures: figures.clear()))
    assert spoilt.model_id == undisturbed.model_id
    assert [epoch["loss"] for epoch in spoilt.record["history"]] == [
        epoch["loss"] for epoch in undisturbed.record["history"]
    ]


def test_callbacks_hear_of_every_network_by_name(run):
    told = Told()
    run("shc", "frozen", epochs=1, seed=77, callbacks=told.callbacks)  # no other test has its classifier in the cache
    assert [name for name, _ in told.epochs] == ["classifier", "linear", "hidden"]


def test_callbacks_hear_where_training_goes_on(run, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt, match="interrupted here"):
        run("crh", checkpoint=tmp_path, progress=interrupt_after(3))
    told = Told()
    run("crh", checkpoint=tmp_path, callbacks=told.callbacks)
    assert told.resumed == [("Training crh, 12 bits, linear head", 2, 3)]
    assert [figures["epoch"] for _, figures in told.epochs] == [3]


def scalars_of(folder):
    """Return {figure: [(epoch, value), ...]} as TensorBoard reads a folder."""
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = reading.EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]
    }


def test_tensorboard_reads_the_history_back(run, tmp_path):
    pytest.importorskip("tensorboard")
    with scalars_in(tmp_path) as scalars:
        model = run("crh", callbacks=Callbacks(epoch=scalars.epoch))
    assert [path.name for path in tmp_path.iterdir()] == ["linear"]
    found = scalars_of(tmp_path / "linear")
    shown = ("loss", "learning_rate", "validation_map", "centers_changed", "center_distance_min",
             "center_distance_mean", "seconds")  # fmt: skip
    assert set(found) == set(shown)
    for figure in shown:
        assert found[figure] == [
            (epoch["epoch"], pytest.approx(epoch[figure], rel=1e-6)) for epoch in model.record["history"]
        ]


def test_all_terms_of_a_loss_and_the_mean_average_precision_of_queries_are_shown(run, tmp_path):
    pytest.importorskip("tensorboard")
    more = {"published_selection": True, "candidate_weight": 0.1, "adversarial": 2.0, "adversarial_steps": 1}
    with scalars_in(tmp_path) as scalars:
        model = run("mds", callbacks=Callbacks(epoch=scalars.epoch), epochs=2, **more)
    found, history = scalars_of(tmp_path / "linear"), model.record["history"]
    assert {"query_map", "index_loss", "adversarial_loss"} < set(found)
    assert {(figure, step) for figure, values in found.items() for step, _ in values} == {
        (figure, epoch["epoch"]) for epoch in history for figure in epoch if figure != "epoch"
    }


@pytest.mark.parametrize("rehearsed", [True, False])
def test_the_networks_of_a_rehearsal_are_told_under_names_of_their_own(frozen, feature_cache, rehearsed):
    dataset, told, stages = tiny_dataset(), Told(), []
    split = few_split(dataset) if rehearsed else tiny_split(dataset)
    options = replace(frozen, epochs=2, seed=78)  # no other test has its classifiers in the cache
    run = plan(dataset, split, n_bits=8, options=options, cache=feature_cache)
    assert run.is_rehearsed == rehearsed
    run.train(None, lambda stage, done, total: stages.append(stage), told.callbacks)
    times = Counter((name, figures["epoch"]) for name, figures in told.epochs)
    assert set(times.values()) == {1}
    assert any(name.startswith("rehearsal-") for name, _ in times) == rehearsed
    assert any(stage.startswith("Training ech") and stage.endswith(", rehearsal") for stage in stages) == rehearsed
    assert ("rehearsal-hidden" if rehearsed else "hidden", 2) in times


def test_epochs_that_are_trained_again_are_shown_once(tmp_path):
    pytest.importorskip("tensorboard")
    for epochs in ((1, 2, 3), (2, 3, 4)):
        with scalars_in(tmp_path) as scalars:
            for epoch in epochs:
                scalars.epoch("hidden", {"epoch": epoch, "loss": float(10 * epoch + len(epochs) + epochs[0])})
    assert scalars_of(tmp_path / "hidden") == {"loss": [(1, 14.0), (2, 25.0), (3, 35.0), (4, 45.0)]}


def test_without_tensorboard_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with (
        pytest.raises(MissingExtraError, match=r"--tensorboard needs .* pip install .*tensorboard"),
        scalars_in(tmp_path),
    ):
        pass
