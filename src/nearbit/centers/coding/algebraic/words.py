"""Sets of words given by a basis and offsets, and what can be done to them: shorten, puncture, lengthen, join.

Words here are rows of bits, uint8 of 0 and 1. A linear code is the span of its basis, with the zero word as its only
offset; a code that is not linear is a union of cosets of a linear one, which may be the zero word alone.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class WordSet:
    """All sums (exclusive or) of an offset and a word in the span of the basis.

    Attributes:
        basis: uint8 `(dimension, n_bits)`, linearly independent rows.
        offsets: uint8 `(n_offsets, n_bits)`, at least one row, no two in the same coset.
    """

    basis: Bits
    offsets: Bits

    @property
    def n_bits(self) -> int:
        """Length of the words."""
        return int(self.basis.shape[1])

    @property
    def n_words(self) -> int:
        """Number of words."""
        return len(self.offsets) * int(2 ** len(self.basis))

    def words(self, limit: int) -> Bits:
        """Return the first words, at least min(limit, n_words) of them: sums of all offsets and a part of the basis."""
        found = self.offsets[:limit]
        for row in self.basis:
            if len(found) >= limit:
                break
            found = np.concatenate([found, found ^ row])
        return found


def linear(basis: npt.ArrayLike) -> WordSet:
    """Return the linear code that is spanned by the rows of a matrix of 0 and 1, dependent rows left out."""
    reduced, _ = row_reduce(np.asarray(basis, np.uint8))
    return WordSet(reduced, np.zeros((1, reduced.shape[1]), np.uint8))


def listed(words: npt.ArrayLike) -> WordSet:
    """Return the set of the given words, which must differ from each other."""
    offsets = np.asarray(words, np.uint8)
    return WordSet(np.zeros((0, offsets.shape[1]), np.uint8), offsets)


def row_reduce(matrix: Bits) -> tuple[Bits, list[int]]:
    """Return the reduced row echelon form over the field of two elements, and the columns of its leading ones."""
    rows = matrix.copy()
    pivots: list[int] = []
    for column in range(rows.shape[1]):
        at = len(pivots)
        ones = np.flatnonzero(rows[at:, column])
        if not len(ones):
            continue
        rows[[at, at + ones[0]]] = rows[[at + ones[0], at]]
        others = rows[:, column].astype(bool)
        others[at] = False
        rows[others] ^= rows[at]
        pivots.append(column)
        if len(pivots) == len(rows):
            break
    return rows[: len(pivots)], pivots


def shorten(code: WordSet, n_times: int) -> WordSet:
    """Return words that are equal in some bits, without those bits; each bit keeps at least half of the words.

    The minimum distance stays or grows.
    """
    for _ in range(n_times):
        code = _shorten_once(code)
    return code


def _shorten_once(code: WordSet) -> WordSet:
    used = code.basis.any(axis=0)
    if used.any():
        column = int(np.flatnonzero(used)[-1])
        pivot = code.basis[np.flatnonzero(code.basis[:, column])[-1]]
        left = np.arange(len(code.basis)) != np.flatnonzero(code.basis[:, column])[-1]
        basis, offsets = (rows ^ rows[:, column, None] * pivot for rows in (code.basis[left], code.offsets))
    else:
        column = code.n_bits - 1
        kept = code.offsets[:, column] == (2 * code.offsets[:, column].sum() > len(code.offsets))
        basis, offsets = code.basis, code.offsets[kept]
    return WordSet(np.delete(basis, column, axis=1), np.delete(offsets, column, axis=1))


def puncture(code: WordSet, n_times: int) -> WordSet:
    """Return the words without their last `n_times` bits, fewer than the minimum distance, which falls by that much."""
    n_bits = code.n_bits - n_times
    return WordSet(code.basis[:, :n_bits], code.offsets[:, :n_bits])


def add_parity(code: WordSet) -> WordSet:
    """Return the words with a bit more that makes their number of ones even; an odd minimum distance grows by one."""
    return WordSet(_with_parity(code.basis), _with_parity(code.offsets))


def _with_parity(rows: Bits) -> Bits:
    return np.hstack([rows, rows.sum(axis=1, keepdims=True) % 2]).astype(np.uint8)


def plotkin_sum(first: WordSet, second: WordSet) -> WordSet:
    """Return the words (u, u + v) for linear codes u and v of equal length; minimum distance min(2 d_u, d_v)."""
    zeros = np.zeros_like(second.basis)
    return linear(np.vstack([np.hstack([first.basis, first.basis]), np.hstack([zeros, second.basis])]))
