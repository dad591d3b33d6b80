"""From paths and the names of their labels to a `Dataset`: files checked, classes numbered, problems gathered."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from nearbit.datasets.check import Checked, check_files
from nearbit.datasets.dataset import Dataset, Problem
from nearbit.datasets.images import FileImages
from nearbit.datasets.known_files import KnownFiles
from nearbit.datasets.listing import NO_LABEL, ListedImage, Listing, tidied
from nearbit.errors import DataError
from nearbit.reading import ReadingOptions


def assemble(listing: Listing, options: ReadingOptions, *, keep_unlabelled: bool) -> Dataset:
    """Read every image of a listing once and make a data set of those that can be read, or of those with a label.

    Raises:
        DataError: no image is left.
    """
    listing = tidied(listing)
    problems = list(listing.problems)
    items = list(listing.items)
    if not keep_unlabelled:
        problems += [Problem(item.key, item.unlabelled) for item in items if not item.names]
        items = [item for item in items if item.names]
    paths = [listing.root / item.key for item in items]
    checked = check_files(paths, options.kept, options.progress, options.max_pixels)
    problems += [Problem(item.key, one.reason) for item, one in zip(items, checked, strict=True) if one.reason]
    good = [(item, one) for item, one in zip(items, checked, strict=True) if one.digest]
    if not good:
        raise DataError(_nothing_left(listing, problems, labelled=not keep_unlabelled))
    classes, dropped = _classes(listing, [item for item, _ in good])
    problems += [Problem(name, "a class without a readable image: dropped", is_class=True) for name in dropped]
    return _dataset(listing, good, classes, problems, options.max_pixels)


def _dataset(
    listing: Listing,
    good: Sequence[tuple[ListedImage, Checked]],
    classes: tuple[str, ...],
    problems: list[Problem],
    max_pixels: int | None,
) -> Dataset:
    keys = tuple(item.key for item, _ in good)
    column = {name: number for number, name in enumerate(classes)}
    labels = np.zeros((len(good), len(classes)), np.bool_)
    for row, (item, _) in enumerate(good):
        labels[row, [column[name] for name in item.names]] = True
    parts = tuple(item.part for item, _ in good)
    digests = tuple(one.digest for _, one in good)
    known = KnownFiles(digests, [one.stamp for _, one in good])
    return Dataset(
        name=listing.name,
        source=FileImages(listing.root, keys, max_pixels, known),
        keys=keys,
        labels=labels,
        classes=classes,
        digests=digests,
        problems=tuple(problems),
        given_parts=parts if any(parts) else None,
        parents=tuple(listing.parents.get(name, "") for name in classes) if listing.parents else None,
        is_whole=listing.is_whole,
        read_as=listing.read_as,
        notes=(*listing.notes, *_copies(good)),
        class_level=listing.class_level,
    )


def _copies(good: Sequence[tuple[ListedImage, Checked]]) -> list[str]:
    """Return a note where files of equal content have different labels."""
    first: dict[str, ListedImage] = {}
    differing = []
    for item, one in good:
        other = first.setdefault(one.digest, item)
        if item.names and other.names and set(item.names) != set(other.names):
            differing.append((other, item))
    if not differing:
        return []
    left, right = differing[0]
    pair = f"{left.key!r} ({', '.join(left.names)}) and {right.key!r} ({', '.join(right.names)})"
    return [
        f"{len(differing)} {'picture is a copy' if len(differing) == 1 else 'pictures are copies'} with another label, "
        f"the first: {pair}; each keeps its own"
    ]


def _classes(listing: Listing, good: Sequence[ListedImage]) -> tuple[tuple[str, ...], list[str]]:
    """Return the classes that have an image, in order, and the names of those that have none."""
    used = Counter(name for item in good for name in item.names)
    listed = {name for item in listing.items for name in item.names}
    order = listing.classes if listing.classes is not None else tuple(sorted(listed))
    return tuple(name for name in order if used[name]), [name for name in order if not used[name]]


def _nothing_left(listing: Listing, problems: Sequence[Problem], *, labelled: bool) -> str:
    what = f"{listing.root}: no readable image" + (" with a label" if labelled else "")
    expected = "expected one folder a class with images in each, or a labels file" if labelled else "expected images"
    if not problems or all(problem.reason.startswith(NO_LABEL) for problem in problems):
        without = "; without labels: nearbit train --method itq" if labelled and listing.items else ""
        return f"{what}; {expected}{without}"
    first = "; ".join(f"{problem.path!r}: {problem.reason}" for problem in problems[:3])
    return f"{what}; {len(problems)} skipped, the first: {first}"
