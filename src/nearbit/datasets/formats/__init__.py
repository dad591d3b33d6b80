"""How data sets lie on disk, and those known by name. A new format is one file here and one entry of `FORMATS`."""

from pathlib import Path

from nearbit.datasets.formats.cifar import CIFAR, CIFAR10, CIFAR100
from nearbit.datasets.formats.coco import COCO
from nearbit.datasets.formats.digits import DIGITS
from nearbit.datasets.formats.folder import FOLDER
from nearbit.datasets.formats.format import Format, KnownDataset
from nearbit.datasets.formats.labels_file import LABELS_FILE
from nearbit.datasets.formats.lists import LISTS
from nearbit.datasets.formats.numbered import CUB200, NUMBERED
from nearbit.datasets.formats.published.cars import CARS
from nearbit.datasets.formats.published.coco_folder import COCO2014, COCO2017, COCO_FOLDER
from nearbit.datasets.formats.published.mirflickr import MIRFLICKR, MIRFLICKR25K
from nearbit.datasets.formats.published.oxford import FLOWERS, FLOWERS102, OXFORD_PETS, PETS
from nearbit.datasets.formats.shapes import SHAPES
from nearbit.datasets.formats.shards import SHARDS
from nearbit.errors import DataError

_PUBLISHED = (CARS, COCO_FOLDER, MIRFLICKR, FLOWERS, PETS)
FORMATS: tuple[Format, ...] = (CIFAR, NUMBERED, LABELS_FILE, COCO, SHARDS, LISTS, *_PUBLISHED, FOLDER)
"""Every format, in the order in which a folder is asked whether it is one; the last takes any folder."""

_FETCHED = (CIFAR10, CIFAR100, CUB200, COCO2014, COCO2017, MIRFLICKR25K, FLOWERS102, OXFORD_PETS)
KNOWN: dict[str, KnownDataset] = {known.name: known for known in (DIGITS, SHAPES, *_FETCHED)}
"""Every data set that is known by name."""

_STEMS = ("annotations", "labels")
"""Names of the labels file that a folder is read by."""


def file_endings() -> tuple[str, ...]:
    """Return the endings of the files that are read as data sets."""
    return tuple(ending for one in FORMATS for ending in one.endings)


def recognised(path: Path, *, as_folders: bool = False) -> tuple[Format, Path] | None:
    """Return the format of a folder or a file and the place that it is read from; None for a file of no format.

    With `as_folders` (a level of folders is asked for) text lists beside them count for nothing.

    Raises:
        DataError: a folder with several labels files.
    """
    if not path.is_dir():
        suffix = path.suffix.lower()
        return next(((one, path) for one in FORMATS if suffix in one.endings), None)
    formats = [one for one in FORMATS if not (as_folders and one is LISTS)]
    found = [(one, place) for one in formats for place in _places(one, path)]
    files = sorted(place.name for one, place in found if one.find is None)
    if found and found[0][0].find is None and len(files) > 1:
        raise DataError(f"{path}: holds {' and '.join(files)}; name the one to read instead of the folder")
    return found[0] if found else None


def _places(one: Format, folder: Path) -> list[Path]:
    """Return where a folder holds something of a format."""
    if one.find is not None:
        place = one.find(folder)
        return [] if place is None else [place]
    files = [folder / f"{stem}{ending}" for stem in _STEMS for ending in one.endings]
    return [file for file in files if file.is_file()]
