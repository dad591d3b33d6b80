"""Rows placed into parts: class by class, images of equal content together, exact where it can be."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nearbit.datasets.dataset import Dataset, Labels
from nearbit.datasets.splits.sizes import PLACES, UNUSED

RowNumbers = npt.NDArray[np.int64]

_TRAIN = PLACES.index("train")
_UNUSED = PLACES.index(UNUSED)
_GIVES = [PLACES.index(place) for place in ("database", UNUSED, "validation", "query")]


def rarest_labels(labels: Labels) -> RowNumbers:
    """Return, for each row, the column of its label that the fewest rows have (first of equals); -1 without a label."""
    if not labels.shape[1]:
        return np.full(len(labels), -1, np.int64)
    rarity = np.where(labels, labels.sum(axis=0), len(labels) + 1)
    return np.where(labels.any(axis=1), rarity.argmin(axis=1), -1).astype(np.int64)


def content_groups(digests: Sequence[str]) -> RowNumbers:
    """Return a number for each row, equal exactly where the digests are equal."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], np.int64)


def assign_rows(strata: RowNumbers, groups: RowNumbers, counts: RowNumbers, rng: np.random.Generator) -> RowNumbers:
    """Return the place of each row as a column of `counts`.

    Rows whose content occurs more than once are placed first, each group as one into the place that has the most room
    for it; the other rows then fill each place to its count. So the counts hold exactly unless a group finds no room.

    Args:
        strata: int64 `(n,)`, the class that each row is counted for; -1 is not used.
        groups: int64 `(n,)`, equal for rows of equal content.
        counts: int64 `(n_strata, len(PLACES))`; each row sums to the rows of that stratum.
        rng: makes the choice.
    """
    room = counts.copy()
    places = np.full(len(strata), _UNUSED, np.int64)
    used = strata >= 0
    sizes = np.bincount(groups, minlength=1)
    for rows in _repeated(groups, sizes):
        members = rows[used[rows]]
        if len(members):
            places[rows] = _take_room(room, strata[members])
    single = used & (sizes[groups] == 1)
    for stratum in range(len(counts)):
        rows = rng.permutation(np.flatnonzero(single & (strata == stratum)))
        places[rows] = np.repeat(np.arange(len(PLACES)), room[stratum])
    return places


def _repeated(groups: RowNumbers, sizes: RowNumbers) -> list[RowNumbers]:
    """Return the rows of each group of more than one, the largest groups first."""
    order = np.argsort(groups, kind="stable")
    ends = np.cumsum(sizes)
    numbers = sorted(np.flatnonzero(sizes > 1).tolist(), key=lambda number: (-sizes[number], number))
    return [order[ends[number] - sizes[number] : ends[number]] for number in numbers]


def _take_room(room: RowNumbers, strata: RowNumbers) -> int:
    """Choose the place for a group, take its room, and where there is too little let the other places have less."""
    own, needed = np.unique(strata, return_counts=True)
    fits = (room[own] >= needed[:, None]).all(axis=0)
    total = room[own].sum(axis=0)
    chosen = int(np.where(fits, total, -1).argmax() if fits.any() else total.argmax())
    room[own, chosen] -= needed
    for stratum in own:
        while room[stratum, chosen] < 0:
            room[stratum, int(room[stratum].argmax())] -= 1
            room[stratum, chosen] += 1
    return chosen


def fill_train(dataset: Dataset, groups: RowNumbers, rows: RowNumbers, places: RowNumbers) -> RowNumbers:
    """Return the places after each class that has images but none in train has got one, with all of equal content.

    Only `rows` count and move; `groups` must be of one row each outside of them.
    """
    moved = places.copy()
    for column in range(dataset.n_classes):
        own = rows[dataset.labels[rows, column]]
        if not len(own) or (moved[own] == _TRAIN).any():
            continue
        best = min(own.tolist(), key=lambda row: (_GIVES.index(int(moved[row])), row))
        moved[groups == groups[best]] = _TRAIN
    return moved
