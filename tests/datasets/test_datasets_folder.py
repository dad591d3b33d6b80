"""Folders as people have them: what is read, what is skipped and why, and in which order."""

import os
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
from awkward_images import bad_images, encoded, good_images, noisy

from nearbit.datasets import Dataset, check_cache, load_dataset, load_images, write_problems
from nearbit.errors import DataError, InputError


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def fill(root: Path, *names: str) -> Path:
    """Make small images that all differ."""
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encoded(noisy(seed, 8)))
    return root


def reasons(dataset: Dataset) -> dict[str, str]:
    return {problem.path: problem.reason for problem in dataset.problems}


def test_classes_are_the_first_folders(tmp_path: Path, cache: Path) -> None:
    root = fill(
        tmp_path / "pets", "dog/1.png", "cat/deep/er/2.png", "cat/1.png", "dog/.hidden.png", ".git/3.png", "top.png"
    )
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "Thumbs.db").write_bytes(b"x")
    dataset = load_dataset(root, cache=cache)
    assert dataset.name == "pets"
    assert dataset.keys == ("cat/1.png", "cat/deep/er/2.png", "dog/1.png")
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [[True, False], [True, False], [False, True]]
    assert dataset.root == root
    assert reasons(dataset) == {"top.png": "no label"}
    assert dataset.source.read(2).size == (8, 8)


