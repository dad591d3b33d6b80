"""Items in groups: ordered by their words, equal ones side by side."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Columns = npt.NDArray[np.uint64]
PAYS = 0.8
"""Groups are used where there are at most this many times as many groups as items."""


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
