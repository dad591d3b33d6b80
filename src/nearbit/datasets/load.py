"""`load_dataset` and `load_images`: whatever people have, recognised and read."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nearbit.datasets.assemble import Reading, assemble
from nearbit.datasets.dataset import Dataset
from nearbit.datasets.formats.cifar import CIFAR10, CIFAR100, find_cifar, read_cifar
from nearbit.datasets.formats.class_level import ClassLevel, checked_level
from nearbit.datasets.formats.coco import list_coco
from nearbit.datasets.formats.digits import load_digits
from nearbit.datasets.formats.folder import list_files, list_folder
from nearbit.datasets.formats.labels_file import SEPARATOR, LabelColumns, list_labels_file
from nearbit.datasets.formats.parts import with_parts
from nearbit.datasets.formats.shapes import load_shapes
from nearbit.datasets.listing import Listing
from nearbit.errors import DataError, InputError, did_you_mean
from nearbit.files.writing import cache_folder
from nearbit.names import escaped
from nearbit.progress import Progress, silent

BUILT_IN = ("digits", "shapes", "cifar10", "cifar100")
"""Data sets known by name."""

DOWNLOADED = ("cifar10", "cifar100")
"""Those of them that are not in the package."""

LABELS_FILES = tuple(
    f"{stem}.{suffix}" for stem in ("annotations", "labels") for suffix in ("json", "csv", "tsv", "jsonl")
)
"""Labels files that are found in a folder."""

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")


@dataclass(frozen=True, kw_only=True)
class _Options:
    label_level: str
    images: Path | None
    split_file: Path | None
    columns: LabelColumns
    class_level: ClassLevel | None
    download: bool
    reading: Reading


def load_dataset(
    source: str | Path,
    *,
    label_level: str = "fine",
    images: Path | None = None,
    split_file: Path | None = None,
    separator: str = SEPARATOR,
    class_level: ClassLevel | None = None,
    path_column: str = "path",
    label_column: str | None = None,
    download: bool = False,
    cache: Path | None = None,
    progress: Progress = silent,
    max_pixels: int | None = None,
) -> Dataset:
    """Read images with labels.

    Args:
        source: a name ("digits", "shapes", "cifar10", "cifar100"), or a path of: a folder with one folder a class; a
            labels file (`.csv`, `.tsv`, `.jsonl`, or COCO's `.json`) or the folder that holds it; the folder of a CIFAR
            archive in its binary layout. A name given as text goes before a folder so called ("./digits").
        label_level: of CIFAR-100: "fine", "coarse" or "both".
        images: the folder that the paths of a labels file are relative to; None looks beside it and in `images` there.
        split_file: CSV with the columns path and split; None takes `split.csv` in the folder, if there is one.
        separator: between the labels in the column labels of a table.
        class_level: which folder on the path is the class: "first", "leaf" (the one that the image lies in), or its
            number from the top, from 1; None guesses, and `Dataset.read_as` and `notes` say what was understood.
        path_column: the column of a table, or the entry of JSON Lines, that holds the path.
        label_column: the one that holds the label, or several with `separator` between; None takes label or labels.
        download: fetch "cifar10" or "cifar100" from its official page where it is not in the cache yet.
        cache: the folder for data that can be made again; None takes `nearbit.files.writing.cache_folder()`.
        progress: called as ("reading images", done, total).
        max_pixels: width times height above which an image is skipped; None as for `open_image`.

    Returns:
        Images that can be read and have a label; the others are listed in `problems`. Deterministic.

    Raises:
        DataError: nothing there, nothing readable, or a file in a wrong form (with the line number).
        InputError: an option that the source has no use for.

    Example:
        >>> load_dataset("digits").labels.shape
        (1797, 10)
    """
    reading = Reading(keep_unlabelled=False, cache=cache or cache_folder(), progress=progress, max_pixels=max_pixels)
    options = _Options(
        label_level=label_level,
        images=images,
        split_file=split_file,
        columns=LabelColumns(path_column, label_column, separator),
        class_level=checked_level(class_level),
        download=download,
        reading=reading,
    )
    return _load(source, options)


def load_images(
    source: str | Path | Sequence[str | Path],
    *,
    label_level: str = "fine",
    images: Path | None = None,
    separator: str = SEPARATOR,
    class_level: ClassLevel | None = None,
    path_column: str = "path",
    label_column: str | None = None,
    download: bool = False,
    cache: Path | None = None,
    progress: Progress = silent,
    max_pixels: int | None = None,
) -> Dataset:
    """Read images with their labels if there are any: for encoding and indexing.

    Args:
        source: what `load_dataset` takes, and also a folder without classes (images in the folder itself have no
            label), one image file, or a list of image files.
        label_level: as for `load_dataset`.
        images: as for `load_dataset`.
        separator: as for `load_dataset`.
        class_level: as for `load_dataset`.
        path_column: as for `load_dataset`.
        label_column: as for `load_dataset`.
        download: as for `load_dataset`.
        cache: as for `load_dataset`.
        progress: as for `load_dataset`.
        max_pixels: as for `load_dataset`.

    Returns:
        Every image that can be read; a row without a label is all False; where none has a label, labels are `(n, 0)`.

    Raises:
        DataError: nothing there, or nothing readable.
    """
    reading = Reading(keep_unlabelled=True, cache=cache or cache_folder(), progress=progress, max_pixels=max_pixels)
    options = _Options(
        label_level=label_level,
        images=images,
        split_file=None,
        columns=LabelColumns(path_column, label_column, separator),
        class_level=checked_level(class_level),
        download=download,
        reading=reading,
    )
    if isinstance(source, str | Path):
        return _load(source, options)
    if not source:
        raise InputError("expected at least one image file, came an empty list")
    return assemble(list_files([Path(file) for file in source]), reading)


def _load(source: str | Path, options: _Options) -> Dataset:
    try:
        return _load_any(source, options)
    except OSError as error:  # what the parts do not say better: a path that is too long, a folder that is closed
        path = escaped(os.fsdecode(error.filename or source))
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise DataError(f"{escaped(str(source))}: does not fit into memory") from error


def _load_any(source: str | Path, options: _Options) -> Dataset:
    if isinstance(source, str) and source in BUILT_IN:
        return _load_named(source, options)
    if options.download:
        raise InputError(f"download=True is for {' and '.join(DOWNLOADED)}; leave it out for {source}")
    path = Path(source)
    if not path.exists():
        hint = did_you_mean(str(source), BUILT_IN)
        raise DataError(f"{source}: no such file or folder, and not one of {', '.join(BUILT_IN)}.{hint}")
    found = find_cifar(path) if path.is_dir() else None
    if found is not None:
        _refuse_files(path, options)
        return read_cifar(*found, label_level=options.label_level, progress=options.reading.progress)
    if options.label_level != "fine":
        raise InputError(f"label_level={options.label_level!r} is for cifar100; {path} is none: leave it out")
    return assemble(with_parts(_listing(path, options), options.split_file), options.reading)


def _load_named(name: str, options: _Options) -> Dataset:
    _refuse_files(Path(name), options)
    if name not in DOWNLOADED:
        if options.download:
            raise InputError(f"download=True is for {' and '.join(DOWNLOADED)}; {name} is built in: leave it out")
        if options.label_level != "fine":
            raise InputError(f"label_level={options.label_level!r} is for cifar100; leave it out for {name}")
        return load_digits() if name == "digits" else load_shapes()
    layout = CIFAR10 if name == "cifar10" else CIFAR100
    kept = options.reading.cache / "datasets"
    if options.download:
        from nearbit.datasets.download import ARCHIVES, fetch

        fetch(ARCHIVES[name], kept, options.reading.progress)
    if not (kept / layout.folder).is_dir():
        raise DataError(
            f"{name} is not in the cache: allow the download (--download, download=True), "
            f"or give the path of the unpacked binary archive (a folder {layout.folder})"
        )
    return read_cifar(layout, kept / layout.folder, label_level=options.label_level, progress=options.reading.progress)


def _refuse_files(path: Path, options: _Options) -> None:
    given = {"images": options.images, "split_file": options.split_file, "class_level": options.class_level}
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name}={str(value)!r} is for folders and labels files; leave it out for {path}")


def _listing(path: Path, options: _Options) -> Listing:
    if path.is_dir():
        return _folder_listing(path, options)
    if options.class_level is not None:
        raise InputError(f"class_level={options.class_level!r} is for folders of images; leave it out for {path}")
    suffix = path.suffix.lower()
    if suffix == ".json":
        return list_coco(path, options.images)
    if suffix in _SUFFIXES:
        return list_labels_file(path, options.images, options.columns)
    if options.reading.keep_unlabelled:
        return list_files([path])
    raise DataError(f"{path}: expected a folder, or a labels file ending in {', '.join(_SUFFIXES)}")


def _folder_listing(path: Path, options: _Options) -> Listing:
    files = [name for name in LABELS_FILES if (path / name).is_file()]
    if len(files) > 1:
        raise DataError(f"{path}: holds {' and '.join(files)}; name the one to read instead of the folder")
    if files:
        return _listing(path / files[0], options)
    if options.images is not None:
        raise InputError(f"images={str(options.images)!r} goes with a labels file; {path} holds none")
    return list_folder(path, options.class_level)
