"""What an index does in every home: add, replace, remove, read back, search, and refuse."""

import json

import numpy as np
import pytest

from nearbit.errors import InputError
from nearbit.index import open_index

CODES = np.array([[0b10000000, 0], [0b11000000, 0], [0b11110000, 0b11110000], [0b10000000, 0]], np.uint8)

LAST_ID = {"milvus": 2**63 - 2}
"""The highest id, where a home has not all of them."""


@pytest.fixture
def index(home):
    with home.create(12) as opened:
        yield opened


def test_ids_are_assigned_from_one_and_never_again(home, index):
    assert index.add(CODES).tolist() == [1, 2, 3, 4]
    assert index.remove([4, 3]) == 2
    assert index.add(CODES[:1]).tolist() == [5]
    index.add(CODES[:1], ids=[40])
    index.remove([40])
    assert index.add(CODES[:1]).tolist() == [41]
    with open_index(home.place) as again:
        assert again.add(CODES[:1]).tolist() == [42]


def test_given_ids_come_back_as_int64_in_their_order(home, index):
    last = LAST_ID.get(home.scheme, 2**63 - 1)
    ids = index.add(CODES[:3], ids=[7, 0, last])
    assert ids.dtype == np.int64
    assert ids.tolist() == [7, 0, last]
    assert index.codes()[0].tolist() == [0, 7, last]
    assert np.array_equal(index.codes()[1], CODES[[1, 0, 2]])
    with pytest.raises(InputError, match="no ids are left"):
        index.add(CODES[:1])


def test_items_keep_what_came_with_them_in_the_order_asked(index):
    metadata = [
        {"path": "a/ü\n.jpg", "labels": ["wren", "bird"], "digest": "00ff", "camera": 3, "ok": True, "gone": None},
        {},
        {"labels": (), "deep": {"list": [1, "two", {"three": 3.5}]}, "": "empty key"},
    ]
    index.add(CODES[:3], metadata=metadata)
    third, first, again = index.items([3, 1, 1])
    assert (first.id, first.path, first.labels, first.digest) == (1, "a/ü\n.jpg", ("wren", "bird"), "00ff")
    assert first.metadata == {"camera": 3, "ok": True, "gone": None}
    assert (third.path, third.labels, third.digest) == (None, (), None)
    assert third.metadata == {"deep": {"list": [1, "two", {"three": 3.5}]}, "": "empty key"}
    assert again.id == 1
    assert third.code.dtype == np.uint8
    assert np.array_equal(third.code, CODES[2])
    assert [item.id for item in index] == [1, 2, 3]
    assert index.labels() == {"bird": 1, "wren": 1}


def test_entries_hold_the_highest_id_of_a_path(index):
    index.add(CODES[:3], metadata=[{"path": "a", "digest": "1"}, {"path": "a", "digest": "2"}, {}])
    assert index.entries() == {"a": (2, "2")}


def test_an_item_with_a_label_twice_counts_once(index):
    index.add(CODES[:1], metadata=[{"labels": ["wren", "wren"]}])
    assert index.labels() == {"wren": 1}


def test_adding_nothing_writes_nothing(index):
    assert index.add(np.empty((0, 2), np.uint8)).tolist() == []
    assert index.add(np.empty((0, 2), np.uint8), ids=[], metadata=[]).tolist() == []
    assert len(index) == 0
    assert index.remove([]) == 0
    assert index.items([]) == []
    assert index.entries() == {}


@pytest.mark.parametrize("searched_before", [False, True])
def test_a_present_id_is_refused_and_nothing_is_written(index, searched_before):
    index.add(CODES[:2], ids=[5, 6])
    if searched_before:
        index.search(CODES[:1])
    with pytest.raises(InputError, match="already holds item 5 and 1 more"):
        index.add(CODES[:3], ids=[9, 6, 5])
    assert index.codes()[0].tolist() == [5, 6]
    assert index.search(CODES[:1]).pairs(0) == [(5, 0), (6, 1)]


