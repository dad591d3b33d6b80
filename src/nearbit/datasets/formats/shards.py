"""Shards as a data set: images in WebDataset tars and Parquet files, one of them or a folder of them, here or far away.

Images are read where they lie in a tar. Those of Parquet files, and shards at addresses, are copied into the cache
first: training reads images in any order.
"""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from nearbit.datasets.dataset import Dataset, Problem
from nearbit.datasets.decoding.decode import open_image
from nearbit.datasets.formats.format import Format
from nearbit.datasets.images import content_digest
from nearbit.datasets.known_files import CHANGED, digest_rows, has_digest
from nearbit.datasets.listing import NO_LABEL
from nearbit.datasets.scan import may_be_image
from nearbit.datasets.shards import ENDINGS, Passed, Sample, is_shard, read_shard
from nearbit.errors import DataError, ImageError
from nearbit.files.addresses import FilePlace
from nearbit.files.writing import json_digest, whole_file
from nearbit.names import escaped
from nearbit.reading import ReadingOptions
from nearbit.threads import n_threads

BLOCK = 256
"""Images that are in memory at once while they are checked."""
BLOCK_BYTES = 1 << 20
"""Bytes of a copy that are in memory at once while another is made."""


@dataclass(frozen=True, eq=False)
class PackedImages:
    """Images that lie one after another in a few files.

    Attributes:
        files: the files.
        numbers: int32 `(n,)`: in which of them each image lies; `starts` and `sizes`, int64 `(n,)`, where and how long.
        max_pixels: as for `open_image`.
        digests: the SHA-256 of each image's bytes, uint8 `(n, 32)`; one that has another now cannot be read.
        shards: the shards that the files are, or are copies of.
        images: the folder that names of image files in a table are relative to; None for that of the table.
    """

    files: tuple[Path, ...]
    numbers: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    max_pixels: int | None = None
    digests: npt.NDArray[np.uint8] | None = None
    shards: tuple[FilePlace, ...] = ()
    images: FilePlace | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, row: int, at_least: int | None = None) -> Image.Image:
        """Return one image in mode "RGB", upright; raise `ImageError` with the reason where it cannot be read."""
        place = FilePlace.of(self.files[self.numbers[row]])
        try:
            content = place.part(int(self.starts[row]), int(self.sizes[row]))
        except DataError as error:
            raise ImageError(f"its shard cannot be read: {error}") from error
        if self.digests is not None and not has_digest(content, self.digests[row]):
            raise ImageError(CHANGED)
        return open_image(content, at_least, max_pixels=self.max_pixels)

    def place_of(self, row: int, key: str) -> FilePlace:
        """Return where an image of this name lies: below its shard, or as a file that a table names."""
        shard = self.shards[self.numbers[row]]
        is_inside = self.images is None or key.startswith(f"{shard.name}/")
        return (shard.folder if is_inside or self.images is None else self.images).child(key)

    def of_rows(self, rows: npt.NDArray[np.int64]) -> "PackedImages":
        """Return these rows alone."""
        digests = None if self.digests is None else self.digests[rows]
        return replace(
            self, numbers=self.numbers[rows], starts=self.starts[rows], sizes=self.sizes[rows], digests=digests
        )


@dataclass(frozen=True)
class _Kept:
    """A good image: its sample without the bytes, its digest, and where its bytes lie."""

    sample: Sample
    digest: str
    number: int
    start: int
    size: int


def find_shards(folder: Path) -> Path | None:
    """Return a folder that holds shards and neither images nor folders; else None."""
    inside = [one for one in folder.iterdir() if not one.name.startswith((".", "_"))]
    if not any(is_shard(one.name) and one.is_file() for one in inside):
        return None
    others = any(one.is_dir() or may_be_image(one.name) for one in inside)
    return None if others else folder


def read_found(path: Path, options: ReadingOptions) -> Dataset:
    """Read a shard, or all of a folder that `find_shards` returned."""
    places = [FilePlace.of(path)] if path.is_file() else shards_in(FilePlace.of(path))
    return _read(places, escaped(path.stem if path.is_file() else path.absolute().name), options)


def read_addresses(address: str, options: ReadingOptions) -> Dataset:
    """Read a shard at an address, those that an address with `*` names, or those of a folder."""
    place = FilePlace.of(address)
    places = place.matching() if any(sign in address for sign in "*?[") else [place]
    if len(places) == 1 and not is_shard(places[0].name):
        places = shards_in(places[0])
    if not places:
        raise DataError(f"{address}: no shards there; expected files ending in {' or '.join(ENDINGS)}")
    return _read(places, escaped(place.name), options)


def labelled(dataset: Dataset, *, keep_unlabelled: bool) -> Dataset:
    """Return a data set whose images of shards have a label each: those that have none become problems."""
    has_label = dataset.labels.any(axis=1)
    if keep_unlabelled or not isinstance(dataset.source, PackedImages) or has_label.all():
        return dataset
    rows = np.flatnonzero(has_label)
    if not len(rows):
        raise DataError(f"{dataset.name}: no image of its shards has a label; without: nearbit train --method itq")
    return replace(
        dataset,
        source=dataset.source.of_rows(rows),
        keys=tuple(dataset.keys[row] for row in rows),
        labels=dataset.labels[rows],
        digests=tuple(dataset.digests[row] for row in rows),
        problems=(*dataset.problems, *(Problem(dataset.keys[row], NO_LABEL) for row in np.flatnonzero(~has_label))),
    )


