"""Parts that came with a data set: validation out of train, and protocols that hold them to their counts."""

import json
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
