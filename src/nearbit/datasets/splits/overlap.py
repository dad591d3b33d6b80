"""What the parts of a split share, by row and by content: a query image in the database makes every figure too good."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nearbit.errors import DataError

PAIRS = (("query", "database"), ("query", "train"), ("query", "validation"), ("validation", "train"))
"""Pairs of parts that are compared."""

REFUSED = (("query", "database"), ("query", "train"), ("query", "validation"))
"""Pairs that may share nothing, unless the user allows it."""


class Divided(Protocol):
    """What is looked at of a `Split`: the rows of each part, and the key and content digest of every row."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of all rows of the data set."""
        ...

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of the content of all rows."""
        ...

    def rows(self, part: str) -> npt.NDArray[np.int64]:
        """Return the row numbers of a part."""
        ...


@dataclass(frozen=True)
class Shared:
    """What two parts share.

    Attributes:
        parts: the two parts, the first of them counted.
        by_row: rows of the first part that are rows of the second.
        by_content: rows of the first part whose content the second holds, in the same row or in another.
        first: the keys of the first such pair of rows, or None.
    """

    parts: tuple[str, str]
    by_row: int
    by_content: int
    first: tuple[str, str] | None


@dataclass(frozen=True)
class Overlap:
    """What each pair of `PAIRS` shares."""

    pairs: tuple[Shared, ...]

    def between(self, first: str, second: str) -> Shared:
        """Return what two parts share; raise `DataError` for a pair that is not compared."""
        for shared in self.pairs:
            if shared.parts == (first, second):
                return shared
        raise DataError(f"compared are {PAIRS}, not {(first, second)}")


def find_overlap(split: Divided) -> Overlap:
    """Return what the parts of a split share, by row number and by content digest."""
    return Overlap(tuple(_shared(split, first, second) for first, second in PAIRS))


def refuse_overlap(split: Divided) -> None:
    """Raise `DataError` where the content of a query image is also in the database, in train or in validation."""
    found, n_query = find_overlap(split), len(split.rows("query"))
    for pair in REFUSED:
        shared = found.between(*pair)
        if shared.first is not None:
            query, other = shared.first
            raise DataError(
                f"{shared.by_content} of {n_query} query images are also in {pair[1]}, by content: the first "
                f"is {query!r}, the same as {other!r}; take them out, or allow it (allow_overlap=True, --allow-overlap)"
            )


def _shared(split: Divided, first: str, second: str) -> Shared:
    rows = split.rows(first).tolist()
    others = split.rows(second).tolist()
    same_row = set(others)
    row_of = {split.digests[row]: row for row in reversed(others)}
    both = [row for row in rows if split.digests[row] in row_of]
    pair = (split.keys[both[0]], split.keys[row_of[split.digests[both[0]]]]) if both else None
    return Shared((first, second), sum(row in same_row for row in rows), len(both), pair)
