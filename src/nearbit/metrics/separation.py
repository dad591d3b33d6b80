"""How far classes lie apart beside how widely their codes spread: what mean average precision can at least be."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import check_codes, hamming_distances
from nearbit.errors import InputError
from nearbit.metrics.counting.comparison import Comparison, Counts, Values, compare
from nearbit.metrics.tie_aware import harmonic_numbers

QUANTILES = (50, 95, 100)


def average_precision_lower_bound(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
) -> Values:
    """Return a bound that the average precision of each query is at least, whatever the order of ties.

    With N relevant items, R the largest distance to one of them and F the number of other items within R, the i-th
    relevant item has at most F others before it: `AP >= 1/N Σ i / (i + F)`, i = 1 … N. It is 1 exactly where F = 0:
    then every relevant item lies nearer than every other one. Arguments and errors are those of
    `tie_aware_average_precision`.

    Returns:
        float64 `(n_query,)`, each in [0, 1]; 0 for a query without relevant items.

    Paper: Zhu et al., "A Lower Bound of Hash Codes' Performance" (NeurIPS 2022), whose bound is a constant times the
    least distance between classes over the largest within one; this form is ours.

    Example:
        >>> codes = np.array([[0b10000000], [0b10000000]], np.uint8)
        >>> average_precision_lower_bound(codes[:1], [0], codes, [0, 1], 1).tolist()
        [0.5]
    """
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    harmonic = harmonic_numbers(comparison.n_database)

    def figure(own: Comparison, block: range) -> Values:
        return lower_bound_from(*own.histograms(block), harmonic)

    return comparison.per_query(figure)


def lower_bound_from(items: Counts, relevant: Counts, harmonic: Values) -> Values:
    """Return the bound from histograms over distances: `1 - F · (H(N + F) - H(F)) / N`."""
    total, others = relevant.sum(axis=1), others_within(items, relevant)
    sums = total - others * (harmonic[total + others] - harmonic[others])
    return np.asarray(sums / np.maximum(total, 1), dtype=np.float64)


def others_within(items: Counts, relevant: Counts) -> Counts:
    """Return how many other items lie within the largest distance to a relevant one; 0 without relevant items."""
    reached = np.cumsum(relevant[:, ::-1], axis=1)[:, ::-1] > 0  # distances up to that of the last relevant item
    return np.asarray(((items - relevant) * reached).sum(axis=1), dtype=np.int64)


def certain_from(items: Counts, relevant: Counts) -> Values:
    """Return 1 for each query all of whose relevant items lie nearer than every other item, else 0."""
    certain = (others_within(items, relevant) == 0) & (relevant.sum(axis=1) > 0)
    return np.asarray(certain, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class CenterCondition:
    """Codes around the centers of their own classes.

    If every code, of queries too, lies within r bits of its class's center and centers lie D > 4r bits apart, codes of
    one class lie within 2r of each other and codes of two at least D - 2r apart: every query has an average precision
    of 1.

    Attributes:
        n_items: how many codes it is of: those with one label, of a class that has a center.
        center_distance_min: D, in bits.
        radius_50, radius_95, radius_100: quantiles, in per cent, of the distance of a code to its own center, in bits.
        share_within: share of the codes for which 4 times that distance is below D.
    """

    n_items: int
    center_distance_min: int
    radius_50: float
    radius_95: float
    radius_100: float
    share_within: float

    @property
    def holds(self) -> bool:
        """Whether it holds for all codes."""
        return self.share_within == 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers by name, and under "holds" whether the condition does; ready for JSON."""
        return {**asdict(self), "holds": self.holds}


def center_condition(
    codes: npt.ArrayLike, labels: npt.ArrayLike, centers: npt.ArrayLike, n_bits: int
) -> CenterCondition | None:
    """Measure codes against the centers of their own classes.

    Args:
        codes: uint8 `(n, ceil(n_bits / 8))`.
        labels: bool `(n, n_classes)`; only items with one label count.
        centers: codes of the centers, uint8 `(n_classes, ceil(n_bits / 8))`.
        n_bits: code length in bits.

    Returns:
        the figures; None with fewer than two centers, or no item with one label.

    Raises:
        InputError: wrong codes, or labels of another shape.
    """
    checked, words = check_codes(codes, n_bits), check_codes(centers, n_bits, name="centers")
    known = np.asarray(labels)
    if known.dtype != np.bool_ or known.shape != (len(checked), len(words)):
        raise InputError(
            f"labels must be bool of the shape (codes, centers) = ({len(checked)}, {len(words)}), not {known.dtype} "
            f"{known.shape}"
        )
    single = known.sum(axis=1) == 1
    if len(words) < 2 or not single.any():
        return None
    own = known[single].argmax(axis=1)
    rows = checked[single]
    radii = np.empty(len(rows), np.int64)
    for number in np.unique(own):
        radii[own == number] = hamming_distances(words[number : number + 1], rows[own == number], n_bits)[0]
    least = int(hamming_distances(words, words, n_bits)[np.triu_indices(len(words), 1)].min())
    middle, most, largest = (float(np.percentile(radii, q, method="inverted_cdf")) for q in QUANTILES)
    return CenterCondition(
        n_items=len(rows),
        center_distance_min=least,
        radius_50=middle,
        radius_95=most,
        radius_100=largest,
        share_within=float((4 * radii < least).mean()),
    )