def test_replace_takes_the_place_of_the_whole_item(index):
    index.add(CODES[:2], ids=[5, 6], metadata=[{"path": "old", "labels": ["wren"]}, {}])
    index.search(CODES[:1])
    index.add(CODES[2:], ids=[5, 4], replace=True)
    (item,) = index.items([5])
    assert (item.path, item.labels) == (None, ())
    assert np.array_equal(item.code, CODES[2])
    assert index.search(CODES[:1]).pairs(0) == [(4, 0), (6, 1), (5, 7)]
    assert len(index) == 3


def test_remove_refuses_unknown_ids_unless_told(index):
    index.add(CODES)
    with pytest.raises(InputError, match="holds no item 9; nothing was removed"):
        index.remove([1, 9])
    assert len(index) == 4
    assert index.remove([1, 9, 1], missing_ok=True) == 1
    assert index.codes()[0].tolist() == [2, 3, 4]


def test_verify_finds_nothing_in_a_whole_index(index):
    index.add(CODES)
    assert index.verify() == []


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"codes": CODES.astype(int)}, "must be packed uint8"),
        ({"codes": CODES[:, :1]}, r"must have the shape \(n, 2\)"),
        ({"codes": CODES | 1}, "the last 4 bits"),
        ({"codes": CODES, "ids": [1, 2, 3]}, "4 codes came with 3 ids"),
        ({"codes": CODES, "ids": [1, 2, 3, 1]}, "1 came more than once"),
        ({"codes": CODES, "ids": [1, 2, 3, 1], "replace": True}, "1 came more than once"),
        ({"codes": CODES, "ids": [1, 2, 3, -1]}, "ids must lie in 0"),
        ({"codes": CODES, "ids": np.array([1, 2, 3, 2**63], np.uint64)}, "ids must lie in 0"),
        ({"codes": CODES, "ids": [1.0, 2.0, 3.0, 4.0]}, "ids must be whole numbers"),
        ({"codes": CODES, "ids": [[1, 2, 3, 4]]}, "ids must be whole numbers"),
        ({"codes": CODES, "ids": ["a", "b", "c", "d"]}, "ids must be whole numbers"),
        ({"codes": CODES, "replace": True}, "replace=True needs ids"),
        ({"codes": CODES, "metadata": [{}]}, "4 codes came with 1"),
        ({"codes": CODES, "metadata": {"path": "a", "b": 1, "c": 2, "d": 3}}, "must be a list of one mapping an item"),
        ({"codes": CODES, "metadata": ({} for _ in CODES)}, "must be a list of one mapping an item, not generator"),
    ],
)
def test_wrong_additions_are_refused(index, arguments, match):
    with pytest.raises(InputError, match=match):
        index.add(**arguments)
    assert len(index) == 0


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ("a.jpg", r"metadata\[0\] must be a mapping, not str"),
        ({"path": 3}, r"metadata\[0\]\['path'\] must be a str, not int"),
        ({"path": b"a"}, "must be a str, not bytes"),
        ({"path": "\udcff"}, "half a surrogate pair"),
        ({"digest": 3}, r"\['digest'\] must be a str"),
        ({"labels": "wren"}, "must be a list of str, not str; one label is a list of one"),
        ({"labels": None}, "must be a list of str, not NoneType"),
        ({"labels": ["wren", 3]}, r"\['labels'\]\[1\] must be a str, not int"),
        ({"labels": ["a\0b"]}, "NUL character"),
        ({"size": float("nan")}, r"\['size'\] must be finite, not nan"),
        ({"size": np.int64(3)}, r"must be JSON-ready .*, not int64; convert it"),
        ({"size": 2**63}, "must fit 64 bits"),
        ({"deep": {"list": [1, {2, 3}]}}, r"\['deep'\]\['list'\]\[1\] must be JSON-ready .*, not set"),
        ({"pair": (1, 2)}, "must be JSON-ready .*, not tuple"),
        ({3: "a"}, r"a key of metadata\[0\] must be a str, not int"),
    ],
)
def test_metadata_that_cannot_be_kept_as_it_is_is_refused(index, metadata, match):
    with pytest.raises(InputError, match=match):
        index.add(CODES[:1], metadata=[metadata])
    assert len(index) == 0


