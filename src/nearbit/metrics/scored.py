"""Average precision of rankings by real scores; items of equal score are ties, and count in expectation over orders.

The queries of `asymmetric_average_precision` keep their real outputs, the database its codes. Its figures are of
another ranking than those by distance: they stand beside each other, never in one row.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, check_codes, check_n_bits, check_outputs, rounded_weights
from nearbit.errors import InputError
from nearbit.given import check_choice
from nearbit.metrics.counting.comparison import Counts, Values, check_k
from nearbit.metrics.counting.relevance import Relevance, relevance_of
from nearbit.metrics.tie_aware import harmonic_numbers, tie_gains
from nearbit.threads import n_threads

Scores = Callable[[int], npt.ArrayLike]
"""Returns the scores `(n_database,)` of the query of a number: the nearer, the larger."""

DIVISORS = ("relevant", "at most k")
ROWS_PER_BLOCK = 16_384
PAIRS_PER_BLOCK = 2_000_000


@dataclass(frozen=True, eq=False)
class Ties:
    """The ties of one ranking by score that hold relevant items, the nearest first: arrays int64 `(n_ties,)`.

    Attributes:
        starts: how many items stand before each tie.
        sizes: items of each tie.
        relevant: relevant items of each tie.
        relevant_before: relevant items before it.
        n_relevant: relevant items of the whole database.
        harmonic: the harmonic numbers up to the size of the database.
    """

    starts: Counts
    sizes: Counts
    relevant: Counts
    relevant_before: Counts
    n_relevant: int
    harmonic: Values

    @classmethod
    def of(cls, ranked: npt.NDArray[np.generic], relevant: npt.NDArray[np.bool_], harmonic: Values) -> "Ties":
        """Return the ties of one ranking: its scores in order, of which equal ones tie, and which are relevant."""
        starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        before = np.append(0, np.cumsum(relevant))
        ends = np.append(starts[1:], len(ranked))
        found = before[ends] - before[starts]
        some = found > 0
        first = starts[some]
        return cls(first, ends[some] - first, found[some], before[first], int(before[-1]), harmonic)

    def average_precision(self, k: int | None = None, divisor: str = "relevant") -> float:
        """Return the tie-aware average precision within the first k ranks (None for all), by one of `DIVISORS`."""
        counted = self.sizes if k is None else np.clip(k - self.starts, 0, self.sizes)
        gains = tie_gains(self.sizes, self.relevant, self.starts, self.relevant_before, counted, self.harmonic)
        most = self.n_relevant if k is None or divisor == "relevant" else min(self.n_relevant, k)
        return min(float(gains.sum()) / max(most, 1), 1.0)


def scored_average_precision(
    scores: npt.ArrayLike | Scores,
    query_labels: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    *,
    k: int | None = None,
    divisor: str = "relevant",
) -> Values:
    """Return the tie-aware average precision of each query whose items are ranked by score, the largest first.

    Args:
        scores: real numbers `(n_query, n_database)`; or a function that returns those of one query, so that the memory
            does not grow with queries × database. It may be called from several threads.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_labels: labels of the database, in the form of `query_labels`.
        k: how many ranks count; None for all.
        divisor: "relevant", all relevant items M, or "at most k", min(M, k).

    Returns:
        float64 `(n_query,)`, each in [0, 1]: the exact mean over all orders of equal scores.

    Raises:
        InputError: labels of another form, scores of another shape or not finite, k < 1, or an unknown divisor.

    Example:
        >>> scored_average_precision([[0.5, 0.5]], [0], [0, 1]).tolist()  # the mean of 1 and 1/2
        [0.75]
    """
    relevance, limit = relevance_of(query_labels, database_labels), _checked(k, divisor)
    n_query, n_database = len(relevance.query_keys), relevance.database_keys.shape[1]
    _check_sizes(n_query, n_database)
    one = scores if callable(scores) else np.asarray(scores).__getitem__
    if not callable(scores) and np.shape(scores) != (n_query, n_database):
        raise InputError(f"scores must have the shape ({n_query}, {n_database}), not {np.shape(scores)}")
    harmonic = harmonic_numbers(n_database)

    def figure(query: int) -> float:
        own = np.asarray(one(query))
        if own.shape != (n_database,) or own.dtype.kind not in "fiu" or not np.isfinite(own).all():
            raise InputError(f"scores must be finite numbers ({n_database},) a query, not {own.dtype} {own.shape}")
        order = np.argsort(own, kind="stable")[::-1]
        return Ties.of(own[order], relevant_to(relevance, query)[order], harmonic).average_precision(limit, divisor)

    with ThreadPoolExecutor(n_threads()) as pool:
        return np.array(list(pool.map(figure, range(n_query))), np.float64)


def asymmetric_average_precision(
    query_outputs: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
    *,
    k: int | None = None,
    divisor: str = "relevant",
) -> Values:
    """Return the tie-aware average precision of each query that ranks by its real outputs against codes.

    The ranking is that of `Index.search(codes, weights=outputs)`: by weighted distance, the sum of |output| over the
    bits that differ from the query's signs, rounded as there, so that it is the same on every machine. Items of equal
    weighted distance stand in a random order.

    Args:
        query_outputs: float `(n_query, n_bits)`, finite as float32.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_codes: uint8 `(n_database, ceil(n_bits / 8))`.
        database_labels: labels of the database, in the form of `query_labels`.
        n_bits: code length in bits.
        k: how many ranks count; None for all.
        divisor: "relevant", all relevant items M, or "at most k", min(M, k).

    Returns:
        float64 `(n_query,)`, each in [0, 1].

    Raises:
        InputError: a wrong type, shape or length, values that are not finite, no query, an empty database, k < 1, or
            an unknown divisor.

    Example:
        >>> codes = np.array([[0b10000000], [0b01000000]], np.uint8)
        >>> asymmetric_average_precision([[0.9, 0.1]], [0], codes, [0, 1], 2).tolist()
        [1.0]
    """
    limit = _checked(k, divisor)
    codes = check_codes(database_codes, check_n_bits(n_bits), name="database_codes")
    relevance = relevance_of(query_labels, database_labels)
    if relevance.database_keys.shape[1] != len(codes):
        raise InputError(
            f"database_codes and database_labels must have one row an item: {len(codes)} codes came with "
            f"{relevance.database_keys.shape[1]} labels"
        )
    figure = [lambda ties: ties.average_precision(limit, divisor)]
    return asymmetric_figures(query_outputs, codes, n_bits, relevance, figure)[:, 0]


def asymmetric_figures(
    query_outputs: npt.ArrayLike,
    codes: Codes,
    n_bits: int,
    relevance: Relevance,
    figures: Sequence[Callable[[Ties], float]],
) -> Values:
    """Return figures of the ranking of each query by its real outputs: float64 `(n_query, n_figures)`.

    Args:
        query_outputs: float `(n_query, n_bits)`, finite as float32.
        codes: of the database, checked.
        n_bits: code length in bits.
        relevance: of the database items to the queries.
        figures: each is given the ties of a ranking.

    Raises:
        InputError: wrong outputs, no query, or an empty database.
    """
    outputs = check_outputs(query_outputs, len(relevance.query_keys), n_bits, of="a query", name="query_outputs")
    _check_sizes(len(outputs), len(codes))
    units, _ = rounded_weights(outputs)
    harmonic = harmonic_numbers(len(codes))

    def of_block(block: slice) -> list[list[float]]:
        found = []
        for query, distances in enumerate(_distances(units[block], outputs[block] >= 0, codes, n_bits), block.start):
            marked = np.sort(2 * distances.astype(np.int64) + ~relevant_to(relevance, query))
            ties = Ties.of(marked >> 1, marked & 1 == 0, harmonic)
            found.append([figure(ties) for figure in figures])
        return found

    size = max(1, PAIRS_PER_BLOCK // len(codes))
    blocks = [slice(start, min(start + size, len(outputs))) for start in range(0, len(outputs), size)]
    with ThreadPoolExecutor(n_threads()) as pool:
        return np.array([row for rows in pool.map(of_block, blocks) for row in rows], np.float64)


def relevant_to(relevance: Relevance, query: int) -> npt.NDArray[np.bool_]:
    """Return which items of the database are relevant to one query: bool `(n_database,)`."""
    keys = relevance.query_keys[query]
    if not relevance.shared:
        same: npt.NDArray[np.bool_] = relevance.database_keys[0] == keys[0]
        return same
    return np.asarray(((relevance.database_keys & keys[:, None]) != 0).any(axis=0), np.bool_)


def _distances(
    units: npt.NDArray[np.int32], signs: npt.NDArray[np.bool_], codes: Codes, n_bits: int
) -> npt.NDArray[np.float64]:
    """Return the weighted distances of some queries to all codes, whole numbers: float64 `(q, n_database)`, exact.

    A bit that differs from a query's sign + weighs where it is 0; with the signed weights w, the sum over the bits b of
    the code of −w_b, plus that of the positive weights. Every sum is a whole number below 2 ** 53.
    """
    signed = np.where(signs, units, -units).astype(np.float64)
    far = np.empty((len(units), len(codes)))
    for start in range(0, len(codes), ROWS_PER_BLOCK):
        bits = np.unpackbits(codes[start : start + ROWS_PER_BLOCK], axis=1, count=n_bits).astype(np.float64)
        far[:, start : start + len(bits)] = signed.clip(0).sum(axis=1, keepdims=True) - signed @ bits.T
    return far


def _checked(k: int | None, divisor: str) -> int | None:
    check_choice("divisor", divisor, tuple(DIVISORS))
    return None if k is None else check_k(k)


def _check_sizes(n_query: int, n_database: int) -> None:
    if n_query == 0 or n_database == 0:
        raise InputError(f"an evaluation needs queries and database items, not {n_query} and {n_database}")
