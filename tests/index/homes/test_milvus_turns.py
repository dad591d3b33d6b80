"""The turns of writers in Milvus where something comes between: on a stand-in of the server, in a given order."""

import threading
from contextlib import ExitStack

import numpy as np
import pytest

from nearbit.errors import IndexFileError
from nearbit.index import Address

pytest.importorskip("pymilvus", reason="pymilvus is not installed: Milvus is not tested")

from pymilvus.exceptions import MilvusException

from nearbit.index.homes.milvus import state, writing
from nearbit.index.homes.milvus.client import Server
from nearbit.index.homes.milvus.index import MilvusIndex
from nearbit.index.homes.milvus.schema import Way
from nearbit.index.homes.milvus.state import Mark, first_mark, marks_in

FIRST = first_mark("0" * 32)
FACTS = {"n_bits": "16", "folder": "/", "index_id": "0" * 32}


class Held:
    """What a server holds: the names of collections, the rows of the index, and its clock."""

    def __init__(self):
        self.names, self.rows, self.time = ["birds", FIRST.name_of("birds")], [], 0

    def marks(self):
        return marks_in(self.names, "birds")

    def codes(self):
        """Return the code of each item that the present state tells of, as a number, by id."""
        seen = [row for row in self.rows if row["id"] >= 0 and row["revision"] <= self.marks()[-1].revision]
        return {row["id"]: int.from_bytes(row["code"]) for row in sorted(seen, key=lambda row: row["id"])}


class StandIn:
    """Answers as `Server` does. `before[call]` and `after[call]` are done beside each call of that name."""

    is_closed = False

    def __init__(self, held):
        self.held, self.address = held, Address.parsed("milvus://host?index=birds")
        self.before, self.after = {}, {}

    def _beside(self, call, *given):
        self.before.get(call, lambda *_: None)(*given)

    def _done(self, call, *given):
        self.after.get(call, lambda *_: None)(*given)

    def collections(self):
        return list(self.held.names)

    def rename(self, old, new):
        self._beside("rename", old, new)
        if old not in self.held.names:
            return False
        if new in self.held.names:
            raise IndexFileError("the name is taken")
        self.held.names[self.held.names.index(old)] = new
        self._done("rename", old, new)
        return True

    def query(self, name, condition, fields, since):
        self._beside("query", condition)
        return [row for row in self.held.rows if eval(condition, {"__builtins__": {}}, row)]

    def count(self, name, condition, since):
        return len(self.query(name, condition, [], since))

    def upsert(self, name, rows):
        self._beside("write", rows)
        new = {row["id"]: dict(row) for row in rows}
        self.held.rows[:] = [row for row in self.held.rows if row["id"] not in new] + list(new.values())
        self.held.time += 1
        self._done("write", rows)
        return self.held.time

    insert = upsert

    def delete(self, name, condition):
        self._beside("write", [])
        self.held.rows[:] = [row for row in self.held.rows if not eval(condition, {"__builtins__": {}}, row)]
        self._done("write", [])

    def call(self, work):
        self._beside("call")


@pytest.fixture
def held(monkeypatch):
    """What the server holds, of an index that gives its signs of life only when a test asks for them."""
    monkeypatch.setattr(state, "BEAT", 1e6)
    monkeypatch.setattr(writing, "ROWS_PER_REQUEST", 2)
    return Held()


def opened(held):
    return MilvusIndex(StandIn(held), FACTS, read_only=False, way=Way())


def codes(n, number):
    return np.full((n, 2), [0, number], np.uint8)


def is_of_items(rows):
    return any(row["id"] >= 0 for row in rows)


def once(work):
    """Return a call that does some work the first time."""
    done = []

    def first(*given):
        if not done:
            done.append(1)
            work(*given)

    return first


@pytest.fixture
def overtaken(held, monkeypatch):
    """Return a call by which another writer takes over, adds three items of the code 7, and is done."""

    def add(*_):
        monkeypatch.setattr(state, "STALE", 0.0)
        assert len(opened(held).add(codes(3, 7))) == 3
        monkeypatch.setattr(state, "STALE", 30.0)

    return add


