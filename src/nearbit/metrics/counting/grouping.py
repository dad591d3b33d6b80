"""Items in groups: ordered by their words, equal ones side by side; and lists of the items of each label."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Columns = npt.NDArray[np.uint64]
PAYS = 0.8
"""Groups are used where there are at most this many times as many groups as items."""
SAMPLE = 13
"""Items looked at before grouping, for each item of the square root of their number."""
ENTRIES_PER_ITEM = 8
"""Lists are made where an item has at most this many labels on average, which bounds their memory."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Equal items together.

    Attributes:
        first: one row of each group, int64 `(n_groups,)`; groups ascend by the first column, then the second, …
        sizes: uint32 `(n_groups,)`.
        of_row: the group of each row, int64 `(n,)`.
    """

    first: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.uint32]
    of_row: npt.NDArray[np.int64]

    @property
    def pay(self) -> bool:
        """Whether there are clearly fewer groups than rows."""
        return len(self.first) <= PAYS * len(self.of_row)


def group(columns: Columns) -> Groups:
    """Return the groups of equal items.

    Args:
        columns: uint64 `(words, n)`, n at least 1.
    """
    order = np.lexsort(columns[::-1]).astype(np.int64)
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = False
    for column in columns:
        ordered = column[order]
        is_first[1:] |= ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(is_first)
    of_row = np.empty(len(order), np.int64)
    of_row[order] = np.cumsum(is_first) - 1
    return Groups(order[starts], np.diff(starts, append=len(order)).astype(np.uint32), of_row)


def may_pay(columns: Columns) -> bool:
    """Return whether so many items of a sample are equal that grouping all of them may pay.

    Of n items that form at most `PAYS · n` groups, at least (1 - PAYS) · n pairs are equal, and so, among m of them,
    about (1 - PAYS) · m² / n pairs; fewer than half of that say that grouping all would be work for nothing.

    Args:
        columns: uint64 `(words, n)`, n at least 1.
    """
    n = columns.shape[1]
    size = min(n, int(SAMPLE * n**0.5) + 1)
    rows = np.random.default_rng(0).choice(n, size, replace=False)
    sizes = group(np.ascontiguousarray(columns[:, rows])).sizes.astype(np.int64)
    return bool((sizes * (sizes - 1) // 2).sum() >= (1 - PAYS) * size * size / (2 * n))


def order_of(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the rows ordered by their key uint64 `(n,)`, equal ones as they stand; small keys are quicker."""
    small = keys.astype(np.uint16) if keys.max() < 2**16 else keys
    return np.argsort(small, kind="stable").astype(np.int64)


@dataclass(frozen=True, eq=False)
class Lists:
    """The items of each label.

    Attributes:
        starts: int64 `(n_labels + 1,)`: where the list of each label begins, and where the last one ends.
        rows: int64 `(entries,)`: the items, list by list.
    """

    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]

    def pay(self, query_keys: npt.NDArray[np.uint64], n_items: int) -> bool:
        """Return whether the lists of a query's labels hold clearly fewer entries than there are items, on average."""
        sizes = np.diff(self.starts)
        return bool(sum(int(sizes @ _bits(keys)) for keys in query_keys) * 2 < n_items * len(query_keys))


def list_by_label(keys: Columns) -> Lists | None:
    """Return the items of each label, or None where they have so many labels that lists would be too long.

    Args:
        keys: uint64 `(n_keys, n)`: bit b of the keys, counted from the lowest of the first, is label b.
    """
    if int(np.bitwise_count(keys).sum(dtype=np.int64)) > ENTRIES_PER_ITEM * keys.shape[1]:
        return None
    rows = [np.flatnonzero((key & np.uint64(1 << bit)) != 0).astype(np.int64) for key in keys for bit in range(64)]
    return Lists(np.cumsum([0, *map(len, rows)], dtype=np.int64), np.concatenate(rows))


def _bits(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the bits of the keys of one item, lowest first: int64 `(64 * n_keys,)`."""
    return ((keys[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).astype(np.int64).ravel()
