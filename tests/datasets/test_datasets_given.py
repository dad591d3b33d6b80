"""Parts that came with a data set: validation out of train, and protocols that hold them to their counts."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_datasets_split import data, one_label

from nearbit.datasets import find_overlap, load_split, make_split
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
