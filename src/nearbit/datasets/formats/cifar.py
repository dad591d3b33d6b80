"""CIFAR-10 and CIFAR-100 in their official binary layout: rows of label bytes and 3,072 pixel bytes, channels first."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nearbit.datasets.dataset import Dataset
from nearbit.datasets.download import from_cache
from nearbit.datasets.formats.format import FOR_FILES, Format, KnownDataset
from nearbit.datasets.images import ArrayImages, array_digests
from nearbit.errors import DataError
from nearbit.json_text import unstorable
from nearbit.names import escaped, label_name
from nearbit.reading import LABEL_LEVELS, ReadingOptions

SIDE = 32
_PIXELS = 3 * SIDE * SIDE


@dataclass(frozen=True)
class CifarLayout:
    """The files of one archive: name, folder in the archive, data files with the part of each, files of class names.

    `names` are ordered as the label bytes of a row are.
    """

    name: str
    folder: str
    data: dict[str, str]
    names: tuple[str, ...]


_CIFAR10 = CifarLayout(
    "cifar10",
    "cifar-10-batches-bin",
    {**{f"data_batch_{number}.bin": "train" for number in range(1, 6)}, "test_batch.bin": "query"},
    ("batches.meta.txt",),
)
_CIFAR100 = CifarLayout(
    "cifar100",
    "cifar-100-binary",
    {"train.bin": "train", "test.bin": "query"},
    ("coarse_label_names.txt", "fine_label_names.txt"),
)


def find_cifar(folder: Path) -> Path | None:
    """Return the folder that holds CIFAR, `folder` itself or the archive's folder inside it; else None."""
    for layout in (_CIFAR10, _CIFAR100):
        for place in (folder, folder / layout.folder):
            if _holds(place, layout):
                return place
    return None


def _holds(place: Path, layout: CifarLayout) -> bool:
    return any((place / name).is_file() for name in layout.data) and (place / layout.names[-1]).is_file()


def read_found(place: Path, options: ReadingOptions) -> Dataset:
    """Read a folder that `find_cifar` returned."""
    return read_cifar(_CIFAR10 if _holds(place, _CIFAR10) else _CIFAR100, place, options)


def load_cifar(layout: CifarLayout, options: ReadingOptions) -> Dataset:
    """Read CIFAR from the cache; what is not there is fetched where `options.download` allows it.

    Raises:
        DataError: it is not in the cache, or could not be fetched or read.
    """
    return read_cifar(layout, from_cache(layout.name, options), options)


def read_cifar(layout: CifarLayout, folder: Path, options: ReadingOptions) -> Dataset:
    """Read a CIFAR folder into memory: uint8 `(n, 32, 32, 3)`, 184 MB for the 60,000 images.

    Rows stand in the order of the files (train, then test); the parts that those files stand for are given.

    Args:
        layout: of CIFAR-10 or CIFAR-100.
        folder: holds the `.bin` files and the files of class names.
        options: `label_level` is for CIFAR-100 "fine" (100 classes, with parents), "coarse" (20), or "both" (120
            classes, two labels an image, fine classes with parents); CIFAR-10 has "fine" only. `progress` is called as
            ("reading cifar100", files done, files).

    Raises:
        DataError: a file is missing or damaged, or there is no such label level.
    """
    label_level = options.label_level
    if label_level not in (LABEL_LEVELS if len(layout.names) > 1 else ("fine",)):
        raise DataError(f"label_level must be 'fine', and for cifar100 also 'coarse' or 'both', not {label_level!r}")
    names = [_names(folder / file) for file in layout.names]
    tables = []
    for done, file in enumerate(layout.data, start=1):
        tables.append(_table(folder / file, [len(level) for level in names]))
        options.progress(f"reading {layout.name}", done, len(layout.data))
    pixels = _pixels(tables, len(names))
    numbers = np.concatenate([table[:, : len(names)] for table in tables])
    keys = [
        f"{Path(file).stem}/{row:05d}"
        for file, table in zip(layout.data, tables, strict=True)
        for row in range(len(table))
    ]
    parts = [part for part, table in zip(layout.data.values(), tables, strict=True) for _ in range(len(table))]
    labels, classes, parents = _labels(numbers, names, label_level)
    return Dataset(
        layout.name, ArrayImages(pixels), tuple(keys), labels, classes, array_digests(pixels),
        given_parts=tuple(parts), parents=parents,
    )  # fmt: skip


