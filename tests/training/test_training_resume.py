"""An interrupted run that is repeated ends in the model of an undisturbed one, to the last bit."""

import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from interrupted import Interrupted
from safetensors.torch import save
from same_models import assert_same

from nearbit.errors import TrainingError
from nearbit.files.writing import write_checked
from nearbit.training import checkpoint, plan, trainer
from nearbit.training.checkpoint_folder import checkpoints_of, has_own, remove_own
from tiny_data import tiny_dataset, tiny_split


def after_epoch(number, head=""):
    """Return a progress callback that interrupts training after an epoch (of the named head)."""

    def progress(stage, done, total):
        if stage.startswith("Training") and done == number and head in stage:
            raise Interrupted(stage)

    return progress


@pytest.fixture(autouse=True)
def _checkpoint_after_every_epoch(monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)


@pytest.fixture
def epochs_done(monkeypatch):
    """The epochs that are trained, by number."""
    done, train_epoch = [], trainer.Trainer._epoch

    def watched(self, state, optimizer):
        done.append(state.epoch)
        train_epoch(self, state, optimizer)

    monkeypatch.setattr(trainer.Trainer, "_epoch", watched)
    return done


@pytest.mark.parametrize("regime", ["scratch", "frozen"])
@pytest.mark.parametrize("method", ["crh", "csq", "dpsh", "hashnet"])
def test_a_resumed_run_ends_in_the_model_of_an_undisturbed_one(run, tmp_path, method, regime, epochs_done):
    settings = {"epochs": 4, "head": "linear"}
    undisturbed = run(method, regime, **settings)
    epochs_done.clear()
    for number in (2, 3, 4):
        with pytest.raises(Interrupted, match="Training"):
            run(method, regime, checkpoint=tmp_path, progress=after_epoch(number), **settings)
    resumed = run(method, regime, checkpoint=tmp_path, **settings)
    assert_same(resumed, undisturbed)
    assert epochs_done == [0, 1, 1, 2, 2, 3, 3]  # a callback interrupts before the checkpoint of its own epoch


@pytest.mark.parametrize("head", ["linear", "hidden"])
def test_a_run_of_both_heads_resumes_within_either(run, tmp_path, head):
    undisturbed = run("crh", "frozen")
    with pytest.raises(Interrupted, match=head):
        run("crh", "frozen", checkpoint=tmp_path, progress=after_epoch(2, f"{head} head"))
    resumed = run("crh", "frozen", checkpoint=tmp_path)
    assert_same(resumed, undisturbed)
    assert resumed.record["head_candidates"] == undisturbed.record["head_candidates"]


def test_a_finished_run_is_not_trained_again(run, tmp_path, epochs_done):
    first = run("crh", checkpoint=tmp_path)
    epochs_done.clear()
    assert_same(run("crh", checkpoint=tmp_path), first)
    assert epochs_done == []


OTHER = r"linear\.checkpoint is of another run \(other options, images, number of threads, .* is kept as .*"


def other_files(folder):
    """Return the names of what was moved aside in a folder."""
    return sorted(file.name for file in folder.iterdir() if ".other-" in file.name)


def test_a_checkpoint_of_another_run_is_kept_and_gone_on_with_later(run, tmp_path, epochs_done):
    undisturbed, other = run("csq", seed=0), run("csq", seed=1)
    with pytest.raises(Interrupted, match="Training"):
        run("csq", seed=0, checkpoint=tmp_path, progress=after_epoch(3))
    newest = (tmp_path / "linear.checkpoint").read_bytes()
    epochs_done.clear()
    with (
        pytest.warns(UserWarning, match=OTHER + r"\.other-[0-9a-f]{8}: training begins anew"),
        pytest.raises(Interrupted, match="Training"),
    ):
        run("csq", seed=1, checkpoint=tmp_path, progress=after_epoch(3))
    assert epochs_done == [0, 1, 2]
    [kept] = other_files(tmp_path)
    assert (tmp_path / kept).read_bytes() == newest
    epochs_done.clear()
    with pytest.warns(UserWarning, match=OTHER + "training goes on from the one of this run"):
        assert_same(run("csq", seed=0, checkpoint=tmp_path), undisturbed)
    assert epochs_done == [2]
    assert len(other_files(tmp_path)) == 1
    assert kept not in other_files(tmp_path)
    epochs_done.clear()
    with pytest.warns(UserWarning, match=OTHER + "training goes on from the one of this run"):
        assert_same(run("csq", seed=1, checkpoint=tmp_path), other)
    assert epochs_done == [2]
    assert other_files(tmp_path) == [kept]


