"""Whether pictures themselves look alike: a difference hash of their pixels, compared pair by pair.

The picture is scaled to 17 x 16 grey pixels; a bit says whether a pixel is brighter than its right neighbor. Scaling,
JPEG, brightness and contrast change few of the 256 bits; another picture differs in about half of them. Mirrored,
turned and strongly cropped copies are others to it.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nearbit.codes import Codes, as_words
from nearbit.datasets import open_image
from nearbit.errors import ImageError
from nearbit.index import Home, Item
from nearbit.index.grouping import joined
from nearbit.index.results import Ids
from nearbit.progress import Progress
from nearbit.threads import n_threads

SIDE = 16
"""Rows and bits a row of a difference hash."""
ALIKE = 26
"""Pictures of which at most so many of the 256 bits differ look alike: a tenth."""
AT_ONCE = 256
"""Pictures that are compared with all others of their group at a time."""


def difference_hash(image: Image.Image) -> Codes:
    """Return the difference hash of a picture in RGB: uint8 `(32,)`, packed."""
    small = image.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    grey = np.asarray(small, np.int16)
    return np.packbits(grey[:, :-1] > grey[:, 1:])


def groups_that_look_alike(index: Home, groups: list[Ids], radius: int, progress: Progress) -> tuple[list[Ids], int]:
    """Return the groups that pairs within the radius which look alike join, the largest first, and what was unread.

    Args:
        index: an open index.
        groups: ids of groups within the radius.
        radius: in bits of the codes.
        progress: called as ("comparing pictures", done, total).
    """
    found: list[Ids] = []
    folder, unread, done, total = index.folder, 0, 0, sum(map(len, groups))
    with ThreadPoolExecutor(n_threads()) as pool:
        for ids in groups:
            items = index.items(ids)
            hashes = list(pool.map(lambda item: _hash_of(folder, item), items))
            seen = [row for row, one in enumerate(hashes) if one is not None]
            unread += len(items) - len(seen)
            if len(seen) > 1:
                codes = np.stack([items[row].code for row in seen])
                pictures = np.stack([one for one in hashes if one is not None])
                found += [ids[seen][rows] for rows in _components(codes, pictures, radius)]
            done += len(items)
            progress("comparing pictures", done, total)
    return sorted(found, key=lambda group: (-len(group), int(group[0]))), unread


def _hash_of(folder: Path, item: Item) -> Codes | None:
    """Return the difference hash of an item's picture; None where it has none that can be read."""
    if not item.path or "\0" in item.path:
        return None
    try:
        return difference_hash(open_image(Path(os.path.normpath(folder / item.path)), 4 * SIDE))
    except ImageError:
        return None


def _components(codes: Codes, pictures: Codes, radius: int) -> list[npt.NDArray[np.intp]]:
    """Return the rows of each component of at least two pictures: near by code, and alike by their hash."""
    words, looks = as_words(codes), as_words(pictures)
    component = np.arange(len(words))
    for start in range(0, len(words), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        near = (_away(words[some], words) <= radius) & (_away(looks[some], looks) <= ALIKE)
        first, second = np.nonzero(near)
        component = joined(component, first + start, second)
    order = np.argsort(component, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    return [part for part in parts if len(part) > 1]


def _away(some: npt.NDArray[np.uint64], words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    total = np.zeros((len(some), len(words)), np.uint16)
    for word in range(words.shape[1]):
        total += np.bitwise_count(some[:, None, word] ^ words[None, :, word])
    return total
