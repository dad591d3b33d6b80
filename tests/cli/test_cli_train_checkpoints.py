"""`nearbit train`, interrupted and repeated: what goes on, what another command keeps, and what is said of it."""

import json

import pytest
import torch
from safetensors.torch import save

from nearbit.cli.commands.train import _going_on_from
from nearbit.errors import TrainingError
from nearbit.files.aside import _machine
from nearbit.files.locking import locked
from nearbit.files.writing import write_checked
from nearbit.training.checkpoint import UnusableCheckpoint
from nearbit.training.checkpoint_folder import checkpoints_of, lock_of
from tiny_data import TINY, write_folder


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder with images of three classes, which is where commands run."""
    monkeypatch.chdir(tmp_path)
    return write_folder(tmp_path / "photos", per_class=6)


def interrupting(monkeypatch, stage, epoch):
    """Interrupt the training of a stage as an epoch begins."""
    from nearbit.training import trainer

    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    train_epoch = trainer.Trainer._epoch

    def watched(self, state, stepper):
        if self.stage.title.startswith(stage) and state.epoch == epoch:
            raise KeyboardInterrupt
        train_epoch(self, state, stepper)

    monkeypatch.setattr(trainer.Trainer, "_epoch", watched)


@pytest.mark.parametrize("stage", ["Training the classifier", pytest.param("Training shc", marks=pytest.mark.slow)])
def test_an_interrupted_stage_says_where_it_goes_on(nearbit, photos, tmp_path, stage):
    command = ["train", "photos", *TINY, "--method", "shc", "-o", "a.model"]
    with pytest.MonkeyPatch.context() as patch:
        interrupting(patch, stage, 1)
        assert nearbit(*command)[0] == 130
    assert not (tmp_path / "a.model").exists()
    status, _, err = nearbit(*command)
    assert status == 0
    (line,) = [line for line in err.splitlines() if "going on" in line]
    assert line.startswith(stage)
    assert line.endswith(": going on from epoch 1 of 2")
    assert not (tmp_path / "a.model.checkpoint").exists()


@pytest.mark.filterwarnings("default")
def test_what_another_command_had_trained_so_far_outlives_this_one(nearbit, photos, tmp_path):
    command = ["train", "photos", *TINY, "--method", "csq", "-o", "a.model"]
    with pytest.MonkeyPatch.context() as patch:
        interrupting(patch, "Training csq, 12 bits, linear head", 1)
        assert nearbit(*command)[0] == 130
    status, _, err = nearbit(*command, "--seed", "1")
    assert status == 0
    assert "is of another run" in err
    assert [".other-" in file.name for file in (tmp_path / "a.model.checkpoint").iterdir()] == [True]
    status, _, err = nearbit(*command, "--overwrite")
    assert status == 0
    assert "going on from epoch 1 of 2" in err
    assert not (tmp_path / "a.model.checkpoint").exists()


@pytest.mark.filterwarnings("default")
def test_what_another_command_had_trained_in_a_stage_of_its_own_outlives_this_one(nearbit, photos, tmp_path):
    command = ["train", "photos", *TINY, "--method", "csq", "-o", "a.model"]
    with pytest.MonkeyPatch.context() as patch:
        interrupting(patch, "Training csq, 12 bits, linear head", 1)
        assert nearbit(*command, "--head", "linear")[0] == 130
    status, _, err = nearbit(*command, "--head", "hidden")
    assert status == 0
    assert "a.model.checkpoint holds checkpoints of another run, such as linear.checkpoint, and stays" in err
    status, _, err = nearbit(*command, "--head", "linear", "--overwrite")
    assert status == 0
    assert "going on from epoch 1 of 2" in err
    assert not (tmp_path / "a.model.checkpoint").exists()


def test_two_commands_do_not_train_one_model_at_once(nearbit, refused, photos, tmp_path):
    command = ["train", "photos", *TINY, "--method", "csq", "-o", "new/a.model"]
    (tmp_path / "new").mkdir()
    with locked(lock_of(tmp_path / "new" / "a.model.checkpoint")):
        assert "new/a.model is being trained by another command: repeat this one after it" in refused(*command)
        assert not (tmp_path / "new" / "a.model").exists()
    assert nearbit(*command)[0] == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.model"]


def test_a_model_that_is_there_leaves_no_decoded_images_of_a_command_that_was_killed(nearbit, photos, tmp_path):
    command = ["train", "photos", *TINY, "--method", "csq", "-o", "a.model", "--cache", "cache"]
    assert nearbit(*command)[0] == 0
    decoded = tmp_path / "cache" / "decoded"
    left = decoded / f".decoded.rgb.{_machine()}-4194305-01234567.tmp"  # no process has this number
    decoded.mkdir(parents=True, exist_ok=True)
    left.touch()
    assert nearbit(*command)[0] == 0
    assert not left.exists()


@pytest.mark.parametrize(
    ("error", "run", "told"), [(TrainingError, "own", 1), (TrainingError, "another", 0), (UnusableCheckpoint, "own", 0)]
)
def test_only_where_the_same_command_goes_on_that_is_said(tmp_path, error, run, told):
    about = torch.frombuffer(bytearray(json.dumps({"key": "stage", "run": "own"}).encode()), dtype=torch.uint8)
    write_checked(tmp_path / "linear.checkpoint", save({"about": about}))
    with checkpoints_of(run), pytest.raises(error, match="diverged") as found, _going_on_from(tmp_path):
        raise error("diverged")
    assert len(getattr(found.value, "__notes__", [])) == told
