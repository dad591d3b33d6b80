"""Text lists of the field (a path, then 0 and 1, or a class number), their parts, and the protocols that count them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from awkward_images import encoded, noisy
from test_datasets_split import data

from nearbit.datasets import PROTOCOLS, Dataset, find_overlap, load_dataset, load_images, make_split
from nearbit.errors import DataError, InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with 0.png to 11.png in `val2014`, no two the same."""
    root = tmp_path / "coco"
    (root / "val2014").mkdir(parents=True)
    for seed in range(12):
        (root / "val2014" / f"{seed}.png").write_bytes(encoded(noisy(seed, 8)))
    return root


def rows(numbers: range, *, lead: str = "", classes: int = 3) -> str:
    """Lines as most repositories of the field keep them: image i has the classes i mod n and (i + 1) mod n."""
    lines = []
    for number in numbers:
        own = {number % classes, (number + 1) % classes}
        hot = " ".join(str(int(column in own)) for column in range(classes))
        lines.append(f"{lead}val2014/{number}.png {hot}\n")
    return "".join(lines)


def write(folder: Path, **lists: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in lists.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def load(place: Path, **options: Any) -> Dataset:
    return load_dataset(place, cache=place.parent / "cache", **options)


def test_lists_with_one_column_a_class(root: Path) -> None:
    write(root, train=rows(range(6)), test=rows(range(6, 8)), database=rows(range(4)) + rows(range(8, 12)))
    dataset = load(root)
    assert dataset.keys == tuple(f"val2014/{number}.png" for number in range(12))
    assert dataset.classes == ("0", "1", "2")
    for row in range(12):
        assert dataset.label_names(row) == tuple(str(c) for c in sorted({row % 3, (row + 1) % 3}))
    both, train, query, database = "train+database", "train", "query", "database"
    assert dataset.given_parts == (both,) * 4 + (train,) * 2 + (query,) * 2 + (database,) * 4
    assert "lists of paths and 0 or 1 for each of 3 classes: train.txt, test.txt, database.txt" in dataset.read_as
    assert dataset.notes == ("4 images are in train and database",)


def test_a_note_of_one_image_says_so_of_one(root: Path) -> None:
    write(root, train=rows(range(6)), test=rows(range(6, 8)), database=rows([0, *range(8, 12)]))
    assert load(root).notes == ("1 image is in train and database",)


def test_an_image_that_trains_stays_in_the_database(root: Path) -> None:
    write(root, train=rows(range(6)), val=rows(range(6, 8)), test=rows(range(8, 10)))
    write(root, database=rows(range(8)) + rows(range(10, 12)))
    split = make_split(load(root))
    assert split.train.tolist() == [0, 1, 2, 3, 4, 5]
    assert split.validation.tolist() == [6, 7]
    assert split.query.tolist() == [8, 9]
    assert split.database.tolist() == [*range(8), 10, 11]
    (root / "val.txt").unlink()
    write(root, train=rows(range(8)))
    split = make_split(load(root))  # validation is taken out of train, not out of the database
    assert sorted([*split.train, *split.validation]) == list(range(8))
    assert len(split.validation)
    assert split.database.tolist() == [*range(8), 10, 11]


def test_queries_in_the_database_are_refused_with_their_number(root: Path) -> None:
    write(root, train=rows(range(6)), test=rows(range(6, 8)), database=rows(range(12)))
    dataset = load(root)
    assert "2 images are in query and database" in dataset.notes
    with pytest.raises(DataError, match=r"2 of 2 query images are also in database, by content: .*6\.png"):
        make_split(dataset)
    split = make_split(dataset, allow_overlap=True)
    assert find_overlap(split).between("query", "database").by_row == 2


@pytest.mark.parametrize("lead", ["./", "./data/coco/", "/home/someone/run/dataset/coco/", "coco/"])
def test_leading_folders_of_another_machine_are_left_out(root: Path, lead: str) -> None:
    lists = write(root.parent / "lists", train=rows(range(6), lead=lead), test=rows(range(6, 8)))
    dataset = load(lists, images=root)
    assert dataset.keys == tuple(f"val2014/{number}.png" for number in range(8))
    assert (f"train.txt: the leading {lead!r} of its paths is left out" in dataset.notes) == (lead != "./")
    if lead != "./":
        with pytest.raises(DataError, match=r"none of its paths is below .*lists.* name the folder of the images"):
            load(lists)


def test_paths_never_leave_the_folder(root: Path) -> None:
    outside = root.parent / "secret.png"
    outside.write_bytes(encoded(noisy(99, 8)))
    text = rows(range(4)) + f"../secret.png 1 0 0\n{outside} 1 0 0\n"
    write(root, train=text, test=rows(range(6, 8)))
    dataset = load(root)
    assert len(dataset) == 6
    assert {problem.reason for problem in dataset.problems} == {
        "outside the folder of images: paths must be relative, without '..'"
    }


def test_class_numbers_and_names(root: Path) -> None:
    text = "val2014/0.png 2\nval2014/1.png 10\n\nval2014/2.png 1\n"
    write(root, train=text, test="val2014/3.png 10\n")
    dataset = load(root)
    assert dataset.classes == ("1", "2", "10")  # by number, not by letters
    assert [dataset.label_names(row) for row in range(4)] == [("2",), ("10",), ("1",), ("10",)]
    assert "class numbers" in dataset.read_as
    write(root, classes="\n".join(f"bird {number}" for number in range(1, 11)) + "\n")
    dataset = load(root)
    assert dataset.classes == ("bird 1", "bird 2", "bird 10")  # numbers from 1, for none is 0
    write(root, train=text.replace(" 2\n", " 0\n"))
    with pytest.raises(DataError, match=r"names 10 classes, but the lists have the class 10, counted from 0"):
        load(root)
    write(root, train=rows(range(3)), test=rows(range(3, 5)))
    with pytest.raises(DataError, match=r"names 10 classes, but the lists have 3; give a name a line"):
        load(root)
    write(root, classes="a\nb\na\n")
    with pytest.raises(DataError, match=r"the class 'a' is named twice"):
        load(root)


def test_one_list_is_read_by_its_name(root: Path) -> None:
    (root / "some.txt").write_text("val2014/0.png 3\nval2014/1.png 4\n", encoding="utf-8")
    dataset = load(root / "some.txt")
    assert dataset.classes == ("3", "4")
    assert dataset.given_parts is None
    with pytest.raises(InputError, match=r"class_level='leaf' is for folders of images"):
        load(root / "some.txt", class_level="leaf")


def test_a_blank_in_a_path_and_numbers_in_its_name(root: Path) -> None:
    (root / "a 1 0.png").write_bytes(encoded(noisy(50, 8)))
    write(root, train="a 1 0.png 1 0 1\nval2014/1.png 0 1 0\n", test="val2014/2.png\t1 1 0\r\n")
    assert load(root).keys == ("a 1 0.png", "val2014/1.png", "val2014/2.png")


def test_a_row_without_a_class_has_no_label(root: Path) -> None:
    write(root, train=rows(range(4)) + "val2014/5.png 0 0 0\n", test=rows(range(6, 8)))
    dataset = load(root)
    assert [(problem.path, problem.reason) for problem in dataset.problems] == [("val2014/5.png", "no label")]
    assert load_images(root, cache=root.parent / "cache").labels.sum(axis=1).tolist() == [2, 2, 2, 2, 0, 2, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("val2014/0.png 1 0 0\nval2014/1.png 1 0\n", r"train\.txt, line 2: expected a path and 3 numbers .*, came 2"),
        ("val2014/0.png 1 0 2\n", r"train\.txt, line 1: expected 0 or 1 for each of 3 classes, came '2'"),
        (
            "val2014/0.png 1 0 0\nval2014/6.png 1 0 0\n",
            r"test\.txt, line 1: .*6\.png' has other labels than in .*line 2",
        ),
        ("\n \n", r"train\.txt: no rows; expected a path and then 0 or 1 for each class"),
        (
            "val2014/0.png 1 0 -1\n",
            r"train\.txt, line 1: expected 0 or 1 .*'-1'; it stands for 0 only where every value",
        ),
        ("val2014/0.png 1 0 0.5\n", r"train\.txt, line 1: expected 0 or 1 for each of 3 classes, came '0\.5'"),
        ("val2014/0.png 1 0 2\n", r"came '2'; where these are numbers of several classes, write 0 or 1 for each"),
    ],
)
def test_a_wrong_row_is_named(root: Path, text: str, message: str) -> None:
    write(root, train=rows(range(3)), test=rows(range(6, 9)))
    assert len(load(root)) == 6
    (root / "train.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_dataset(root / "train.txt", cache=root.parent / "cache") if "no rows" in message else _listed(root)


def _listed(root: Path) -> None:
    from nearbit.datasets.formats.lists import list_lists
    from nearbit.reading import ReadingOptions

    list_lists(root, ReadingOptions())


def test_a_varying_count_of_numbers_loses_no_image(root: Path) -> None:
    text = "".join(f"val2014/{number}.png {' '.join(map(str, range(1 + number % 3)))}\n" for number in range(6))
    write(root, train=text, test="val2014/6.png 2\nval2014/7.png 2\n")
    with pytest.raises(DataError, match=r"train\.txt, line 2: 1 number more after 'val2014/1\.png' than in most lines"):
        load(root)
    (root / "val2014" / "1.png 0").write_bytes(encoded(noisy(90, 8)))  # a file that is so called is one
    with pytest.raises(DataError, match=r"train\.txt, line 3: 2 numbers more after 'val2014/2\.png'.* in all lists"):
        load(root)
    write(root, train="val2014/0.png 3\nval2014/11 5 3\n", test="val2014/6.png 3\n")
    assert [problem.path for problem in load(root).problems] == [
        "val2014/11 5"
    ]  # neither is there, nor a picture's name
    (root / "val2014" / "11").write_bytes(encoded(noisy(91, 8)))
    with pytest.raises(DataError, match=r"train\.txt, line 2: 1 number more after 'val2014/11' than"):
        load(root)


@pytest.mark.parametrize("lead", ["", "/home/someone/coco/"])
def test_lists_of_two_forms_are_said_to_be_so(root: Path, lead: str) -> None:
    numbers = "".join(f"{lead}val2014/{number}.png {number % 3}\n" for number in range(6))
    write(root, train=numbers, test=rows(range(6, 8), lead=lead))
    with pytest.raises(
        DataError, match=r"test\.txt, line 1: 2 numbers more after '.*val2014/6\.png' than in most lines"
    ):
        load(root)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("val2014/", "val2014\\", r"the first: 'val2014\\\\0\.png'; write / between its folders, not \\$"),
        (
            "val2014/0.png",
            '"val2014/0.png"',
            r"the first: '\"val2014/0\.png\"'; write its paths without quotation marks$",
        ),
    ],
)
def test_why_no_path_is_found(root: Path, before: str, after: str, message: str) -> None:
    write(root, train=rows(range(1)).replace(before, after), test=rows(range(6, 8)))
    with pytest.raises(DataError, match=message):
        load(root)


