"""The codes that separated centers are made of: their parameters first, their words only when asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from nearbit.centers.coding.algebraic import cyclic, hadamard
from nearbit.centers.coding.algebraic.catalog import QUASI_CYCLIC
from nearbit.centers.coding.algebraic.fields import prime_power
from nearbit.centers.coding.algebraic.kerdock import kerdock
from nearbit.centers.coding.algebraic.quasi_cyclic import quasi_cyclic
from nearbit.centers.coding.algebraic.words import WordSet, add_parity, linear

QUADRATIC_RESIDUES = {17: 5, 23: 7, 31: 7, 47: 11}
"""Prime lengths of quadratic residue codes and their minimum distances (the extended codes have one more)."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A code that can be built.

    Attributes:
        n_bits: length of the words.
        n_words: number of words.
        distance: a proven lower bound on the minimum distance.
        name: in words, without parameters.
        build: makes the words.
    """

    n_bits: int
    n_words: int
    distance: int
    name: str
    build: Callable[[], WordSet]

    def describe(self) -> str:
        """Return the name and the parameters (n_bits, n_words, distance)."""
        return f"{self.name} ({self.n_bits}, {self.n_words}, {self.distance})"


@lru_cache(maxsize=64)
def families(n_bits: int) -> tuple[Family, ...]:
    """Return the codes that words of `n_bits` bits can be made of, by shortening, puncturing, lengthening, joining.

    Each code of odd minimum distance comes with a parity bit, too.
    """
    found: list[Family] = []
    for family in _bare(n_bits):
        found.append(family)
        if family.distance % 2:
            found.append(_extended(family))
    return tuple(found)


def _extended(family: Family) -> Family:
    return Family(
        n_bits=family.n_bits + 1,
        n_words=family.n_words,
        distance=family.distance + 1,
        name=f"extended {family.name}",
        build=lambda: add_parity(family.build()),
    )


def _bare(n_bits: int) -> Iterator[Family]:
    yield Family(n_bits=n_bits, n_words=2**n_bits, distance=1, name="all words", build=partial(_all, n_bits))
    yield Family(n_bits=n_bits, n_words=2, distance=n_bits, name="repetition code", build=partial(_repetition, n_bits))
    yield from _hadamard_codes(n_bits)
    yield from _kerdock_codes()
    yield from _bch_codes(n_bits)
    yield from _quadratic_residue_codes()
    yield from _quasi_cyclic_codes()


def _all(n_bits: int) -> WordSet:
    return linear(np.eye(n_bits, dtype=np.uint8))


def _repetition(n_bits: int) -> WordSet:
    return linear(np.ones((1, n_bits), np.uint8))


def _hadamard_codes(n_bits: int) -> Iterator[Family]:
    for order in range(4, n_bits + 9, 4):
        if hadamard.has_hadamard(order):
            yield Family(
                n_bits=order,
                n_words=2 * order,
                distance=order // 2,
                name="Hadamard code",
                build=partial(hadamard.biorthogonal, order),
            )
    for order in range(5, n_bits + 9, 4):
        if prime_power(order):
            yield Family(
                n_bits=order,
                n_words=2 * order + 2,
                distance=(order - 1) // 2,
                name="conference code",
                build=partial(hadamard.conference_code, order),
            )


def _kerdock_codes() -> Iterator[Family]:
    for degree, name in ((3, "Nordstrom-Robinson code"), (5, "Kerdock code")):
        yield Family(
            n_bits=2 ** (degree + 1),
            n_words=4 ** (degree + 1),
            distance=2**degree - 2 ** ((degree - 1) // 2),
            name=name,
            build=partial(kerdock, degree),
        )


def _bch_codes(n_bits: int) -> Iterator[Family]:
    for degree in range(3, min(n_bits.bit_length() + 1, 12) + 1):
        for dimension, distance in cyclic.bch_parameters(degree):
            if 1 < dimension < 2**degree - 1:
                yield Family(
                    n_bits=2**degree - 1,
                    n_words=2**dimension,
                    distance=distance,
                    name="BCH code",
                    build=partial(cyclic.bch, degree, distance),
                )


def _quadratic_residue_codes() -> Iterator[Family]:
    for prime, distance in QUADRATIC_RESIDUES.items():
        yield Family(
            n_bits=prime + 1,
            n_words=2 ** ((prime + 1) // 2),
            distance=distance + 1,
            name="extended quadratic residue code",
            build=partial(cyclic.quadratic_residue_code, prime),
        )


def _quasi_cyclic_codes() -> Iterator[Family]:
    for n_bits, dimension, distance, polynomials, representatives in QUASI_CYCLIC:
        yield Family(
            n_bits=n_bits,
            n_words=2**dimension,
            distance=distance,
            name="quasi-cyclic code",
            build=partial(quasi_cyclic, polynomials, representatives),
        )
