"""What can be said for certain about centers: their distances, what bounds allow, and how they follow a similarity."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.centers.coding.bounds import gilbert_varshamov_distance, hamming_bound, plotkin_bound, proven_upper_bound
from nearbit.centers.coding.construction import best_known_distance
from nearbit.centers.coding.packed import distance_counts
from nearbit.centers.mds import mds_objective
from nearbit.centers.semantic.loss import (
    check_centers,
    check_similarity,
    correlation_of,
    loss_of,
    similarity_correlation,
)
from nearbit.centers.state import Centers, pairwise_distances
from nearbit.names import counted


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Figures of centers. Distances are in bits and between different classes.

    Attributes:
        n_classes, n_bits: the sizes.
        min_distance, mean_distance, max_distance: of all pairs.
        distances: distance to number of pairs, for those that occur, in order.
        duplicates: pairs of classes that share a center.
        bit_balance_worst, bit_balance_mean: largest and mean |mean of a bit over the classes|; 0 is balanced.
        row_balance_worst, row_balance_mean: largest and mean |mean of a center over its bits|.
        mds_objective: mean + smallest distance - variance of distances (MDS).
        gilbert_varshamov: the distance that the published rule asks for; None where classes are more than words.
        plotkin, hamming: the largest minimum distance that each bound allows; None as above.
        proven_upper_bound: the least of all bounds of nearbit; no centers of these sizes are further apart.
        best_known, best_known_source: the largest minimum distance that nearbit can construct, and how.
        semantic_loss, correlation: see `semantic_loss` and `similarity_correlation`; None without a similarity.
        note: what is odd about the similarity, or None.
    """

    n_classes: int
    n_bits: int
    min_distance: int
    mean_distance: float
    max_distance: int
    distances: dict[int, int]
    duplicates: int
    bit_balance_worst: float
    bit_balance_mean: float
    row_balance_worst: float
    row_balance_mean: float
    mds_objective: float
    gilbert_varshamov: int | None
    plotkin: int | None
    hamming: int | None
    proven_upper_bound: int | None
    best_known: int | None
    best_known_source: str | None
    semantic_loss: float | None = None
    correlation: float | None = None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures by name, ready for JSON; distances are strings there."""
        return {**asdict(self), "distances": {str(distance): count for distance, count in self.distances.items()}}

    def lines(self) -> list[str]:
        """Return the figures for people, one sentence or fact a line."""
        lines = [f"{self.n_classes} centers of {self.n_bits} bits", self._distance_line()]
        lines.append(f"mean distance {self.mean_distance:.2f}, largest {self.max_distance}")
        if self.duplicates:
            pairs = counted(self.duplicates, "pair of classes shares", "pairs of classes share")
            lines.append(f"{pairs} a center: they cannot be told apart")
        if self.best_known is not None:
            lines.append(f"best known to nearbit: {self.best_known} ({self.best_known_source})")
        if self.gilbert_varshamov is not None:
            met = "met" if self.min_distance >= self.gilbert_varshamov else "missed"
            lines.append(f"distance that MDS and SHC ask for: {self.gilbert_varshamov}, {met}")
        lines.append(f"bits: |mean| at most {self.bit_balance_worst:.3f}, on average {self.bit_balance_mean:.3f}")
        lines.append(f"centers: |mean| at most {self.row_balance_worst:.3f}, on average {self.row_balance_mean:.3f}")
        lines.append(f"MDS objective (mean + least - variance of distances): {self.mds_objective:.3f}")
        if self.semantic_loss is not None:
            lines.append(f"semantic loss {self.semantic_loss:.5f}, {self._correlation_words()}")
        return lines + ([f"note: {self.note}"] if self.note else [])

    def _distance_line(self) -> str:
        if self.proven_upper_bound is None:
            return f"minimum distance {self.min_distance}: there are more classes than words"
        if self.min_distance == self.proven_upper_bound:
            return f"minimum distance {self.min_distance}, the largest possible (proven)"
        return f"minimum distance {self.min_distance} of at most {self.proven_upper_bound} (proven)"

    def _correlation_words(self) -> str:
        if self.correlation is None:
            return "no correlation: all pairs are equally far apart, or there is one only"
        return f"correlation with the similarity {self.correlation:.4f}"


def certify(centers: npt.ArrayLike, similarity: npt.ArrayLike | None = None) -> Certificate:
    """Measure centers and set the figures beside what bounds allow.

    Args:
        centers: `(n_classes, n_bits)` of -1 and +1, of any origin.
        similarity: see `check_similarity`, or None.

    Returns:
        the certificate. Deterministic.

    Raises:
        InputError: the centers are not signs of at least two classes, or the similarity does not fit them.

    Example:
        >>> certify([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]).lines()[1]
        'minimum distance 2, the largest possible (proven)'
    """
    signs = check_centers(centers)
    matrix, note = (None, None) if similarity is None else check_similarity(similarity, len(signs))
    return Certificate(
        n_classes=len(signs),
        n_bits=signs.shape[1],
        **_distance_figures(signs),
        **_balance_figures(signs),
        mds_objective=float(mds_objective(signs)),
        **_bounds(*signs.shape),
        semantic_loss=None if matrix is None else loss_of(signs, matrix),
        correlation=None if matrix is None else correlation_of(signs, matrix),
        note=note,
    )


def _distance_figures(signs: Centers) -> dict[str, Any]:
    counts = distance_counts(signs)
    occurring = np.flatnonzero(counts)
    return {
        "min_distance": int(occurring[0]),
        "mean_distance": float(counts @ np.arange(len(counts)) / counts.sum()),
        "max_distance": int(occurring[-1]),
        "distances": {int(distance): int(counts[distance]) for distance in occurring},
        "duplicates": int(counts[0]),
    }


def _balance_figures(signs: Centers) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, axis in (("bit", 0), ("row", 1)):
        means = np.abs(signs.mean(axis=axis, dtype=np.float64))
        figures[f"{name}_balance_worst"] = float(means.max())
        figures[f"{name}_balance_mean"] = float(means.mean())
    return figures


def _bounds(n_classes: int, n_bits: int) -> dict[str, Any]:
    """Return what bounds and constructions say about these sizes; all None where classes are more than words."""
    if n_bits < 63 and n_classes > 2**n_bits:
        names = ("gilbert_varshamov", "plotkin", "hamming", "proven_upper_bound", "best_known", "best_known_source")
        return dict.fromkeys(names)
    known = best_known_distance(n_classes, n_bits) or (None, None)
    return {
        "gilbert_varshamov": gilbert_varshamov_distance(n_classes, n_bits),
        "plotkin": plotkin_bound(n_classes, n_bits),
        "hamming": hamming_bound(n_classes, n_bits),
        "proven_upper_bound": proven_upper_bound(n_classes, n_bits),
        "best_known": known[0],
        "best_known_source": known[1],
    }


def center_figures(centers: Centers, similarity: npt.NDArray[np.float64] | None) -> dict[str, float | int | None]:
    """Return the least and the mean distance of centers, and their correlation with a similarity."""
    distances = pairwise_distances(centers)
    figures: dict[str, float | int | None] = {
        "center_distance_min": int(distances.min()),
        "center_distance_mean": round(float(distances.mean()), 4),
    }
    if similarity is not None:
        figures["center_correlation"] = similarity_correlation(centers, similarity)
    return figures