def test_what_was_moved_aside_comes_back_where_nothing_took_its_place(run, tmp_path, epochs_done):
    undisturbed = run("csq", seed=0)
    for seed in (0, 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            with pytest.raises(Interrupted, match="Training"):
                run("csq", seed=seed, checkpoint=tmp_path, progress=after_epoch(2 - seed))
    assert not (tmp_path / "linear.checkpoint").exists()
    epochs_done.clear()
    assert_same(run("csq", seed=0, checkpoint=tmp_path), undisturbed)
    assert epochs_done == [1, 2]
    assert other_files(tmp_path) == []


def test_the_checkpoint_before_the_newest_may_be_the_run_s_own(run, tmp_path, epochs_done):
    folders = [tmp_path / "0", tmp_path / "1"]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        with pytest.raises(Interrupted, match="Training"):
            run("csq", seed=seed, checkpoint=folder, progress=after_epoch(2))
    (folders[1] / "linear.checkpoint").replace(folders[0] / "linear.checkpoint.before")
    epochs_done.clear()
    with pytest.warns(UserWarning, match=OTHER + "training goes on from the one of this run"):
        run("csq", seed=1, checkpoint=folders[0])
    assert epochs_done == [1, 2]


@pytest.mark.parametrize("damage", ["byte in the weights", "byte in the header", "cut short", "empty", "text"])
@pytest.mark.parametrize(("interrupted_after", "left"), [(2, [0, 1, 2]), (3, [1, 2])])
def test_a_damaged_checkpoint_is_passed_over(run, tmp_path, damage, epochs_done, interrupted_after, left):
    undisturbed = run("crh")
    with pytest.raises(Interrupted, match="Training"):
        run("crh", checkpoint=tmp_path, progress=after_epoch(interrupted_after))
    file = tmp_path / "linear.checkpoint"
    content = file.read_bytes()
    at = {"byte in the weights": len(content) - 5, "byte in the header": 60}.get(damage)
    damaged = {
        "cut short": content[:-1],
        "empty": b"",
        "text": b"<html>",
    }.get(damage) if at is None else content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]  # fmt: skip
    file.write_bytes(damaged)
    epochs_done.clear()
    with pytest.warns(UserWarning, match="is damaged; training goes on from an earlier state"):
        assert_same(run("crh", checkpoint=tmp_path), undisturbed)
    assert epochs_done == left


def test_checkpoints_wait_for_their_time(run, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 1e6)
    with pytest.raises(Interrupted, match="Training"):
        run("crh", checkpoint=tmp_path, progress=after_epoch(3))
    assert list(tmp_path.iterdir()) == []
    run("crh", checkpoint=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["linear.checkpoint"]


def test_a_checkpoint_of_an_earlier_nearbit_is_gone_on_with_and_said(run, tmp_path, monkeypatch, epochs_done):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "STEPS", None)
        with pytest.raises(Interrupted, match="Training"):
            run("crh", checkpoint=tmp_path, progress=after_epoch(2))
    epochs_done.clear()
    with pytest.warns(UserWarning, match="of an earlier nearbit, whose steps differ in the last bits: training"):
        run("crh", checkpoint=tmp_path)
    assert epochs_done == [1, 2]


