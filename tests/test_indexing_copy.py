"""A copy of an index is its source, whole, or it is refused."""

import numpy as np
import pytest

from nearbit.errors import InputError
from nearbit.index import create_index, open_index
from nearbit.indexing_copy import NOTE, copy_index

CODES = np.arange(10, dtype=np.uint8)[:, None]


@pytest.fixture
def copied(tmp_path):
    """Return a file of ten items, and its copy."""
    with create_index(tmp_path / "a.index", 8) as index:
        index.add(CODES, metadata=[{"path": f"{number}.png"} for number in range(10)])
    assert copy_index(tmp_path / "a.index", tmp_path / "b.index").copied == 10
    return tmp_path / "a.index", tmp_path / "b.index"


def other_item(index):
    index.remove([5])
    index.add(np.array([[200]], np.uint8))


def other_code(index):
    index.add(np.array([[200]], np.uint8), ids=[4], replace=True)


@pytest.mark.parametrize(
    "change",
    [
        other_item,
        other_code,
        lambda index: index.remove([3]),
        lambda index: index.remove([10]),
        lambda index: index.update([4], metadata=[{"path": "other.png"}]),
        lambda index: index.add(np.array([[200]], np.uint8)),
    ],
    ids=["other-item", "other-code", "one-less", "last-less", "metadata", "one-more"],
)
def test_a_copy_that_was_changed_is_refused_and_keeps_what_it_has(copied, change):
    source, target = copied
    with open_index(target) as index:
        change(index)
        before = [(item.id, item.path) for item in index]
    for _ in range(2):
        with pytest.raises(InputError, match=r"b\.index was changed since it was copied from .*a\.index: name another"):
            copy_index(source, target)
    with open_index(target) as index:
        assert [(item.id, item.path) for item in index] == before


def test_a_copy_that_is_whole_stays_so_and_so_does_one_of_before_states_were_noted(copied):
    source, target = copied
    assert copy_index(source, target).copied == 0
    with open_index(target) as index:
        index.set_notes({NOTE: index.notes()[NOTE].partition(" as ")[0]})
    assert copy_index(source, target).copied == 0


def test_an_unfinished_copy_that_was_changed_is_refused(copied, tmp_path, monkeypatch):
    monkeypatch.setattr("nearbit.indexing_copy.ITEMS_A_CALL", 4)
    third = tmp_path / "c.index"
    with pytest.raises(ZeroDivisionError, match="by zero"):
        copy_index(copied[0], third, progress=lambda *_: 1 // 0)
    with open_index(third) as index:
        index.remove([2])
    with pytest.raises(InputError, match="was changed since it was copied"):
        copy_index(copied[0], third)
    with open_index(third) as index:
        index.add(CODES[1:2], ids=[2])
    assert copy_index(copied[0], third).copied == 6
