"""What a method aims at: the centers of the classes, and what they were chosen from."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import check_n_bits
from nearbit.errors import InputError
from nearbit.given import check_number

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
        label_sets: bool `(n_sets, n_classes)`: sets of labels that have words of their own, or None.
        set_words: int8 `(n_sets, n_bits)`: these words, or None.
        class_means: float32 `(n_classes, n_bits)`: the mean word of each class's images, whose signs are the centers,
            or None where the centers themselves are what images are trained towards.
    """

    centers: Centers
    tie_break: Centers
    codebook: Centers | None = None
    assignment: npt.NDArray[np.int64] | None = None
    label_sets: npt.NDArray[np.bool_] | None = None
    set_words: Centers | None = None
    class_means: npt.NDArray[np.float32] | None = None

    def of_classes(self) -> "CenterState":
        """Return what a model keeps: all but the words of sets of labels, which only training needs."""
        return replace(self, label_sets=None, set_words=None, class_means=None)

    def shortened(self, n_bits: int) -> "CenterState":
        """Return the first bits of what a model keeps; a codebook stays only where whole heads of it do."""
        codebook = assignment = None
        if self.codebook is not None and self.assignment is not None and n_bits % self.codebook.shape[2] == 0:
            n_heads = n_bits // self.codebook.shape[2]
            codebook, assignment = self.codebook[:n_heads].copy(), self.assignment[:n_heads].copy()
        return CenterState(
            centers=self.centers[:, :n_bits].copy(),
            tie_break=self.tie_break[:n_bits].copy(),
            codebook=codebook,
            assignment=assignment,
        )

    def expected(self) -> npt.NDArray[np.float32]:
        """Return what images of each class are trained towards on the mean: float32 `(n_classes, n_bits)`."""
        return self.centers.astype(np.float32) if self.class_means is None else self.class_means

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that are there, by name; `CenterState(**arrays)` is the inverse."""
        named = {
            "centers": self.centers,
            "tie_break": self.tie_break,
            "codebook": self.codebook,
            "assignment": self.assignment,
            "label_sets": self.label_sets,
            "set_words": self.set_words,
            "class_means": self.class_means,
        }
        return {name: array for name, array in named.items() if array is not None}


def no_centers(n_bits: int) -> CenterState:
    """Return the state of a method that has no centers."""
    return CenterState(centers=np.ones((0, n_bits), np.int8), tie_break=np.ones(n_bits, np.int8))


def random_signs(shape: tuple[int, ...], rng: Generator) -> Centers:
    """Return int8 signs of the given shape, each -1 or +1 with probability one half."""
    return (2 * rng.integers(0, 2, size=shape, dtype=np.int8) - 1).astype(np.int8)


def check_sizes(n_classes: int, n_bits: int, *, distinct: bool = False) -> None:
    """Raise `InputError` for fewer than two classes, no bits or, if `distinct`, more classes than words of n_bits."""
    n_classes, n_bits = check_number("n_classes", n_classes, at_least=2, whole=True), check_n_bits(n_bits)
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
