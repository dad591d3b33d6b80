"""Quasi-cyclic codes: generator matrices whose columns are whole orbits under multiplication by x."""

import numpy as np

from nearbit.centers.coding.algebraic.words import WordSet, linear


def quasi_cyclic(polynomials: tuple[int, ...], representatives: tuple[int, ...]) -> WordSet:
    """Return the code whose columns are a, x a, x² a, ... for each representative a.

    An element is a tuple of residues, one modulo each polynomial over the field of two elements; x multiplies all of
    them at once. As a number, the first residue stands in the lowest bits.

    Args:
        polynomials: as numbers (x^3 + x + 1 is 11), each with constant term 1. The dimension of the code is the sum of
            their degrees.
        representatives: elements other than 0; one may come several times.

    Example:
        >>> code = quasi_cyclic((11,), (1,))  # one orbit: the simplex code [7, 3, 4]
        >>> code.n_bits, code.n_words
        (7, 8)
    """
    columns = [column for start in representatives for column in orbit(polynomials, start)]
    dimension = sum(_degree(polynomial) for polynomial in polynomials)
    numbers = np.array(columns, np.int64)
    return linear((numbers >> np.arange(dimension)[:, None]) & 1)


def orbit(polynomials: tuple[int, ...], start: int) -> list[int]:
    """Return start, x start, x² start, ... up to where they repeat."""
    found = [start]
    while (after := _times_x(polynomials, found[-1])) != start:
        found.append(after)
    return found


def _degree(polynomial: int) -> int:
    return polynomial.bit_length() - 1


def _times_x(polynomials: tuple[int, ...], element: int) -> int:
    product, shift = 0, 0
    for polynomial in polynomials:
        degree = _degree(polynomial)
        residue = ((element >> shift) & ((1 << degree) - 1)) << 1
        product |= min(residue, residue ^ polynomial) << shift
        shift += degree
    return product
