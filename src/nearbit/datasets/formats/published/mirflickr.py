"""MIRFlickr-25k as it is published: pictures in `mirflickr`, and a list of their numbers for each label."""

from pathlib import Path

from nearbit.datasets.download.archives import MIRFLICKR_LABELS
from nearbit.datasets.formats.format import FOR_PUBLISHED, Format
from nearbit.datasets.formats.labels_file import Places, text_of
from nearbit.datasets.formats.published.counts import short
from nearbit.datasets.formats.published.fetched import fetched
from nearbit.datasets.listing import ListedImage, Listing
from nearbit.errors import DataError
from nearbit.reading import ReadingOptions

_PICTURES, _FIRST = "mirflickr", f"{MIRFLICKR_LABELS[0]}.txt"
_LISTS = ("annotations", "annotations_v080", "mirflickr25k_annotations_v080")
_OFFICIAL = {"": 25_000}


def find_mirflickr(folder: Path) -> Path | None:
    """Return the folder if it holds `mirflickr` and the lists of the labels."""
    return folder if (folder / _PICTURES).is_dir() and _lists(folder) is not None else None


def _lists(folder: Path) -> Path | None:
    return next((folder / name for name in _LISTS if (folder / name / _FIRST).is_file()), None)


def list_mirflickr(folder: Path, options: ReadingOptions) -> Listing:
    """List the pictures `im1.jpg`, `im2.jpg`, … by their numbers, with those of the 38 labels that they have.

    A label such as `baby_r1` names those pictures of `baby` in which it matters most. There is no official split.

    Raises:
        DataError: a list is missing, or a line of one is not the number of a picture.
    """
    lists = _lists(folder)
    if lists is None:
        raise DataError(f"{folder}: expected the lists of labels ({_FIRST} and others) in one of {', '.join(_LISTS)}")
    numbers = sorted(_number(file) for file in (folder / _PICTURES).glob("im*.jpg") if _number(file) > 0)
    labels: dict[int, list[str]] = {number: [] for number in numbers}
    places = Places(lists / _FIRST, folder)
    for label in MIRFLICKR_LABELS:
        for line, number in _numbers(lists / f"{label}.txt"):
            if number in labels:
                labels[number].append(label)
            else:
                places.find(f"{_PICTURES}/im{number}.jpg", f"{lists / label}.txt, line {line}")
    items = tuple(ListedImage(f"{_PICTURES}/im{number}.jpg", tuple(names)) for number, names in labels.items())
    return Listing(
        "mirflickr25k",
        folder,
        items,
        classes=MIRFLICKR_LABELS,
        problems=tuple(dict.fromkeys(places.problems)),
        read_as=f"the {len(MIRFLICKR_LABELS)} lists of labels of MIRFlickr-25k in {lists.name}",
        notes=short(items, _OFFICIAL),
    )


def _number(file: Path) -> int:
    digits = file.stem.removeprefix("im")
    return int(digits) if digits.isdecimal() and digits.isascii() else 0


def _numbers(file: Path) -> list[tuple[int, int]]:
    """Return line and picture of each entry of a list."""
    found = []
    for line, text in enumerate(text_of(file).split("\n"), start=1):
        if word := text.strip():
            if not (word.isdecimal() and word.isascii() and len(word) < 10 and int(word) > 0):
                raise DataError(f"{file}, line {line}: expected the number of a picture, came {word[:40]!r}")
            found.append((line, int(word)))
    return found


MIRFLICKR = Format(
    name="MIRFlickr-25k as it is published", read=list_mirflickr, find=find_mirflickr,
    refuses=FOR_PUBLISHED,
)  # fmt: skip
MIRFLICKR25K = fetched("mirflickr25k", list_mirflickr)