def test_all_awkward_images_are_read_or_listed(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "photos"
    (root / "good").mkdir(parents=True)
    (root / "bad").mkdir()
    for name, content in good_images().items():
        (root / "good" / name).write_bytes(content)
    for name, (content, _) in bad_images().items():
        (root / "bad" / name).write_bytes(content)
    (root / "bad" / "fine.png").write_bytes(encoded(noisy(1)))
    (root / "bad" / "broken.jpg").symlink_to(root / "nothing.jpg")
    (root / "bad" / "loop.jpg").symlink_to(root / "bad" / "loop.jpg")
    (root / "bad" / "raw.cr2").write_bytes(b"II*\0 of some kind")
    if hasattr(os, "mkfifo"):
        os.mkfifo(root / "bad" / "pipe.jpg")
    dataset = load_dataset(root, cache=cache)
    assert sum(key.startswith("good/") for key in dataset.keys) == len(good_images())
    expected = {f"bad/{name}" for name in [*bad_images(), "broken.jpg", "loop.jpg", "raw.cr2"]}
    assert set(reasons(dataset)) - {"bad/pipe.jpg"} == expected
    assert reasons(dataset)["bad/broken.jpg"] == "broken symbolic link"
    assert reasons(dataset).get("bad/pipe.jpg", "not a regular file") == "not a regular file"
    for row in range(len(dataset)):
        assert dataset.source.read(row).mode == "RGB"


def test_names_of_all_kinds(tmp_path: Path, cache: Path) -> None:
    names = ("é/ü.png", "é/new\nline.png", "🦆/🦆.png", "é/with space|bar,comma.png", "é/a\\b.png")
    root = fill(tmp_path / "root", *names)
    odd = os.fsencode(root) + b"/\xf0bad/caf\xe9.png"
    try:
        Path(os.fsdecode(odd)).parent.mkdir()
        Path(os.fsdecode(odd)).write_bytes(encoded(noisy(99)))
        Path(os.fsdecode(os.fsencode(root) + b"/\xc3\xa9/caf\xe9.png")).write_bytes(encoded(noisy(98)))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    dataset = load_dataset(root, cache=cache)
    assert dataset.keys == tuple(sorted(names))
    assert {problem.path for problem in dataset.problems} == {"\\xf0bad", "é/caf\\xe9.png"}
    assert all("not UTF-8" in problem.reason for problem in dataset.problems)
    file = tmp_path / "errors.jsonl"
    write_problems(file, dataset.problems)
    assert len(file.read_text(encoding="utf-8").splitlines()) == 2


def test_symbolic_links_are_followed_and_loops_survived(tmp_path: Path, cache: Path) -> None:
    outside = fill(tmp_path / "outside", "1.png", "2.png")
    root = fill(tmp_path / "root", "a/x.png")
    (root / "b").symlink_to(outside)
    (root / "a" / "up").symlink_to(root)
    dataset = load_dataset(root, cache=cache)
    assert dataset.keys == ("a/x.png", "b/1.png", "b/2.png")
    assert reasons(dataset) == {"a/up": "a symbolic link to a folder that holds it"}


def test_a_class_without_a_readable_image_is_dropped_and_listed(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "root", "a/1.png")
    (root / "empty").mkdir()
    (root / "rubbish").mkdir()
    (root / "rubbish" / "x.jpg").write_bytes(b"rubbish of more than sixteen bytes")
    dataset = load_dataset(root, cache=cache)
    assert dataset.classes == ("a",)
    assert "dropped" in reasons(dataset)["empty"]
    assert "dropped" in reasons(dataset)["rubbish"]
    assert reasons(dataset)["rubbish/x.jpg"] == "not an image of a known format"


def test_folders_named_after_parts_give_the_parts(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "root", "train/cat/1.png", "train/dog/2.png", "Val/cat/3.png", "test/dog/4.png")
    dataset = load_dataset(root, cache=cache)
    assert dataset.classes == ("cat", "dog")
    assert dict(zip(dataset.keys, dataset.given_parts or (), strict=True)) == {
        "Val/cat/3.png": "validation", "test/dog/4.png": "query",
        "train/cat/1.png": "train", "train/dog/2.png": "train",
    }  # fmt: skip


def test_part_names_without_classes_inside_are_classes(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "root", "train/1.png", "test/2.png")
    assert load_dataset(root, cache=cache).classes == ("test", "train")


def test_a_split_file_in_the_folder_is_found(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "root", "a/1.png", "a/2.png", "b/3.png", "b/4.png")
    (root / "split.csv").write_text("path,split\na/1.png,train\na/2.png,test\nb/3.png,valid\n")
    assert load_dataset(root, cache=cache).given_parts == ("train", "query", "validation", "")
    other = tmp_path / "other.csv"
    other.write_text("split,path\ndatabase,b/4.png\n")
    assert load_dataset(root, cache=cache, split_file=other).given_parts == ("", "", "", "database")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "path,split\na/9.png,train\nz.png,test\n",
            r"2 of its 2 paths are not in the data set, the first: 'a/9.png', 'z.png'",
        ),
        ("path,split\na/1.png,trian\n", r"line 2: the split must be one of .* Did you mean 'train'"),
        ("path,split\na/1.png,train\na/1.png,test\n", "line 3: 'a/1.png' is there twice"),
        ("path,part\na/1.png,train\n", "the column 'split' is missing; the first line has: path, part"),
        ("path,split\na/1.png\n", "line 2: expected 2 fields, came 1"),
        ("", "the column 'path' is missing; the first line has: nothing"),
    ],
)
def test_a_wrong_split_file_is_refused(tmp_path: Path, cache: Path, text: str, match: str) -> None:
    root = fill(tmp_path / "root", "a/1.png")
    (root / "split.csv").write_text(text)
    with pytest.raises(DataError, match=match):
        load_dataset(root, cache=cache)


def test_a_split_file_may_name_an_image_that_was_skipped(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "root", "a/1.png")
    (root / "a" / "bad.jpg").write_bytes(b"")
    (root / "split.csv").write_text("path,split\na/1.png,train\na/bad.jpg,test\n")
    assert load_dataset(root, cache=cache).given_parts == ("train",)


