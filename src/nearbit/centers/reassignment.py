"""Reassignment of centers (CRH): give each class the codeword of each head that its codes lie nearest to."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from nearbit.centers.codebook import centers_from
from nearbit.centers.state import Centers, CenterState, Generator
from nearbit.errors import InputError
from nearbit.given import check_choice

Assignment = Literal["greedy", "exact"]


def reassignment_costs(codebook: Centers, class_means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what each codeword of each head costs each class: the mean squared distance to the class's signs.

    Source: CRH (arXiv 2511.12162), equations 5 to 8. For signs b of one head, |b|² = |z|² = head_bits, so the weighted
    mean of |b - z|² over a class is 2 * head_bits - 2 <mean b, z>: only the class means are needed.

    Args:
        codebook: int8 `(n_heads, n_codewords, head_bits)`.
        class_means: float64 `(n_classes, n_bits)`: weighted means of the signs of each class's images.

    Returns:
        float64 `(n_heads, n_classes, n_codewords)`.
    """
    n_heads, _, head_bits = codebook.shape
    means = class_means.reshape(len(class_means), n_heads, head_bits).transpose(1, 0, 2)
    inner = means @ codebook.astype(np.float64).transpose(0, 2, 1)
    return np.asarray(2 * head_bits - 2 * inner)


def assign_greedily(costs: npt.NDArray[np.float64], rng: Generator) -> npt.NDArray[np.int64]:
    """Return a codeword for each class: in random order each class takes the cheapest that is left.

    Args:
        costs: float64 `(n_classes, n_codewords)`, n_codewords >= n_classes.
        rng: source of the order of classes.

    Returns:
        int64 `(n_classes,)`, all different.
    """
    left = costs.copy()
    chosen = np.empty(len(costs), np.int64)
    for row in rng.permutation(len(costs)):
        chosen[row] = int(left[row].argmin())
        left[:, chosen[row]] = np.inf
    return chosen


def assign_exactly(costs: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the one-to-one assignment of the least total cost (linear assignment): int64 `(n_classes,)`."""
    _, columns = linear_sum_assignment(costs)
    return np.asarray(columns, dtype=np.int64)


def reassign(
    state: CenterState, class_means: npt.NDArray[np.float64], rng: Generator, *, assignment: Assignment = "greedy"
) -> CenterState:
    """Return the state whose centers are chosen anew, head by head, by the costs of the codewords.

    Args:
        state: centers with a codebook.
        class_means: float64 `(n_classes, n_bits)`; each row the weighted mean of the signs of the class's images.
        rng: source of the greedy order.
        assignment: "greedy" as published, or "exact".

    Raises:
        InputError: the state has no codebook, or `assignment` is neither of the two.
    """
    if state.codebook is None:
        raise InputError("only centers that were chosen from a codebook can be reassigned")
    check_choice("assignment", assignment, ("greedy", "exact"))
    costs = reassignment_costs(state.codebook, class_means)
    chosen = np.stack([assign_exactly(head) if assignment == "exact" else assign_greedily(head, rng) for head in costs])
    return CenterState(
        centers=centers_from(state.codebook, chosen),
        tie_break=state.tie_break,
        codebook=state.codebook,
        assignment=chosen,
    )
