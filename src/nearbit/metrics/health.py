"""Health of codes: what makes a search by them poor, in numbers and in plain words with what to do."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import as_words, check_codes, hamming_distances, unpack
from nearbit.errors import InputError
from nearbit.metrics.counting.comparison import check_k
from nearbit.metrics.counting.grouping import group

LARGEST_GROUPS = 10
SAMPLE = 200
"""Items whose distances to all others are measured: the first, evenly spaced ones."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """Health of a set of codes.

    Attributes:
        n_items: number of codes.
        n_bits: code length in bits.
        distinct_codes: number of different codes.
        share_in_largest_groups: share of the items in the 10 largest groups of identical codes.
        constant_bits: bits that are the same in every code.
        bit_imbalance: mean over bits of |share of ones − 1/2|: 0 is balanced, 1/2 constant.
        bit_correlation: mean |correlation| of pairs of bits that vary; None with fewer than two such bits.
        k: the number of results that `tie_at_k` is about.
        tie_at_k: mean number of items at the distance of the k-th result, for items as queries; None with at most k.
        center_margin: least distance between two centers of classes, in bits; None without centers.
        center_spread: mean distance of an item to its nearest center, in bits; None without centers.
    """

    n_items: int
    n_bits: int
    distinct_codes: int
    share_in_largest_groups: float
    constant_bits: int
    bit_imbalance: float
    bit_correlation: float | None
    k: int
    tie_at_k: float | None
    center_margin: int | None = None
    center_spread: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers by name and, under "advice", the sentences; ready for JSON."""
        return {**asdict(self), "advice": self.advice()}

    def advice(self) -> list[str]:
        """Return what is poor about these codes and what to do about each, in sentences; empty when all is well."""
        lines = []
        if self.n_items > 1 and self.distinct_codes <= self.n_items / 2:
            lines.append(
                f"{self.distinct_codes} distinct codes stand for {self.n_items} items, so that the order within a code "
                "is arbitrary: use more bits, or rank the ties by features"
            )
        if self.tie_at_k is not None and self.tie_at_k > max(self.k, 2):
            lines.append(
                f"about {self.tie_at_k:.0f} items tie at result {self.k}: ask for a radius instead of k, or use "
                "more bits"
            )
        if self.constant_bits:
            lines.append(f"{self.constant_bits} of {self.n_bits} bits never change: use fewer bits or another method")
        if self.bit_imbalance > 0.2 and self.n_items > 1:
            lines.append(
                f"bits are unbalanced (on average {self.bit_imbalance:.2f} from one half): choose balanced centers, or "
                "train on the classes that the index holds"
            )
        if self.bit_correlation is not None and self.bit_correlation > 0.3:
            lines.append(
                f"bits repeat each other (mean correlation {self.bit_correlation:.2f}): fewer bits would do, or "
                "centers that lie further apart"
            )
        margin, spread = self.center_margin, self.center_spread
        if margin is not None and spread is not None and 2 * spread >= margin:
            lines.append(
                f"items lie {spread:.1f} bits from their nearest center on average and centers as close as {margin} "
                "bits, so that classes overlap: use more bits, more images a class or, where the backbone is trained "
                "too, more epochs"
            )
        return lines


def health_of(codes: npt.ArrayLike, n_bits: int, *, k: int = 10, centers: npt.ArrayLike | None = None) -> Health:
    """Measure the health of codes.

    Args:
        codes: uint8 `(n, ceil(n_bits / 8))`, at least one.
        n_bits: code length in bits.
        k: how many results a search usually asks for.
        centers: codes of the centers of classes, uint8 `(n_classes, ceil(n_bits / 8))`; none of them is as None.

    Returns:
        the health. Deterministic: the tie at k is measured on evenly spaced items.

    Raises:
        InputError: wrong codes, no code, or k < 1.
    """
    checked, limit = check_codes(codes, n_bits), check_k(k)
    if not len(checked):
        raise InputError("codes are empty: add items before asking for their health")
    sizes = np.sort(group(np.ascontiguousarray(as_words(checked).T)).sizes.astype(np.int64))[::-1]
    signs = unpack(checked, n_bits).astype(np.float32)
    means = signs.mean(axis=0, dtype=np.float64)
    words = None if centers is None else check_codes(centers, n_bits)
    margin, spread = (None, None) if words is None or not len(words) else _around(checked, words, n_bits)
    return Health(
        n_items=len(checked),
        n_bits=int(n_bits),
        distinct_codes=len(sizes),
        share_in_largest_groups=float(sizes[:LARGEST_GROUPS].sum() / len(checked)),
        constant_bits=int((np.abs(means) == 1).sum()),
        bit_imbalance=float(np.abs(means).mean() / 2),
        bit_correlation=_correlation(signs, means),
        k=limit,
        tie_at_k=_tie_at(checked, n_bits, limit),
        center_margin=margin,
        center_spread=spread,
    )


def _correlation(signs: npt.NDArray[np.float32], means: npt.NDArray[np.float64]) -> float | None:
    varies = np.abs(means) < 1
    if varies.sum() < 2:
        return None
    kept, middle = signs[:, varies], means[varies]
    covariance = (kept.T @ kept).astype(np.float64) / len(kept) - np.outer(middle, middle)
    deviation = np.sqrt(1 - middle**2)
    pairs = np.abs(covariance / np.outer(deviation, deviation))[np.triu_indices(len(middle), 1)]
    return float(pairs.mean())


def _tie_at(codes: npt.NDArray[np.uint8], n_bits: int, k: int) -> float | None:
    """Return the mean number of items at the distance of the k-th other item; None where there are too few."""
    if len(codes) <= k:
        return None
    rows = np.unique(np.linspace(0, len(codes) - 1, min(SAMPLE, len(codes))).astype(np.int64))
    sizes = []
    for row in rows:
        counts = np.bincount(hamming_distances(codes[row : row + 1], codes, n_bits)[0], minlength=n_bits + 1)
        counts[0] -= 1
        sizes.append(counts[np.searchsorted(np.cumsum(counts), k)])
    return float(np.mean(sizes))


def _around(
    codes: npt.NDArray[np.uint8], centers: npt.NDArray[np.uint8], n_bits: int
) -> tuple[int | None, float | None]:
    """Return the least distance between two centers and the mean distance of an item to its nearest one."""
    nearest = np.full(len(codes), n_bits, np.int64)
    for center in centers:
        nearest = np.minimum(nearest, hamming_distances(center[None], codes, n_bits)[0])
    between = hamming_distances(centers, centers, n_bits)[np.triu_indices(len(centers), 1)]
    return (int(between.min()) if len(between) else None), float(nearest.mean())
