"""Bounds: the smallest distance that random words promise, and the largest that any words can have, proven.

A(n, d) below is the largest number of words of n bits of which any two differ in at least d bits. Everything here is
exact integer arithmetic; the linear programming bound is certified in exact arithmetic by its own module.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from math import comb

from nearbit.centers.state import check_sizes
from nearbit.errors import InputError

LINEAR_PROGRAMMING_BITS = 256
"""Longer words get no linear programming bound: solving it takes seconds there."""


def gilbert_varshamov_distance(n_classes: int, n_bits: int) -> int:
    """Return the distance that the published rule asks of hash centers: the d of MDS and SHC.

    It is the smallest d for which the words within d - 1 bits of one word are at least 2^n_bits / n_classes. Words at
    distances of d - 1 always exist: choose them one by one, each outside the balls around those before it. Words at d
    mostly do, but need not: 33 words of 6 bits have a d of 2, and their distance is 1 at most.

    Source: MDS (Wang et al., CVPR 2023); SHC (arXiv 2507.08404), equation 13. Deterministic.

    Raises:
        InputError: fewer than 2 classes, no bits, or more classes than words.

    Example:
        >>> [gilbert_varshamov_distance(100, n_bits) for n_bits in (16, 32, 48, 64, 128)]
        [4, 10, 17, 24, 52]
    """
    check_sizes(n_classes, n_bits, distinct=True)
    balls = accumulate(comb(n_bits, i) for i in range(n_bits + 1))
    return next(d for d, ball in enumerate(balls, start=1) if ball * n_classes >= 2**n_bits)


def plotkin_bound(n_classes: int, n_bits: int) -> int:
    """Return the largest minimum distance that Plotkin's bound allows `n_classes` words of `n_bits` bits.

    For even d, A(n, d) is at most 2 floor(d / (2d - n)) where 2d > n, and at most 2^(n - 2d) 4d elsewhere.

    Example:
        >>> plotkin_bound(10, 16), plotkin_bound(128, 64), plotkin_bound(129, 64)
        (8, 32, 31)
    """
    return _largest_allowed(n_classes, n_bits, _plotkin_size)


def hamming_bound(n_classes: int, n_bits: int) -> int:
    """Return the largest minimum distance that the sphere-packing bound allows `n_classes` words of `n_bits` bits.

    Balls of (d - 1) / 2 bits around the words do not meet; for even d, one bit is left out first.
    """
    return _largest_allowed(n_classes, n_bits, _hamming_size)


def linear_programming_bound(n_classes: int, n_bits: int) -> int | None:
    """Return the largest minimum distance that Delsarte's linear program allows, or None beyond 256 bits.

    The program is solved in floating point; its dual solution is then checked, and the bound computed, in integers.
    """
    check_sizes(n_classes, n_bits, distinct=True)
    if n_bits > LINEAR_PROGRAMMING_BITS:
        return None
    return _linear_programming(n_classes, n_bits, _simple_bound(n_classes, n_bits))


def proven_upper_bound(n_classes: int, n_bits: int) -> int:
    """Return the largest minimum distance that no bound here excludes for `n_classes` words of `n_bits` bits.

    No set of centers can have a larger one. It is the least of the Plotkin, sphere-packing and (up to 256 bits) linear
    programming bounds. Deterministic.

    Raises:
        InputError: fewer than 2 classes, no bits, or more classes than words.

    Example:
        >>> proven_upper_bound(256, 16), proven_upper_bound(257, 16)
        (6, 5)
    """
    simple = _simple_bound(n_classes, n_bits)
    if n_bits > LINEAR_PROGRAMMING_BITS:
        return simple
    return _linear_programming(n_classes, n_bits, simple)


def check_min_distance(n_classes: int, n_bits: int, min_distance: int) -> None:
    """Raise `InputError` where no words can have this minimum distance; the message names the proven bound."""
    if isinstance(min_distance, bool) or int(min_distance) != min_distance or min_distance < 1:
        raise InputError(f"min_distance must be a whole number of at least 1, not {min_distance!r}")
    largest = proven_upper_bound(n_classes, n_bits)
    if min_distance > largest:
        raise InputError(
            f"{n_classes} centers of {n_bits} bits cannot have a minimum distance of {min_distance}: at most {largest} "
            f"is possible (proven). Ask for at most {largest}, or for more bits"
        )


def _simple_bound(n_classes: int, n_bits: int) -> int:
    return min(plotkin_bound(n_classes, n_bits), hamming_bound(n_classes, n_bits))


def _largest_allowed(n_classes: int, n_bits: int, largest_size: Callable[[int, int], int]) -> int:
    """Return the last distance before the first one at which fewer than `n_classes` words are possible."""
    check_sizes(n_classes, n_bits, distinct=True)
    distances = range(1, n_bits + 1)
    return next((d - 1 for d in distances if largest_size(*_even(n_bits, d)) < n_classes), n_bits)


def _even(n_bits: int, distance: int) -> tuple[int, int]:
    """Return (n, d) with d even and A(n, d) as given: a parity bit makes an odd minimum distance even."""
    return (n_bits + 1, distance + 1) if distance % 2 else (n_bits, distance)


def _plotkin_size(n: int, d: int) -> int:
    if 2 * d > n:
        return 2 * (d // (2 * d - n))
    return int(2 ** (n - 2 * d)) * 4 * d


def _hamming_size(n: int, d: int) -> int:
    ball = sum(comb(n - 1, i) for i in range((d - 2) // 2 + 1))
    return int(2 ** (n - 1)) // ball


@lru_cache(maxsize=4096)
def _linear_programming(n_classes: int, n_bits: int, upper: int) -> int:
    """Return the largest distance up to `upper` that the linear program does not exclude, by bisection."""
    from nearbit.centers.coding.linear_programming import size_bound

    low, high = 1, upper
    while low < high:
        middle = (low + high + 1) // 2
        if size_bound(*_even(n_bits, middle)) < n_classes:
            high = middle - 1
        else:
            low = middle
    return low
