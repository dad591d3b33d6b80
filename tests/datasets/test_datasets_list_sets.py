"""Lists as the field calls them: labels in a file of their own, numbered pieces, names of several sets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from awkward_images import encoded, noisy
from coco_pictures import PATHS, write_pictures

from nearbit.datasets import Dataset, load_dataset, load_images, make_split
from nearbit.errors import DataError, InputError

PARTS = {"train": range(6), "query": range(6, 8), "database": range(8, 12)}
CLASSES = [(str(number % 3),) for number in range(12)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with pictures in train2014 and val2014, which are no classes."""
    return write_pictures(tmp_path / "coco")


def hot(number: int) -> str:
    return " ".join(str(int(column == number % 3)) for column in range(3))


def write(folder: Path, lists: Mapping[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in lists.items():
        (folder / name).write_text(text, encoding="utf-8")


def rows(numbers: range) -> str:
    return "".join(f"{PATHS[number]} {hot(number)}\n" for number in numbers)


def paths(numbers: range, end: str = "\n") -> str:
    return "".join(f"{PATHS[number]}{end}" for number in numbers)


def labels(numbers: range, start: str = "") -> str:
    return "".join(f"{start}{hot(number)} \n" for number in numbers)


def load(place: Path, **options: Any) -> Dataset:
    return load_dataset(place, cache=place.parent / "cache", **options)


def parts_of(dataset: Dataset) -> dict[str, list[str]]:
    """Return the keys of each part, and check the labels on the way."""
    assert dataset.given_parts is not None
    found: dict[str, list[str]] = {}
    for row, (key, part) in enumerate(zip(dataset.keys, dataset.given_parts, strict=True)):
        assert dataset.label_names(row) == CLASSES[PATHS.index(key)]
        found.setdefault(part, []).append(key)
    return found


EXPECTED = {part: [PATHS[number] for number in numbers] for part, numbers in PARTS.items()}
WORDS = [
    ("train", "test", "database"),
    ("train", "query", "retrieval"),
    ("Train", "Query", "DB"),
    ("train", "test", "base"),
]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize(
    "name", ["{}.txt", "{}_list.txt", "coco_{}.txt", "nuswide_m_{}.txt", "{}-80.txt", "coco.{}.txt"]
)
def test_lists_of_one_set_are_called_alike(root: Path, name: str, words: tuple[str, str, str]) -> None:
    write(root, {name.format(word): rows(numbers) for word, numbers in zip(words, PARTS.values(), strict=True)})
    dataset = load(root)
    assert parts_of(dataset) == EXPECTED
    assert dataset.notes == ()


@pytest.mark.parametrize(
    ("images", "targets"),
    [
        ("{}_img.txt", "{}_label.txt"),
        ("{}_images.txt", "{}_labels.txt"),
        ("{}_img.txt", "{}_label_onehot.txt"),
        ("img_{}.txt", "targets_{}.txt"),
    ],
)
def test_paths_and_labels_in_files_of_their_own(root: Path, images: str, targets: str) -> None:
    for part, numbers in PARTS.items():
        write(root, {images.format(part): paths(numbers, " \n"), targets.format(part): labels(numbers, " ")})
    dataset = load(root)
    assert parts_of(dataset) == EXPECTED
    assert f"{images.format('train')} with {targets.format('train')}" in dataset.read_as
    assert make_split(dataset, protocol="given", seed=0).query.tolist() == [6, 7]
    alone = load(root / targets.format("query"), images=root)  # and by either name
    assert alone.keys == load(root / images.format("query"), images=root).keys == tuple(EXPECTED["query"])


def test_a_path_whose_labels_stand_apart_may_hold_blanks_and_numbers(root: Path) -> None:
    (root / "a 1 0 0").mkdir()
    (root / "a 1 0 0" / "b 1").write_bytes(encoded(noisy(50, 8)))
    write(root, {"img.txt": f"{paths(range(3))}a 1 0 0/b 1\n", "targets.txt": f"{labels(range(3))}1 0 1\n"})
    dataset = load(root)
    assert dataset.given_parts is None
    assert dataset.keys == (*PATHS[:3], "a 1 0 0/b 1")
    assert dataset.label_names(3) == ("0", "2")


def test_ones_and_zeros_go_before_class_numbers(root: Path) -> None:
    """NUS-WIDE is shared with both: `database_label.txt` and `database_label_onehot.txt`."""
    for part, numbers in PARTS.items():
        one_class = "".join("7\n" for _ in numbers)
        write(root, {f"{part}_img.txt": paths(numbers), f"{part}_label.txt": one_class})
        write(root, {f"{part}_label_onehot.txt": labels(numbers)})
    assert parts_of(load(root)) == EXPECTED


def test_other_sets_beside_a_plain_one_are_not_read_and_that_is_said(root: Path) -> None:
    for part, numbers in PARTS.items():
        write(root, {f"{part}_img.txt": paths(numbers), f"{part}_label.txt": labels(numbers)})
    write(root, {"test_img_50.txt": paths(range(3)), "test_label_50.txt": labels(range(3))})
    dataset = load(root)
    assert parts_of(dataset) == EXPECTED
    assert [note.split(":")[0] for note in dataset.notes] == ["test_img_50.txt looks like a text list and is not read"]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (
            (paths(range(6)), labels(range(5))),
            r"train_img\.txt: has 6 paths, but train_label\.txt has 5 lines of labels",
        ),
        ((paths(range(6)), labels(range(5)) + "0 2 0\n"), r"train_img\.txt with train_label\.txt, line 6: .*came '2'"),
        ((paths(range(6)), labels(range(5)) + "0 1\n"), r"train_label\.txt, line 6: expected a path and 3 numbers"),
    ],
)
def test_paths_and_labels_that_do_not_go_together_are_refused(root: Path, lists: tuple[str, str], message: str) -> None:
    write(root, {"train_img.txt": lists[0], "train_label.txt": lists[1]})
    write(root, {"test_img.txt": paths(range(6, 8)), "test_label.txt": labels(range(6, 8))})
    with pytest.raises(DataError, match=message):
        load(root)


