"""Folders that hold text lists: recognised by names and first lines, never read as folders of classes by mistake."""

from pathlib import Path
from typing import Any

import pytest
from coco_pictures import PATHS, write_pictures

from nearbit.datasets import Dataset, load_dataset
from nearbit.errors import DataError, InputError

PARTS = {"train": range(6), "test": range(6, 8), "database": range(8, 12)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with pictures in train2014 and val2014, as MS COCO has them."""
    return write_pictures(tmp_path / "coco")


def hot(number: int, absent: str = "0", present: str = "1", between: str = " ") -> str:
    return between.join(present if column == number % 3 else absent for column in range(3))


def write(folder: Path, name: str = "{}.txt", between: str = " ", **form: str) -> dict[str, Path]:
    """Write a list for each of `PARTS`, and return them."""
    folder.mkdir(exist_ok=True)
    files = {part: folder / name.format(part) for part in PARTS}
    for part, file in files.items():
        lines = [f"{PATHS[number]}{between}{hot(number, between=between, **form)}\n" for number in PARTS[part]]
        file.write_text("".join(lines), encoding="utf-8")
    return files


def load(place: Path, **options: Any) -> Dataset:
    return load_dataset(place, cache=place.parent / "cache", **options)


@pytest.mark.parametrize(
    "form",
    [{"absent": "0.0", "present": "1.0"}, {"absent": "0.000e+00", "present": "1.000e+00"}, {"absent": "-1"}, {}],
)
def test_zero_and_one_may_be_written_otherwise(root: Path, form: dict[str, str]) -> None:
    write(root, **form)
    dataset = load(root)
    assert dataset.classes == ("0", "1", "2")
    assert [dataset.label_names(row) for row in range(12)] == [(str(number % 3),) for number in range(12)]
    assert (
        f"lists of paths and {'-1' if form == {'absent': '-1'} else '0'} or 1 for each of 3 classes" in dataset.read_as
    )


@pytest.mark.parametrize(
    ("part", "before", "after", "message"),
    [
        ("train", "train2014/0.png ", "path label\ntrain2014/0.png ", r"train\.txt, line 1: .* came 0: 'path label'"),
        ("train", "train2014/0.png ", "# made\ntrain2014/0.png ", r"train\.txt, line 1: .* came 0: '# made'; complete"),
        ("test", "val2014/7.png 0", "val2014/7.png -1", r"test\.txt, line 2: expected 0 or 1 .* came '-1'; it stands"),
        ("train", "", "", r"train\.txt: no rows; expected a path and then .*; write them into it, or leave the list"),
        ("train", "3.png", "é.png", r"train\.txt: must be UTF-8 text, but byte 76 \(line 4\) is not"),
    ],
)
def test_a_list_that_cannot_be_read_beside_folders_is_an_error(
    root: Path, part: str, before: str, after: str, message: str
) -> None:
    file = write(root)[part]
    text = file.read_text(encoding="utf-8").replace(before, after, 1) if before else ""
    file.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=message):
        load(root)


@pytest.mark.parametrize("between", [",", "; ", "|"])
def test_what_stands_between_the_columns_is_named(root: Path, between: str) -> None:
    write(root, between=between)
    with pytest.raises(DataError, match=r"train\.txt, line 1: expected a path .*; came 'train2014/0\.png.*put blanks"):
        load(root)


def test_lists_of_paths_alone_are_said_to_have_no_labels(root: Path) -> None:
    for file in write(root).values():
        paths = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines()]
        file.write_text("\n".join(paths), encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.txt, line 1: .*'train2014/0\.png', a list without labels: write the"):
        load(root)
    dataset = load(root, class_level="first")  # as the message says
    assert dataset.classes == ("train2014", "val2014")
    note = "database.txt, test.txt and train.txt look like text lists and are not read: the level of folders"
    assert dataset.notes[-1].startswith(note)


def test_names_of_classes_in_a_list_are_pointed_to_a_table(root: Path) -> None:
    for file in write(root).values():
        file.write_text("train2014/0.png cat\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"'train2014/0\.png cat'; for names of classes write a table with the columns"):
        load(root)


def test_capitals_in_the_names_of_lists_count_for_nothing(root: Path) -> None:
    for part, file in write(root).items():
        file.rename(root / f"{part.capitalize()}.TXT")
    assert "Train.TXT, Test.TXT, Database.TXT" in load(root).read_as


def test_a_list_of_a_part_that_is_not_there_is_said(root: Path) -> None:
    write(root)["train"].unlink()
    dataset = load(root)
    assert dataset.given_parts == ("query",) * 2 + ("database",) * 4
    assert dataset.notes == (
        "no list of the train images lies here; lists are train.txt, val.txt, test.txt and database.txt",
    )


def test_a_list_alone_in_its_folder_is_not_read_and_that_is_said(root: Path) -> None:
    alone = write(root.parent / "lists")["train"]
    for part in ("test", "database"):
        (root.parent / "lists" / f"{part}.txt").unlink()
    with pytest.raises(
        InputError, match=r"train\.txt looks like a text list and is not read.*one alone is read by its"
    ):
        load(root.parent / "lists", images=root)
    with pytest.raises(DataError, match=r"no images in it; .* train\.txt looks like a text list and is not read"):
        load(root.parent / "lists")
    assert len(load(alone, images=root)) == 6


def test_official_tables_go_before_lists_and_that_is_said(root: Path) -> None:
    (root / "images.txt").write_text(f"1 {PATHS[0]}\n2 {PATHS[1]}\n", encoding="utf-8")
    (root / "image_class_labels.txt").write_text("1 1\n2 2\n", encoding="utf-8")
    (root / "classes.txt").write_text("1 wren\n2 owl\n", encoding="utf-8")
    assert load(root).notes == ()
    write(root)
    dataset = load(root)
    assert dataset.classes == ("wren", "owl")
    assert "database.txt, test.txt and train.txt look like text lists and are not read" in dataset.notes[0]


@pytest.mark.parametrize(
    "text",
    [
        "how the photographs were made\n",
        "x y z\n",
        "epoch 1 lr 0.001 loss 0.5\n" * 30,
        "see https://a.org/b\nand so on\n",
    ],
)
def test_texts_about_the_pictures_are_no_lists(root: Path, text: str) -> None:
    write(root)
    for part in PARTS:
        (root / f"{part}.txt").write_text(text, encoding="utf-8")
    dataset = load(root)
    assert dataset.classes == ("train2014", "val2014")
    assert not any("list" in note for note in dataset.notes)
