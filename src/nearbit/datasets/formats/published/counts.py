"""How many images an official set has, and what is said of a folder with fewer or more."""

from collections import Counter
from collections.abc import Iterable, Mapping

from nearbit.datasets.dataset import parts_in
from nearbit.datasets.listing import ListedImage


def short(items: Iterable[ListedImage], official: Mapping[str, int]) -> tuple[str, ...]:
    """Return a note for each part that has another number of images than the official set.

    Args:
        items: what was found.
        official: the number of images of each part; the part "" counts all images.
    """
    came = Counter(part for item in items for part in (*parts_in(item.part), ""))
    return tuple(
        f"{part or 'the set'} has {came[part]:,} images here, the official set {count:,}"
        for part, count in official.items()
        if came[part] != count
    )