def test_missing_and_empty_folders_are_clear_errors(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match=r"no such file or folder, and not one of digits.*Did you mean 'shapes'"):
        load_dataset("shaps", cache=cache)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no images in it; expected images, in one folder a class"):
        load_dataset(tmp_path / "empty", cache=cache)
    root = tmp_path / "bad"
    (root / "a").mkdir(parents=True)
    (root / "a" / "x.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 skipped, the first: 'a/x.jpg': the file is empty"):
        load_dataset(root, cache=cache)
    (tmp_path / "x.xyz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"expected a folder, or a labels file ending in .csv"):
        load_dataset(tmp_path / "x.xyz", cache=cache)
    for name in ("X.npy", "X.npz"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(DataError, match=r"Features go in by nearbit\.from_features in Python.*docs/python\.md"):
            load_dataset(tmp_path / name, cache=cache)
    with pytest.raises(DataError, match=r"no readable image with a label; expected one folder a class"):
        load_dataset(fill(tmp_path / "flat", "top.png"), cache=cache)
    with pytest.raises(InputError, match=r"label_level='coarse' is for cifar100"):
        load_dataset(tmp_path / "flat", label_level="coarse", cache=cache)


@pytest.mark.parametrize(
    ("name", "known"),
    [("imagenet-100", "imagenet100"), ("nuswide", "nus-wide"), ("NUS_WIDE", "nus-wide"), ("cars-196", "cars196")],
)
def test_names_of_sets_that_are_not_fetched_are_suggested_too(name: str, known: str) -> None:
    with pytest.raises(DataError, match=rf"{name}: no such file or folder.*Did you mean '{known}'"):
        load_dataset(name)


def test_load_images_keeps_what_has_no_label(tmp_path: Path, cache: Path) -> None:
    flat = load_images(fill(tmp_path / "flat", "b.png", "a.png"), cache=cache)
    assert flat.keys == ("a.png", "b.png")
    assert flat.labels.shape == (2, 0)
    assert flat.n_classes == 0
    assert not flat.is_single_label
    mixed = load_images(fill(tmp_path / "mixed", "b.png", "cat/a.png"), cache=cache)
    assert mixed.classes == ("cat",)
    assert mixed.labels.tolist() == [[False], [True]]


def test_load_images_takes_files(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "some", "x/b.png", "y/a.png")
    one = load_images(root / "x" / "b.png", cache=cache)
    assert (one.keys, one.root) == (("b.png",), root / "x")
    two = load_images([root / "y" / "a.png", str(root / "x" / "b.png"), root / "y" / "a.png"], cache=cache)
    assert two.keys == ("y/a.png", "x/b.png")
    assert (one.notes, two.notes) == ((), ("1 image given again, and passed over",))
    up = load_images([root / "y" / ".." / "x" / "b.png", root / "y" / "a.png", root / "x" / "b.png"], cache=cache)
    assert (up.keys, up.root) == (("x/b.png", "y/a.png"), root)
    assert np.array_equal(up.source.read(0), one.source.read(0))
    with pytest.raises(InputError, match=r"at least one image"):
        load_images([], cache=cache)


def test_the_second_load_reads_nothing_and_sees_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path / "root", "a/1.png", "a/2.png", "b/3.png")
    monkeypatch.setattr(check_cache, "SETTLED_NS", 0)
    time.sleep(0.05)  # more than a tick of the clock that files are stamped by
    first = load_dataset(root, cache=cache)
    read: list[str] = []
    from nearbit.datasets import check

    true_check = check.check_file
    monkeypatch.setattr(check, "check_file", lambda path, _: read.append(path.name) or true_check(path))
    assert load_dataset(root, cache=cache).fingerprint == first.fingerprint
    assert read == []
    (root / "a" / "2.png").write_bytes(encoded(noisy(77, 8)))
    changed = load_dataset(root, cache=cache)
    assert read == ["2.png"]
    assert changed.digests[0] == first.digests[0]
    assert changed.digests[1] != first.digests[1]


def test_a_damaged_or_unwritable_cache_does_not_matter(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "root", "a/1.png")
    (cache / "datasets").mkdir(parents=True)
    (cache / "datasets" / "checked-3.sqlite").write_bytes(b"not a database at all, but long enough to be read" * 50)
    first = load_dataset(root, cache=cache)
    with sqlite3.connect(cache / "datasets" / "checked-3.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM checked").fetchone() == (0,)  # too fresh to be remembered
    connection.close()
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    assert load_dataset(root, cache=blocked).fingerprint == first.fingerprint


def test_progress_and_order_over_many_files(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "root", *(f"c{number % 3}/{number:03d}.png" for number in range(300)))
    seen: list[tuple[str, int, int]] = []
    dataset = load_dataset(root, cache=cache, progress=lambda *report: seen.append(report))
    assert seen == [("reading images", 256, 300), ("reading images", 300, 300)]
    assert list(dataset.keys) == sorted(dataset.keys)
    pixels = [np.asarray(dataset.source.read(row)).tobytes() for row in range(len(dataset))]
    assert len(set(pixels)) == len(set(dataset.digests)) == 300