@pytest.mark.parametrize("first", [0, 1])
def test_queries_and_database_in_numbered_pieces_are_one_part(root: Path, first: int) -> None:
    """HashNet's lists are cut for as many devices: `test0.txt` to `test7.txt`."""
    write(root, {"train.txt": rows(PARTS["train"])})
    for part, word in (("query", "test"), ("database", "database")):
        numbers = PARTS[part]
        for piece in range(2):
            write(
                root,
                {
                    f"{word}{first + piece}.txt": rows(
                        numbers[len(numbers) * piece // 2 : len(numbers) * (piece + 1) // 2]
                    )
                },
            )
    dataset = load(root)
    assert parts_of(dataset) == EXPECTED
    assert dataset.notes == ()


def test_pieces_with_a_gap_are_not_read_and_that_is_said(root: Path) -> None:
    write(root, {"train.txt": rows(range(6)), "test.txt": rows(range(6, 8))})
    write(root, {"database0.txt": rows(range(8, 10)), "database2.txt": rows(range(10, 12))})
    dataset = load(root)
    assert parts_of(dataset) == {part: EXPECTED[part] for part in ("train", "query")}
    assert dataset.notes[-1].startswith("database0.txt and database2.txt look like text lists and are not read: the ")


SEVERAL = {
    "two sets": {f"{name}_{part}.txt": rows(numbers) for name in ("coco", "voc") for part, numbers in PARTS.items()},
    "rounds": {f"{part}{turn}.txt": rows(numbers) for turn in (1, 2) for part, numbers in PARTS.items()},
}


@pytest.mark.parametrize("lists", SEVERAL.values(), ids=SEVERAL.keys())
def test_lists_of_several_sets_are_never_read_as_folders_of_classes(root: Path, lists: Mapping[str, str]) -> None:
    write(root, lists)
    with pytest.raises(
        DataError, match=r"look like text lists and are not read: .* say so \(--class-level, class_level="
    ):
        load(root)
    assert load(root, class_level="first").classes == ("train2014", "val2014")
    assert len(load_images(root, cache=root.parent / "cache")) == 12
    with pytest.raises(InputError, match=r"images=.* goes with a labels file.* look like text lists and are not read"):
        load(root, images=root)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("see a.org/b\nwhat 1.5 is\n" * 3, "0.5\n" * 6),
        ("train2014/0.png\n", "cat\ndog\n"),
        ("epoch/1 0.5\nepoch/2 0.4\n", "1\n2\n"),
    ],
)
@pytest.mark.parametrize("names", [("log_train.txt", "log_test.txt"), ("images.txt", "labels.txt")])
def test_other_texts_in_such_names_are_no_lists(root: Path, names: tuple[str, str], first: str, second: str) -> None:
    write(root, dict(zip(names, (first, second), strict=True)))
    assert load(root).classes == ("train2014", "val2014")


