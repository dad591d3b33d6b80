"""What a method aims at: the centers of the classes, and what they were chosen from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError

Centers = npt.NDArray[np.int8]
Generator = np.random.Generator


@dataclass(frozen=True, kw_only=True, eq=False)
class CenterState:
    """The centers at one moment of training.

    Attributes:
        centers: int8 `(n_classes, n_bits)`, -1 or +1.
        tie_break: int8 `(n_bits,)`: the sign of a bit of a multi-label centroid on which the votes are even.
        codebook: int8 `(n_heads, n_codewords, head_bits)` that the centers are chosen from, or None.
        assignment: int64 `(n_heads, n_classes)`: the codeword of each class in each head, or None.
    """

    centers: Centers
    tie_break: Centers
    codebook: Centers | None = None
    assignment: npt.NDArray[np.int64] | None = None

    def arrays(self) -> dict[str, npt.NDArray[np.int8] | npt.NDArray[np.int64]]:
        """Return the arrays that are there, by name; `CenterState(**arrays)` is the inverse."""
        named = {
            "centers": self.centers,
            "tie_break": self.tie_break,
            "codebook": self.codebook,
            "assignment": self.assignment,
        }
        return {name: array for name, array in named.items() if array is not None}


def random_signs(shape: tuple[int, ...], rng: Generator) -> Centers:
    """Return int8 signs of the given shape, each -1 or +1 with probability one half."""
    return (2 * rng.integers(0, 2, size=shape, dtype=np.int8) - 1).astype(np.int8)


def check_sizes(n_classes: int, n_bits: int, *, distinct: bool = False) -> None:
    """Raise `InputError` for fewer than two classes, no bits or, if `distinct`, more classes than words of n_bits."""
    if n_classes < 2:
        raise InputError(f"hash centers need at least 2 classes, not {n_classes}")
    if n_bits < 1:
        raise InputError(f"n_bits must be a whole number of at least 1, not {n_bits}")
    if distinct and n_bits < 63 and n_classes > 2**n_bits:
        raise InputError(
            f"{n_classes} classes need {n_classes} distinct words, but {n_bits} bits have only {2**n_bits}: "
            f"use at least {(n_classes - 1).bit_length()} bits"
        )


def pairwise_distances(centers: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Return the Hamming distances of all pairs of different rows: int32 `(n_classes * (n_classes - 1) / 2,)`.

    The distance of a row to itself is not among them.
    """
    rows = np.asarray(centers, dtype=np.int32)
    n_classes, n_bits = rows.shape
    gram = rows @ rows.T
    upper = np.triu_indices(n_classes, k=1)
    distances: npt.NDArray[np.int32] = (n_bits - gram[upper]) // 2
    return distances
