"""When a training ends before its last epoch, at what size images are seen, and what is told of the time."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from same_models import assert_same

from nearbit.datasets.images import ArrayImages
from nearbit.errors import ImageError, InputError
from nearbit.methods import METHODS
from nearbit.networks.image_size import fitting_size
from nearbit.progress import Estimate
from nearbit.training import TrainOptions, plan, trainer
from nearbit.training.callbacks import Callbacks
from nearbit.training.options import PATIENCE, resolve_patience
from tiny_data import tiny_dataset, tiny_split

SCORES = (0.2, 0.5, 0.5, 0.4, 0.6, 0.6, 0.3, 0.1, 0.0, 0.9)


@pytest.fixture
def scores(monkeypatch):
    """Validation says `SCORES`, one after the other; returns the numbers of the epochs that were looked at."""
    looked, keep = [], trainer.Trainer._keep_best

    def kept(self, state, centers, record):
        monkeypatch.setattr(trainer.Trainer, "validation_map", lambda self: looked.append(state.epoch) or score(state))
        keep(self, state, centers, record)

    def score(state):
        return SCORES[state.epoch - 1]

    monkeypatch.setattr(trainer.Trainer, "_keep_best", kept)
    return looked


@pytest.mark.parametrize(
    ("patience", "every", "trained", "selected"),
    [
        (0, 1, 10, 10),
        (1, 1, 3, 3),
        (2, 1, 4, 3),
        (3, 1, 8, 6),
        (4, 1, 9, 6),
        (5, 1, 10, 10),
        (3, 2, 10, 10),
        (2, 2, 4, 2),
    ],
)
def test_training_ends_so_many_epochs_after_the_last_gain(run, scores, patience, every, trained, selected):
    shown = []
    model = run(
        "csq", epochs=10, patience=patience, validate_every=every, progress=lambda *told: shown.append(told)
    )  # fmt: skip
    assert len(model.record["history"]) == model.record["epochs_trained"] == trained
    assert model.record["selected_epoch"] == selected
    assert model.record["schedule"]["epochs"] == 10
    assert model.record["patience"] == patience
    assert scores == list(range(every, trained + 1, every))
    assert shown[-1][1:] == (10, 10)


@pytest.mark.parametrize("interrupted", [2, 3])
def test_a_run_that_ends_early_is_resumed_to_the_last_bit(run, scores, tmp_path, monkeypatch, interrupted):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    undisturbed = run("crh", epochs=10, patience=2)

    def stop(stage, done, total):
        if done == interrupted:
            raise KeyboardInterrupt("pressed")

    with pytest.raises(KeyboardInterrupt, match="pressed"):
        run("crh", epochs=10, patience=2, checkpoint=tmp_path, progress=stop)
    assert_same(run("crh", epochs=10, patience=2, checkpoint=tmp_path), undisturbed)
    scores.clear()
    told = Callbacks(resumed=lambda *given: pytest.fail(f"{given} was told of a training that had ended"))
    assert_same(run("crh", epochs=10, patience=2, checkpoint=tmp_path, callbacks=told), undisturbed)
    assert scores == []  # it knows that it has ended


def test_what_is_asked_for_counts_and_frozen_features_wait_for_nothing():
    usual = TrainOptions()
    assert resolve_patience(usual, "scratch", chooses=True) == PATIENCE
    assert resolve_patience(usual, "fine-tuned", chooses=True) == PATIENCE
    assert resolve_patience(usual, "frozen", chooses=True) == 0
    assert resolve_patience(usual, "scratch", chooses=False) == 0
    assert resolve_patience(TrainOptions(preset="crh-paper"), "scratch", chooses=True) == 0
    assert resolve_patience(TrainOptions(patience=0), "scratch", chooses=True) == 0
    assert resolve_patience(TrainOptions(patience=7), "frozen", chooses=True) == 7


def test_a_patience_that_would_do_nothing_is_refused():
    with pytest.raises(InputError, match="patience ends training by what validation says, and select 'last'"):
        TrainOptions(patience=5, select="last")
    with pytest.raises(InputError, match="patience must be a whole number of at least 0"):
        TrainOptions(patience=-1)
    dataset, cimon = tiny_dataset(), METHODS["cimon"]
    assert not cimon.needs_labels
    with pytest.raises(InputError, match="validation does not choose the epoch here"):
        plan(dataset, tiny_split(dataset), method="cimon", n_bits=12, options=TrainOptions(patience=5, device="cpu"))


def test_the_patience_names_the_run_and_a_default_stays_out_of_the_record():
    dataset = tiny_dataset()
    split = tiny_split(dataset)

    def key(**given):
        return plan(dataset, split, n_bits=12, options=TrainOptions(image_size=8, device="cpu", **given)).key()

    assert len({key(), key(patience=0), key(patience=3), key(patience=4)}) == 4
    assert "patience" not in TrainOptions().to_dict()
    assert TrainOptions(patience=0).to_dict()["patience"] == 0


@pytest.mark.parametrize(
    ("sides", "size"),
    [((8, 8), 16), ((16, 16), 16), ((17, 40), 24), ((40, 17), 24), ((28, 28), 32), ((32, 32), 32), ((900, 400), 64)],
)
def test_the_small_network_sees_the_smallest_square_that_holds_the_images(sides, size):
    source = ArrayImages(np.zeros((3, *sides), np.uint8))
    assert fitting_size(source) == size
    dataset = replace(tiny_dataset(), source=ArrayImages(np.zeros((len(tiny_dataset()), *sides), np.uint8)))
    run = plan(dataset, tiny_split(dataset), n_bits=12, options=TrainOptions(device="cpu"))
    assert run.context.backbone.preprocessing.size == size
    given = plan(dataset, tiny_split(dataset), n_bits=12, options=TrainOptions(device="cpu", image_size=40))
    assert given.context.backbone.preprocessing.size == 40


def test_the_median_of_images_that_can_be_read_decides():
    class Mixed:
        def __len__(self):
            return 100

        def read(self, row, at_least=None):
            from PIL import Image

            if row % 2:
                raise ImageError("broken")
            return Image.new("RGB", (20, 20) if row < 70 else (2000, 2000))

    class Broken(Mixed):
        def read(self, row, at_least=None):
            raise ImageError("broken")

    assert fitting_size(Mixed()) == 24
    assert fitting_size(Broken()) == 64


def test_the_time_is_estimated_once_from_the_steps_after_the_first(monkeypatch):
    clock, told = iter([100.0, 101.0, 102.5, 200.0]), []
    monkeypatch.setattr("nearbit.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    estimate = Estimate(lambda *given: told.append(given))
    for number in (1, 2, 3, 4):  # the first takes no part; the next two take 2.5 s
        estimate.step(number, 5, 4)
        assert told == ([] if number < 3 else [(1.25 * 17, 4, 5)])


def test_a_training_tells_its_estimate_with_its_stage_and_steps(run, monkeypatch):
    monkeypatch.setattr("nearbit.progress.MEASURED_SECONDS", 0.0)
    told = []
    model = run("csq", epochs=3, batch_size=4, callbacks=Callbacks(estimated=lambda *given: told.append(given)))
    steps = len(model.split.train) // 4
    assert [(one[0], *one[2:]) for one in told] == [
        ("Training csq, 12 bits, linear head", 3, pytest.approx(steps, abs=1))
    ]
    assert told[0][1] > 0


def test_the_help_says_the_default_that_there_is():
    from nearbit.cli.commands.train import command
    from nearbit.training.options import PATIENCE

    (option,) = [one for one in command.params if one.name == "patience"]
    assert f"[default: {PATIENCE}; 0 on frozen features" in option.help
