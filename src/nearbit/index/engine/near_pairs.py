"""All pairs of distinct codes within a radius, exactly, by the cheaper of two plans, which find the same.

- **Parts**: of codes at most r bits apart, cut into r + 1 parts, at least one part is equal (pigeonhole). Codes are
  sorted by each part in turn, and those of one value are compared: best where codes are scattered.
- **Search**: every distinct code is searched for by the structure (rings, table or scan): best where codes lie in
  clusters, in which parts are equal all over.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nearbit.compiled import SEARCH
from nearbit.index.engine.distinct import distinct_codes, mixed
from nearbit.index.engine.layout import Layout, Words
from nearbit.index.engine.plain_search import seconds_of
from nearbit.index.engine.structure import Structure

Places = npt.NDArray[np.intp]

COST_OF_PAIR = 45
"""What a comparison by parts costs, in comparisons of a compiled scan."""
COST_OF_SORTING = 700
"""What it costs, in the same unit, to sort one code by one part."""
COST_WITHOUT_KERNELS = 8
"""What a comparison of a scan by NumPy costs, in the same unit."""
TRIED = 64
"""Distinct codes whose search by rings is tried, to tell what all of them cost."""
FEW_PAIRS = 1 << 20
"""So many pairs are handed on at a time, roughly."""
FIRST_BLOCK, LARGEST_BLOCK = 256, 16_384
"""Codes that are searched for in one call: at first, and at most."""


class NearPairs(NamedTuple):
    """Some pairs of distinct codes: places int64 `(m,)` each, `first` below `second`, and distances uint16 `(m,)`."""

    first: Places
    second: Places
    distances: npt.NDArray[np.uint16]


def with_distinct_places(structure: Structure, words: Words) -> Layout:
    """Return a layout whose places are distinct codes, with their rows: that of the structure, or a plain one.

    Args:
        structure: of all rows.
        words: uint64 `(n, words)`, the codes by row; n at least 1.
    """
    if structure.layout.kind != "plain":
        return structure.layout
    distinct = distinct_codes(words)
    return Layout.of(distinct.columns, offsets=distinct.offsets, rows=distinct.rows)


def near_pairs(layout: Layout, n_bits: int, radius: int, plan: str | None = None) -> Iterator[NearPairs]:
    """Yield all pairs of places whose codes are at most `radius` bits apart, each once, in no order.

    Args:
        layout: with distinct codes by place.
        n_bits: code length in bits.
        radius: in bits, at least 0.
        plan: "parts" (of a radius below `n_bits`) or "search" in place of the cheaper one.
    """
    if layout.n_places < 2:
        return
    chosen = plan or _cheaper(layout, n_bits, radius)
    found = _by_parts(layout.columns, n_bits, radius) if chosen == "parts" else _by_search(layout, n_bits, radius)
    yield from _gathered(found)


def _cheaper(layout: Layout, n_bits: int, radius: int) -> str:
    """Return the plan that takes fewer comparisons."""
    n = layout.n_places
    if radius >= n_bits:
        return "search"
    by_parts = sum(_equal_pairs(layout.columns, mask) for mask in part_masks(n_bits, radius + 1))
    cost = COST_OF_PAIR * by_parts + COST_OF_SORTING * (radius + 1) * n
    is_compiled = SEARCH.serves(n * seconds_of(layout, n))
    looks = n if layout.kind != "rings" or not is_compiled else _looks(layout, n_bits, radius)
    return "parts" if cost < n * looks * (1 if is_compiled else COST_WITHOUT_KERNELS) else "search"


def _looks(layout: Layout, n_bits: int, radius: int) -> float:
    """Return about how many codes a search by rings compares with one of them, bounds of groups and cells included."""
    from nearbit.index.engine.rings import codes_within

    chosen = np.linspace(0, layout.n_places - 1, min(TRIED, layout.n_places)).astype(int)
    looked_at = codes_within(layout, np.array(layout.columns[:, chosen].T, order="C"), n_bits, radius)
    return float(min(looked_at.mean() + layout.rings.shape[1] + layout.pivots.shape[1], layout.n_places))


def part_masks(n_bits: int, n_parts: int) -> npt.NDArray[np.uint64]:
    """Return the bits of each part, uint64 `(parts, words)`: every bit in one, neighbors in different ones.

    At most `n_bits` parts: one without bits would be equal in all codes.
    """
    parts = min(n_parts, n_bits)
    words = -(-n_bits // 64)
    at = np.arange(64 * words)
    bit = 64 * (at // 64) + 8 * (at % 64 // 8) + 7 - at % 8  # the first bit of a byte is its highest
    is_in = (bit % parts == np.arange(parts)[:, None]) & (bit < n_bits)
    packed = np.packbits(is_in.reshape(parts, words, 64), axis=2, bitorder="little")
    return packed.view("<u8")[:, :, 0].astype(np.uint64)


def _key(columns: Words, mask: npt.NDArray[np.uint64]) -> Words:
    """Return one word that codes with an equal part share."""
    used = np.flatnonzero(mask)
    return mixed(np.ascontiguousarray((columns[used] & mask[used, None]).T))


def _equal_pairs(columns: Words, mask: npt.NDArray[np.uint64]) -> int:
    """Return how many pairs of codes have an equal part."""
    key = np.sort(_key(columns, mask))
    sizes = np.diff(np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1], [True]])))
    return int((sizes * (sizes - 1) // 2).sum())


def _by_parts(columns: Words, n_bits: int, radius: int) -> Iterator[NearPairs]:
    """Yield the pairs that share each part in turn and none of those before."""
    masks = part_masks(n_bits, radius + 1)
    for number in range(len(masks)):
        key = _key(columns, masks[number])
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        ends = np.searchsorted(ordered, ordered, side="right")
        codes = np.ascontiguousarray(columns[:, order])
        at, step = np.arange(len(order)), 1
        while len(at := at[at + step < ends[at]]):
            for some in range(0, len(at), FEW_PAIRS):
                one = at[some : some + FEW_PAIRS]
                other, distances = _compared(codes, one, step, masks[: number + 1], radius)
                first, second = order[other], order[other + step]
                yield NearPairs(np.minimum(first, second), np.maximum(first, second), distances)
            step += 1


def _compared(
    codes: Words, at: Places, step: int, masks: npt.NDArray[np.uint64], radius: int
) -> tuple[Places, npt.NDArray[np.uint16]]:
    """Return those of `at` whose codes are near the ones `step` further on, and of all parts only the last is equal."""
    differing = [column[at] ^ column[at + step] for column in codes]
    distances = np.zeros(len(at), np.uint16)
    for word in differing:
        distances += np.bitwise_count(word)
    near = np.flatnonzero(distances <= radius)
    for number, mask in enumerate(masks):
        bits = np.zeros(len(near), np.uint64)
        for word, part in zip(differing, mask, strict=True):
            bits |= word[near] & part
        near = near[(bits == 0) if number == len(masks) - 1 else (bits != 0)]
    return at[near], distances[near]


def _by_search(layout: Layout, n_bits: int, radius: int) -> Iterator[NearPairs]:
    """Yield the pairs of each code and those that a search for it finds at later places."""
    n, at, size = layout.n_places, 0, FIRST_BLOCK
    own = np.arange(n, dtype=layout.rows.dtype)
    alone = Layout.of(**layout._asdict() | {"offsets": np.arange(n + 1, dtype=own.dtype), "rows": own})
    plain = Layout.of(layout.columns) if layout.kind == "plain" else alone
    structure = Structure(plain, own, n_bits, does_prune=layout.kind == "rings")
    while at < n:
        queries = np.array(layout.columns[:, at : at + size].T, order="C")
        hits = structure.nearest(queries, k=None, radius=radius)
        first = hits.queries + at
        later = hits.ids > first
        yield NearPairs(first[later], hits.ids[later], hits.distances[later].astype(np.uint16))
        at += size
        mean = max(1, len(hits.ids) // len(queries))
        size = min(LARGEST_BLOCK, 2 * size, max(1, 4 * FEW_PAIRS // mean))


def _gathered(parts: Iterator[NearPairs]) -> Iterator[NearPairs]:
    """Yield pairs in portions that are worth the call."""
    waiting: list[NearPairs] = []
    n_pairs = 0
    for part in parts:
        if len(part.first):
            waiting.append(part)
            n_pairs += len(part.first)
        if n_pairs >= FEW_PAIRS:
            yield _joined(waiting)
            waiting, n_pairs = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[NearPairs]) -> NearPairs:
    columns: Any = zip(*parts, strict=True)
    return NearPairs(*(np.concatenate(column) for column in columns))
