"""Real-valued outputs kept beside the codes, in few bytes, to order items that lie at the same distance.

The score of an item is the inner product of the query's outputs with the item's: asymmetric, because the query's are
exact and the item's are rounded. It is summed in float64 in one fixed order, so the same file gives the same order.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nearbit.codes import Distances
from nearbit.errors import InputError
from nearbit.index.results import Hits, Ids

KINDS = ("int8", "float16")
"""How outputs may be kept: whole numbers with one scale an item, or half precision."""


SMALLEST = 1e-30
"""Rows without any larger magnitude are kept as zeros."""


@dataclass(frozen=True, eq=False)
class StoredOutputs:
    """Outputs as the file keeps them.

    Attributes:
        scales: float32 `(n,)`: what a row is multiplied by.
        rows: int8 or float16 `(n, n_bits)`.
    """

    scales: npt.NDArray[np.float32]
    rows: npt.NDArray[Any]

    @classmethod
    def of(cls, kind: str, n_bits: int, scales: npt.NDArray[np.float32], data: bytes) -> Self:
        """Return the outputs whose rows lie one after another in `data`."""
        return cls(scales, np.frombuffer(data, kind).reshape(-1, n_bits))


def check_kind(kind: str | None) -> str | None:
    """Return how outputs are kept; raise `InputError` unless it is "int8", "float16" or None."""
    if kind is not None and kind not in KINDS:
        raise InputError(f"outputs must be kept as 'int8', 'float16' or None, not {kind!r}")
    return kind


def stored(outputs: npt.NDArray[np.float32], kind: str) -> StoredOutputs:
    """Round checked outputs for keeping.

    int8: each row is divided by its largest magnitude over 127. float16: the same with a power of two, so that no
    value overflows.
    """
    largest = np.abs(outputs).max(axis=1, initial=0.0)
    if kind == "int8":
        scales = np.where(largest > SMALLEST, largest / np.float32(127), np.float32(1)).astype(np.float32)
        return StoredOutputs(scales, np.rint(outputs / scales[:, None]).clip(-127, 127).astype(np.int8))
    scales = np.exp2(np.floor(np.log2(np.where(largest > SMALLEST, largest, 1.0)))).astype(np.float32)
    return StoredOutputs(scales, (outputs / scales[:, None]).astype(np.float16))


def scores(query: npt.NDArray[np.float32], items: StoredOutputs) -> npt.NDArray[np.float64]:
    """Return the score of each item: float64 `(n,)`, larger for nearer ones."""
    products = items.rows.astype(np.float64) * query.astype(np.float64)
    summed: npt.NDArray[np.float64] = products.sum(axis=1)
    return summed * items.scales.astype(np.float64)


def reordered(
    hits: Hits, queries: npt.NDArray[np.float32], ids: Ids, items: StoredOutputs, *, k: int | None, rerank: int
) -> Hits:
    """Return hits ordered by score: the first `rerank` of a query among themselves, then ties of distance.

    Args:
        hits: the ranking by distance.
        queries: float32 `(n, n_bits)`, the outputs of the queries.
        ids: int64 `(m,)`, ascending: the items whose outputs are in `items`; every hit is among them.
        items: their outputs.
        k: how many items a query keeps; None for all.
        rerank: how many are ordered by score alone, whatever their distance.
    """
    order = np.empty(len(hits.ids), np.intp)
    for query, begin, end in zip(queries, hits.offsets[:-1], hits.offsets[1:], strict=True):
        own, distances = hits.ids[begin:end], hits.distances[begin:end]
        rows = np.searchsorted(ids, own)
        score = scores(query, StoredOutputs(items.scales[rows], items.rows[rows]))
        order[begin:end] = begin + _order(own, distances, score, rerank)
    found = Hits(hits.offsets, hits.ids[order], hits.distances[order])
    return found if k is None else found.first(k)


def _order(ids: Ids, distances: Distances, score: npt.NDArray[np.float64], rerank: int) -> npt.NDArray[np.intp]:
    """Return the order of one query's results, which come ranked by distance, then by id."""
    shown = distances.copy()
    shown[:rerank] = -1  # before every distance, and all alike
    return np.lexsort((ids, distances, -score, shown))