def _names(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file}: expected the class names of the official archive, one a line; it cannot be read"
        ) from error
    names = [label_name(line) for line in lines]
    return [_kept(file, name) for name in names if name]


def _kept(file: Path, name: str) -> str:
    if reason := unstorable(name):
        raise DataError(f"{file}: the class name {escaped(name)!r} cannot be kept: {reason}")
    return name


def _table(file: Path, n_classes: list[int]) -> npt.NDArray[np.uint8]:
    """Map the rows of one data file, and check that its labels are in range."""
    width = len(n_classes) + _PIXELS
    if not file.is_file():
        raise DataError(f"{file}: missing; expected the official binary archive, unpacked")
    try:
        size = file.stat().st_size
        if size == 0 or size % width:
            raise DataError(f"{file}: {size} bytes are not a whole number of rows of {width} bytes; fetch it again")
        table = np.memmap(file, np.uint8, mode="r").reshape(-1, width)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    for column, classes in enumerate(n_classes):
        highest = int(table[:, column].max())
        if highest >= classes:
            raise DataError(f"{file}: has the label {highest}, but there are {classes} class names; it is damaged")
    return table


def _pixels(tables: list[npt.NDArray[np.uint8]], n_labels: int) -> npt.NDArray[np.uint8]:
    pixels = np.empty((sum(len(table) for table in tables), SIDE, SIDE, 3), np.uint8)
    start = 0
    for table in tables:
        planes = table[:, n_labels:].reshape(-1, 3, SIDE, SIDE)
        pixels[start : start + len(table)] = planes.transpose(0, 2, 3, 1)
        start += len(table)
    pixels.setflags(write=False)
    return pixels


def _labels(
    numbers: npt.NDArray[np.uint8], names: list[list[str]], label_level: str
) -> tuple[npt.NDArray[np.bool_], tuple[str, ...], tuple[str, ...] | None]:
    one_hot = [column[:, None] == np.arange(len(level)) for column, level in zip(numbers.T, names, strict=True)]
    if len(names) == 1:
        return one_hot[0], tuple(names[0]), None
    if label_level == "coarse":
        return one_hot[0], tuple(names[0]), None
    parents = _fine_parents(numbers, names)
    if label_level == "fine":
        return one_hot[1], tuple(names[1]), parents
    return np.hstack(one_hot), (*names[0], *names[1]), ("",) * len(names[0]) + parents


def _fine_parents(numbers: npt.NDArray[np.uint8], names: list[list[str]]) -> tuple[str, ...]:
    """Return the coarse class of each fine class as the rows have it ("" for a class without rows)."""
    pairs = {(int(fine), int(coarse)) for coarse, fine in np.unique(numbers, axis=0)}
    coarse_of = dict(pairs)
    if len(coarse_of) != len(pairs):
        raise DataError("cifar100: rows of one fine class have different coarse classes; the files are damaged")
    return tuple(names[0][coarse_of[fine]] if fine in coarse_of else "" for fine in range(len(names[1])))


CIFAR = Format(
    name="CIFAR in its binary layout", read=read_found, find=find_cifar, takes=("label_level",), refuses=FOR_FILES
)
CIFAR10 = KnownDataset(name="cifar10", load=partial(load_cifar, _CIFAR10), takes=("download",))
CIFAR100 = KnownDataset(name="cifar100", load=partial(load_cifar, _CIFAR100), takes=("label_level", "download"))
