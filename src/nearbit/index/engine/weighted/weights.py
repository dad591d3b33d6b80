"""Queries with real-valued outputs: the weights of their bits, in whole numbers, so that every ranking is exact."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, as_words, binarize, check_signs, rounded_weights
from nearbit.errors import InputError
from nearbit.index.engine.layout import Words

Whole = npt.NDArray[np.int64]

BITS_OF_POSITION = 16
"""Where the weight begins in a number that holds the position of a bit below it; codes have less than 2 ** 16 bits."""


@dataclass(frozen=True, eq=False)
class Weighted:
    """Queries as the search by weighted distance takes them; a unit of query i is `2.0 ** exponents[i]`.

    Attributes:
        words: uint64 `(q, words)`, the signs.
        weights: int32 `(q, 64 * words)`, 0 to 2 ** 24: what each bit of the words weighs, the lowest bit first.
        orders: int64 `(q, n_bits)`, the bits that codes use, by ascending weight.
        steps: int64 `(q, n_bits + 1)`, the sums of the 0, 1, … smallest weights.
        exponents: int64 `(q,)`.
    """

    words: Words
    weights: npt.NDArray[np.int32]
    orders: Whole
    steps: Whole
    exponents: Whole

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.words)

    @property
    def n_bits(self) -> int:
        """Code length in bits."""
        return int(self.steps.shape[1]) - 1

    def part(self, chosen: Any) -> "Weighted":
        """Return some of the queries."""
        return Weighted(
            self.words[chosen], self.weights[chosen], self.orders[chosen], self.steps[chosen], self.exponents[chosen]
        )

    def limits(self, radius: float | None) -> Whole:
        """Return the largest weighted distance within a radius, in units: int64 `(q,)`."""
        most = self.steps[:, -1]
        if radius is None:
            return most.copy()
        with np.errstate(over="ignore"):
            within = np.floor(np.ldexp(radius, -self.exponents))
        return np.where(within < most, np.minimum(within, most), most).astype(np.int64)

    def in_reals(self, queries: npt.NDArray[np.intp], distances: Whole) -> npt.NDArray[np.float64]:
        """Return weighted distances, each of one of the queries, in the unit of the outputs: exact."""
        reals: npt.NDArray[np.float64] = np.ldexp(distances.astype(np.float64), self.exponents[queries])
        return reals


def weighted(outputs: npt.NDArray[np.float32], codes: Codes | None = None) -> Weighted:
    """Return queries of outputs float32 `(q, n_bits)`, finite; their weights are rounded by `rounded_weights`.

    Args:
        outputs: of the queries.
        codes: their codes, which tell the sign of an output of 0; None for +1.
    """
    n_bits = outputs.shape[1]
    units, exponents = rounded_weights(outputs)
    words = as_words(binarize(outputs) if codes is None else codes)
    weights = np.zeros((len(outputs), 64 * words.shape[1]), np.int32)
    positions = _positions(n_bits)
    weights[:, positions] = units
    ranked = np.sort((units.astype(np.int64) << BITS_OF_POSITION) | positions, axis=1)
    steps = np.zeros((len(outputs), n_bits + 1), np.int64)
    np.cumsum(ranked >> BITS_OF_POSITION, axis=1, out=steps[:, 1:])
    return Weighted(words, weights, ranked & ((1 << BITS_OF_POSITION) - 1), steps, exponents)


@cache
def _positions(n_bits: int) -> Whole:
    """Return the position of each bit of a code, int64 `(n_bits,)`: the first bit of a byte is its highest."""
    bits = np.arange(n_bits)
    positions: Whole = bits // 8 * 8 + 7 - bits % 8
    positions.flags.writeable = False
    return positions


def check_weights(weights: npt.ArrayLike, codes: Codes, n_bits: int) -> Weighted:
    """Return queries of weights float `(q, n_bits)` whose signs the codes are.

    Raises:
        InputError: weights of another form, not finite, or of other signs than the codes; at a weight of 0 either is.
    """
    return weighted(check_signs(weights, codes, n_bits, name="weights"), codes)


def check_radius(radius: float | None) -> float | None:
    """Return the largest weighted distance, a real number of at least 0, or None; raise `InputError` otherwise."""
    if radius is None:
        return None
    is_real = isinstance(radius, int | float | np.integer | np.floating) and not isinstance(radius, bool)
    if not is_real or not 0 <= radius < np.inf:
        raise InputError(f"radius must be a weighted distance, a finite number of at least 0, not {radius!r}")
    return float(radius)


def weighted_distances(queries: Weighted, number: int, words: Words) -> Whole:
    """Return the weighted distances of one query to codes uint64 `(n, words)`: int64 `(n,)`, in units."""
    differing = words ^ queries.words[number]
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(np.int64)
    tables = bits @ queries.weights[number].reshape(-1, 8).T.astype(np.int64)
    places = np.ascontiguousarray(differing).view(np.uint8)
    total = np.zeros(len(words), np.int64)
    for byte in range(places.shape[1]):
        total += tables[places[:, byte], byte]
    return total
