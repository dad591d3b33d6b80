"""Splits that come out other than asked for say so: counts that copies or labels change, empty parts, unused parts."""

from typing import Any

import numpy as np
import pytest
from test_datasets_split import data, one_label

from nearbit.datasets import SplitSizes, make_split
from nearbit.errors import DataError


@pytest.mark.parametrize("sizes", [{"query": 1, "train": 0.5}, {"query": 1, "validation": 0.1}, {"validation": 1}])
def test_counts_beside_fractions_hold_or_are_refused(sizes: dict[str, Any]) -> None:
    part = "query" if "query" in sizes else "validation"
    split = make_split(data(np.ones((9, 1)), [0, 0, *range(1, 8)]), sizes=sizes)
    assert split.sizes()[part] == 1
    with pytest.raises(DataError, match=rf"'class 0' has so many equal images .* that the count of {part} cannot be"):
        make_split(data(np.ones((4, 1)), [0, 0, 1, 1]), sizes=sizes)


def test_a_part_that_no_image_is_left_for_is_told() -> None:
    pairs = data(np.ones((10, 1)), [row // 2 for row in range(10)])
    split = make_split(pairs, sizes=SplitSizes(validation=None, query=0.1, database=0.4))
    few = make_split(one_label(1, 2))
    assert few.sizes()["query"] == few.sizes()["database"] == 0
    assert [note.split(":")[0] for note in few.notes] == ["no image is left for validation, query, database"]
    empty = [part for part in ("query", "database") if not split.sizes()[part]]
    assert [note.split(":")[0] for note in split.notes] == [f"no image is left for {', '.join(empty)}"] * bool(empty)
    assert make_split(one_label(20, 20)).notes == ()


def test_what_train_takes_from_a_part_with_a_count_is_told() -> None:
    labels = np.array([[1, 0, 1], [1, 0, 0], [0, 1, 1], [0, 1, 0]], np.bool_)  # the third class has none counted for it
    sizes = SplitSizes(train="rest", validation=None, query=1, database=None)
    told = "query has 1 fewer images than the count asks for: they are in train, which would have none of a class"
    found = set()
    for seed in range(20):
        split = make_split(data(labels), sizes=sizes, seed=seed)
        assert [note.startswith(told) for note in split.notes] == [True] * (2 - len(split.query))
        found.add(len(split.query))
    assert found == {1, 2}


def test_what_train_has_beyond_its_count_is_told() -> None:
    labels = np.array([[1, 0, 1], [1, 0, 0], [0, 1, 1], [0, 1, 0]], np.bool_)
    notes = set()
    for seed in range(20):
        split = make_split(
            data(labels), sizes=SplitSizes(train=1, validation=None, query=0.5, database=None), seed=seed
        )
        more = len(split.train) - 2
        assert [f"train has {more} more images than the count" in note for note in split.notes] == [True] * (more > 0)
        notes.add(more)
    assert notes == {0, 1}


def test_that_given_parts_are_not_used_is_told() -> None:
    dataset = one_label(10, 10, given_parts=("train", "query") * 10)
    note = "the parts that made came with are not used: sizes are named"
    assert make_split(dataset, sizes=SplitSizes(query=2)).notes == (note,)
    assert make_split(dataset).notes == ()
    assert make_split(one_label(10, 10), sizes=SplitSizes(query=2)).notes == ()
