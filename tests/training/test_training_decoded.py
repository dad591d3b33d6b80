"""Images decoded once: the same bits as decoded in every epoch, within what may be kept, and nothing left behind."""

import errno
import gc
import os
import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from interrupted import Interrupted, stop_after
from PIL import Image
from same_models import assert_same

from nearbit.datasets import FileImages, load_dataset
from nearbit.encoding.preprocessing import Preprocessing
from nearbit.errors import ImageError, InputError
from nearbit.training import TrainOptions, trainer
from nearbit.training.inputs import decoded
from nearbit.training.inputs.batches import PixelInputs
from nearbit.training.inputs.decoded import DecodedImages, DecodedParts
from nearbit.training.inputs.feeding import PixelReader
from tiny_data import tiny_dataset

SEEN = Preprocessing(size=8, resize=10, mean=(0.5,) * 3, std=(0.5,) * 3)
CPU = torch.device("cpu")


class Counting:
    """Counts how often an image is decoded."""

    def __init__(self, source):
        self.source, self.reads = source, Counter()

    def __len__(self):
        return len(self.source)

    def read(self, row, at_least=None):
        self.reads[row, at_least] += 1
        return self.source.read(row, at_least)


@pytest.fixture
def photos(tmp_path):
    """A folder of two classes with images of many sizes, as JPEG and PNG."""
    rng = np.random.default_rng(0)
    for number in range(24):
        height, width = rng.integers(9, 60, 2)
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
        file = tmp_path / "photos" / "ab"[number % 2] / f"{number}.{('jpg', 'png')[number % 3 == 0]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file)
    return load_dataset(tmp_path / "photos")


def files_in(folder):
    return sorted(folder.rglob("*")) if folder.exists() else []


def test_kept_images_are_those_of_the_source_and_each_is_decoded_once(photos, tmp_path):
    source = Counting(photos.source)
    rows = np.array([5, 3, 17, 3, 11])
    parts = DecodedParts(source, tmp_path / "cache", 1)
    kept = parts.source_of({10: rows})
    assert len(kept) == len(photos.source)
    source.reads.clear()
    for _ in range(3):
        for row in rows.tolist():
            assert np.array_equal(np.asarray(kept.read(row, 10)), np.asarray(photos.source.read(row, 10)))
    assert not source.reads
    assert np.array_equal(np.asarray(kept.read(4, 10)), np.asarray(photos.source.read(4, 10)))
    assert np.array_equal(np.asarray(kept.read(5, 30)), np.asarray(photos.source.read(5, 30)))
    assert source.reads == {(4, 10): 1, (5, 30): 1}
    assert parts.source_of({10: rows}) is kept
    assert kept.n_bytes == sum(np.asarray(photos.source.read(row, 10)).size for row in {3, 5, 11, 17})


def test_an_image_of_several_sides_lies_in_the_file_once_where_its_pixels_are_the_same(tmp_path):
    rng = np.random.default_rng(0)
    for name, side in (("small", 40), ("large", 90)):
        pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg")
    images = FileImages(tmp_path, ("small.jpg", "large.jpg"))
    wanted = {30: np.arange(2), 20: np.array([1, 0]), 12: np.array([1])}
    assert [images.read(1, side).size[0] for side in wanted] == [45, 23, 23]
    source = Counting(images)
    kept = DecodedParts(source, tmp_path / "cache", 1).source_of(wanted)
    assert kept.n_bytes == kept.path.stat().st_size == 3 * (40**2 + 20**2 + 45**2 + 23**2)
    source.reads.clear()
    for one in (kept, DecodedImages.from_json(source, kept.to_json()), pickle.loads(pickle.dumps(kept))):
        for side, rows in wanted.items():
            for row in rows.tolist():
                assert np.array_equal(np.asarray(one.read(row, side)), np.asarray(images.read(row, side)))
    assert not source.reads
    assert np.array_equal(np.asarray(kept.read(0, 12)), np.asarray(images.read(0, 12)))
    assert source.reads == {(0, 12): 1}


