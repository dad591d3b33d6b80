"""Filters: whatever was added, removed, updated, merged and reopened, they find what a plain loop over items finds."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
from nearbit.errors import IndexFileError, InputError
from nearbit.index import create_index, open_index, replace_index
from nearbit.index.live import postings
from nearbit.index.live.filters import filter_of
from nearbit.index.live.postings import Postings

N_BITS = 12
LABELS = ("wren", "robin", "owl", "wr")
CAMERAS = (1, 2, "2", True, None)
WHERES = (
    {"labels": "wren"}, {"labels": ["robin", "owl"]}, {"labels": "none"}, {"labels": ["wren", "wren", "none"]},
    {"camera": 1}, {"camera": "2"}, {"camera": True}, {"camera": None}, {"camera": 2.0}, {"path": "2.jpg"},
    {"path": None}, {"labels": "owl", "camera": 1}, {"digest": "d1", "camera": 2},
)  # fmt: skip


def passes(item, where):
    """Return whether an item's metadata meets every key, by a loop."""
    for key, value in where.items():
        if key == "labels":
            wanted = [value] if isinstance(value, str) else value
            if not any(label in wanted for label in item.get("labels", [])):
                return False
        elif key in ("path", "digest"):
            if item.get(key) != value:
                return False
        elif key not in item or (item[key] is True) != (value is True) or item[key] != value:
            return False
    return True


def an_item(draw):
    item = {"labels": draw(st.lists(st.sampled_from(LABELS), max_size=3))}
    if draw(st.booleans()):
        item["camera"] = draw(st.sampled_from(CAMERAS))
    if draw(st.booleans()):
        item["path"] = f"{draw(st.integers(0, 3))}.jpg"
    if draw(st.booleans()):
        item["digest"] = f"d{draw(st.integers(0, 2))}"
    return item


def agree(index, items, codes):
    """Assert that every filter finds, and matches, what a loop over the items does."""
    query = np.array([[0b10100101, 0b11000000]], np.uint8)
    for where in WHERES:
        some = {number: codes[number] for number, item in items.items() if passes(item, where)}
        assert index.matching(where).tolist() == sorted(some), where
        assert index.search(query, k=5, where=where).pairs(0) == oracles.top_k(query[0], some, N_BITS, 5, None), where


def changed(draw, index, items, codes):
    """Add, replace, update or remove some items, here and there alike."""
    what = draw(st.sampled_from(("add", "replace", "update", "remove")))
    chosen = draw(st.lists(st.sampled_from(sorted(items)), max_size=4, unique=True)) if items else []
    count = draw(st.integers(1, 8)) if what == "add" else len(chosen)
    new = [an_item(draw) for _ in range(count)]
    bits = np.array(draw(st.lists(st.integers(0, 2**N_BITS - 1), min_size=count, max_size=count)), np.uint16)
    rows = np.packbits((bits[:, None] >> np.arange(N_BITS)) & 1, axis=1).astype(np.uint8).reshape(count, 2)
    if what == "add":
        chosen = index.add(rows, metadata=new).tolist()
    elif what == "replace":
        index.add(rows, ids=chosen, metadata=new, replace=True)
    elif what == "update":
        index.update(chosen, metadata=new)
    else:
        index.remove(chosen)
    for number, item, code in zip(chosen, new, rows, strict=True):
        if what == "remove":
            del items[number], codes[number]
            continue
        items[number] = item
        if what != "update":
            codes[number] = code


@pytest.mark.parametrize("share", [0, 24, 10**9])
@given(data=st.data())
@settings(max_examples=6, deadline=None)
def test_filters_find_what_a_loop_finds_after_any_changes(share, data):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(postings, "MASKED_SHARE", share)
        path, items, codes = Path(folder) / "a.index", {}, {}
        index = create_index(path, n_bits=N_BITS)
        for _ in range(data.draw(st.integers(2, 6))):
            changed(data.draw, index, items, codes)
            then = data.draw(st.sampled_from(("nothing", "compact", "reopen", "filter")))
            if then == "compact":
                index.compact()
            elif then == "filter":
                key = data.draw(st.sampled_from(("camera", "path", "digest", "never")))
                (index.drop_filter if key in index.filters() else index.create_filter)(key)
            elif then == "reopen":
                index.close()
                index = open_index(path)
            agree(index, items, codes)
        index.close()


@pytest.mark.parametrize("n_sets", [1, 5, 70_000])
def test_rows_by_postings_are_those_by_a_look_at_every_row(n_sets, monkeypatch):
    rng = np.random.default_rng(n_sets)
    sets = rng.integers(0, n_sets, 3000).astype(np.int32)
    sets[0] = n_sets - 1
    by_set = Postings(sets)
    for numbers in ([], [0], [n_sets - 1], sorted({0, n_sets - 1, n_sets + 5})):
        wanted = [row for row, number in enumerate(sets.tolist()) if number in numbers]
        for share in (10**9, 24, 0):
            monkeypatch.setattr(postings, "MASKED_SHARE", share)
            found = by_set.rows(numbers)
            assert found.tolist() == wanted
            assert found.dtype == np.intp


