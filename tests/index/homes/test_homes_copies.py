"""A copy of an index in any home is its source, whole, or it is refused."""

import numpy as np
import pytest

from nearbit import indexing_copy
from nearbit.errors import InputError
from nearbit.index import create_index, open_index
from nearbit.indexing_copy import NOTE, copy_index

CODES = np.arange(10, dtype=np.uint8)[:, None]


@pytest.fixture
def source(tmp_path):
    """A file of ten items."""
    with create_index(tmp_path / "a.index", 8) as index:
        index.add(CODES, metadata=[{"path": f"{number}.png"} for number in range(10)])
    return tmp_path / "a.index"


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
def test_a_copy_that_was_changed_is_refused_and_keeps_what_it_has(home, source, change):
    assert copy_index(source, home.place).copied == 10
    with open_index(home.place) as index:
        change(index)
        before = [(item.id, item.path) for item in index]
    for _ in range(2):
        with pytest.raises(InputError, match=r"was changed since it was copied from .*a\.index: name another"):
            copy_index(source, home.place)
    with open_index(home.place) as index:
        assert [(item.id, item.path) for item in index] == before


def test_a_copy_that_is_whole_stays_so_and_so_does_one_of_before_states_were_noted(home, source):
    assert copy_index(source, home.place).copied == 10
    assert copy_index(source, home.place).copied == 0
    with open_index(home.place) as index:
        index.set_notes({NOTE: index.notes()[NOTE].partition(" as ")[0]})
    assert copy_index(source, home.place).copied == 0
    assert copy_index(source, home.place).copied == 0


def test_an_unfinished_copy_that_was_changed_is_refused(home, source, monkeypatch):
    monkeypatch.setattr("nearbit.indexing_copy.ITEMS_A_CALL", 4)
    with pytest.raises(ZeroDivisionError, match="by zero"):
        copy_index(source, home.place, progress=lambda *_: 1 // 0)
    with open_index(home.place) as index:
        index.remove([2])
    with pytest.raises(InputError, match="was changed since it was copied"):
        copy_index(source, home.place)
    with open_index(home.place) as index:
        index.add(CODES[1:2], ids=[2])
    assert copy_index(source, home.place).copied == 6


def test_items_of_others_in_an_unfinished_copy_are_not_removed_where_the_source_changed(home, source, monkeypatch):
    monkeypatch.setattr("nearbit.indexing_copy.ITEMS_A_CALL", 4)
    with pytest.raises(ZeroDivisionError, match="by zero"):
        copy_index(source, home.place, progress=lambda *_: 1 // 0)
    with open_index(home.place) as index:
        (mine,) = index.add(np.array([[200]], np.uint8), metadata=[{"labels": ["mine"]}])
    with open_index(source) as index:
        index.add(np.array([[77]], np.uint8))
    for _ in range(2):
        with pytest.raises(InputError, match=r"was changed since a copy of .*a\.index was begun there"):
            copy_index(source, home.place)
    with open_index(home.place) as index:
        assert index.items([mine])[0].labels == ("mine",)
        index.remove([mine])


@pytest.mark.parametrize("when", ["before the note", "after it"])
def test_an_unfinished_copy_begins_anew_where_the_source_changed(home, source, monkeypatch, when):
    monkeypatch.setattr("nearbit.indexing_copy.ITEMS_A_CALL", 4)
    if when == "after it":
        with pytest.raises(ZeroDivisionError, match="by zero"):
            copy_index(source, home.place, progress=lambda *_: 1 // 0)
    else:
        usual, calls = indexing_copy._ended, []
        monkeypatch.setattr(indexing_copy, "_ended", lambda *ended: calls.append(ended) or usual(*ended))
        kind = type(open_and_close(home.place))
        put, adds = kind.add, []

        def cut_short(self, *given, **named):
            ids = put(self, *given, **named)
            adds.append(ids)
            raise ZeroDivisionError("cut short")

        with monkeypatch.context() as patch:
            patch.setattr(kind, "add", cut_short)
            with pytest.raises(ZeroDivisionError, match="cut short"):
                copy_index(source, home.place)
        assert len(calls) == len(adds) == 1
    with open_index(source) as index:
        index.update([1], metadata=[{"path": "new.png"}])
    assert copy_index(source, home.place).copied == 10
    with open_index(home.place) as index:
        assert index.items([1])[0].path == "new.png"


def open_and_close(place):
    with create_index(place, 8, exist_ok=True) as index:
        return index


def test_ids_of_removed_items_are_not_given_again_in_a_copy(home, source):
    with open_index(source) as index:
        index.remove([9, 10])
        assert index.last_id() == 10
    assert copy_index(source, home.place).copied == 8
    with open_index(home.place) as index:
        assert index.last_id() == 10
        index.never_assign(3)
        assert index.last_id() == 10
    assert copy_index(source, home.place).copied == 0
    with open_index(home.place) as index:
        assert index.add(np.array([[1]], np.uint8)).tolist() == [11]
        index.never_assign(20)
        assert index.verify() == []
        assert index.add(np.array([[1]], np.uint8)).tolist() == [21]
