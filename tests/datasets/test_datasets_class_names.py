"""The names of classes in `classes.txt` beside lists of class numbers: right, or the numbers and a note."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from awkward_images import encoded, noisy

from nearbit.datasets import Dataset, load_dataset
from nearbit.errors import DataError


def listed(root: Path, classes: Iterable[str], rows: Mapping[str, int]) -> Dataset:
    """Load a list of images, each below its path, beside a `classes.txt` with such lines."""
    root.mkdir()
    for seed, path in enumerate(rows):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(encoded(noisy(seed, 8)))
    (root / "train.txt").write_text("".join(f"{path} {number}\n" for path, number in rows.items()))
    (root / "classes.txt").write_text("".join(f"{line}\n" for line in classes))
    return load_dataset(root / "train.txt", cache=root.parent / "cache")


def flat(*numbers: int) -> dict[str, int]:
    """Images of these classes, all in one folder."""
    return {f"all/{place}.png": number for place, number in enumerate(numbers)}


def names(dataset: Dataset) -> list[str]:
    return [dataset.label_names(row)[0] for row in range(len(dataset))]


BIRDS = ["0 Birds", "1 Ducks, Geese", "2 Eider", "3 Wren", "4 Eider", "5 Owl"]
"""Classes as NABirds numbers them: only 3, 4 and 5 have images, and two classes have one name."""


def test_folders_called_by_the_numbers_of_the_names_name_classes_that_are_numbered_anew(tmp_path: Path) -> None:
    rows = {"0003/a.png": 0, "0003/b.png": 0, "0004/c.png": 1, "0005/d.png": 2}
    dataset = listed(tmp_path / "lists", BIRDS, rows)
    assert names(dataset) == ["Wren", "Wren", "4 Eider", "Owl"]
    assert dataset.classes == ("Wren", "4 Eider", "Owl")
    assert dataset.notes[0] == (
        "classes are named by the folders of their images: the images of class 0 lie in the folder 3, which "
        "classes.txt names 'Wren'"
    )
    some = listed(tmp_path / "some", BIRDS, {"0003/a.png": 0, "0005/d.png": 2})  # a list that lacks a class
    assert names(some) == ["Wren", "Owl"]


@pytest.mark.parametrize(
    "rows",
    [
        flat(0, 1, 2),
        {"3/a.png": 0, "4/b.png": 1, "5/c.png": 1},  # a class in two folders
        {"3/a.png": 0, "3/b.png": 1},  # two classes in one
        {"3/a.png": 0, "9/b.png": 1},  # a folder whose number has no name
    ],
)
@pytest.mark.parametrize("lines", [BIRDS, [line[2:] + line[0] for line in BIRDS]])
def test_more_names_than_classes_leave_the_numbers_and_say_so(
    tmp_path: Path, rows: dict[str, int], lines: list[str]
) -> None:
    dataset = listed(tmp_path / "lists", lines, rows)
    assert names(dataset) == [str(number) for number in rows.values()]
    assert dataset.notes[0].startswith(
        f"classes.txt names 6 classes, and the last one of the lists is {max(rows.values())}, counted from 0: which "
        "name is whose cannot be told, so classes are called by their numbers"
    )


def test_lines_that_begin_with_their_number_name_that_class(tmp_path: Path) -> None:
    same = listed(tmp_path / "same", ["0 crab", "1 eel", "2\tbig ray"], flat(2, 0, 1))
    assert names(same) == ["big ray", "crab", "eel"]
    assert same.notes == ()
    assert names(listed(tmp_path / "official", BIRDS, flat(3, 5))) == ["Wren", "Owl"]
    assert names(listed(tmp_path / "turned", ["2 ray", "0 crab", "1 eel"], flat(0, 1, 2))) == ["crab", "eel", "ray"]
    assert names(listed(tmp_path / "from 1", ["1 crab", "2 eel"], flat(0, 1))) == ["crab", "eel"]
    assert names(listed(tmp_path / "from 0", ["0 crab", "1 eel"], flat(1, 2))) == ["crab", "eel"]
    own = listed(tmp_path / "own", ["0 crab", "1 eel"], {"1/a.png": 0, "0/b.png": 1})  # the lists' numbers go before
    assert names(own) == ["crab", "eel"]


@pytest.mark.parametrize("lacking", [None, 0, 1, 2, 3])
@pytest.mark.parametrize(
    ("first_name", "first_number", "first_folder"),
    [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1)],  # else nothing tells that names count otherwise
)
def test_a_class_that_a_list_lacks_changes_no_name(
    tmp_path: Path, first_name: int, first_number: int, first_folder: int, lacking: int | None
) -> None:
    lines = [f"{first_name + place} {name}" for place, name in enumerate("abcd")]
    present = [place for place in range(4) if place != lacking]
    rows = {f"{first_folder + place:02}/{place}.png": first_number + place for place in present}
    assert names(listed(tmp_path / "lists", lines, rows)) == ["abcd"[place] for place in present]


def test_classes_in_a_row_of_many_are_named_by_their_folders(tmp_path: Path) -> None:
    dataset = listed(tmp_path / "lists", BIRDS, {"0003/a.png": 0, "0004/b.png": 1, "0005/c.png": 2})
    assert names(dataset) == ["Wren", "4 Eider", "Owl"]


def test_numbers_that_belong_to_the_names_stay(tmp_path: Path) -> None:
    assert names(listed(tmp_path / "wheels", ["3 wheeler", "4 wheeler"], flat(0, 1))) == ["3 wheeler", "4 wheeler"]
    assert names(listed(tmp_path / "one", ["0", "1"], flat(0, 1))) == ["0", "1"]
    with pytest.raises(DataError, match=r"names 2 classes, but the lists have the class 2, counted from 0"):
        listed(tmp_path / "few", ["0 crab", "1 eel"], flat(0, 2))


def test_columns_are_named_without_the_numbers_of_the_lines(tmp_path: Path) -> None:
    root = tmp_path / "lists"
    listed(root, ["1 crab", "2 eel"], flat(0))
    (root / "train.txt").write_text("all/0.png 1 1\n")
    assert load_dataset(root / "train.txt", cache=tmp_path / "cache").classes == ("crab", "eel")