def shards_in(folder: FilePlace) -> list[FilePlace]:
    """Return the shards of a folder, by name; those that begin with "." or "_" are none."""
    return [folder.child(name) for name in folder.files() if is_shard(name) and not name.startswith((".", "_"))]


def _read(places: list[FilePlace], name: str, options: ReadingOptions) -> Dataset:
    problems: list[Problem] = []
    kept: list[_Kept] = []
    files: list[tuple[Path, FilePlace]] = []
    passed = Passed()
    for number, place in enumerate(places):
        file, samples = _packed(place, options, passed)
        kept += _checked(samples, number, options, problems)
        files.append((file[0], place))
        options.progress("reading shards", number + 1, len(places))
    if not kept:
        reasons = "; ".join(f"{one.path!r}: {one.reason}" for one in problems[:3])
        raise DataError(f"{name}: no readable image in {len(places)} shards; {len(problems)} skipped, {reasons}")
    return _dataset(name, kept, files, problems, passed, options)


def _dataset(
    name: str,
    kept: list[_Kept],
    files: list[tuple[Path, FilePlace]],
    problems: list[Problem],
    passed: Passed,
    options: ReadingOptions,
) -> Dataset:
    classes = tuple(sorted({label for one in kept for label in one.sample.labels}))
    column = {label: place for place, label in enumerate(classes)}
    labels = np.zeros((len(kept), len(classes)), np.bool_)
    for row, one in enumerate(kept):
        labels[row, [column[label] for label in one.sample.labels]] = True
    digests = tuple(one.digest for one in kept)
    source = PackedImages(
        tuple(file for file, _ in files),
        np.array([one.number for one in kept], np.int32),
        np.array([one.start for one in kept], np.int64),
        np.array([one.size for one in kept], np.int64),
        options.max_pixels,
        digest_rows(digests),
        tuple(place for _, place in files),
        None if options.images is None else FilePlace.of(options.images),
    )
    keys = tuple(one.sample.path for one in kept)
    over = ", ".join(f"{count} {kind}" for kind, count in sorted(passed.items()))
    notes = (f"passed over in the shards: {over}",) if over else ()
    return Dataset(name, source, keys, labels, classes, digests, tuple(problems), read_as="shards", notes=notes)


def _packed(place: FilePlace, options: ReadingOptions, passed: Passed) -> tuple[list[Path], Iterator[Sample]]:
    """Return the file of this machine that the images of a shard lie in, and its samples, which say where.

    The file is the one of the list once all samples have been taken.
    """
    if place.local is not None and place.name.lower().endswith(".tar"):
        return [place.local], read_shard(place, options, passed)
    found = place.found()
    if found is None:
        raise DataError(f"{place}: there is no such file")
    told = [str(getattr(options, name)) for name in ("images", "image_column", "path_column")]
    name = json_digest([place.text, found.size, found.modified, *told])[:32]
    copies = options.kept / "shards"
    file = [max(copies.glob(f"{name}*"), key=lambda copy: copy.stat().st_mtime_ns, default=copies / name)]
    return file, _copied(read_shard(place, options, passed), file)


def _copied(samples: Iterator[Sample], file: list[Path]) -> Iterator[Sample]:
    """Yield samples with the places of their images in a copy, which is made on the way where it does not hold them.

    A table may name files, which change without it: what is copied already is compared, and from the first image on
    that is another the copy goes on as a new one. The old one stays for who reads it.
    """
    start, copy = 0, file[0]
    with ExitStack() as stack:
        held = stack.enter_context(open(copy, "rb")) if copy.is_file() else None
        target = None
        for sample in samples:
            if target is None and (held is None or held.read(len(sample.image)) != sample.image):
                file[0] = copy if held is None else copy.with_name(f"{copy.name[:32]}-{uuid.uuid4().hex[:8]}")
                target = stack.enter_context(open(stack.enter_context(whole_file(file[0])), "wb"))
                if held is not None:
                    _copy_start(held, start, target)
            if target is not None:
                target.write(sample.image)
            yield replace(sample, start=start)
            start += len(sample.image)


def _copy_start(held: BinaryIO, size: int, target: BinaryIO) -> None:
    """Write the first bytes of a copy, so many, which were read before."""
    held.seek(0)
    while size:
        block = held.read(min(size, BLOCK_BYTES))
        target.write(block)
        size -= len(block)


def _checked(
    samples: Iterator[Sample], number: int, options: ReadingOptions, problems: list[Problem]
) -> Iterator[_Kept]:
    """Yield the images that can be decoded; what is wrong with the others goes into `problems`."""
    with ThreadPoolExecutor(n_threads()) as pool:
        while block := list(islice(samples, BLOCK)):
            reasons = pool.map(lambda sample: sample.problem or _why_not(sample.image, options.max_pixels), block)
            for sample, reason in zip(block, reasons, strict=True):
                if reason:
                    problems.append(Problem(sample.path, reason))
                else:
                    size, digest = len(sample.image), content_digest(sample.image)
                    yield _Kept(replace(sample, image=b""), digest, number, sample.start, size)


def _why_not(image: bytes, max_pixels: int | None) -> str:
    try:
        open_image(image, max_pixels=max_pixels)
    except ImageError as error:
        return str(error)
    return ""


SHARDS = Format(
    name="shards (WebDataset, Parquet)",
    read=read_found,
    endings=ENDINGS,
    find=find_shards,
    refuses=dict.fromkeys(("split_file", "class_level"), "is for folders and labels files; leave it out for {path}"),
)
