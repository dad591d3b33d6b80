"""Which code to take for so many words of so many bits: the best that shortening, puncturing and joining can give."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from nearbit.centers.coding.algebraic.words import WordSet, add_parity, listed, puncture, shorten
from nearbit.centers.coding.bounds import proven_upper_bound
from nearbit.centers.coding.code_search import SEARCH_BITS, search_code
from nearbit.centers.coding.families import Family, families
from nearbit.centers.state import Generator, check_sizes
from nearbit.errors import InputError

SPARE_BITS = 8
"""Joined codes of up to this many bits more are considered, with bits left out."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class CodePlan:
    """A way to make words of `n_bits` bits at distances of at least `distance`: a family, or what is done to `parts`.

    Attributes:
        n_words: words wanted; there may be more.
        n_bits: their length.
        distance: the minimum distance that the construction guarantees.
        family: the code that is shortened, punctured or padded; None where the words are made of `parts`.
        parts: two plans whose words stand one behind the other, or one plan to which bits are added or taken off.
    """

    n_words: int
    n_bits: int
    distance: int
    family: Family | None = None
    parts: tuple["CodePlan", ...] = ()

    def describe(self) -> str:
        """Return the construction in words."""
        if self.family is None and len(self.parts) > 1:
            counts = Counter(part.describe() for part in self._joined_parts())
            return " + ".join(text if count == 1 else f"{count} × {text}" for text, count in counts.items())
        if self.family is None:
            (part,) = self.parts
            return f"[{part.describe()}], {'punctured by 1' if part.n_bits > self.n_bits else 'extended'}"
        steps = self._steps(self.family)
        done = [f"{name} by {count}" for name, count in zip(("shortened", "punctured", "padded"), steps, strict=True)]
        return ", ".join([self.family.describe(), *(text for text, count in zip(done, steps, strict=True) if count)])

    def _joined_parts(self) -> list["CodePlan"]:
        """Return the plans that stand one behind the other, in turn those that such a plan is made of."""
        return [leaf for part in self.parts for leaf in part._joined_parts()] if len(self.parts) > 1 else [self]

    def build(self, rng: Generator) -> WordSet:
        """Return `n_words` words or more; `rng` chooses the subcodes of linear codes that are too large."""
        if self.family is not None:
            return self._from_family(self.family, rng)
        built = [part.build(rng) for part in self.parts]
        if len(built) > 1:
            return _join(built[0], built[1], self.n_words)
        (code,) = built
        return puncture(code, code.n_bits - self.n_bits) if code.n_bits > self.n_bits else add_parity(code)

    def _steps(self, family: Family) -> tuple[int, int, int]:
        """Return how often to shorten, puncture and pad."""
        excess = max(family.n_bits - self.n_bits, 0)
        shortenings = min(excess, _shortenings(family, self.n_words))
        return shortenings, excess - shortenings, max(self.n_bits - family.n_bits, 0)

    def _from_family(self, family: Family, rng: Generator) -> WordSet:
        shortenings, punctures, padding = self._steps(family)
        code = shorten(family.build(), shortenings)
        code = _subcode(puncture(code, punctures), self.n_words, rng)
        basis, offsets = (np.pad(rows, ((0, 0), (0, padding))) for rows in (code.basis, code.offsets))
        return WordSet(basis, offsets)


