"""What is read off the features of all images before training: how their distances lie, and clusters of them."""

import numpy as np
import numpy.typing as npt

from nearbit.centers import Generator
from nearbit.losses.pairwise.pseudo_pairs import Distances

Rows = npt.NDArray[np.float32]

SAMPLE = 2000
"""The most images whose distances to each other are looked at."""

BIN = 0.01
"""Width of the bins of a histogram of distances."""


def centered_unit_rows(features: npt.NDArray[np.float32]) -> Rows:
    """Return features less their mean, at length 1; a row of length 0 stays."""
    rows = features - features.mean(axis=0)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def distances_of(rows: Rows, rng: Generator, *, similar_share: float, threshold: float | None) -> Distances:
    """Return how the cosine distances of rows of length 1 lie, from a sample of at most `SAMPLE` of them.

    Args:
        rows: float32 `(n, feature_dim)`, at least two.
        rng: draws the sample.
        similar_share: which share of pairs is to count as similar; it decides where no threshold is given.
        threshold: the distance up to which a pair is similar, or None.
    """
    few = rows[rng.permutation(len(rows))[:SAMPLE]].astype(np.float64)
    distances = (1 - few @ few.T)[np.triu_indices(len(few), 1)].clip(0, 2)
    counts, edges = np.histogram(distances, bins=np.arange(0, 2 + BIN, BIN))
    mode = float(edges[counts.argmax()] + BIN / 2)
    below, above = (_spread(distances[side] - mode) for side in (distances <= mode, distances >= mode))
    limit = float(np.quantile(distances, similar_share)) if threshold is None else threshold
    return Distances(limit, mode, below, above)


def _spread(differences: npt.NDArray[np.float64]) -> float:
    """Return the standard deviation of differences that are mirrored about 0; at least that of one bin."""
    return max(float(np.sqrt((differences**2).mean())), BIN) if len(differences) else BIN


def clusters_of(rows: Rows, n_clusters: int, rng: Generator, iterations: int = 20) -> npt.NDArray[np.int64]:
    """Return the cluster of each row of length 1: int64 `(n,)`, by spherical k-means from rows that are drawn.

    A cluster that loses all of its rows keeps its middle.
    """
    middles = rows[rng.choice(len(rows), min(n_clusters, len(rows)), replace=False)]
    found = (rows @ middles.T).argmax(axis=1)
    for _ in range(iterations):
        sums = np.zeros_like(middles)
        np.add.at(sums, found, rows)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        middles = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), middles)
        before, found = found, (rows @ middles.T).argmax(axis=1)
        if np.array_equal(before, found):
            break
    return np.asarray(found)