def test_a_writer_that_was_overtaken_leaves_what_the_next_one_added(held, overtaken):
    index = opened(held)
    index.add(codes(1, 1))
    index._server.after["write"] = once(overtaken)
    with pytest.raises(IndexFileError, match=r"another program took over writing.*nothing was kept: do it again"):
        index.add(codes(1, 9))
    assert held.codes() == {1: 1, 2: 7, 3: 7, 4: 7}
    assert index.add(codes(1, 5)).tolist() == [5]


@pytest.mark.parametrize("error", [KeyboardInterrupt, IndexFileError("the server is away")])
def test_a_writer_that_fails_after_it_was_overtaken_leaves_what_the_next_one_added(held, overtaken, error):
    def fails(*_):
        overtaken()
        raise error

    index = opened(held)
    index._server.after["write"] = once(fails)
    with pytest.raises(BaseException, match=r"away|^$"):
        index.add(codes(1, 9))
    assert held.codes() == {1: 7, 2: 7, 3: 7}


CHANGES = {
    "add": lambda index: index.add(codes(6, 9)),
    "add_many": lambda index: index.add(codes(6, 9)),
    "replace": lambda index: index.add(codes(6, 9), ids=range(1, 7), replace=True),
    "update": lambda index: index.update(range(1, 7), metadata=[{}] * 6),
    "remove": lambda index: index.remove(range(1, 7)),
}


@pytest.mark.parametrize("asleep", [(31, 31), (31, 0), (0, 31), (0, -99)])
@pytest.mark.parametrize("change", CHANGES)
def test_a_writer_that_was_asleep_sends_nothing_more_once_it_was_overtaken(
    held, overtaken, monkeypatch, change, asleep
):
    monkeypatch.setattr(writing, "FEW", 0 if change == "add_many" else 1_000)
    index, sent = opened(held), []
    index.add(codes(6, 1))
    before, clocks = index.state(), state.clocks

    def sleeps(*_):
        overtaken()
        monkeypatch.setattr(state, "clocks", lambda: tuple(np.add(clocks(), asleep)))
        index._server.before["write"] = lambda rows: sent.append(rows) if is_of_items(rows) or not rows else None

    index._server.after["write"] = once(sleeps)
    with pytest.raises(IndexFileError, match="another program took over writing"):
        CHANGES[change](index)
    assert sent == []
    assert index.state() != before
    assert {item_id: code for item_id, code in held.codes().items() if item_id > 6} == {7: 7, 8: 7, 9: 7}


def test_notes_are_not_written_over_those_of_the_next_writer(held, overtaken, monkeypatch):
    index, calls, clocks = opened(held), [], state.clocks

    def asleep():
        calls.append(1)
        overtaken()
        monkeypatch.setattr(state, "clocks", lambda: tuple(np.add(clocks(), 31)))

    monkeypatch.setattr("nearbit.index.homes.milvus.maintenance.notes_of", lambda *_: asleep() or {})
    index._server.before["call"] = lambda: calls.append(2)
    with pytest.raises(IndexFileError, match="another program took over writing"):
        index.set_notes({"a": "b"})
    assert calls == [1]


def fails(*_):
    raise IndexFileError("the server is away")


def test_an_addition_that_was_kept_is_told_so_where_the_index_cannot_be_given_back(held, overtaken):
    index = opened(held)
    index._server.before["rename"] = lambda old, new: fails() if "_BY_" not in new else None
    assert index.add(codes(2, 1)).tolist() == [1, 2]
    assert held.marks()[-1].owner
    overtaken()
    assert held.codes() == {1: 1, 2: 1, 3: 7, 4: 7, 5: 7}


@pytest.mark.parametrize("is_mended_at_once", [True, False])
def test_half_of_an_addition_is_not_seen_with_the_next_one_of_the_same_turn(held, is_mended_at_once):
    index, written = opened(held), []

    def third(rows):
        written.append(1)
        if len(written) == 3:
            index._server.before["query"] = (lambda *_: None) if is_mended_at_once else once(fails)
            fails()

    index._server.before["write"] = third
    with index.writing():
        with pytest.raises(IndexFileError, match="away"):
            index.add(codes(6, 9))
        assert (len(held.rows) == 1) == is_mended_at_once  # the one that is no item
        assert index.add(codes(1, 2)).tolist() == [1]
        assert held.codes() == {1: 2}
    assert held.marks()[-1].owner == ""
    assert len(held.rows) == 2


