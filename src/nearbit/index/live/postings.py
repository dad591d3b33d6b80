"""The rows of a main segment by their set of labels: a filter on labels reads the rows that pass it, not all rows."""

from typing import final

import numpy as np
import numpy.typing as npt

from nearbit.index.engine.distinct import row_type
from nearbit.index.engine.layout import RowNumbers
from nearbit.index.storage.label_sets import SetNumbers

MASKED_SHARE = 24
"""Where at least one row in so many passes a filter, a look at every row is quicker than sorting those that pass."""


@final
class Postings:
    """Rows by label set. The first filter looks at every row; the second sorts them by set, for all that follow.

    Thread-safe: two threads may sort at once, and one result is kept.
    """

    def __init__(self, sets: SetNumbers) -> None:
        """Take the label set of each row, int32 `(n,)`, by number."""
        self._sets = sets
        self._is_used = False
        self._sorted: tuple[npt.NDArray[np.unsignedinteger | np.int64], npt.NDArray[np.int64]] | None = None

    def rows(self, numbers: list[int]) -> RowNumbers:
        """Return the rows of some sets, which ascend: intp `(m,)`, ascending."""
        if self._sorted is None and not self._is_used:
            self._is_used = True
            return rows_having(self._sets, numbers)
        rows, starts = self._by_set()
        spans = [(int(starts[number]), int(starts[number + 1])) for number in numbers if number < len(starts) - 1]
        if sum(end - begin for begin, end in spans) * MASKED_SHARE >= len(rows):
            return rows_having(self._sets, numbers)
        parts = [rows[begin:end] for begin, end in spans if begin < end]
        if len(parts) < 2:
            return parts[0].astype(np.intp) if parts else np.empty(0, np.intp)
        return np.sort(np.concatenate(parts)).astype(np.intp)

    def _by_set(self) -> tuple[npt.NDArray[np.unsignedinteger | np.int64], npt.NDArray[np.int64]]:
        """Return all rows, by set and ascending within one, and where the rows of each set begin."""
        if self._sorted is None:
            counts = np.bincount(self._sets)
            keys = self._sets.astype(np.uint16) if len(counts) <= 1 << 16 else self._sets  # 16 bits sort by radix
            rows = np.argsort(keys, kind="stable").astype(row_type(len(keys)))
            self._sorted = rows, np.concatenate([[0], np.cumsum(counts)])
        return self._sorted


def rows_having(sets: SetNumbers, numbers: list[int]) -> RowNumbers:
    """Return the rows whose set, int32 `(n,)`, is one of some that ascend, by looking at every row: ascending."""
    if not len(sets) or not numbers:
        return np.empty(0, np.intp)
    having = np.zeros(1 + max(int(sets.max()), numbers[-1]), np.bool_)
    having[numbers] = True
    return np.flatnonzero(having[sets])
