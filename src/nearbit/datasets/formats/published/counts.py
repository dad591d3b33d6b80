"""The images of an official set: each once, and what is said of a folder with fewer or more than were published."""

from collections import Counter
from collections.abc import Iterable, Mapping

from nearbit.datasets.dataset import parts_in
from nearbit.datasets.listing import ListedImage
from nearbit.errors import DataError


def add_once(items: dict[str, ListedImage], image: ListedImage, where: str) -> None:
    """Add an image to those found, by its key.

    Raises:
        DataError: it is there already; `where` says which table, or line of it, names it again.
    """
    if image.key in items:
        raise DataError(f"{where}: the picture {image.key} is in two lists, or twice in one; fetch the tables again")
    items[image.key] = image


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
