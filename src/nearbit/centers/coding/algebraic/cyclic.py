"""Cyclic codes by the powers of a root of unity: BCH codes, quadratic residue codes; and Reed-Muller codes."""

from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt

from nearbit.centers.coding.algebraic.fields import powers
from nearbit.centers.coding.algebraic.words import Bits, WordSet, add_parity, linear


def cyclotomic_coset(first: int, length: int) -> list[int]:
    """Return first, 2 first, 4 first, ... modulo an odd length: exponents of the roots of one irreducible factor.

    Example:
        >>> cyclotomic_coset(5, 15), cyclotomic_coset(3, 7)
        ([5, 10], [3, 6, 5])
    """
    coset = [first % length]
    while (after := coset[-1] * 2 % length) != coset[0]:
        coset.append(after)
    return coset


def multiplicative_order(length: int) -> int:
    """Return the smallest m for which an odd length divides 2^m - 1."""
    return len(cyclotomic_coset(1, length))


def cyclic_code(length: int, nonzeros: tuple[int, ...]) -> WordSet:
    """Return the cyclic code with the given nonzeros: words of traces of sum_s a_s root^(s i), bits i < length.

    Args:
        length: odd; root is a primitive root of unity of this order in GF(2^m).
        nonzeros: one exponent s of each cyclotomic coset whose roots are not roots of all words.

    Returns:
        linear; its dimension is the number of exponents in the cosets of `nonzeros`.
    """
    degree = multiplicative_order(length)
    table = np.array(powers(degree), np.int64)
    step = len(table) // length
    at = np.arange(length)
    rows = [_bits(table[step * s * at % len(table)], degree) for s in nonzeros]
    return linear(np.vstack(rows))


def _bits(numbers: npt.NDArray[np.int64], count: int) -> Bits:
    return ((numbers >> np.arange(count)[:, None]) & 1).astype(np.uint8)


def bch(degree: int, designed_distance: int) -> WordSet:
    """Return the primitive narrow-sense BCH code of length 2^degree - 1: roots 1 to designed_distance - 1.

    Source: Hocquenghem 1959; Bose and Ray-Chaudhuri 1960. Its minimum distance is at least the designed one.
    """
    length = 2**degree - 1
    roots = {e for s in range(1, designed_distance) for e in cyclotomic_coset(s, length)}
    left = sorted({min(cyclotomic_coset(-s, length)) for s in range(length) if s not in roots})
    return cyclic_code(length, tuple(left))


@lru_cache(maxsize=16)
def bch_parameters(degree: int) -> tuple[tuple[int, int], ...]:
    """Return (dimension, designed distance) of every primitive BCH code of the degree, the largest distance of each.

    Example:
        >>> bch_parameters(4)
        ((15, 1), (11, 3), (7, 5), (5, 7), (1, 15))
    """
    length = 2**degree - 1
    roots: set[int] = set()
    found: dict[int, int] = {}
    for distance in range(1, length + 1):
        if distance > 1:
            roots.update(cyclotomic_coset(distance - 1, length))
        found[length - len(roots)] = distance
    return tuple(found.items())


def quadratic_residue_code(prime: int) -> WordSet:
    """Return the extended quadratic residue code of a prime ±1 modulo 8: [prime + 1, (prime + 1) / 2].

    Example: 23 gives the Golay code [24, 12, 8], 47 gives [48, 24, 12].
    """
    squares = {i * i % prime for i in range(1, prime)}
    nonzeros = {min(cyclotomic_coset(s, prime)) for s in squares} | {0}
    return add_parity(cyclic_code(prime, tuple(sorted(nonzeros))))


def reed_muller(order: int, degree: int) -> WordSet:
    """Return the Reed-Muller code: the values of all polynomials of degree up to `order` in `degree` binary variables.

    Length 2^degree, minimum distance 2^(degree - order).
    """
    values = _bits(np.arange(2**degree), degree)
    rows = [
        np.prod(values[list(chosen)], axis=0, dtype=np.uint8)
        for size in range(order + 1)
        for chosen in combinations(range(degree), size)
    ]
    return linear(np.vstack(rows))
