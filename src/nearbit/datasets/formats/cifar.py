"""CIFAR-10 and CIFAR-100 in their official binary layout: rows of label bytes and 3,072 pixel bytes, channels first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from nearbit.datasets.dataset import Dataset
from nearbit.datasets.images import ArrayImages, array_digests
from nearbit.errors import DataError
from nearbit.json_text import unstorable
from nearbit.names import escaped, label_name
from nearbit.progress import Progress, silent

LabelLevel = Literal["fine", "coarse", "both"]
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


CIFAR10 = CifarLayout(
    "cifar10",
    "cifar-10-batches-bin",
    {**{f"data_batch_{number}.bin": "train" for number in range(1, 6)}, "test_batch.bin": "query"},
    ("batches.meta.txt",),
)
CIFAR100 = CifarLayout(
    "cifar100",
    "cifar-100-binary",
    {"train.bin": "train", "test.bin": "query"},
    ("coarse_label_names.txt", "fine_label_names.txt"),
)


def find_cifar(folder: Path) -> tuple[CifarLayout, Path] | None:
    """Return the layout and the folder where `folder`, or the archive's folder inside it, holds CIFAR; else None."""
    for layout in (CIFAR10, CIFAR100):
        for place in (folder, folder / layout.folder):
            if any((place / name).is_file() for name in layout.data) and (place / layout.names[-1]).is_file():
                return layout, place
    return None


def read_cifar(layout: CifarLayout, folder: Path, *, label_level: str = "fine", progress: Progress = silent) -> Dataset:
    """Read a CIFAR folder into memory: uint8 `(n, 32, 32, 3)`, 184 MB for the 60,000 images.

    Rows stand in the order of the files (train, then test); the parts that those files stand for are given.

    Args:
        layout: `CIFAR10` or `CIFAR100`.
        folder: holds the `.bin` files and the files of class names.
        label_level: for CIFAR-100 "fine" (100 classes, with parents), "coarse" (20), or "both" (120 classes, two labels
            an image, fine classes with parents). CIFAR-10 has "fine" only.
        progress: called as ("reading cifar100", files done, files).

    Raises:
        DataError: a file is missing or damaged, or there is no such label level.
    """
    if label_level not in (("fine",) if len(layout.names) == 1 else ("fine", "coarse", "both")):
        raise DataError(f"label_level must be 'fine', and for cifar100 also 'coarse' or 'both', not {label_level!r}")
    names = [_names(folder / file) for file in layout.names]
    tables = []
    for done, file in enumerate(layout.data, start=1):
        tables.append(_table(folder / file, [len(level) for level in names]))
        progress(f"reading {layout.name}", done, len(layout.data))
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
