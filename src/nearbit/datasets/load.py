"""`load_dataset` and `load_images`: whatever people have, recognised and read."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from nearbit.datasets import formats
from nearbit.datasets.assemble import assemble
from nearbit.datasets.dataset import Dataset
from nearbit.datasets.download import NOT_FETCHED
from nearbit.datasets.formats.folder import FOLDER, ONE_IMAGE, list_files
from nearbit.datasets.formats.format import Format, KnownDataset
from nearbit.datasets.formats.list_names import holds_unread_parts, unread_lists
from nearbit.datasets.formats.lists import LISTS
from nearbit.datasets.formats.parts import with_parts
from nearbit.datasets.formats.shards import labelled, read_addresses
from nearbit.errors import DataError, InputError, did_you_mean
from nearbit.files.addresses import address_of, is_address
from nearbit.given import path_of
from nearbit.names import escaped
from nearbit.reading import ReadingKeywords, ReadingOptions

BUILT_IN = tuple(formats.KNOWN)
"""Data sets known by name."""

_USUAL = ReadingOptions()
_INSTEAD = {
    ("download", KnownDataset): "{path} is built in: leave it out",
    ("label_level", Format): "{path} is none: leave it out",
}


def load_dataset(source: str | Path, options: ReadingOptions = _USUAL, **given: Unpack[ReadingKeywords]) -> Dataset:
    """Read images with labels.

    Args:
        source: a name ("digits", "shapes", "cifar10", "cifar100", "cub200", "coco2014", "coco2017", "mirflickr25k",
            "flowers102", "oxford-pets"), or a path of: a folder with one folder a class; a labels file (`.csv`, `.tsv`,
            `.jsonl`, or COCO's `.json`) or the folder that holds it; text lists of paths and classes (`train.txt`,
            `test.txt`, …) or one of them; the folder of a CIFAR archive in its binary layout; one of those sets,
            NABirds, or Stanford Cars with its devkit as it was published; shards (WebDataset `.tar`, `.parquet`), one
            or a folder of them, here or at an address such as `s3://bucket/birds-*.tar`. A name given as text goes
            before a folder so called ("./digits").
        options: how it is read.
        given: fields of `ReadingOptions` as keywords (`images=`, `class_level=`, `max_pixels=`, …), in the place of
            those of `options`.

    Returns:
        Images that can be read and have a label; the others are listed in `problems`. Deterministic.

    Raises:
        DataError: nothing there, nothing readable, or a file in a wrong form (with the line number).
        InputError: an option that the source has no use for.

    Example:
        >>> load_dataset("digits").labels.shape
        (1797, 10)
    """
    return _load(source, replace(options, **given), keep_unlabelled=False)


def load_images(
    source: str | Path | Sequence[str | Path],
    options: ReadingOptions = _USUAL,
    **given: Unpack[ReadingKeywords],
) -> Dataset:
    """Read images with their labels if there are any: for encoding and indexing.

    Args:
        source: what `load_dataset` takes, and also a folder without classes (images in the folder itself have no
            label), one image file, or a list of image files.
        options: as for `load_dataset`; without `split_file`.
        given: as for `load_dataset`.

    Returns:
        Every image that can be read; a row without a label is all False; where none has a label, labels are `(n, 0)`.

    Raises:
        DataError: nothing there, or nothing readable.
        InputError: an option that the source has no use for.
    """
    options = replace(options, **given)
    if options.split_file is not None:
        raise InputError(
            f"split_file={str(options.split_file)!r} is for load_dataset; load_images takes all: leave it out"
        )
    if isinstance(source, str | bytes | os.PathLike) or not isinstance(source, Iterable):
        return _load(source, options, keep_unlabelled=True)
    if not source:
        raise InputError("expected at least one image file, came an empty list")
    return assemble(list_files([path_of("an image file", file) for file in source]), options, keep_unlabelled=True)


def _load(source: str | Path, options: ReadingOptions, *, keep_unlabelled: bool) -> Dataset:
    path_of("source", source)
    try:
        if isinstance(source, str) and source in formats.KNOWN:
            known = formats.KNOWN[source]
            _refuse_unused(known, source, options)
            return known.load(options)
        return _load_path(source, options, keep_unlabelled)
    except OSError as error:  # what the parts do not say better: a path that is too long, a folder that is closed
        path = escaped(os.fsdecode(error.filename or source))
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise DataError(f"{escaped(str(source))}: does not fit into memory") from error


def _of_features(path: Path) -> str:
    """Return what an array file, which holds features more likely than labels, needs; nothing for other files."""
    if path.suffix.lower() not in (".npy", ".npz"):
        return ""
    return ". Features go in by nearbit.from_features in Python, as an array that np.load reads (see docs/python.md)"


def _load_path(source: str | Path, options: ReadingOptions, keep_unlabelled: bool) -> Dataset:
    if is_address(source):
        return labelled(read_addresses(address_of(source), options), keep_unlabelled=keep_unlabelled)
    path = Path(source)
    if not path.exists():
        if str(source) in NOT_FETCHED:
            raise DataError(f"{source} is not fetched: {NOT_FETCHED[str(source)]} (see docs/data.md)")
        hint = did_you_mean(str(source), (*BUILT_IN, *NOT_FETCHED))
        raise DataError(f"{source}: no such file or folder, and not one of {', '.join(BUILT_IN)}.{hint}")
    as_folders = options.class_level is not None
    one, place = formats.recognised(path, as_folders=as_folders) or (ONE_IMAGE, path)
    if one is ONE_IMAGE and not keep_unlabelled:
        endings = ", ".join(formats.file_endings())
        raise DataError(f"{path}: expected a folder, or a labels file ending in {endings}{_of_features(path)}")
    unread = unread_lists(path, as_lists=one is LISTS, as_folders=as_folders) if path.is_dir() else []
    _refuse_unused(one, place, options, unread)
    if one is FOLDER and not as_folders and not keep_unlabelled and holds_unread_parts(path):
        raise DataError(
            f"{path}: {unread[0]}. To read the folders as classes all the same, say so (--class-level, class_level=)"
        )
    found = one.read(place, options)
    found = replace(found, notes=(*found.notes, *unread))
    if isinstance(found, Dataset):
        return labelled(found, keep_unlabelled=keep_unlabelled)
    return assemble(with_parts(found, options.split_file), options, keep_unlabelled=keep_unlabelled)


def _refuse_unused(
    one: Format | KnownDataset, path: str | Path, options: ReadingOptions, unread: Sequence[str] = ()
) -> None:
    """Raise `InputError` for an option that would do nothing; what lies there unread may be what it was meant for."""
    for name, why in one.refuses.items():
        value = getattr(options, name)
        if value != getattr(_USUAL, name):
            meant = f"; {unread[0]}" if unread and name == "images" else ""
            raise InputError(f"{name}={_shown(value)} {why.format(path=path)}{meant}")
    for name in ("download", "label_level"):
        value = getattr(options, name)
        if value != getattr(_USUAL, name) and name not in one.takes:
            *most, last = (known.name for known in formats.KNOWN.values() if name in known.takes)
            users = f"{', '.join(most)} and {last}" if most else last
            instead = _INSTEAD.get((name, type(one)), "leave it out for {path}")
            raise InputError(f"{name}={value!r} is for {users}; {instead.format(path=path)}")


def _shown(value: Any) -> str:
    return repr(str(value) if isinstance(value, Path) else value)
