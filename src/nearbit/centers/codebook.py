"""The codebook of CRH: more codewords than classes in each of several heads, for centers to be chosen from."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from nearbit.centers.separated import separated_centers
from nearbit.centers.state import Centers, Generator, check_sizes
from nearbit.errors import InputError
from nearbit.given import check_choice, check_number

ENUMERABLE_BITS = 16
Source = Literal["uniform", "separated"]


def head_bits_for(n_codewords: int, n_bits: int) -> int:
    """Return the bits of one head: the smallest divisor of n_bits that has at least `n_codewords` words.

    Source: CRH (arXiv 2511.12162), section on multi-head design. The text asks for the smallest power of two of at
    least log2(n_codewords); the two rules agree at 16, 32 and 64 bits, and this one covers every other length.

    Example:
        >>> head_bits_for(200, 64)  # CIFAR-100: 100 classes, 8 heads of 8 bits
        8
    """
    for head_bits in range(1, n_bits + 1):
        if n_bits % head_bits == 0 and _has_words(head_bits, n_codewords):
            return head_bits
    raise InputError(
        f"a codebook of {n_codewords} codewords does not fit {n_bits} bits: use at least "
        f"{max(n_codewords - 1, 1).bit_length()} bits or fewer codewords"
    )


def _has_words(bits: int, n_words: int) -> bool:
    return bits >= 63 or 2**bits >= n_words


def default_codewords(n_classes: int, n_bits: int) -> int:
    """Return the codebook size 2 * n_classes of the paper, or all 2 ** n_bits words where that is fewer."""
    check_sizes(n_classes, n_bits, distinct=True)
    return 2 * n_classes if _has_words(n_bits, 2 * n_classes) else 2**n_bits


def make_codebook(
    n_codewords: int, n_bits: int, rng: Generator, *, head_bits: int | None = None, source: Source = "uniform"
) -> Centers:
    """Return the words of each head: drawn uniformly without replacement, or taken from a code.

    Source: CRH (arXiv 2511.12162) for "uniform"; "separated" is ours. Deterministic for a given `rng`. Words of more
    than 16 bits are drawn one by one and drawn again where they repeat, for which the published rule is unknown.

    Args:
        n_codewords: words in each head, at least 1.
        n_bits: length of the whole code.
        rng: source of the draws.
        head_bits: bits of one head, a divisor of n_bits; by default `head_bits_for(n_codewords, n_bits)`.
        source: "uniform" as published, or "separated": the words of each head are `separated_centers` of its own draw,
            with the largest minimum distance that nearbit reaches for so many words of head_bits bits.

    Returns:
        int8 `(n_heads, n_codewords, head_bits)`; the words of one head are distinct.

    Raises:
        InputError: no codewords, head_bits that do not divide n_bits or have too few words, or an unknown source.
    """
    check_number("n_codewords", n_codewords, at_least=1, whole=True)
    check_choice("the source of a codebook", source, ("uniform", "separated"))
    chosen = head_bits_for(n_codewords, n_bits) if head_bits is None else head_bits
    if chosen < 1 or n_bits % chosen or not _has_words(chosen, n_codewords):
        raise InputError(
            f"head_bits must divide {n_bits} bits and have at least {n_codewords} words, not {chosen}; "
            f"{head_bits_for(n_codewords, n_bits)} would do"
        )
    # One word alone is no set of centers; it is drawn.
    words = separated_centers if source == "separated" and n_codewords > 1 else _distinct_words
    return np.stack([words(n_codewords, chosen, rng) for _ in range(n_bits // chosen)])


def _distinct_words(n_words: int, bits: int, rng: Generator) -> Centers:
    if bits <= ENUMERABLE_BITS:
        numbers = rng.choice(2**bits, size=n_words, replace=False)
        words = (numbers[:, None] >> np.arange(bits - 1, -1, -1)) & 1
    else:
        words = _draw_until_distinct(n_words, bits, rng)
    return (2 * words - 1).astype(np.int8)


def _draw_until_distinct(n_words: int, bits: int, rng: Generator) -> npt.NDArray[np.int8]:
    seen: dict[bytes, npt.NDArray[np.int8]] = {}
    while len(seen) < n_words:
        word = rng.integers(0, 2, size=bits, dtype=np.int8)
        seen.setdefault(word.tobytes(), word)
    return np.stack(list(seen.values()))


def centers_from(codebook: Centers, assignment: npt.NDArray[np.int64]) -> Centers:
    """Return the centers that an assignment chooses: each class's codewords of all heads, one behind the other.

    Args:
        codebook: int8 `(n_heads, n_codewords, head_bits)`.
        assignment: int64 `(n_heads, n_classes)`.

    Returns:
        int8 `(n_classes, n_heads * head_bits)`.
    """
    return np.concatenate([words[chosen] for words, chosen in zip(codebook, assignment, strict=True)], axis=1)