def test_half_of_an_addition_that_is_the_last_of_its_turn_is_taken_away_as_it_ends(held):
    index = opened(held)
    with index.writing():
        index.add(codes(1, 1))
        index._server.after["write"] = lambda *_: fails()
        with pytest.raises(IndexFileError, match="away"):
            index.add(codes(6, 9))
        index._server.after.clear()
    assert (held.marks()[-1].owner, len(index), len(held.rows)) == ("", 1, 2)


def test_a_writer_that_cannot_take_away_what_another_left_does_not_give_the_index_back_as_whole(held, overtaken):
    index, other = opened(held), opened(held)
    with ExitStack() as cut:
        cut.callback(index._server.before.clear)
        index._server.after["write"] = lambda *_: index._server.before.update(rename=fails, query=fails)
        with pytest.raises(IndexFileError, match="away"):
            index.add(codes(6, 9))
    other._server.before["query"] = once(fails)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "STALE", 0.0)
        with pytest.raises(IndexFileError, match="away"):
            other.add(codes(1, 3))
    overtaken()
    assert held.codes() == {1: 7, 2: 7, 3: 7}


def test_a_second_interrupt_leaves_no_sign_of_life(held):
    def interrupt(*_):
        raise KeyboardInterrupt("pressed")

    index, before = opened(held), set(threading.enumerate())
    index._server.after["write"] = interrupt
    index._server.before["query"] = interrupt
    with pytest.raises(KeyboardInterrupt, match="pressed"):
        index.add(codes(1, 1))
    assert [thread for thread in threading.enumerate() if thread not in before] == []


def test_of_two_first_states_the_one_that_is_held_is_the_present_one():
    taken, beaten = Mark(1, 0, 0, 0, 7, "a", 0), Mark(1, 0, 0, 0, 7, "0", 4)
    names = [mark.name_of("birds") for mark in (beaten, taken, Mark(1, 0, 0, 0, 9))]
    assert marks_in(names, "birds")[-1] == beaten
    assert marks_in([*names, Mark(1, 0, 0, 5, 7).name_of("birds")], "birds")[-1].since == 5


def test_who_took_a_second_first_state_gives_it_back_to_the_writer_of_the_first(held):
    one, other, turn = opened(held), opened(held), ExitStack()

    def made_again(*_):
        turn.enter_context(one.writing())
        held.names.append(FIRST.name_of("birds"))

    def given_back(old, new):
        if "_BY_" not in new:
            one.add(codes(3, 1))
            turn.close()

    other._server.before["rename"] = once(made_again)
    other._server.after["rename"] = once_of(given_back, "_BY_")
    assert other.add(codes(3, 7)).tolist() == [4, 5, 6]
    assert held.codes() == {1: 1, 2: 1, 3: 1, 4: 7, 5: 7, 6: 7}
    assert one.add(codes(1, 1)).tolist() == [7]


def once_of(work, sign):
    """Return what does some work for the first renaming to a name without a sign."""
    done = []

    def first(old, new):
        if sign not in new and not done:
            done.append(1)
            work(old, new)

    return first


def test_of_two_first_states_that_nobody_holds_one_goes_on(held):
    index = opened(held)
    held.names.append(Mark(1, 0, 0, 0, 9).name_of("birds"))
    assert [int(index.add(codes(1, number))[0]) for number in (1, 2)] == [1, 2]
    assert opened(held).add(codes(1, 3)).tolist() == [3]
    assert held.codes() == {1: 1, 2: 2, 3: 3}


class Client:
    """Renames nothing, says so, and then tells these names, or is away."""

    def __init__(self, names):
        self.names = names

    def rename_collection(self, old, new, timeout):
        raise MilvusException(1, "server unavailable")

    def list_collections(self, timeout):
        if self.names is None:
            raise MilvusException(1, "server unavailable")
        return self.names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["new"], True),
        (["other"], False),
        (["old"], "cannot be reached"),
        (["new", "old"], "cannot be reached"),
        (None, "lost in the middle of a change.*then look whether the change is there before you make it again"),
    ],
)
def test_whether_a_renaming_was_done_is_told_by_the_names(monkeypatch, names, expected):
    server = Server(Address.parsed("milvus://host?index=birds"))
    monkeypatch.setattr(server, "client", lambda: Client(names))
    if isinstance(expected, bool):
        assert server.rename("old", "new") == expected
        return
    with pytest.raises(IndexFileError, match=expected):
        server.rename("old", "new")
