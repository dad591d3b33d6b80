"""Finite fields: GF(2^m) as powers of a primitive element, and squares in fields of odd order q."""

from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@lru_cache(maxsize=32)
def powers(degree: int) -> tuple[int, ...]:
    """Return the powers of a primitive element of GF(2^degree): numbers whose bits are coefficients, x = 2 first.

    The field is that of the smallest primitive polynomial of the degree. Element i of the result is x^i, and the result
    has 2^degree - 1 elements.

    Example:
        >>> powers(3)
        (1, 2, 4, 3, 6, 7, 5)
    """
    return _powers_modulo(primitive_polynomial(degree), degree)


@lru_cache(maxsize=32)
def primitive_polynomial(degree: int) -> int:
    """Return the smallest primitive polynomial over GF(2) of a degree from 1 to 16, as a number: x^3 + x + 1 is 11."""
    candidates = range((1 << degree) + 1, 1 << (degree + 1), 2)
    return next(p for p in candidates if len(_powers_modulo(p, degree)) == 2**degree - 1)


def _powers_modulo(polynomial: int, degree: int) -> tuple[int, ...]:
    """Return 1, x, x^2, ... modulo a polynomial up to where they repeat."""
    found, power = [], 1
    while True:
        found.append(power)
        power <<= 1
        if power >> degree:
            power ^= polynomial
        if power == 1:
            return tuple(found)


def prime_power(order: int) -> tuple[int, int] | None:
    """Return (p, e) with order = p^e and p prime, or None.

    Example:
        >>> prime_power(49), prime_power(45)
        ((7, 2), None)
    """
    if order < 2:
        return None
    prime = next((p for p in range(2, int(order**0.5) + 1) if order % p == 0), order)
    exponent, left = 0, order
    while left % prime == 0:
        exponent, left = exponent + 1, left // prime
    return (prime, exponent) if left == 1 else None


@lru_cache(maxsize=64)
def quadratic_character(order: int) -> Integers:
    """Return the matrix Q of chi(a - b) over all elements a, b of the field of an odd prime power order.

    chi is 0 for 0, +1 for squares and -1 for the others. Fields of the orders p and p^e are made from the integers
    modulo p and a polynomial without a factor.

    Returns:
        int64 `(order, order)`.
    """
    found = prime_power(order)
    if found is None or found[0] == 2:
        raise ValueError(f"{order} is no odd prime power")
    prime, exponent = found
    elements = np.array(list(product(range(prime), repeat=exponent)), np.int64)
    place = prime ** np.arange(exponent - 1, -1, -1)
    modulus = _irreducible(prime, exponent)
    squares = {int(_multiply(element, element, modulus, prime) @ place) for element in elements[1:]}
    chi = np.array([0] + [1 if number in squares else -1 for number in range(1, order)], np.int64)
    differences = (elements[:, None, :] - elements[None, :, :]) % prime
    return np.asarray(chi[differences @ place])


def _multiply(a: Integers, b: Integers, modulus: Integers, prime: int) -> Integers:
    """Return the product of two elements, coefficients of the highest power first."""
    result = np.convolve(a, b) % prime
    while len(result) > len(modulus) - 1:
        result[: len(modulus)] = (result[: len(modulus)] - result[0] * modulus) % prime
        result = result[1:]
    return result


def _irreducible(prime: int, degree: int) -> Integers:
    """Return a monic polynomial over the integers modulo a prime that no monic polynomial of a lower degree divides."""
    for tail in product(range(prime), repeat=degree):
        candidate = np.array((1, *tail), np.int64)
        if not any(_divides(factor, candidate, prime) for factor in _monic(prime, degree // 2)):
            return candidate
    raise AssertionError("there is an irreducible polynomial of every degree")


def _monic(prime: int, highest: int) -> list[Integers]:
    return [np.array((1, *tail), np.int64) for d in range(1, highest + 1) for tail in product(range(prime), repeat=d)]


def _divides(factor: Integers, polynomial: Integers, prime: int) -> bool:
    rest = polynomial.copy()
    while len(rest) >= len(factor):
        rest[: len(factor)] = (rest[: len(factor)] - rest[0] * factor) % prime
        rest = rest[1:]
    return not rest.any()
