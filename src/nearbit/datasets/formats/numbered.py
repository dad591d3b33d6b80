"""Birds in their official layout (CUB-200-2011, NABirds): text tables that name images and classes by numbers."""

from collections.abc import Iterator
from pathlib import Path

from nearbit.datasets.formats.class_names import told_apart
from nearbit.datasets.formats.format import FOR_FOLDERS, Format
from nearbit.datasets.formats.labels_file import Places, text_of
from nearbit.datasets.formats.published.fetched import fetched
from nearbit.datasets.listing import ListedImage, Listing
from nearbit.errors import DataError
from nearbit.reading import ReadingOptions

_IMAGES, _LABELS, _CLASSES, _SPLIT = "images.txt", "image_class_labels.txt", "classes.txt", "train_test_split.txt"
HIERARCHY = "hierarchy.txt"
_FOLDER = "CUB_200_2011"


def find_numbered(folder: Path) -> Path | None:
    """Return the folder with the tables: `folder`, or the one of the CUB archive inside it."""
    for place in (folder, folder / _FOLDER):
        if all((place / name).is_file() for name in (_IMAGES, _LABELS, _CLASSES)):
            return place
    return None


def list_numbered(folder: Path, options: ReadingOptions) -> Listing:
    """List the images of such a folder in the order of `images.txt`.

    `images.txt` has an image a line, its number and its path below `images/`; `image_class_labels.txt` the number of an
    image and of its class; `classes.txt` the number and the name of a class; `train_test_split.txt`, if it is there, 1
    for training images and 0 for queries; `hierarchy.txt`, if it is there, the number of a class and of its parent.

    Raises:
        DataError: a table is missing or in another form, or numbers an image or a class that the others have not.
    """
    names = names_of(folder)
    paths = dict(_pairs(folder / _IMAGES))
    classes = dict(_pairs(folder / _LABELS))
    parts = dict(_pairs(folder / _SPLIT)) if (folder / _SPLIT).is_file() else {}
    for file, table in ((_LABELS, classes), (_SPLIT, parts)):
        if table and (other := next(iter(paths.keys() ^ table.keys()), None)):
            raise DataError(
                f"{folder / file}: its images are not those of {_IMAGES}; one of them has {other!r}, one not"
            )
    for image, number in classes.items():
        if number not in names:
            raise DataError(f"{folder / _LABELS}: the image {image!r} has the class {number!r}, not in {_CLASSES}")
    places = Places(folder / _IMAGES, options.images)
    items = [
        ListedImage(key, (names[classes[image]],), _part(folder, parts[image]) if parts else "")
        for image, path in paths.items()
        if (key := places.find(path, f"{folder / _IMAGES}, image {image}")) is not None
    ]
    used = [number for number in names if number in set(classes.values())]
    parents = _parents(folder, names)
    return Listing(
        folder.name,
        places.root,
        tuple(items),
        classes=tuple(names[number] for number in used),
        parents={names[number]: names.get(parents.get(number, ""), "") for number in used} if parents else None,
        problems=tuple(places.problems),
        read_as=f"the tables {_IMAGES}, {_LABELS} and {_CLASSES}",
    )


def names_of(folder: Path) -> dict[str, str]:
    """Return the name of each class by its number; with the number before it where two classes have one name."""
    return told_apart(dict(_pairs(folder / _CLASSES)))


def read_numbered_hierarchy(file: Path) -> dict[str, str]:
    """Return the parent of each class by names, of a `hierarchy.txt` with `classes.txt` beside it.

    Raises:
        DataError: a file is missing or in another form, or a number has no name.
    """
    names = names_of(file.parent)
    parents = dict(_pairs(file))
    unknown = next((number for number in [*parents, *parents.values()] if number not in names), None)
    if unknown is not None:
        raise DataError(f"{file}: has the class {unknown!r}, which {_CLASSES} beside it does not name")
    return {names[child]: names[parent] for child, parent in parents.items() if child != parent}


def _parents(folder: Path, names: dict[str, str]) -> dict[str, str]:
    """Return the number of the parent of each class; none without a hierarchy."""
    file = folder / HIERARCHY
    return {child: parent for child, parent in _pairs(file) if child in names} if file.is_file() else {}


def _part(folder: Path, flag: str) -> str:
    if flag not in ("0", "1"):
        raise DataError(f"{folder / _SPLIT}: expected 1 for training images and 0 for the others, came {flag!r}")
    return "train" if flag == "1" else "query"


def _pairs(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the number and what follows it of each line; each number once."""
    seen: set[str] = set()
    for line, text in enumerate(text_of(file).split("\n"), start=1):
        number, _, rest = text.strip().partition(" ")
        if not number:
            continue
        if not rest.strip() or number in seen:
            what = f"{number!r} twice" if number in seen else f"{text.strip()[:60]!r}"
            raise DataError(
                f"{file}, line {line}: expected a number and what belongs to it, each number once, came {what}"
            )
        seen.add(number)
        yield number, rest.strip()


NUMBERED = Format(name="birds in their official layout", read=list_numbered, find=find_numbered, refuses=FOR_FOLDERS)
CUB200 = fetched("cub200", list_numbered)