def test_class_names_may_lie_in_a_file_of_that_name(root: Path) -> None:
    write(root, {f"{part}.txt": rows(numbers) for part, numbers in PARTS.items()})
    write(root, {"class_names.txt": "black footed albatross\nowl\nwren\n"})
    assert load(root).classes == ("black footed albatross", "owl", "wren")
    write(root, {"classes.txt": "a\nb\nc\n"})  # the usual one goes first
    assert load(root).classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "{} 010\n{} 100\n",
            r"came '010' as in all lines, which may be 0 and 1 without blanks: put blanks between them",
        ),
        (
            "{} [1 0 0]\n{} [0 1 0]\n",
            r"came 'train2014/0.png \[1 0 0\]': leave brackets out, and put blanks between the path",
        ),
        (r"D:/data\{} 1" + "\n" + r"D:/data\{} 2" + "\n", r"write / between its folders, not \\"),
    ],
)
def test_forms_that_are_not_read_are_told_what_to_write(root: Path, row: str, message: str) -> None:
    write(root, {f"{part}.txt": row.format(*PATHS[:2]) for part in ("train", "test")})
    with pytest.raises(DataError, match=message):
        load(root)


def test_class_numbers_of_one_digit_are_no_ones_and_zeros_without_blanks(root: Path) -> None:
    write(root, {f"{part}.txt": "".join(f"{PATHS[n]} {n % 2}\n" for n in numbers) for part, numbers in PARTS.items()})
    assert load(root).classes == ("0", "1")
    write(root, {f"{part}.txt": "".join(f"{PATHS[n]} 00{n % 3}\n" for n in numbers) for part, numbers in PARTS.items()})
    assert load(root).classes == ("0", "1", "2")


def test_a_table_without_names_of_columns_is_said_to_be_so(root: Path) -> None:
    write(root, {"train.csv": "".join(f"{PATHS[n]},{hot(n).replace(' ', ',')}\n" for n in range(6))})
    with pytest.raises(
        DataError, match=r"has: train2014/0\.png, 1, 0, 0, a row and no names of columns; write such a line"
    ):
        load(root / "train.csv", images=root)


@pytest.mark.parametrize(
    ("name", "beside"),
    [("images.txt", "labels.txt"), ("train_images.txt", "train_labels.txt"), ("labels.txt", "images.txt")],
)
@pytest.mark.parametrize("other", ["wren\nowl\n", "{0} 1\n{1} 0\n", "{0}\n{1}\n"])
def test_a_list_that_has_its_classes_is_read_alone(root: Path, name: str, beside: str, other: str) -> None:
    write(root, {name: rows(range(2)), beside: other.format(*PATHS)})
    dataset = load(root / name, images=root)
    assert [dataset.label_names(row) for row in range(2)] == CLASSES[:2]


@pytest.mark.parametrize("more", ["retrieval", "base", "test_query", "gallery_test"])
def test_other_names_for_a_part_that_has_a_usual_one_are_not_read_and_that_is_said(root: Path, more: str) -> None:
    write(root, {"train.txt": rows(range(6)), "test.txt": rows(range(6, 8)), "database.txt": rows(range(8, 12))})
    write(root, {f"{more}.txt": rows(range(9, 12))})
    dataset = load(root)
    assert parts_of(dataset) == EXPECTED
    if more != "gallery_test":  # of two parts, so of none
        assert dataset.notes[0].startswith(f"{more}.txt looks like a text list and is not read")


def test_numbered_pieces_may_have_their_labels_apart(root: Path) -> None:
    write(root, {"coco_train_img.txt": paths(range(6)), "coco_train_label.txt": labels(range(6))})
    write(root, {"coco_test_img.txt": paths(range(6, 8)), "coco_test_label.txt": labels(range(6, 8))})
    for piece, numbers in enumerate([range(8, 10), range(10, 12)]):
        write(root, {f"coco_database_img{piece}.txt": paths(numbers)})
        write(root, {f"coco_database_label{piece}.txt": labels(numbers)})
    assert parts_of(load(root)) == EXPECTED


@pytest.mark.parametrize("text", ["a\nb\nc\nd\n", "a, b, c\n", "a\na\nb\n"])
def test_class_names_of_another_set_leave_numbers_and_are_said(root: Path, text: str) -> None:
    write(root, {f"{part}.txt": rows(numbers) for part, numbers in PARTS.items()})
    write(root, {"class_names.txt": text})
    dataset = load(root)
    assert dataset.classes == ("0", "1", "2")
    assert dataset.notes[0].startswith("classes are called by their numbers, for ")
    assert "class_names.txt" in dataset.notes[0]