def test_metadata_nested_without_end_is_refused(index):
    endless = []
    endless.append(endless)
    with pytest.raises(InputError, match="nested at most 50 deep"):
        index.add(CODES[:1], metadata=[{"a": endless}])


def test_unknown_items_are_an_error(index):
    index.add(CODES)
    with pytest.raises(InputError, match="holds no item 9"):
        index.items([1, 9])
    with pytest.raises(InputError, match="ids must lie in 0"):
        index.items([-1])


def test_update_changes_what_belongs_to_an_item_and_not_its_code(index):
    index.add(CODES, metadata=[{"path": "a", "labels": ["wren"], "n": 1}] * 4)
    index.search(CODES[:1], where={"labels": "wren"})
    index.update([3, 2], metadata=[{"labels": ["robin"]}, {"path": "b", "digest": "00"}])
    two, three = index.items([2, 3])
    assert (two.path, two.labels, two.digest, two.metadata) == ("b", (), "00", {})
    assert (three.path, three.labels, three.metadata) == (None, ("robin",), {})
    assert np.array_equal(index.codes()[1], CODES)
    assert index.search(CODES[2:3], k=1, where={"labels": "robin"}).pairs(0) == [(3, 0)]
    assert index.search(CODES[2:3], k=4, where={"labels": "wren"}).pairs(0) == [(1, 7), (4, 7)]
    assert index.paths() == [("a", 1, None), ("b", 2, "00"), ("a", 4, None)]
    index.update([], metadata=[])
    with pytest.raises(InputError, match="holds no item 9; nothing was changed"):
        index.update([1, 9], metadata=[{}, {}])
    with pytest.raises(InputError, match="2 ids came with 1"):
        index.update([1, 2], metadata=[{}])
    with pytest.raises(InputError, match="2 came more than once"):
        index.update([2, 2], metadata=[{}, {}])
    assert index.items([1])[0].path == "a"


def test_matching_finds_the_ids_that_a_filter_lets_through(index):
    index.add(CODES, metadata=[{"labels": ["wren"]}, {"n": 1}, {"labels": ["wren"], "n": 1}, {}])
    assert index.matching({"labels": "wren"}).tolist() == [1, 3]
    assert index.matching({"n": 1, "labels": ["wren", "robin"]}).tolist() == [3]
    assert index.matching({"n": 2}).dtype == np.int64
    with pytest.raises(InputError, match="at least one key"):
        index.matching({})


def test_a_filter_sees_what_an_item_holds_now_and_not_what_it_held(index):
    index.add(CODES, metadata=[{"labels": ["wren"], "n": 1}] * 4)
    assert len(index.search(CODES[:1], where={"labels": "wren"}).pairs(0)) == 4
    index.update([3], metadata=[{"labels": ["robin"], "n": 1}])
    index.remove([2])
    for where, ids in (
        ({"labels": "wren", "n": 1}, [1, 4]),
        ({"labels": "wren"}, [1, 4]),
        ({"labels": "robin", "n": 1}, [3]),
        ({"n": 1}, [1, 4, 3]),
    ):
        assert [item_id for item_id, _ in index.search(CODES[:1], where=where).pairs(0)] == ids
    assert index.labels() == {"robin": 1, "wren": 2}


def test_stats_and_state_are_ready_for_json(home):
    with home.create(12, model_id="m1") as index:
        before = index.state()
        index.add(CODES)
        stats = index.stats()
        assert index.state() != before
        assert index.state() == index.state()
    assert json.loads(json.dumps(stats)) == stats
    assert (stats["items"], stats["n_bits"], stats["model_id"]) == (4, 12, "m1")
    assert stats["distinct_codes"] == (None if home.scheme == "milvus" else 3)
    assert {"path", "file_bytes", "cache_bytes", "outputs", "format_version", "created", "revision"} < set(stats)
    assert {"added_since_merge", "removed_since_merge", "search"} < set(stats)


