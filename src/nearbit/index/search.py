"""Search structures: exact nearest rows of a set of codes. They hold rows, not ids; rows are sorted by id."""

from collections.abc import Iterator
from typing import Protocol, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, Distances, as_words, word_distances

Rows = npt.NDArray[np.intp]
Words = npt.NDArray[np.uint64]


class Searcher(Protocol):
    """Finds the nearest rows of the codes that it was built from; safe to call from several threads."""

    def nearest(
        self, codes: Codes, *, k: int | None, radius: int | None, allowed: Rows | None
    ) -> Iterator[tuple[Rows, Distances]]:
        """Yield, for each query code, its nearest rows and their distances, ranked by distance, then by row.

        Args:
            codes: queries, uint8 `(n, ceil(n_bits / 8))`, checked.
            k: the most rows of a query; None for no limit.
            radius: the largest distance, in bits; None for no limit.
            allowed: the only rows to look at, ascending; None for all.
        """


@final
class PlainScan:
    """Compares each query with every row: no structure to build, the yardstick of every other searcher."""

    def __init__(self, words: Words, n_bits: int) -> None:
        """Keep the words uint64 `(n, words)` of the codes; they are not copied."""
        self._words = words
        self._n_bits = n_bits

    def nearest(
        self, codes: Codes, *, k: int | None, radius: int | None, allowed: Rows | None
    ) -> Iterator[tuple[Rows, Distances]]:
        """Yield the nearest rows of each query; see `Searcher.nearest`."""
        words = self._words if allowed is None else self._words[allowed]
        for query in as_words(codes):
            distances = word_distances(query, words)
            chosen = _ranked(distances, self._n_bits, k, radius)
            yield (chosen if allowed is None else allowed[chosen]), distances[chosen]


def _ranked(distances: Distances, n_bits: int, k: int | None, radius: int | None) -> Rows:
    """Return the rows with the `k` smallest distances within `radius`, ranked by distance, then by row."""
    limit = n_bits if radius is None else min(radius, n_bits)
    if k is not None and k < len(distances):
        limit = min(limit, _distance_of_rank(distances, n_bits, k))
    near = np.flatnonzero(distances <= limit)
    ranked = near[np.argsort(distances[near], kind="stable")]
    return ranked if k is None else ranked[:k]


def _distance_of_rank(distances: Distances, n_bits: int, k: int) -> int:
    """Return the smallest distance within which at least `k` of the rows lie."""
    within = np.cumsum(np.bincount(distances, minlength=n_bits + 1))
    return int(np.searchsorted(within, k))