@pytest.mark.parametrize(
    "workers", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_batches_and_plain_outputs_are_those_without(photos, tmp_path, workers):
    rows = np.arange(16)
    parts = {"train": rows[:12], "validation": rows[12:]}
    kept = DecodedParts(photos.source, tmp_path / "cache", 1)
    got = []
    for of in (lambda part, side: photos.source, lambda part, side: kept.source_of({side: parts[part]})):
        reader = PixelReader(of("train", SEEN.augment_side), photos.keys, SEEN, augment=True, mirror=True)
        plain = {"validation": of("validation", SEEN.resize)}
        inputs = PixelInputs(photos, reader, parts, CPU, n_workers=workers, plain=plain)
        batches = [batch for epoch in (0, 1) for batch in inputs.batches([rows[:5], rows[5:12]], 3, epoch, n_views=2)]
        got.append((batches, inputs.outputs(torch.nn.Flatten(), "validation", np.arange(4))))
    assert len(got[0][0]) == len(got[1][0]) == 4
    assert all(torch.equal(one, other) for one, other in zip(got[0][0], got[1][0], strict=True))
    assert np.array_equal(got[0][1], got[1][1])


def test_a_run_is_the_same_with_and_without_and_goes_on_the_other_way(run, photos, tmp_path, monkeypatch):
    data = replace(photos, source=Counting(photos.source))
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    without = run("csq", "scratch", data=data, epochs=3, keep_decoded=0)
    decoded_anew = data.source.reads.total()
    data.source.reads.clear()
    kept = run("csq", "scratch", data=data, epochs=3)
    assert_same(kept, without)
    assert "keep_decoded" not in kept.record["options"]
    train, validation = without.record["n_train"], without.record["n_validation"]
    assert max(data.source.reads.values()) <= 2  # once to guess the size, once to keep
    assert data.source.reads.total() <= decoded_anew - 2 * train - validation + min(train, 2 * decoded.SAMPLE)
    with pytest.raises(Interrupted, match="Training"):
        run("csq", "scratch", data=data, epochs=3, keep_decoded=0, checkpoint=tmp_path / "c", progress=stop_after(2))
    assert_same(run("csq", "scratch", data=data, epochs=3, keep_decoded=5, checkpoint=tmp_path / "c"), without)


@pytest.mark.parametrize(("method", "against"), [("csq", "train"), ("lthnet", "validation")])
def test_training_images_that_are_encoded_plainly_in_each_epoch_are_not_decoded_for_it(run, photos, method, against):
    data = replace(photos, source=Counting(photos.source))
    without = run(method, "scratch", data=data, epochs=4, keep_decoded=0, validate_against=against)
    assert max(data.source.reads.values()) >= 4
    data.source.reads.clear()
    assert_same(run(method, "scratch", data=data, epochs=4, validate_against=against), without)
    assert max(data.source.reads.values()) <= 2  # once to guess the size, once to keep


def test_nothing_is_left_behind(photos, tmp_path):
    parts = DecodedParts(photos.source, tmp_path / "cache", 1)
    kept = parts.source_of({10: np.arange(9)})
    assert files_in(tmp_path / "cache") == [tmp_path / "cache" / "decoded", kept.path]
    copy = pickle.loads(pickle.dumps(kept))
    copy.read(3, 10)
    del copy
    gc.collect()
    assert kept.path.exists()  # a worker's copy does not take it away
    del kept, parts
    gc.collect()
    assert files_in(tmp_path / "cache") == [tmp_path / "cache" / "decoded"]


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from nearbit.datasets import load_dataset
from nearbit.training.inputs.decoded import DecodedParts
data = load_dataset(sys.argv[1])
kept = DecodedParts(data.source, Path(sys.argv[2]), 1).source_of({10: np.arange(9)})
print(kept.path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_file_of_a_killed_run_is_removed_by_the_next(photos, tmp_path):
    root = photos.source.root
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(root), str(tmp_path / "cache")], capture_output=True, text=True, check=False
    )
    assert Path(killed.stdout.strip()).exists(), killed.stderr
    kept = DecodedParts(photos.source, tmp_path / "cache", 1).source_of({10: np.arange(9)})
    assert files_in(tmp_path / "cache") == [tmp_path / "cache" / "decoded", kept.path]


def test_a_cache_that_is_cleared_in_use_is_done_without(photos, tmp_path):
    kept = DecodedParts(photos.source, tmp_path / "cache", 1).source_of({10: np.arange(9)})
    copy = pickle.loads(pickle.dumps(kept))
    kept.path.unlink()
    assert np.array_equal(np.asarray(copy.read(7, 10)), np.asarray(photos.source.read(7, 10)))


def test_a_file_that_was_cut_short_is_done_without(photos, tmp_path):
    kept = DecodedParts(photos.source, tmp_path / "cache", 1).source_of({10: np.arange(9)})
    os.truncate(kept.path, kept.n_bytes - 1)
    for row in range(9):
        assert np.array_equal(np.asarray(kept.read(row, 10)), np.asarray(photos.source.read(row, 10)))


def test_how_much_is_kept_is_told(large, tmp_path):
    told = []
    DecodedParts(large, tmp_path / "cache", None).source_of({8: np.arange(40)}, lambda *now: told.append(now))
    assert told[-1] == ("Decoding, about 2 MB are kept", 40, 40)