def test_notes_are_kept_and_replaced_by_name(home, index):
    index.set_notes({"model_path": "a.model", "ü": "'; DROP TABLE items; --"})
    index.set_notes({"model_path": "b.model"})
    assert index.notes() == {"model_path": "b.model", "ü": "'; DROP TABLE items; --"}
    with open_index(home.place, read_only=True) as again:
        assert again.notes() == index.notes()
    with pytest.raises(InputError, match="a note must be a str"):
        index.set_notes({"a": 3})
    with pytest.raises(InputError, match="notes must be a mapping of names to texts, not list"):
        index.set_notes(["a"])


def test_pages_of_items_follow_each_other(index):
    index.add(CODES, ids=[3, 9, 4, 2**40])
    assert [item.id for item in index.items_after(-1, 2)] == [3, 4]
    assert [item.id for item in index.items_after(4, 5)] == [9, 2**40]
    assert index.items_after(2**40, 5) == []


def test_an_index_says_where_it_lies(home, index):
    assert index.folder.is_absolute()
    assert index.address == str(home.place)
    assert "secret" not in repr(index) + index.address
    assert index.is_in_place()


def test_one_writer_may_make_several_changes_in_turn(index):
    with index.writing():
        index.add(CODES[:2])
        index.remove([1])
    assert index.codes()[0].tolist() == [2]


def test_compacting_changes_no_answer(index):
    rng = np.random.default_rng(3)
    index.add(np.packbits(rng.random((300, 12)) < 0.3, axis=1))
    before = [index.search(CODES, k=7, radius=radius).ids.tolist() for radius in (None, 3)]
    index.compact()
    assert [index.search(CODES, k=7, radius=radius).ids.tolist() for radius in (None, 3)] == before
    assert index.verify() == []


def test_filters_by_a_key_are_kept_or_refused(home, index):
    index.add(CODES, metadata=[{"camera": 1}, {"camera": 2}, {}, {"camera": 1}])
    if "filters" not in index.offers:
        with pytest.raises(InputError, match="keeps no filters"):
            index.create_filter("camera")
        assert index.filters() == []
        return
    index.create_filter("camera")
    index.create_filter("camera")
    assert index.filters() == ["camera"]
    assert index.search(CODES[:1], where={"camera": 1}).pairs(0) == [(1, 0), (4, 0)]
    index.drop_filter("camera")
    assert index.filters() == []
    with pytest.raises(InputError, match="camera"):
        index.drop_filter("camera")


def test_pairs_groups_and_clusters_are_of_all_items_as_they_are_now(index):
    assert len(index.groups(2)) == len(index.clusters()) == 0
    index.add(CODES, ids=[9, 3, 5, 1])
    index.add(CODES[2:3])
    index.remove([5])
    pairs = index.pairs(1)
    told = list(zip(pairs.distances.tolist(), pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert told == [(0, 1, 9), (1, 1, 3), (1, 3, 9)]
    assert [group.tolist() for group in index.groups(1)] == [[1, 3, 9]]
    assert [index.clusters(2)[number].tolist() for number in range(2)] == [[1, 9, 3], [10]]
    with pytest.raises(InputError, match=r"radius \(in bits\) must be a whole number of at least 0"):
        index.groups(-1)


def test_among_codes_at_one_distance_the_lowest_id_comes_first_whatever_comes_and_goes(index):
    a, b, query = np.array([[[0b10000000, 0]], [[0b01000000, 0]], [[0, 0]]], np.uint8)
    index.add(a, ids=[9])
    index.add(b, ids=[5])
    assert index.search(query, k=1).pairs(0) == [(5, 1)]
    index.add(a, ids=[2])
    assert index.search(query, k=1).pairs(0) == [(2, 1)]
    assert index.search(query, k=2).pairs(0) == [(2, 1), (5, 1)]
    index.remove([2])
    assert index.search(query, k=1).pairs(0) == [(5, 1)]
    index.add(b, ids=[9], replace=True)
    assert index.search(query, k=3).pairs(0) == [(5, 1), (9, 1)]
    index.remove([5])
    assert index.search(query, k=1).pairs(0) == [(9, 1)]
    assert index.verify() == []