def test_images_named_twice_count_once(root: Path) -> None:
    write(root, train=rows(range(4)) + rows(range(2)), test=rows(range(6, 8)))
    dataset = load(root)
    assert len(dataset) == 6
    assert dataset.notes == ("train.txt names 2 images more than once; each counts once",)


def test_two_lists_of_one_part_are_refused(root: Path) -> None:
    write(root, train=rows(range(4)), test=rows(range(6, 8)), query=rows(range(6, 8)))
    with pytest.raises(DataError, match=r"both query\.txt and test\.txt are lists of the query; leave one out"):
        load(root)


def test_texts_beside_class_folders_are_no_lists(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        (root / name / "a.png").write_bytes(encoded(noisy(len(name) + ord(name[0]), 8)))
    write(root, train="how the photographs were made\n", test="and so on\n", labels="cat\ndog\n")
    assert load(root).classes == ("cat", "dog")


def counted(n_classes: int, **counts: int) -> Dataset:
    """A data set without pixels that has so many rows of each part; train is in the database, as lists have it."""
    extra = counts["database"] - counts["train"] if "database" in counts else 0
    train = "train+database" if extra else "train"
    parts = (train,) * counts["train"] + ("query",) * counts["query"] + ("database",) * extra
    labels = np.zeros((len(parts), n_classes), np.bool_)
    labels[np.arange(len(parts)), np.arange(len(parts)) % n_classes] = True
    return data(labels, given_parts=parts)


def test_protocols_count_the_lists() -> None:
    hashnet = PROTOCOLS["imagenet100/hashnet"]
    assert hashnet.counts == {"train": 13_000, "query": 5_000, "database": 128_503}
    split = make_split(counted(100, **hashnet.counts), protocol="imagenet100/hashnet")
    assert split.sizes() == {"train": 11_700, "validation": 1_300, "query": 5_000, "database": 128_503}
    assert split.recipe["protocol"] == "imagenet100/hashnet"
    short = hashnet.counts | {"query": 4_983}
    with pytest.raises(DataError, match=r"query has 4,983 images, not 5,000\. Complete it, or leave the protocol out"):
        make_split(counted(100, **short), protocol="imagenet100/hashnet")
    with pytest.raises(DataError, match=r"there are 20 classes, not 100"):
        make_split(counted(20, **hashnet.counts), protocol="imagenet100/hashnet")
    with pytest.raises(DataError, match=r"database has 0 images, not 193,734"):
        make_split(counted(21, train=10_500, query=2_100), protocol="nus-wide/21")


def test_every_protocol_of_lists_says_its_counts() -> None:
    of_lists = [protocol for protocol in PROTOCOLS.values() if protocol.counts is not None]
    assert len(of_lists) == 11
    for protocol in of_lists:
        assert {"train", "query"} <= set(protocol.counts or {})
        assert all(f"{count:,} {part}" in protocol.description for part, count in (protocol.counts or {}).items())
        assert all(f"at least {count:,} {part}" in protocol.description for part, count in protocol.least.items())
