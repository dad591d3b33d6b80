"""The published procedures for hash centers, written straight from their equations, to be timed against nearbit's own.

Nothing here is used by nearbit. The loops are as the released codes run them: no work is saved.
"""

import numpy as np
import numpy.typing as npt

from nearbit.centers import csq_centers, gilbert_varshamov_distance, random_signs


def published_shc(
    similarity: npt.NDArray[np.float64], n_bits: int, d: int, start: npt.NDArray[np.int8], cycles: int = 30
) -> npt.NDArray[np.int8]:
    """Return SHC's semantic centers as its released code computes them: plain loops, all products anew for each step.

    Written from the equations (arXiv 2507.08404, 23 to 38) with the released code's departures, which
    `nearbit.centers.semantic.published.SHCOptions` lists by name. The steps are those of
    `published_shc_centers(..., options=SHCOptions.released())`; only the work is not saved.

    Args:
        similarity: float64 `(n_classes, n_classes)`, symmetric.
        n_bits: code length.
        d: minimum distance, in bits.
        start: int8 `(n_classes, n_bits)`.
        cycles: rounds of all updates.

    Returns:
        int8 `(n_classes, n_bits)`: of all cycles, the centers of the smallest semantic loss.
    """
    n_classes, mu, rho, beta, eta = len(start), 0.625, 0.2, 1e-6, 0.5
    h = start.T.astype(np.float64)
    multipliers, best, best_loss = np.full(h.shape, 0.1), start, np.inf
    for _ in range(cycles):
        left = (2 / n_bits**2) * h @ h.T + rho * np.eye(n_bits)
        m = np.linalg.inv(left) @ ((2 / n_bits) * h @ similarity + multipliers + rho * h)
        slack = np.maximum(n_bits - 2 * d - h.T @ h, 0)
        for _ in range(3):
            for i in range(n_classes):
                gradient = (2 / n_bits**2) * m @ (m.T @ h[:, i]) - (2 / n_bits) * m @ similarity[:, i]
                gradient += multipliers[:, i] + rho * (h[:, i] - m[:, i])
                of_others = np.zeros(n_bits)
                for j in range(n_classes):
                    if j != i:
                        of_others += 2 * mu * h[:, j]
                        of_others += beta * (
                            2 * (h[:, j] @ h[:, j]) * h[:, i] - 2 * (n_bits - 2 * d - slack[i, j]) * h[:, j]
                        )
                proposed = h.copy()
                proposed[:, i] = np.where(h[:, i] - (gradient + of_others / 10000) / eta >= 0, 1, -1)
                if _least_distance(proposed) >= d:
                    h = proposed
        multipliers = multipliers + rho * (h - m)
        loss = sum(
            (similarity[i, j] - h[:, i] @ h[:, j] / n_bits) ** 2 for i in range(n_classes) for j in range(n_classes)
        )
        if loss < best_loss:
            best, best_loss = h.T.astype(np.int8), loss
    return best


def _least_distance(h: npt.NDArray[np.float64]) -> float:
    """Return the smallest distance of two columns, from all products."""
    products = h.T @ h
    np.fill_diagonal(products, -len(h))
    return float((len(h) - products.max()) / 2)


def published_mds(n_classes: int, n_bits: int, seed: int, sweeps: int = 50) -> npt.NDArray[np.int8]:
    """Return MDS centers (Wang et al., CVPR 2023) by the authors' Lp-box ADMM, class by class.

    Starts from Hadamard rows or Bernoulli words where n_bits is a power of two, else from random signs. A sweep solves
    for every class in turn; it ends when the minimum distance is the Gilbert-Varshamov d. Of all sweeps, the centers
    with the largest mean + min - variance are returned.

    Returns:
        int8 `(n_classes, n_bits)`.
    """
    rng = np.random.default_rng(seed)
    d = gilbert_varshamov_distance(n_classes, n_bits)
    power_of_two = n_bits & (n_bits - 1) == 0
    start = csq_centers(n_classes, n_bits, rng) if power_of_two else random_signs((n_classes, n_bits), rng)
    h = start.astype(np.float64)
    best, best_value = h.copy(), _mds_value(h)
    for _ in range(sweeps):
        for i in range(n_classes):
            h[i] = _lp_box(np.delete(h, i, axis=0), h[i], n_bits - 2 * d)
        if _mds_value(h) > best_value:
            best, best_value = h.copy(), _mds_value(h)
        if _least_distance(h.T) >= d:
            break
    return best.astype(np.int8)


def _lp_box(others: npt.NDArray[np.float64], b: npt.NDArray[np.float64], limit: int) -> npt.NDArray[np.float64]:
    """Return the center that minimizes the mean product with the others, subject to products of at most `limit`.

    The box z1, the sphere z2 and the slack z3 are split off; y1, y2, y3 are their multipliers. The penalty rho grows by
    9 % an iteration; at its cap, 100 more solutions are judged by mean + min - variance of the distances.
    """
    n_bits, gamma, rho, cap = len(b), (1 + 5**0.5) / 2, 1e-5, 1e7
    c = others.mean(axis=0)
    y1, y2, y3 = np.zeros(n_bits), np.zeros(n_bits), np.zeros(len(others))
    z3 = np.maximum(limit - others @ b, 0)
    z1, z2 = b.copy(), b.copy()
    best, best_value, judged = b, -np.inf, 0
    for _ in range(1000):
        for _ in range(10):
            left = 2 * rho * np.eye(n_bits) + rho * others.T @ others
            right = rho * (z1 + z2 + others.T @ (limit - z3)) - y1 - y2 - others.T @ y3 - c
            b = np.linalg.inv(left) @ right
            z1 = np.clip(b + y1 / rho, -1, 1)
            z2 = b + y2 / rho
            z2 = n_bits**0.5 * z2 / np.linalg.norm(z2)
            z3 = np.maximum(limit - others @ b - y3 / rho, 0)
            residuals = (b - z1, b - z2, others @ b + z3 - limit)
            y1, y2, y3 = (y + gamma * rho * r for y, r in zip((y1, y2, y3), residuals, strict=True))
            if max(np.abs(r).max() for r in residuals) <= 1e-6:
                return _signs(b)
        if rho < cap:
            rho = min(1.09 * rho, cap)
            continue
        value = _value((n_bits - others @ _signs(b)) / 2)
        if value > best_value:
            best, best_value = _signs(b), value
        judged += 1
        if judged == 100:
            break
    return best if best_value > -np.inf else _signs(b)


def _signs(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(values >= 0, 1.0, -1.0)


def _mds_value(h: npt.NDArray[np.float64]) -> float:
    """Return mean + min - variance of the distances of all pairs of rows."""
    products = (h @ h.T)[np.triu_indices(len(h), k=1)]
    return _value((h.shape[1] - products) / 2)


def _value(distances: npt.NDArray[np.float64]) -> float:
    return float(distances.mean() + distances.min() - distances.var())
