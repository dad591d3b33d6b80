"""Parts that came with a data set: validation out of train, and protocols that hold them to their counts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_datasets_split import data, one_label

from nearbit.datasets import PROTOCOLS, Dataset, Problem, find_overlap, load_split, make_split
from nearbit.errors import DataError


def test_given_validation_is_taken_out_of_train() -> None:
    parts = ("train",) * 5 + ("train+validation",) * 2 + ("validation",) + ("query",) * 2
    split = make_split(one_label(10, given_parts=parts))
    assert split.train.tolist() == [0, 1, 2, 3, 4]
    assert split.validation.tolist() == [5, 6, 7]
    assert split.database.tolist() == [0, 1, 2, 3, 4, 5, 6]  # all that was given to train
    assert find_overlap(split).between("validation", "train").by_row == 0
    assert split.notes == ("2 of 3 validation images were given to train, too: train is the other 5",)
    with pytest.raises(DataError, match=r"all train images are in validation, too; leave some out"):
        make_split(one_label(4, given_parts=("train+validation",) * 3 + ("query",)))


def test_copies_of_validation_under_other_names_are_taken_out_of_train() -> None:
    parts = ("train",) * 5 + ("validation",) * 3 + ("query",) * 2
    split = make_split(one_label(10, given_parts=parts, contents=[0, 1, 1, 2, 3, 1, 3, 5, 6, 7]))
    assert split.train.tolist() == [0, 3]
    assert split.validation.tolist() == [5, 6, 7]
    assert split.database.tolist() == [0, 1, 2, 3, 4]
    assert find_overlap(split).between("validation", "train").by_content == 0
    assert split.notes == ("2 of 3 validation images were given to train, too: train is the other 2",)


def test_the_protocols_of_unseen_classes_take_it_out_too() -> None:
    parts = ("train", "train", "train+validation", "query", "database") * 8
    split = make_split(one_label(10, 10, 10, 10, given_parts=parts), protocol="seen@all")
    assert not np.intersect1d(split.train, split.validation).size
    assert split.notes == ("8 of 8 validation images were given to train, too: train is the other 16",)


def test_notes_come_back_from_the_file_of_a_split(tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    split = make_split(one_label(6, given_parts=("train",) * 3 + ("train+validation", "query", "query")))
    split.save(file)
    assert load_split(file).notes == split.notes
    assert len(split.notes) == 1
    text = json.loads(file.read_text())
    file.write_text(json.dumps(text | {"notes": "a text"}))
    with pytest.raises(DataError, match=r"a damaged split \(TypeError: notes are no list\)"):
        load_split(file)
    del text["notes"]  # as older versions wrote it
    file.write_text(json.dumps(text))
    assert load_split(file).notes == ()
    make_split(data(np.ones((9, 1)))).save(file)
    assert "notes" not in json.loads(file.read_text())


def counted(n_classes: int, *parts: tuple[str, int], **changes: Any) -> Dataset:
    """A data set with so many rows of each part, of each class as many as can be."""
    given = tuple(part for part, count in parts for _ in range(count))
    return data(np.arange(len(given))[:, None] % n_classes == np.arange(n_classes), given_parts=given, **changes)


@pytest.mark.parametrize("name", ["nus-wide/81", "nus-wide/21-m", "imagenet100/10k"])
def test_protocols_with_databases_of_several_sizes_want_a_large_one(name: str) -> None:
    protocol = PROTOCOLS[name]
    assert protocol.counts is not None
    assert protocol.least == {"database": 100_000}
    n_classes, train, query = protocol.n_classes or 0, protocol.counts["train"], protocol.counts["query"]
    for extra in (0, 300):
        parts = [("train", train), ("query", query), ("database", extra)]
        with pytest.raises(
            DataError, match=rf"In made database has {extra} images, not 100,000 at least\. Complete it"
        ):
            make_split(counted(n_classes, *parts), protocol=name)
    split = make_split(
        counted(n_classes, ("train+database", train), ("query", query), ("database", 100_000 - train)), protocol=name
    )
    assert (len(split.train) + len(split.validation), len(split.query), len(split.database)) == (train, query, 100_000)


def test_rows_of_zeros_alone_are_named_where_counts_are_short() -> None:
    problems = (
        Problem("images/1.jpg", "no label"), Problem("images/2.jpg", "no label"), Problem("3.jpg", "no such file"),
        Problem("owl", "a class without an image: dropped", is_class=True),
    )  # fmt: skip
    short = counted(21, ("train", 10_498), ("query", 2_100), problems=problems)
    with pytest.raises(
        DataError,
        match=r"; 2 listed images have no label \(all 0\), the first: 'images/1\.jpg'; skipped while it was read: 1 ",
    ):
        make_split(short, protocol="nus-wide/21")


@pytest.mark.parametrize("name", ["imagenet100/hashnet", "imagenet100/10k"])
def test_that_a_backbone_has_seen_the_classes_is_noted(name: str) -> None:
    counts = {**(PROTOCOLS[name].counts or {}), **PROTOCOLS[name].least}
    train, query, database = (counts[part] for part in ("train", "query", "database"))
    dataset = counted(100, ("train+database", train), ("query", query), ("database", database - train))
    (note,) = make_split(dataset, protocol=name).notes
    assert note.startswith("its classes are ImageNet's: a backbone with weights that were trained on ImageNet has seen")
    assert make_split(dataset).notes == ()


CIFAR = {
    "cifar10/i": (("train", 5_000), ("query", 1_000), ("database", 54_000)),
    "cifar10/ii": (("train+database", 5_000), ("query", 1_000), ("database", 54_000)),
    "cifar10/iii": (("train+database", 50_000), ("query", 10_000)),
    "cifar100/shc": (("train", 9_000), ("validation", 1_000), ("query", 5_000), ("database", 45_000)),
}
OFFICIAL = (("train", 50_000), ("query", 10_000))


def cifar(name: str, *parts: tuple[str, int]) -> Dataset:
    return counted(100 if name.startswith("cifar100") else 10, *parts, name=name.split("/")[0])


@pytest.mark.parametrize("folder", ["CIFAR-10", "cifar_10", "lists"])
def test_parts_of_the_sizes_are_taken_whatever_their_folder_is_called(folder: str) -> None:
    split = make_split(counted(10, *CIFAR["cifar10/i"], name=folder), protocol="cifar10/i")
    assert split.notes[0].endswith("are those of cifar10/i, and are taken")
    whole = counted(10, ("", 60_000), name=folder)
    if folder == "lists":
        with pytest.raises(DataError, match=r"cifar10/i is for cifar10, but the data set is lists; leave it out"):
            make_split(replace(whole, given_parts=None), protocol="cifar10/i")
    else:
        assert make_split(replace(whole, given_parts=None), protocol="cifar10/i").sizes()["query"] == 1_000


@pytest.mark.parametrize("name", CIFAR)
def test_given_parts_of_the_sizes_of_a_protocol_are_taken(name: str) -> None:
    dataset = cifar(name, *CIFAR[name])
    split, given = make_split(dataset, protocol=name), np.array(dataset.given_parts)
    assert set(given[split.query]) == {"query"}
    assert len(split.query) == (given == "query").sum()
    assert {part.split("+")[0] for part in given[np.union1d(split.train, split.validation)]} <= {"train", "validation"}
    sizes = PROTOCOLS[name].sizes
    assert sizes is not None
    for part, size in (("train", sizes.train), ("validation", sizes.validation)):
        assert (dataset.labels[split.rows(part)].sum(axis=0) == size).all()
    assert split.database.tolist() == [row for row, part in enumerate(given) if "database" in part]
    (note,) = split.notes
    assert note.startswith(f"the parts that {dataset.name} came with (")
    assert note.endswith(f"are those of {name}, and are taken")


@pytest.mark.parametrize("name", CIFAR)
def test_official_parts_are_put_together_and_that_is_said(name: str) -> None:
    split = make_split(cifar(name, *OFFICIAL), protocol=name)
    assert split.notes == (
        f"the official parts (50,000 train, 10,000 query) are put together, and {name} draws its own by the seed",
    )
    free = data(cifar(name, *OFFICIAL).labels, name=name.split("/")[0])
    assert make_split(free, protocol=name).notes == ()
    assert np.array_equal(make_split(free, protocol=name).query, split.query)


def test_the_superclasses_of_cifar100_beside_its_classes_change_nothing() -> None:
    fine = cifar("cifar100", *OFFICIAL)
    both = np.hstack([fine.labels, fine.labels.reshape(len(fine), 20, 5).any(axis=2)])
    split = make_split(data(both, name="cifar100", given_parts=fine.given_parts), protocol="cifar100/shc")
    assert split.sizes() == {"train": 9_000, "validation": 1_000, "query": 5_000, "database": 45_000}
    assert len(split.notes) == 1


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cifar10/i", (("train", 5_000), ("query", 900), ("database", 54_100))),
        ("cifar10/i", (("train+database", 5_000), ("query", 1_000), ("database", 49_000), ("", 5_000))),
        ("cifar10/i", CIFAR["cifar10/ii"]),
        ("cifar10/ii", CIFAR["cifar10/i"]),
        ("cifar10/iii", CIFAR["cifar10/i"]),
        ("cifar10/i", (("train", 59_000), ("query", 1_000))),
        ("cifar100/shc", (("train", 10_000), ("query", 5_000), ("database", 44_000), ("", 1_000))),
        ("cifar100/lt-50", (("train", 10_000), ("query", 5_000), ("database", 45_000))),
        ("cifar100/lt-50", (("train+database", 45_000), ("validation", 5_000), ("query", 10_000))),
    ],
)
def test_given_parts_of_other_sizes_are_refused(name: str, parts: tuple[tuple[str, int], ...]) -> None:
    with pytest.raises(DataError, match=rf"came with parts of its own \(.* train, .* which are not those of {name} \("):
        make_split(cifar(name, *parts), protocol=name)


def test_given_parts_of_unequal_classes_are_refused() -> None:
    dataset = cifar("cifar10/i", *CIFAR["cifar10/i"])
    parts = list(dataset.given_parts or ())
    parts[0], parts[-1] = parts[-1], parts[0]  # rows of the classes 0 and 9
    with pytest.raises(
        DataError, match=r"\(5,000 train, 1,000 query, 54,000 database, the same number of each class\)"
    ):
        make_split(data(dataset.labels, name="cifar10", given_parts=tuple(parts)), protocol="cifar10/i")


@pytest.mark.parametrize("validation", ["validation", "train+validation", "validation+database"])
@pytest.mark.parametrize("name", ["cifar100/lt-1", "cifar100/lt-100"])
def test_all_but_the_queries_are_searched_where_a_long_tail_thins_given_validation_too(
    name: str, validation: str
) -> None:
    train = "train+database" if "database" in validation else "train"
    split = make_split(cifar(name, (train, 45_000), (validation, 5_000), ("query", 10_000)), protocol=name)
    assert split.database.tolist() == list(range(50_000))
    assert split.query.tolist() == list(range(50_000, 60_000))
    if name == "cifar100/lt-1":
        assert (len(split.train), len(split.validation)) == (45_000, 5_000)


def test_what_helps_where_parts_are_refused_works() -> None:
    parts = (("train", 10_000), ("query", 5_000), ("database", 45_000))
    with pytest.raises(
        DataError, match=r"take them as they are \(--protocol given --imbalance 50\), or give the official ones$"
    ):
        make_split(cifar("cifar100/lt-50", *parts), protocol="cifar100/lt-50")
    make_split(cifar("cifar100/lt-50", *parts), protocol="given", imbalance=50)
    make_split(cifar("cifar100/lt-50", *OFFICIAL), protocol="cifar100/lt-50")
    with pytest.raises(DataError, match=r"\(--protocol given\), or give the images without parts$"):
        make_split(cifar("cifar100/shc", *parts[:2], ("", 45_000)), protocol="cifar100/shc")


@pytest.mark.parametrize(
    ("name", "parts", "came", "remedy"),
    [
        ("cifar10/i", (("", 60_000),), "none of its images is in one", "give the images without parts"),
        ("cifar100/lt-50", (("", 60_000),), "none of its images is in one", "give the official ones"),
        ("cifar10/ii", (("train", 50_000), ("", 10_000)), "50,000 train", "give the images without parts"),
    ],
)
def test_parts_that_are_no_split_are_not_to_be_taken_as_they_are(
    name: str, parts: tuple[tuple[str, int], ...], came: str, remedy: str
) -> None:
    with pytest.raises(DataError, match=rf"parts of its own \({came}\), which .* of each class\): {remedy}$"):
        make_split(cifar(name, *parts), protocol=name)