def _shortenings(family: Family, n_words: int) -> int:
    """Return how often a family can be shortened and still have enough words: each time at least half are left."""
    return max((family.n_words // n_words).bit_length() - 1, 0)


def _subcode(code: WordSet, n_words: int, rng: Generator) -> WordSet:
    """Return a random subcode of the least dimension that has enough words; a code that is not linear as it is."""
    dimension = (n_words - 1).bit_length()
    if len(code.offsets) > 1 or dimension >= len(code.basis):
        return code
    mixed = random_invertible(len(code.basis), rng)[:dimension].astype(np.int64) @ code.basis % 2
    return WordSet(mixed.astype(np.uint8), code.offsets)


def random_invertible(size: int, rng: Generator) -> npt.NDArray[np.uint8]:
    """Return a random invertible matrix of 0 and 1 over the field of two elements: triangular ones, multiplied."""
    lower = np.tril(rng.integers(0, 2, (size, size)), -1) + np.eye(size, dtype=np.int64)
    upper = np.triu(rng.integers(0, 2, (size, size)), 1) + np.eye(size, dtype=np.int64)
    return np.asarray((lower @ upper % 2)[rng.permutation(size)], np.uint8)


def _join(first: WordSet, second: WordSet, n_words: int) -> WordSet:
    if len(first.offsets) == len(second.offsets) == 1:
        size = min(len(first.basis), len(second.basis))
        return WordSet(np.hstack([first.basis[:size], second.basis[:size]]), np.hstack([first.offsets, second.offsets]))
    left, right = first.words(n_words), second.words(n_words)
    size = min(len(left), len(right))
    return listed(np.hstack([left[:size], right[:size]]))


def _same(code: WordSet) -> WordSet:
    return code


@lru_cache(maxsize=4096)
def plan_code(n_words: int, n_bits: int) -> CodePlan:
    """Return the construction of `n_words` words of `n_bits` bits with the largest guaranteed minimum distance.

    Raises:
        InputError: fewer than 2 words, no bits, or more words than there are.
    """
    check_sizes(n_words, n_bits, distinct=True)
    known = [family for family in families(n_bits + SPARE_BITS) if family.n_words >= n_words]
    lengths = np.arange(n_bits + SPARE_BITS + 1)
    missing = np.array([family.n_bits - _shortenings(family, n_words) for family in known])
    table = np.array([family.distance for family in known])[:, None] - np.maximum(missing[:, None] - lengths, 0)
    alone, choice = np.maximum(table.max(axis=0), 0), table.argmax(axis=0)
    found = _plan_of(n_bits, n_words, [known[i] for i in choice], *_joined(alone))
    return _improved(found) if n_bits <= SEARCH_BITS else found


def _improved(found: CodePlan) -> CodePlan:
    """Return a plan of words found by search where these are farther apart."""
    for distance in range(found.distance + 1, proven_upper_bound(found.n_words, found.n_bits) + 1):
        code = search_code(found.n_words, found.n_bits, distance)
        if code is None:
            break
        family = Family(
            n_bits=found.n_bits,
            n_words=found.n_words,
            distance=distance,
            name="code found by search",
            build=partial(_same, code),
        )
        found = replace(found, distance=distance, family=family, parts=())
    return found


def _joined(alone: Integers) -> tuple[Integers, Integers]:
    """Return the best distance of each length, and how it comes about.

    The second array holds, per length n: 0, a code alone; a > 0, codes of a and n - a bits joined; -1, a parity bit
    after n - 1 bits; -2, n + 1 bits less one.
    """
    best, how = alone.copy(), np.zeros(len(alone), np.int64)
    for n in range(1, len(best)):
        halves = best[1 : n // 2 + 1] + best[n - n // 2 : n][::-1]
        if len(halves) and halves.max() > best[n]:
            how[n] = 1 + np.flatnonzero(halves == halves.max())[-1]
            best[n] = halves.max()
        if best[n - 1] % 2 and best[n - 1] + 1 > best[n]:
            best[n], how[n] = best[n - 1] + 1, -1
    for n in range(len(best) - 2, 0, -1):
        if best[n + 1] - 1 > best[n]:
            best[n], how[n] = best[n + 1] - 1, -2
    return best, how


def _plan_of(n_bits: int, n_words: int, leaves: list[Family], best: Integers, how: Integers) -> CodePlan:
    distance = int(best[n_bits])
    way = int(how[n_bits])
    if way == 0:
        return CodePlan(n_words=n_words, n_bits=n_bits, distance=distance, family=leaves[n_bits])
    lengths = {-1: (n_bits - 1,), -2: (n_bits + 1,)}.get(way, (way, n_bits - way))
    parts = tuple(_plan_of(length, n_words, leaves, best, how) for length in lengths)
    return CodePlan(n_words=n_words, n_bits=n_bits, distance=distance, parts=parts)


def best_known_distance(n_classes: int, n_bits: int) -> tuple[int, str] | None:
    """Return the largest minimum distance of the constructions that nearbit has, with the construction in words.

    It is a lower bound on what is possible, not a value of a published table. None: more classes than words.

    Example:
        >>> best_known_distance(256, 16)
        (6, 'Nordstrom-Robinson code (16, 256, 6)')
    """
    try:
        found = plan_code(n_classes, n_bits)
    except InputError:
        return None
    return found.distance, found.describe()