def test_no_rows_at_all_have_no_set():
    assert Postings(np.empty(0, np.int32)).rows([0]).tolist() == []
    empty = Postings(np.empty(0, np.int32))
    assert [empty.rows([0, 3]).tolist() for _ in range(2)] == [[], []]


@pytest.fixture
def filtered(tmp_path):
    with create_index(tmp_path / "a.index", n_bits=8) as index:
        index.add(
            np.array([[1], [2], [3]], np.uint8),
            metadata=[{"camera": 1, "path": "a.jpg"}, {"camera": True}, {"ß' x": "é"}],
        )
        index.create_filter("camera")
    return tmp_path / "a.index"


def plan_of(path, where):
    """Return how SQLite says that it finds what a filter asks for."""
    with closing(sqlite3.connect(path)) as connection:
        sql, parameters = filter_of(where).condition(connection)
        return str(connection.execute(f"EXPLAIN QUERY PLAN SELECT id FROM items WHERE {sql}", parameters).fetchall())


def test_a_kept_filter_is_found_by_and_an_unkept_one_is_not(filtered):
    with open_index(filtered) as index:
        for key in ("path", "ß' x"):
            assert "SCAN items" in plan_of(filtered, {key: "a.jpg"})
            index.create_filter(key)
        assert index.filters() == ["camera", "path", "ß' x"]
        assert index.matching({"ß' x": "é"}).tolist() == [3]
    for where in ({"camera": 1}, {"camera": True}, {"camera": None}, {"path": "a.jpg"}, {"ß' x": "é"}):
        assert "SCAN items" not in plan_of(filtered, where), where


def test_a_filter_that_is_not_that_of_the_items_is_told_and_mended(filtered):
    with closing(sqlite3.connect(filtered, isolation_level=None)) as connection:
        connection.execute("UPDATE filters SET value = 7 WHERE id = 1")
    with open_index(filtered) as index:
        assert index.matching({"camera": 7}).tolist() == []  # never what the item itself does not say
        assert len(index.verify()) == 1
        assert "the filter by 'camera' is not that of the items" in index.verify()[0]
        index.drop_filter("camera")
        index.create_filter("camera")
        assert (index.verify(), index.matching({"camera": 1}).tolist()) == ([], [1])


def version_of(path):
    with open_index(path, read_only=True) as index:
        return index.stats()["format_version"]


def test_a_file_is_of_the_newer_format_only_as_long_as_it_keeps_filters(filtered):
    assert version_of(filtered) == 4
    with open_index(filtered) as index:
        index.create_filter("camera")  # again
        index.create_filter("digest")
        index.drop_filter("camera")
    assert version_of(filtered) == 4
    with open_index(filtered) as index:
        index.add(np.array([[4]], np.uint8), metadata=[{"digest": "d"}])
        assert index.verify() == []
        index.drop_filter("digest")
    assert version_of(filtered) == 3


def test_filters_stay_when_an_index_is_vacuumed_and_copied(filtered, tmp_path):
    with open_index(filtered) as index:
        index.compact(vacuum=True)
    create_index(tmp_path / "b.index", n_bits=8).close()
    replace_index(tmp_path / "b.index", filtered)
    with open_index(tmp_path / "b.index") as index:
        assert (index.filters(), index.matching({"camera": 1}).tolist()) == (["camera"], [1])


@pytest.mark.parametrize(("key", "message"), [("labels", "need none"), (3, "must be a str"), ("", "not ''")])
def test_keys_that_no_filter_is_kept_by_are_refused(filtered, key, message):
    with open_index(filtered) as index, pytest.raises(InputError, match=message):
        index.create_filter(key)


def test_the_number_of_filters_is_bounded_and_only_kept_ones_are_dropped(filtered):
    with open_index(filtered) as index:
        for number in range(15):
            index.create_filter(f"key{number}")
        with pytest.raises(InputError, match="at most 16 filters"):
            index.create_filter("one more")
        with pytest.raises(InputError, match=r"keeps no filter by 'other'; it keeps camera, key0"):
            index.drop_filter("other")
    with open_index(filtered, read_only=True) as index, pytest.raises(IndexFileError, match="read-only"):
        index.create_filter("path")


@pytest.mark.parametrize("statement", ["DROP INDEX filters_by_item", "CREATE INDEX other ON filters (value)"])
def test_what_is_no_filter_of_ours_is_refused(filtered, statement):
    with closing(sqlite3.connect(filtered, isolation_level=None)) as connection:
        connection.execute(statement)
    with pytest.raises(IndexFileError, match="no index as nearbit makes it"):
        open_index(filtered)


def test_a_file_of_the_older_format_has_no_filters(filtered):
    with closing(sqlite3.connect(filtered, isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value = '3' WHERE key = 'format_version'")
    with pytest.raises(IndexFileError, match="no index as nearbit makes it"):
        open_index(filtered)
