"""Different pictures under one code: whether the codes of an index collapse, in figures, and what to do about it."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from nearbit.codes import as_words
from nearbit.index import Home
from nearbit.metrics.counting.grouping import group

FEWEST_ITEMS = 20
"""Equal codes among fewer items are no sign of anything."""
MOST_SHARE = 0.5
"""Where codes are at most this share of the different pictures, they collapse."""


@dataclass(frozen=True, kw_only=True)
class SameCodes:
    """How many items of an index have a code of their own.

    Attributes:
        n_items: items.
        n_codes: distinct codes.
        n_sharing: items whose code another item has, too.
    """

    n_items: int
    n_codes: int
    n_sharing: int

    @property
    def share(self) -> float:
        """The share of the items whose code another item has, too; 0 of an empty index."""
        return self.n_sharing / self.n_items if self.n_items else 0.0

    @property
    def words(self) -> str:
        """The figures for people."""
        return f"{self.n_codes} distinct codes for {self.n_items} items ({self.share:.0%} share theirs with others)"


def same_codes(index: Home) -> SameCodes:
    """Count the codes of an index."""
    _, codes = index.codes()
    if not len(codes):
        return SameCodes(n_items=0, n_codes=0, n_sharing=0)
    sizes = group(np.ascontiguousarray(as_words(codes).T)).sizes
    return SameCodes(n_items=len(codes), n_codes=len(sizes), n_sharing=int(sizes[sizes > 1].sum()))


def collapse_lines(
    index: Home, classes: Collection[str], *, before: SameCodes | None = None, now: SameCodes | None = None
) -> list[str]:
    """Return what a person should know where the codes of an index collapse: different pictures have equal codes.

    Equal codes within a class are what a model is trained for, so that nothing is said where it knows most of the
    labels that the index holds.

    Args:
        index: under its new codes.
        classes: the names of the classes that the model was trained on.
        before: the codes that it had, where it had others.
        now: those that it has, where they were counted already.

    Returns:
        Sentences with the figures and what to do; none where all is well.
    """
    now = now or same_codes(index)
    if now.n_items < FEWEST_ITEMS or now.n_codes > MOST_SHARE * now.n_items or _knows(index, classes):
        return []
    if before is not None and now.n_codes >= before.n_codes:
        return []
    n_pictures = len({digest or item_id for _, item_id, digest in index.paths()})
    if now.n_codes > MOST_SHARE * n_pictures:
        return []
    was = "" if before is None else f", {before.n_codes} before ({before.share:.0%})"
    told = f"codes collapse: {now.words}{was}, and {n_pictures} pictures differ; the order within a code is arbitrary"
    if not classes:
        return [told, "the model was made without labels: more bits or another backbone part them"]
    unknown = "most labels of this index are none of them" if index.labels() else "this index has no labels"
    return [
        told,
        f"the model tells {len(classes)} classes apart, and {unknown}: train on these images (nearbit train), without "
        "labels (--method itq) or with more bits, then nearbit index reencode; with the model of before it goes back",
    ]


def _knows(index: Home, classes: Collection[str]) -> bool:
    """Return whether most labels of an index, by how many items have each, are classes of a model."""
    counts, known = index.labels(), set(classes)
    n_known = sum(count for label, count in counts.items() if label in known)
    return bool(counts) and 2 * n_known > sum(counts.values())
