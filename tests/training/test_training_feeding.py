"""Worker processes decode what threads decode, bit for bit, through interruptions and to the first damaged image."""

import os
import signal

import numpy as np
import pytest
import torch
from interrupted import Interrupted, stop_after
from PIL import Image
from same_models import assert_same

from nearbit.datasets import ArrayImages, FileImages
from nearbit.encoding.preprocessing import Preprocessing
from nearbit.errors import InputError, TrainingError
from nearbit.training import TrainOptions, trainer
from nearbit.training.inputs.batches import PixelInputs
from nearbit.training.inputs.feeding import PixelReader, Shown, Workers, on_device
from tiny_data import tiny_dataset

CPU = torch.device("cpu")
SEEN = Preprocessing(size=8, resize=10, mean=(0.5,) * 3, std=(0.5,) * 3)


def reader_of(source, *, augment=True):
    keys = [f"image {row}" for row in range(len(source))]
    return PixelReader(source, keys, SEEN, augment=augment, mirror=True)


def noise(n):
    return ArrayImages(np.random.default_rng(0).integers(0, 256, (n, 12, 14, 3), np.uint8))


@pytest.mark.slow
def test_batches_are_the_same_however_many_processes_decode_them():
    data, positions = tiny_dataset(), np.arange(tiny_dataset().labels.shape[0])
    reader = PixelReader(data.source, data.keys, SEEN, augment=True, mirror=True)
    cut = [positions[:5], positions[5:9], positions[9:]]
    parts = {"train": positions[::-1].copy()}
    for n_workers in (0, 1, 2):
        inputs = PixelInputs(data, reader, parts, CPU, n_workers=n_workers)
        got = [[batch.numpy() for batch in inputs.batches(cut, 3, epoch, n_views=2)] for epoch in (0, 1)]
        for epoch in (0, 1):
            for places, batch in zip(cut, got[epoch], strict=True):
                expected = [
                    reader.read(Shown(int(parts["train"][place]), 3, epoch, view))
                    for view in (0, 1)
                    for place in places
                ]
                assert batch.dtype == np.uint8
                assert np.array_equal(batch, np.stack(expected))


@pytest.mark.slow
def test_a_run_with_workers_is_the_run_without_and_goes_on_with_another_number(run, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    undisturbed = run("csq", "scratch", epochs=3)
    with pytest.raises(Interrupted, match="Training"):
        run("csq", "scratch", epochs=3, workers=2, checkpoint=tmp_path, progress=stop_after(2))
    resumed = run("csq", "scratch", epochs=3, workers=1, checkpoint=tmp_path)
    assert_same(resumed, undisturbed)
    assert "workers" not in resumed.record["options"]


@pytest.mark.slow
def test_a_term_that_looks_at_other_images_leaves_the_batches_of_workers_alone(run):
    given = {"epochs": 3, "n_bits": 40, "candidate_weight": 0.5, "radius_weight": 0.5}
    assert_same(run("csq", "scratch", workers=2, **given), run("csq", "scratch", **given))


@pytest.mark.slow
def test_a_damaged_image_is_named(tmp_path):
    for number in range(4):
        Image.fromarray(np.full((9, 9, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    workers = Workers(reader_of(FileImages(tmp_path, ("0.png", "1.png", "2.png", "3.png"))), 1)
    plan = [[Shown(0, 0, 0, 0), Shown(1, 0, 0, 0)], [Shown(2, 0, 0, 0), Shown(3, 0, 0, 0)]]
    assert [tuple(batch.shape) for batch in workers.batches(plan)] == [(2, 3, 8, 8)] * 2
    (tmp_path / "2.png").write_bytes(b"no image")
    with pytest.raises(TrainingError, match=r"a training image cannot be read any more: image 2: not an image"):
        list(workers.batches(plan))


@pytest.mark.slow
def test_a_process_that_is_killed_is_an_error_that_says_what_to_do_where_the_next_batch_is_asked_for():
    reader = reader_of(noise(40))
    plan = [[Shown(row, 0, epoch, 0) for row in range(40)] for epoch in range(30)]
    for n_workers, n_seen in ((1, 1), (2, 3)):
        workers = Workers(reader, n_workers)
        batches = workers.batches(plan)
        for _ in range(n_seen):
            next(batches)
        for worker in workers._pool.workers:
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.join()  # nothing is raised here, nor by what training does before it asks
        with pytest.raises(TrainingError, match=r"ended without a word \(exit code -9\).* \(--workers\)"):
            list(batches)
        assert len(list(workers.batches(plan[:2]))) == 2  # others take their place


@pytest.mark.slow
def test_an_epoch_that_is_left_halfway_is_not_seen_in_the_next():
    reader = reader_of(noise(6))
    plan = [[Shown(row, 0, epoch, 0) for row in range(6)] for epoch in range(20)]
    workers = Workers(reader, 2)
    next(workers.batches(plan))
    expected = [np.stack([reader.read(shown) for shown in batch]) for batch in plan[5:8]]
    for one, other in zip(workers.batches(plan[5:8]), expected, strict=True):
        assert np.array_equal(one.numpy(), other)


def test_threads_and_the_cpu_pass_batches_on_as_they_are():
    reader = reader_of(noise(3), augment=False)
    made = [torch.from_numpy(np.stack([reader.read(Shown(row, 0, 0, 0))])) for row in range(3)]
    for one, other in zip(made, on_device(iter(made), CPU), strict=True):
        assert torch.equal(one, other)
    assert np.array_equal(reader.read(Shown(0, 0, 5, 1)), reader.read(Shown(0, 9, 0, 0)))  # nothing is drawn


def test_workers_are_refused_where_they_would_do_nothing(run):
    with pytest.raises(InputError, match=r"workers is for a network that is trained whole"):
        run("csq", "frozen", workers=2)
    with pytest.raises(InputError, match=r"workers must be"):
        TrainOptions(workers=-1)
