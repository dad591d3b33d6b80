"""A similarity of classes for tests of semantic centers, and the loss of centers by plain loops."""

import numpy as np


def similarity_of(n_classes, seed=0, group=5):
    """Return a similarity with groups of like classes and noise."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n_classes) // group
    noise = rng.normal(0, 0.1, (n_classes, n_classes))
    matrix = np.clip(np.where(groups[:, None] == groups, 0.7, -0.1) + (noise + noise.T) / 2, -1, 1)
    np.fill_diagonal(matrix, 1)
    return matrix


def plain_loss(centers, similarity):
    """Return the mean of (S - h_i . h_j / n_bits)² over all pairs of classes, by loops."""
    n_classes, n_bits, total = len(centers), len(centers[0]), 0.0
    for i in range(n_classes):
        for j in range(n_classes):
            inner = sum(int(a) * int(b) for a, b in zip(centers[i], centers[j], strict=True))
            total += (float(similarity[i][j]) - inner / n_bits) ** 2
    return total / n_classes**2
