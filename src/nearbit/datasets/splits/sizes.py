"""How large the parts of a split are: fractions of a class, or counts."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nearbit.datasets.dataset import PARTS
from nearbit.errors import DataError, InputError
from nearbit.given import keep_plain
from nearbit.keywords import suggesting

Size = float | int | Literal["rest"] | None

UNUSED = "unused"
PLACES = (*PARTS, UNUSED)
"""Where a row can go: the parts, and nowhere."""


@suggesting
@dataclass(frozen=True, kw_only=True)
class SplitSizes:
    """The size of each part, class by class.

    A size is a fraction of the class (a float between 0 and 1), a count of images (a whole number of at least 1),
    "rest" (what the others leave; one part at most), or None (no images). Without "rest", what is left is not used.

    Attributes:
        train: may not be None.
        validation: disjoint from train.
        query: disjoint from all others.
        database: beyond what `database_includes_train` adds.
        database_includes_train: whether the rows of train and validation are in the database as well.

    Raises:
        InputError: a size of another kind, two times "rest", or fractions that sum to more than 1.
    """

    train: Size = "rest"
    validation: Size = 0.1
    query: Size = 0.1
    database: Size = 0.2
    database_includes_train: bool = False

    def __post_init__(self) -> None:
        keep_plain(self)
        sizes = [getattr(self, part) for part in PARTS]
        for part, size in zip(PARTS, sizes, strict=True):
            _check_size(part, size)
        if self.train is None:
            raise InputError("train must have images: give a fraction, a count or 'rest', not None")
        if sizes.count("rest") > 1:
            raise InputError("only one part can be 'rest'")
        total = math.fsum(size for size in sizes if isinstance(size, float))
        if total > 1 + 1e-9:
            raise InputError(f"the fractions must sum to 1 at most, not {total:g}")

    def as_recipe(self) -> dict[str, Any]:
        """Return the sizes as plain values for a recipe."""
        return asdict(self)


def counts_for(sizes: SplitSizes, n_images: int, name: str) -> list[int]:
    """Return how many images of one class go to each of `PLACES`; they sum to `n_images`.

    Fractions are rounded to the nearest whole number (a half upwards); where that would leave train without an image,
    the largest other part (database before query before validation) gives way. A class of one image goes to train.

    Args:
        sizes: of each part.
        n_images: of the class; with 0 all counts are 0.
        name: of the class, for messages.

    Raises:
        DataError: the counts ask for more images than the class has.
    """
    if n_images == 0:
        return [0] * len(PLACES)
    wanted = {part: getattr(sizes, part) for part in PARTS}
    counts = {part: _rounded(size, n_images) for part, size in wanted.items()}
    counts["train"] = max(1, counts["train"])
    while sum(counts.values()) > n_images:
        gives = max(("database", "query", "validation"), key=lambda part: _can_give(wanted[part], counts[part]))
        if _can_give(wanted[gives], counts[gives]) == 0:
            raise DataError(
                f"the class {name!r} has {n_images} images to place, but the sizes ask for {sum(counts.values())}; "
                "ask for fewer, or give fractions"
            )
        counts[gives] -= 1
    left = n_images - sum(counts.values())
    rest = next((part for part, size in wanted.items() if size == "rest"), UNUSED)
    counts[rest] = counts.get(rest, 0) + left
    return [counts.get(place, 0) for place in PLACES]


def _can_give(size: Size, count: int) -> int:
    return count if isinstance(size, float) else 0


def _rounded(size: Size, n_images: int) -> int:
    if isinstance(size, float):
        return math.floor(size * n_images + 0.5 + 1e-9)
    return size if isinstance(size, int) else 0


def _check_size(part: str, size: object) -> None:
    if size is None or size == "rest":
        return
    is_count = isinstance(size, int) and not isinstance(size, bool) and size >= 1
    is_fraction = isinstance(size, float) and 0 < size < 1
    if not (is_count or is_fraction):
        raise InputError(
            f"{part} must be a fraction between 0 and 1, a count of 1 or more a class, 'rest' or None, not {size!r}"
        )