@pytest.mark.parametrize("content", [b"no tensors", save({"about": torch.zeros(3)}), save({"a": torch.zeros(3)})])
def test_a_sound_checkpoint_that_holds_something_else_is_refused(run, tmp_path, content):
    write_checked(tmp_path / "linear.checkpoint", content)
    with pytest.raises(TrainingError, match=r"holds something else than it says .*: delete the folder"):
        run("crh", checkpoint=tmp_path)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(run, tmp_path, monkeypatch):
    with pytest.raises(Interrupted, match="Training"):
        run("crh", checkpoint=tmp_path, progress=after_epoch(2))
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*linear\.checkpoint'"):
        run("crh", checkpoint=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_a_run_whose_images_are_not_mirrored_is_another_run(run, tmp_path):
    mirrored = tiny_dataset()
    plain = replace(mirrored, mirror=False)
    undisturbed = run("csq", data=plain)
    run("csq", data=mirrored, checkpoint=tmp_path)
    with pytest.warns(UserWarning, match=OTHER + "training begins anew"):
        assert_same(run("csq", data=plain, checkpoint=tmp_path), undisturbed)


@pytest.mark.parametrize(
    ("regime", "given", "is_other"),
    [
        ("scratch", {}, True),
        ("scratch", {"augment": "crop"}, False),
        ("scratch", {"augment": "none"}, False),
        ("frozen", {}, False),
        ("frozen", {"views": 2}, True),
        ("frozen", {"views": 2, "augment": "crop+mirror"}, False),
    ],
)
def test_whether_images_are_mirrored_is_in_a_key_where_the_data_set_decides_it(frozen, regime, given, is_other):
    whole = {"backbone": "small", "weights": None, "image_size": 8, "hidden": 1024}
    options = replace(frozen, **given, **(whole if regime == "scratch" else {}))
    mirrored = tiny_dataset()
    plans = [
        plan(dataset, tiny_split(dataset), method="ech" if regime == "frozen" else "csq", n_bits=8, options=options)
        for dataset in (mirrored, replace(mirrored, mirror=False))
    ]
    assert (plans[0].key() != plans[1].key()) == is_other
    assert (plans[0].context.key(stage="committee") != plans[1].context.key(stage="committee")) == is_other


def test_what_takes_long_to_write_is_written_less_often(run, tmp_path, monkeypatch):
    clock, saved, epoch, save = [0.0], [], trainer.Trainer._epoch, trainer.save_checkpoint

    def of_eleven_seconds(self, state, stepper):
        epoch(self, state, stepper)
        clock[0] += 11

    def of_two_seconds(path, key, trained, state):
        save(path, key, trained, state)
        saved.append(state.epoch)
        clock[0] += 2

    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 10.0)
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(trainer.Trainer, "_epoch", of_eleven_seconds)
    monkeypatch.setattr(trainer, "save_checkpoint", of_two_seconds)
    run("csq", epochs=10, checkpoint=tmp_path)
    assert saved == [1, 5, 9, 10], "after 10 seconds, then each 40, and at the end"


def test_checkpoints_that_cannot_be_removed_are_no_error_of_a_run_that_is_done(tmp_path, monkeypatch):
    for name in ("linear.checkpoint", "linear.checkpoint.before", "linear.checkpoint.other-01234567"):
        (tmp_path / name).touch()
    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "unlink", raising_permission_error)
        remove_own(tmp_path)
    remove_own(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["linear.checkpoint.other-01234567"]
    assert not has_own(tmp_path)


def test_a_run_removes_its_own_checkpoints_alone(run, tmp_path):
    """A stage of another run lies under a name of its own: `hidden.checkpoint` beside `linear.checkpoint`."""
    for head in ("linear", "hidden"):
        with checkpoints_of(head), pytest.raises(Interrupted, match="Training"):
            run("csq", "scratch", epochs=4, head=head, checkpoint=tmp_path, progress=after_epoch(3))
    with (
        checkpoints_of("linear"),
        pytest.warns(UserWarning, match=r"of another run, such as hidden\.checkpoint, and st"),
    ):
        remove_own(tmp_path)
    assert {file.name.partition(".")[0] for file in tmp_path.iterdir()} == {"hidden"}
    with checkpoints_of("linear"):
        assert not has_own(tmp_path)
    with checkpoints_of("hidden"):
        assert has_own(tmp_path)
        remove_own(tmp_path)
    assert not tmp_path.exists()


def raising_permission_error(*_, **__):
    raise PermissionError("in use")