def test_another_process_maps_the_file_of_the_main_one(photos, tmp_path):
    kept = DecodedParts(photos.source, tmp_path / "cache", 1).source_of({10: np.arange(9)})
    source = Counting(photos.source)
    other = DecodedImages.from_json(source, kept.to_json())
    assert np.array_equal(np.asarray(other.read(7, 10)), np.asarray(photos.source.read(7, 10)))
    assert not source.reads


def test_images_that_cannot_be_read_are_left_to_who_reads_them(photos, tmp_path):
    broken = photos.source.root / photos.source.paths[2]
    broken.write_bytes(b"no image")
    kept = DecodedParts(photos.source, tmp_path / "cache", 1).source_of({10: np.arange(9)})
    with pytest.raises(ImageError, match="changed since it was first read"):
        kept.read(2, 10)
    assert np.array_equal(np.asarray(kept.read(3, 10)), np.asarray(photos.source.read(3, 10)))


@pytest.fixture
def large(tmp_path):
    for number in range(40):
        Image.fromarray(np.full((100, 150, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    return FileImages(tmp_path, tuple(f"{number}.png" for number in range(40)))


def test_too_much_is_not_kept_or_refused_where_it_was_asked_for(large, tmp_path, monkeypatch):
    source = Counting(large)
    with pytest.raises(InputError, match=r"take about 2 MB, and keep_decoded \(--keep-decoded\) allows 1: allow more"):
        DecodedParts(source, tmp_path / "cache", 1).source_of({8: np.arange(40)})
    assert source.reads.total() <= 40  # no more than the sample
    assert DecodedParts(source, tmp_path / "cache", 2).source_of({8: np.arange(40)}) is not source
    monkeypatch.setattr(decoded, "DEFAULT_MEGABYTES", 1)
    with pytest.warns(
        UserWarning, match=r"not once: they take about 2 MB, and 1 may be kept unasked; --keep-decoded MB allows more"
    ):
        assert DecodedParts(source, tmp_path / "cache", None).source_of({8: np.arange(40)}) is source
    monkeypatch.setattr(decoded, "SAMPLE", 1)  # the guess is right only by chance: it is looked again as they come
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "0.png")
    with pytest.warns(UserWarning, match="not once: they take more than 1 MB"):
        assert DecodedParts(source, tmp_path / "cache", None).source_of({8: np.arange(40)}) is source
    with pytest.raises(InputError, match=r"take more than 1 MB, and keep_decoded"):
        DecodedParts(source, tmp_path / "cache", 1).source_of({8: np.arange(40)})
    gc.collect()
    assert files_in(tmp_path / "cache") == [tmp_path / "cache" / "decoded"]


def test_what_two_parts_keep_is_counted_together(large, tmp_path):
    parts = DecodedParts(large, tmp_path / "cache", 1)
    assert isinstance(parts.source_of({8: np.arange(20)}), DecodedImages)
    with pytest.raises(InputError, match="take about 1 MB"):
        parts.source_of({8: np.arange(20, 40)})


def test_a_full_disk_is_done_without_or_said_where_it_was_asked_for(large, tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *how):
            self.file.close()

        def write(self, content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(decoded, "open", lambda path, mode: Full(path.open(mode)), raising=False)
    with pytest.warns(
        UserWarning, match=r"not once: they cannot be kept in .*decoded: No space left on device; make room"
    ):
        assert DecodedParts(large, tmp_path / "cache", None).source_of({8: np.arange(40)}) is large
    with pytest.raises(InputError, match=r"cannot be kept in .*decoded: No space left on device; make room"):
        DecodedParts(large, tmp_path / "cache", 9).source_of({8: np.arange(40)})
    assert files_in(tmp_path / "cache") == [tmp_path / "cache" / "decoded"]


def test_pixels_in_memory_stay_where_they_are(tmp_path):
    data = tiny_dataset()
    assert DecodedParts(data.source, tmp_path, None).source_of({8: np.arange(4)}) is data.source
    assert not files_in(tmp_path)


def test_it_is_refused_where_it_would_do_nothing(run):
    with pytest.raises(InputError, match=r"keep_decoded is for a network that is trained whole.*--keep-decoded"):
        run("csq", "frozen", keep_decoded=10)
    with pytest.raises(InputError, match=r"keep_decoded must be"):
        TrainOptions(keep_decoded=-1)


def test_what_is_forgotten_goes_and_is_kept_anew_when_asked_for(photos, tmp_path):
    parts = DecodedParts(photos.source, tmp_path / "cache", 1)
    parts.source_of({10: np.arange(9)}).read(3, 10)
    parts.forget()
    gc.collect()
    assert files_in(tmp_path / "cache") == [tmp_path / "cache" / "decoded"]
    assert isinstance(parts.source_of({10: np.arange(9)}), DecodedImages)
