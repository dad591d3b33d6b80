"""Two sets of Oxford's Visual Geometry Group as they are published: 102 flowers, and 37 breeds of pets."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from nearbit.datasets.formats.format import FOR_PUBLISHED, Format
from nearbit.datasets.formats.labels_file import Places, text_of
from nearbit.datasets.formats.published.counts import add_once, short
from nearbit.datasets.formats.published.fetched import fetched
from nearbit.datasets.formats.published.mat import read_mat, whole_numbers
from nearbit.datasets.listing import ListedImage, Listing
from nearbit.errors import DataError
from nearbit.reading import ReadingOptions

_LABELS, _SETS = "imagelabels.mat", "setid.mat"
_FLOWER_PARTS = {"trnid": "train", "valid": "validation", "tstid": "query"}
_FLOWERS_OFFICIAL = {"train": 1_020, "validation": 1_020, "query": 6_149}
_PET_PARTS = {"trainval.txt": "train", "test.txt": "query"}
_PETS_OFFICIAL = {"train": 3_680, "query": 3_669}
_SPECIES = {"1": "cat", "2": "dog"}


def find_flowers(folder: Path) -> Path | None:
    """Return the folder if it holds `jpg`, `imagelabels.mat` and `setid.mat`."""
    is_one = (folder / "jpg").is_dir() and (folder / _LABELS).is_file() and (folder / _SETS).is_file()
    return folder if is_one else None


def list_flowers(folder: Path, options: ReadingOptions) -> Listing:
    """List the pictures of the official training, validation and test set; classes have their official numbers.

    Raises:
        DataError: a table is damaged or in another form, or names a picture that has no label.
    """
    labels = _whole_numbers(folder / _LABELS, "labels")
    places = Places(folder / _LABELS, folder)
    items: dict[str, ListedImage] = {}
    for name, part in _FLOWER_PARTS.items():
        for number in _whole_numbers(folder / _SETS, name).tolist():
            if not 1 <= number <= len(labels):
                raise DataError(f"{folder / _SETS}: {name} names the picture {number}, but {len(labels)} have a label")
            key = places.find(f"jpg/image_{number:05d}.jpg", f"{folder / _SETS}, {name}")
            if key is not None:
                image = ListedImage(key, (str(labels[number - 1]),), part)
                add_once(items, image, f"{folder / _SETS}, {name}")
    return Listing(
        "flowers102",
        folder,
        tuple(items.values()),
        classes=tuple(str(number) for number in np.unique(labels)),
        problems=tuple(places.problems),
        read_as=f"the tables {_LABELS} and {_SETS} of Oxford's 102 flowers",
        notes=short(items.values(), _FLOWERS_OFFICIAL),
    )


def _whole_numbers(file: Path, name: str) -> npt.NDArray[np.int64]:
    found = whole_numbers(read_mat(file, name))
    if found is None:
        raise DataError(f"{file}: expected a row of whole numbers named {name!r}; fetch the file again")
    return found


def find_pets(folder: Path) -> Path | None:
    """Return the folder if it holds `images` and `annotations` with `trainval.txt` and `test.txt`."""
    tables = all((folder / "annotations" / name).is_file() for name in _PET_PARTS)
    return folder if tables and (folder / "images").is_dir() else None


def list_pets(folder: Path, options: ReadingOptions) -> Listing:
    """List the pictures of the official training and test set; the species, cat or dog, becomes the superclass.

    Raises:
        DataError: a table is in another form; with the line number.
    """
    places = Places(folder / "annotations" / "list.txt", folder)
    items: dict[str, ListedImage] = {}
    parents: dict[str, str] = {}
    for name, part in _PET_PARTS.items():
        file = folder / "annotations" / name
        for line, text in enumerate(text_of(file).split("\n"), start=1):
            words = text.split()
            if not words or words[0].startswith("#"):
                continue
            breed, species = _pet(words, f"{file}, line {line}")
            if parents.setdefault(breed, species) != species:
                raise DataError(f"{file}, line {line}: {breed!r} is a cat here and a dog before")
            key = places.find(f"images/{words[0]}.jpg", f"{file}, line {line}")
            if key is not None:
                add_once(items, ListedImage(key, (breed,), part), f"{file}, line {line}")
    return Listing(
        "oxford-pets",
        folder,
        tuple(items.values()),
        classes=tuple(sorted(parents)),
        parents=parents,
        problems=tuple(places.problems),
        read_as=f"the tables {' and '.join(_PET_PARTS)} of Oxford's pets",
        notes=short(items.values(), _PETS_OFFICIAL),
    )


def _pet(words: list[str], where: str) -> tuple[str, str]:
    """Return breed and species of a row: picture, number of the class, species, number of the breed in it."""
    breed = words[0].rpartition("_")[0]
    if len(words) != 4 or not breed or words[2] not in _SPECIES:
        raise DataError(
            f"{where}: expected BREED_NUMBER, its class, 1 for cat or 2 for dog, and its breed, came {words}"
        )
    return breed, _SPECIES[words[2]]


FLOWERS = Format(name="Oxford's 102 flowers as published", read=list_flowers, find=find_flowers, refuses=FOR_PUBLISHED)
PETS = Format(name="Oxford's pets as published", read=list_pets, find=find_pets, refuses=FOR_PUBLISHED)
FLOWERS102 = fetched("flowers102", list_flowers)
OXFORD_PETS = fetched("oxford-pets", list_pets)
