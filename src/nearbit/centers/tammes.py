"""Tammes points: as many points on the sphere, in as many dimensions as bits, as far apart as can be (HCLM)."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from nearbit.centers.state import Generator, check_sizes

Points = npt.NDArray[np.float64]

SHARPNESSES = (4.0, 16.0, 64.0, 256.0, 1024.0)
"""Of the soft maximum over the cosines of pairs, one after the other."""

ITERATIONS = 100
"""Of the optimizer at each sharpness."""


def tammes_points(n_classes: int, n_bits: int, rng: Generator) -> Points:
    """Return unit vectors whose smallest distance is large: float64 `(n_classes, n_bits)`.

    The soft maximum log Σ exp(t cos_ij) / t over pairs is made small by L-BFGS, from random points, for larger and
    larger t. A local optimum: for n_classes up to n_bits + 1 it is the simplex, whose cosines are all
    -1 / (n_classes - 1).

    Source: the problem is that of HCLM (Morgado et al., IJCV 2020), there solved by a barrier method. Deterministic for
    a given `rng`, on one machine.

    Raises:
        InputError: fewer than 2 classes or no bits.
    """
    check_sizes(n_classes, n_bits)
    points = rng.standard_normal((n_classes, n_bits))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    for sharpness in SHARPNESSES:
        found: Any = minimize(
            _soft_maximum,
            points.ravel(),
            args=(points.shape, sharpness),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": ITERATIONS},
        )
        points = found.x.reshape(points.shape)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points


def _soft_maximum(flat: Points, shape: tuple[int, int], sharpness: float) -> tuple[float, Points]:
    """Return log Σ exp(t cos_ij) / t over pairs i ≠ j of rows of any length, and its gradient."""
    rows = flat.reshape(shape)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / lengths
    logits = sharpness * (unit @ unit.T)
    np.fill_diagonal(logits, -np.inf)
    top = float(logits.max())
    weights = np.exp(logits - top)
    total = float(weights.sum())
    pull = 2 / total * (weights @ unit)
    gradient = (pull - (pull * unit).sum(axis=1, keepdims=True) * unit) / lengths
    return (top + np.log(total)) / sharpness, gradient.ravel()
