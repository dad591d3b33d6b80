"""Hadamard matrices of many orders, and codes from them and from conference matrices."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nearbit.centers.coding.algebraic.fields import prime_power, quadratic_character
from nearbit.centers.coding.algebraic.words import WordSet, listed

Matrix = npt.NDArray[np.int64]


def is_paley(order: int) -> bool:
    """Tell whether Paley's constructions give a Hadamard matrix: order - 1 or order / 2 - 1 a fitting prime power."""
    return order % 4 == 0 and (_is_field(order - 1, 3) or _is_field(order // 2 - 1, 1))


def _is_field(order: int, rest: int) -> bool:
    """Tell whether there is a field of the order, and the order leaves `rest` modulo 4."""
    return order % 4 == rest and prime_power(order) is not None


@lru_cache(maxsize=4096)
def has_hadamard(order: int) -> bool:
    """Tell whether `hadamard_matrix` knows this order: 1, 2, Paley's, and products of two orders that it knows."""
    return order in (1, 2) or (order % 4 == 0 and (is_paley(order) or _factor(order) > 0))


def _factor(order: int) -> int:
    """Return a factor for which Hadamard matrices of it and of the rest are known, or 0."""
    return next((a for a in (2, 4, 12, 20) if order % a == 0 and has_hadamard(a) and has_hadamard(order // a)), 0)


def hadamard_matrix(order: int) -> Matrix:
    """Return a matrix of +1 and -1 whose rows are orthogonal, with +1 in its first column.

    Source: Sylvester 1867, Paley 1933. Deterministic.

    Returns:
        int64 `(order, order)`.
    """
    matrix = _hadamard(order)
    return np.asarray(matrix * matrix[:, :1])


def _hadamard(order: int) -> Matrix:
    if order <= 2:
        return np.array([[1, 1], [1, -1]])[:order, :order]
    if order & (order - 1) == 0:  # Sylvester's matrix: its rows are a linear code
        return np.asarray(np.kron(_hadamard(2), _hadamard(order // 2)))
    if _is_field(order - 1, 3):
        return np.asarray(np.eye(order, dtype=np.int64) + _bordered(quadratic_character(order - 1), -1))
    if order % 4 == 0 and _is_field(order // 2 - 1, 1):
        conference = _bordered(quadratic_character(order // 2 - 1), 1)
        blocks = (np.array([[1, 1], [1, -1]]), np.array([[1, -1], [-1, -1]]))
        return np.asarray(np.kron(conference, blocks[0]) + np.kron(np.eye(order // 2, dtype=np.int64), blocks[1]))
    if factor := _factor(order):
        return np.asarray(np.kron(_hadamard(factor), _hadamard(order // factor)))
    raise ValueError(f"no Hadamard matrix of order {order} is known here")


def _bordered(character: Matrix, sign: int) -> Matrix:
    """Return the conference matrix of a field: a border of ones around its character; sign -1 makes it skew."""
    size = len(character) + 1
    matrix = np.zeros((size, size), np.int64)
    matrix[0, 1:] = 1
    matrix[1:, 0] = sign
    matrix[1:, 1:] = character
    return matrix


def biorthogonal(order: int) -> WordSet:
    """Return the rows of a Hadamard matrix and their negatives: (order, 2 order, order / 2).

    Shortened once or twice they meet Plotkin's bound: (order - 1, order, order / 2), (order - 2, order / 2, order / 2).
    """
    rows = (hadamard_matrix(order) < 0).astype(np.uint8)
    return WordSet(np.ones((1, order), np.uint8), rows)


def simplex(order: int) -> WordSet:
    """Return the rows of a Hadamard matrix without their first, constant, bit: (order - 1, order, order / 2)."""
    return listed(hadamard_matrix(order)[:, 1:] < 0)


def conference_code(order: int) -> WordSet:
    """Return the code of a conference matrix: (q, 2 (q + 1), (q - 1) / 2) for a prime power q = 1 modulo 4.

    Source: Sloane and Seidel 1970. The words are the rows of (Q + I + J) / 2 and (-Q + I + J) / 2, and those of zeros
    and of ones, Q the character of the field.
    """
    character = quadratic_character(order)
    unit = np.eye(order, dtype=np.int64)
    words = [(character + unit + 1) // 2, (-character + unit + 1) // 2, np.zeros((1, order)), np.ones((1, order))]
    return listed(np.vstack(words))
