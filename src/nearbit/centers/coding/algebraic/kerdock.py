"""Kerdock codes, the smallest of which is the Nordstrom-Robinson code: as Gray images of linear codes over Z4."""

import numpy as np
import numpy.typing as npt

from nearbit.centers.coding.algebraic.fields import primitive_polynomial
from nearbit.centers.coding.algebraic.words import WordSet

Integers = npt.NDArray[np.int64]


def kerdock(degree: int) -> WordSet:
    """Return the Kerdock code of length 2^(degree + 1) for an odd degree: 4^(degree + 1) words.

    Its minimum distance is 2^degree - 2^((degree - 1) / 2): (16, 256, 6), (64, 4096, 28), (256, 65536, 112). It is
    given as cosets of the first-order Reed-Muller code that it contains.

    Source: Kerdock 1972; as a code over Z4, Hammons, Kumar, Calderbank, Sloane and Solé 1994. Deterministic.
    """
    if degree < 3 or degree % 2 == 0:
        raise ValueError(f"Kerdock codes have an odd degree of at least 3, not {degree}")
    generator = _z4_generator(degree)
    n_rows = len(generator)
    binary = (np.arange(2**n_rows)[:, None] >> np.arange(n_rows)) & 1
    offsets = _gray(binary @ generator % 4)
    basis = _gray(2 * generator % 4)
    # Twice a row is a word of the linear part; one more row, the Gray image of all 1, completes it.
    ones = _gray(np.ones((1, generator.shape[1]), np.int64))
    return WordSet(np.vstack([basis, ones]), offsets[binary[:, 0] == 0])


def _z4_generator(degree: int) -> Integers:
    """Return the rows of 1 and of the powers of a primitive element of the Galois ring GR(4, degree), 0 first."""
    lifted = _lift(primitive_polynomial(degree), degree)
    columns = [np.zeros(degree, np.int64)]
    power = np.eye(degree, dtype=np.int64)[0]
    for _ in range(2**degree - 1):
        columns.append(power)
        power = (np.concatenate([[0], power[:-1]]) - power[-1] * lifted[:degree]) % 4
    rows = np.stack(columns, axis=1)
    return np.vstack([np.ones((1, rows.shape[1]), np.int64), rows])


def _lift(polynomial: int, degree: int) -> Integers:
    """Return Graeffe's lift to Z4 of a binary polynomial: coefficients of h with h(x^2) = ±(e(x)^2 - o(x)^2)."""
    coefficients = np.array([(polynomial >> i) & 1 for i in range(degree + 1)])
    even, odd = coefficients.copy(), coefficients.copy()
    even[1::2], odd[::2] = 0, 0
    squared = np.convolve(even, even) - np.convolve(odd, odd)
    lifted = squared[::2] % 4
    return np.asarray(lifted * lifted[-1] % 4)


def _gray(rows: Integers) -> npt.NDArray[np.uint8]:
    """Return the Gray map of rows over Z4: 0, 1, 2, 3 to 00, 01, 11, 10; the first bits of all come first."""
    return np.hstack([rows >> 1, (rows >> 1) ^ (rows & 1)]).astype(np.uint8)
