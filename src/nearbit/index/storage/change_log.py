"""The history of an index: a number for each state of its items, and a log of which items changed in between."""

import secrets
import sqlite3
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.index.results import Ids
from nearbit.index.storage.damage import Damage

TABLES = (
    "CREATE TABLE revisions (revision INTEGER PRIMARY KEY, token INTEGER NOT NULL)",
    "CREATE TABLE changes (revision INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL)",
)

RUNS_PER_CHANGE = 10_000
"""The most runs of ids that one transaction logs; one that touches more begins the log anew."""

RUNS_IN_ALL = 100_000
"""The most runs that the log holds before it begins anew."""

Runs = npt.NDArray[np.int64]
"""Runs of consecutive ids: int64 `(n, 2)`, the first and the last of each."""


@dataclass(frozen=True)
class State:
    """One state of the items of an index.

    Attributes:
        revision: raised by one with every transaction that touches an item.
        token: a random number drawn by that transaction, which tells apart states of the same number in two copies of
            a file; -1 in a file of format version 1, which keeps no history.
    """

    revision: int
    token: int


def begin_history(connection: sqlite3.Connection) -> None:
    """Record the first state of a file that had no history."""
    connection.execute("INSERT INTO revisions VALUES (1, ?)", (_token(),))


def read_state(connection: sqlite3.Connection) -> State:
    """Return the present state, inside the caller's transaction."""
    try:
        row = connection.execute("SELECT revision, token FROM revisions ORDER BY revision DESC LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return State(int(connection.execute("PRAGMA data_version").fetchone()[0]), -1)
    if row is None or not isinstance(row[1], int):
        raise Damage("its history holds no state")
    return State(*row)


def record_change(connection: sqlite3.Connection, ids: Ids) -> State:
    """Raise the revision and log which ids a transaction touched; return the state that it leaves.

    A change of very many scattered ids is not logged one by one: the log begins anew, and whoever holds an older state
    reads the whole index again.
    """
    state = State(read_state(connection).revision + 1, _token())
    runs = runs_of(ids)
    if len(runs) > RUNS_PER_CHANGE or _logged(connection) + len(runs) > RUNS_IN_ALL:
        connection.execute("DELETE FROM changes")
        connection.execute("DELETE FROM revisions")
    else:
        rows = ((state.revision, first, last) for first, last in runs.tolist())
        connection.executemany("INSERT INTO changes VALUES (?, ?, ?)", rows)
    connection.execute("INSERT INTO revisions VALUES (?, ?)", (state.revision, state.token))
    return state


def changed_since(connection: sqlite3.Connection, state: State) -> Runs | None:
    """Return the runs of ids that were touched after a state; None where the log does not reach back to it."""
    if state.token == -1 or not is_known(connection, state):
        return None
    sql = "SELECT first, last FROM changes WHERE revision > ?"
    rows = connection.execute(sql, (state.revision,)).fetchall()
    if not all(isinstance(number, int) for row in rows for number in row):
        raise Damage("its history holds runs of ids that are no numbers")
    return joined(np.array(rows, np.int64).reshape(-1, 2))


def is_known(connection: sqlite3.Connection, state: State) -> bool:
    """Return whether a state is one that this file went through and from which the log goes on."""
    row = connection.execute("SELECT token FROM revisions WHERE revision = ?", (state.revision,)).fetchone()
    return row is not None and bool(row[0] == state.token)


def trim(connection: sqlite3.Connection, state: State) -> None:
    """Forget what was logged up to a state; the log goes on from there."""
    if is_known(connection, state):
        connection.execute("DELETE FROM changes WHERE revision <= ?", (state.revision,))
        connection.execute("DELETE FROM revisions WHERE revision < ?", (state.revision,))


def runs_of(ids: Ids) -> Runs:
    """Return the runs of consecutive numbers in ids."""
    values = np.unique(ids)
    if not len(values):
        return np.empty((0, 2), np.int64)
    breaks = np.flatnonzero(np.diff(values) > 1)
    firsts, lasts = np.append(0, breaks + 1), np.append(breaks, len(values) - 1)
    return np.stack([values[firsts], values[lasts]], axis=1)


def joined(runs: Runs) -> Runs:
    """Return runs sorted, those that overlap or touch made one."""
    if not len(runs):
        return runs
    ordered = runs[np.argsort(runs[:, 0], kind="stable")]
    ends = np.maximum.accumulate(ordered[:, 1])
    begins = np.append(True, ordered[1:, 0] > ends[:-1])
    return np.stack([ordered[begins, 0], ends[np.append(np.flatnonzero(begins)[1:] - 1, len(ordered) - 1)]], axis=1)


def in_runs(ids: Ids, runs: Runs) -> npt.NDArray[np.bool_]:
    """Return which of the ids lie in one of the runs, which are sorted and apart."""
    if not len(runs):
        return np.zeros(len(ids), np.bool_)
    place = np.searchsorted(runs[:, 0], ids, side="right") - 1
    inside: npt.NDArray[np.bool_] = (place >= 0) & (ids <= runs[np.maximum(place, 0), 1])
    return inside


def _logged(connection: sqlite3.Connection) -> int:
    highest = connection.execute("SELECT max(rowid) FROM changes").fetchone()[0]
    lowest = connection.execute("SELECT min(rowid) FROM changes").fetchone()[0]
    return 0 if highest is None else int(highest) - int(lowest) + 1


def _token() -> int:
    return secrets.randbits(62)
