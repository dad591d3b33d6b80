"""Files that change after they were looked at: what was known of one is never said of what it holds now."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from nearbit.datasets import check_cache, known_files, load_images
from nearbit.datasets.check import check_files
from nearbit.encoding.feature_cache import FeatureStore
from nearbit.encoding.inputs import GivenImages
from nearbit.encoding.pipeline import EncodeRequest, encode_rows
from nearbit.errors import ImageError
from nearbit.reading import ReadingOptions
from shard_makers import image_bytes, members_of, write_tar

RED, BLUE = (255, 0, 0), (0, 0, 255)
LONG_AGO = 1_600_000_000_000_000_000


def write(path, color, changed=None):
    """Write a picture of one color, and say when it was changed: None for now."""
    Image.new("RGB", (8, 8), color).save(path)
    if changed is not None:
        os.utime(path, ns=(changed, changed))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def settled(monkeypatch):
    """A function: from then on, files count as left alone for long once so many seconds have gone by."""
    return lambda seconds=0: monkeypatch.setattr(check_cache, "SETTLED_NS", seconds * 10**9)


@pytest.fixture
def hashed(monkeypatch):
    """What was hashed as a known file was read, in order."""
    seen, usual = [], known_files.hashlib.sha256
    counting = SimpleNamespace(sha256=lambda content: seen.append(len(content)) or usual(content))
    monkeypatch.setattr(known_files, "hashlib", counting)
    return seen


def read_again(folder):
    return load_images(folder, ReadingOptions(cache=folder.parent / "cache"))


def color_of(image):
    return image.getpixel((0, 0))


@pytest.mark.parametrize("first", [None, LONG_AGO])
@pytest.mark.parametrize("then", [None, LONG_AGO, LONG_AGO + 1])
def test_what_a_file_holds_now_is_not_taken_for_what_it_held(folder, first, then):
    write(folder / "a.png", RED, first)
    source = read_again(folder).source
    assert color_of(source.read(0)) == RED
    Image.effect_noise((8, 8), 50).save(folder / "a.png")
    if then is not None:
        os.utime(folder / "a.png", ns=(then, then))
    with pytest.raises(ImageError, match="changed since it was first read: run this again"):
        source.read(0)
    write(folder / "a.png", RED)
    assert color_of(source.read(0)) == RED


def test_content_that_changed_at_equal_size_and_time_is_seen(folder, settled):
    settled()
    write(folder / "a.bmp", RED, LONG_AGO)
    write(folder / "b.bmp", RED, LONG_AGO)
    time.sleep(0.05)  # more than a tick of the clock that files are stamped by
    before = read_again(folder)
    assert read_again(folder).digests == before.digests
    time.sleep(0.05)
    write(folder / "a.bmp", BLUE, LONG_AGO)
    with pytest.raises(ImageError, match="changed since"):
        before.source.read(0)
    assert color_of(before.source.read(1)) == RED
    after = read_again(folder)
    assert color_of(after.source.read(0)) == BLUE
    assert after.digests[0] != before.digests[0] == after.digests[1]


def test_a_file_of_another_size_is_refused_without_reading_it(folder, hashed, settled):
    settled()
    write(folder / "a.png", RED)
    source = read_again(folder).source
    with open(folder / "a.png", "ab") as file:
        file.write(b"x")
    with pytest.raises(ImageError, match="changed since it was first read"):
        source.read(0)
    assert hashed == []


def test_a_file_that_is_the_same_is_hashed_once_at_most(folder, hashed, settled):
    settled()
    write(folder / "a.png", RED)
    time.sleep(0.05)
    source, size = read_again(folder).source, (folder / "a.png").stat().st_size
    for at_least in (None, 8):
        assert color_of(source.read(0, at_least)) == RED
    assert hashed == []
    os.utime(folder / "a.png", ns=(LONG_AGO + 7, LONG_AGO + 7))
    for _ in range(3):
        assert color_of(source.read(0)) == RED
    assert hashed == [size]
    settled(seconds=1000)
    os.utime(folder / "a.png")  # just now: the next change may have the same time
    for _ in range(2):
        assert color_of(source.read(0)) == RED
    assert hashed == [size] * 3


def test_a_file_that_changes_while_it_is_decoded_is_refused(folder, monkeypatch, settled):
    settled()
    write(folder / "a.png", RED)
    time.sleep(0.05)
    source, usual = read_again(folder).source, known_files.open_image

    def slow(*arguments, **options):
        image = usual(*arguments, **options)
        write(folder / "a.png", BLUE)
        return image

    monkeypatch.setattr(known_files, "open_image", slow)
    with pytest.raises(ImageError, match="changed since"):
        source.read(0)


def test_rows_of_images_keep_what_is_known_of_each(folder):
    for name, color in (("a.png", RED), ("b.png", BLUE), ("c.png", (0, 255, 0))):
        write(folder / name, color, LONG_AGO)
    some = read_again(folder).source.of_rows([2, 1])
    assert [color_of(some.read(row)) for row in (0, 1)] == [(0, 255, 0), BLUE]
    write(folder / "c.png", BLUE)
    with pytest.raises(ImageError, match="changed since"):
        some.read(0)
    assert color_of(some.read(1)) == BLUE


def test_files_anywhere_are_known_too(folder, tmp_path):
    files = [folder / "a.png", folder / "b.png"]
    for file in files:
        write(file, RED)
    checked = check_files(files, tmp_path / "cache")
    known = known_files.KnownFiles([one.digest for one in checked], [one.stamp for one in checked])
    source = GivenImages(tuple(files), known)
    write(files[0], BLUE)
    with pytest.raises(ImageError, match="changed since"):
        source.read(0)
    assert color_of(source.read(1)) == RED


def test_a_shard_whose_images_are_others_now_gives_none_of_them(tmp_path):
    path = write_tar(tmp_path / "s.tar", members_of(range(2)))
    dataset = load_images(path, ReadingOptions(cache=tmp_path / "cache"))
    whole = np.asarray(dataset.source.read(1))
    content = Path(path).read_bytes()
    image = image_bytes(1)
    assert content.count(image) == 1
    Path(path).write_bytes(content.replace(image, image_bytes(9).ljust(len(image), b"\0")[: len(image)]))
    with pytest.raises(ImageError, match="changed since"):
        dataset.source.read(1)
    Path(path).write_bytes(content)
    assert np.array_equal(np.asarray(dataset.source.read(1)), whole)


def means(pixels):
    return pixels.reshape(len(pixels), 3, -1).mean(2).astype(np.float32)


def encode(dataset, cache):
    """Return the mean colors of a data set, from a cache where they are there, and what could not be read."""
    request = EncodeRequest(dataset.source, range(len(dataset)), dataset.keys, dataset.digests)
    rows = cache.rows("features", "means")
    done = encode_rows(means, lambda row: np.asarray(dataset.source.read(row)).transpose(2, 0, 1), request, cache=rows)
    return done.outputs.tolist(), [one.path for one in done.problems]


def test_rows_of_a_changed_file_are_kept_under_no_digest(folder, tmp_path):
    write(folder / "a.png", RED)
    dataset, cache = read_again(folder), FeatureStore(tmp_path / "rows")
    write(folder / "a.png", BLUE)
    assert encode(dataset, cache) == ([], ["a.png"])
    write(folder / "a.png", RED)
    assert encode(read_again(folder), cache) == ([[255, 0, 0]], [])


def test_a_copy_of_a_changed_file_is_read_in_its_place(folder, tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        write(folder / name, RED)
    dataset, cache = read_again(folder), FeatureStore(tmp_path / "rows")
    write(folder / "a.png", BLUE)
    write(folder / "c.png", BLUE)
    assert encode(dataset, cache) == ([[255, 0, 0]], ["a.png", "c.png"])
