"""Which folder is the class: parts beside strays, a folder too deep, nested classes, and the option that says so."""

from pathlib import Path
from typing import Any

import pytest
from awkward_images import encoded, noisy

from nearbit.datasets import Dataset, Split, load_dataset, load_images, make_split
from nearbit.errors import DataError, InputError
from nearbit.reading import ReadingOptions

PARTS = ("train/cat/1.png", "train/dog/2.png", "train/dog/3.png", "val/cat/4.png", "test/dog/5.png", "test/cat/6.png")


def load(root: Path, *names: str, **options: Any) -> Dataset:
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encoded(noisy(seed, 8)))
    return load_dataset(root, cache=root.parent / "cache", **options)


@pytest.mark.parametrize(
    "stray",
    [
        "cover.png", "train/preview.png", "docs/figure.png", "docs/deep/figure.png", "__MACOSX/train/cat/1.png",
        "@eaDir/cat/thumb.png", "train/cat/@eaDir/thumb.png",
    ],
)  # fmt: skip
def test_a_stray_picture_beside_the_parts_makes_no_classes_of_them(tmp_path: Path, stray: str) -> None:
    dataset = load(tmp_path / "photos", *PARTS, stray)
    assert dataset.classes == ("cat", "dog")
    assert dict(zip(dataset.keys, dataset.given_parts or (), strict=True)) == {
        name: {"train": "train", "val": "validation", "test": "query"}[name.split("/")[0]] for name in PARTS
    }
    assert {problem.path for problem in dataset.problems} <= {stray}
    assert dataset.read_as == (
        "test/, train/, val/ are the parts, and the folders in them are the classes (--class-level 2)"
    )
    assert dataset.notes == ("other reading: --class-level first makes those the classes",)


@pytest.mark.parametrize("stray", ["__MACOSX/", "annotations/x.xml", "Thumbs.db", "docs/", ".DS_Store"])
def test_a_stray_file_or_folder_beside_the_parts_makes_no_classes_of_them(tmp_path: Path, stray: str) -> None:
    root = tmp_path / "photos"
    (root / stray).parent.mkdir(parents=True)
    (root / stray).mkdir() if stray.endswith("/") else (root / stray).write_bytes(b"x")
    dataset = load(root, *PARTS)
    assert (dataset.classes, dataset.problems) == (("cat", "dog"), ())
    assert dataset.given_parts is not None


def test_a_picture_beside_the_parts_is_listed_with_the_reason_and_kept_by_load_images(tmp_path: Path) -> None:
    dataset = load(tmp_path / "photos", *PARTS, "cover.png")
    reason = "no label: it lies beside test/, train/, val/"
    assert [(problem.path, problem.reason) for problem in dataset.problems] == [("cover.png", reason)]
    images = load_images(tmp_path / "photos", cache=tmp_path / "cache")
    assert images.labels.sum(axis=1).tolist() == [0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("photos/cat/1.png", "photos/dog/2.png"), ("cat", "dog")),
        (("photos/photos/cat/1.png", "photos/photos/dog/2.png", "photos/cover.png"), ("cat", "dog")),
        (("train/cat/1.png", "train/dog/2.png"), ("cat", "dog")),
        (("train/cat/1.png", "train/dog/2.png", "cover.png"), ("cat", "dog")),
        (("train/cat/1.png", "train/dog/2.png", "test/3.png"), ("cat", "dog")),
        (("animal/cat/1.png", "animal/dog/2.png", "plant/oak/3.png"), ("animal", "plant")),
        (("cat/1.png", "cat/deep/2.png"), ("cat",)),
        (("cat/deep/1.png",), ("cat",)),
        (("train/1.png", "bus/2.png", "test/3.png"), ("bus", "test", "train")),
        (("train/steam/1.png", "bus/2.png", "bus/3.png"), ("bus", "train")),
    ],
)
def test_the_guess_without_two_parts(tmp_path: Path, names: tuple[str, ...], classes: tuple[str, ...]) -> None:
    dataset = load(tmp_path / "root", *names)
    assert dataset.classes == classes
    assert dataset.given_parts is None
    assert dataset.read_as


def test_parts_in_one_folder(tmp_path: Path) -> None:
    dataset = load(tmp_path / "root", *(f"photos/{name}" for name in PARTS))
    assert dataset.classes == ("cat", "dog")
    assert dataset.given_parts is not None
    assert "(--class-level 3)" in dataset.read_as


def test_nested_folders_are_said_with_the_other_reading(tmp_path: Path) -> None:
    names = ("animal/cat/1.png", "animal/dog/2.png", "plant/oak/3.png")
    note = "other reading: most images lie deeper; --class-level leaf makes the last folder the class (3 instead of 2)"
    assert load(tmp_path / "root", *names).notes == (note,)
    for level in ("leaf", 2):
        dataset = load(tmp_path / "root", class_level=level)
        assert (dataset.classes, dataset.notes, dataset.class_level) == (("cat", "dog", "oak"), (), level)


def test_the_level_that_is_asked_for_is_taken(tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert load(root, *PARTS, class_level="first").classes == ("test", "train", "val")
    assert load(root, class_level=1).given_parts is None
    two = load(root, class_level=2)
    assert (two.classes, two.given_parts is not None) == (("cat", "dog"), True)
    assert load(root, class_level="leaf").given_parts == two.given_parts
    with pytest.raises(DataError, match="no readable image with a label"):
        load(root, class_level=3)


@pytest.mark.parametrize("level", [0, -1, True, "last", 1.5])
def test_a_level_that_is_none_is_refused(tmp_path: Path, level: Any) -> None:
    with pytest.raises(InputError, match="class_level must be 'first', 'leaf' or the number of a folder from 1"):
        load_dataset(tmp_path, class_level=level)


def test_a_path_may_be_a_text_and_nothing_else(tmp_path: Path) -> None:
    options = ReadingOptions(images=str(tmp_path), cache=str(tmp_path), split_file=None)  # type: ignore[arg-type]
    assert (options.images, options.cache) == (tmp_path, tmp_path)
    with pytest.raises(InputError, match="images must be a path, not int"):
        ReadingOptions(images=3)  # type: ignore[arg-type]


def test_a_level_is_for_folders_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="class_level='leaf' is for folders and labels files; leave it out for digits"):
        load_dataset("digits", class_level="leaf")
    (tmp_path / "labels.csv").write_text("path,label\n")
    with pytest.raises(InputError, match=r"class_level=2 is for folders of images; leave it out for .*labels.csv"):
        load_dataset(tmp_path / "labels.csv", class_level=2)


def test_a_split_records_the_level_and_names_it_where_the_folders_are_read_otherwise(tmp_path: Path) -> None:
    names = tuple(f"{top}/{low}/{number}.png" for top in "ab" for low in (f"{top}x", f"{top}y") for number in range(5))
    root = tmp_path / "root"
    split = make_split(load(root, *names, class_level="leaf"))
    assert split.recipe["class_level"] == "leaf"
    split.save(tmp_path / "split.json")
    loaded = Split.load(tmp_path / "split.json")
    loaded.check(load(root, class_level="leaf"))
    with pytest.raises(DataError, match=r"read the folders as it did: --class-level leaf \(class_level='leaf'\)"):
        loaded.check(load(root))
    with pytest.raises(DataError, match="or leave --class-level out"):
        make_split(load(root)).check(load(root, class_level="leaf"))
