"""From rows of images to rows of numbers, whatever computes them: threads decode ahead, and known rows are cached.

Rows with known content hashes can be cached: an interrupted run goes on where it stopped and gives the same numbers as
an undisturbed one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.datasets import FeatureRows, ImageSource, Problem
from nearbit.datasets.arrays import feature_matrix
from nearbit.encoding.feature_cache import FeatureCache, FloatRows
from nearbit.encoding.inputs import GivenImage, GivenImages
from nearbit.encoding.preprocessing import AnyInput, FeatureInput, Pixels, Preprocessing
from nearbit.errors import ImageError, InputError
from nearbit.progress import Progress, silent
from nearbit.threads import n_threads

CHUNK = 512
BLOCK = 8192
"""Rows that are in memory at once while outputs are made of them."""
MOST_READERS = 16

Reader = Callable[[int], Pixels]
Compute = Callable[[npt.NDArray[Any]], FloatRows]
"""Pixels uint8 `(n, 3, size, size)`, or features float32 `(n, feature_dim)`, to float32 `(n, width)`."""
Finish = Callable[[FloatRows], FloatRows]
"""Rows as they are computed and cached, float32 `(n, width)`, to outputs float32 `(n, n_outputs)`."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """What came out of a network.

    Attributes:
        outputs: float32 `(n, width)`: outputs of a hash network, or features of a backbone.
        rows: int64 `(n,)`: the row of the source that each came from, in the order asked.
        problems: the images that could not be read, with reasons; their rows are left out.
        features: float32 `(n, feature_dim)`: the features of a frozen backbone that the outputs were made of, where
            they were asked for.
    """

    outputs: FloatRows
    rows: npt.NDArray[np.int64]
    problems: tuple[Problem, ...]
    features: FloatRows | None = None


@dataclass(frozen=True)
class EncodeRequest:
    """Images to be encoded.

    Attributes:
        source: where the images are read from.
        rows: which of them, in order.
        keys: a name for each of `rows`, for messages.
        digests: the content hash of each of `rows`; needed for a cache.
    """

    source: ImageSource
    rows: Sequence[int]
    keys: Sequence[str]
    digests: Sequence[str] | None = None


def plain_reader(source: ImageSource, preprocessing: Preprocessing) -> Reader:
    """Return a function from a row to its pixels, without augmentation; raise `InputError` where rows are features."""
    if isinstance(source, FeatureRows):
        raise InputError(f"this model sees images, and came {source.width} features a row: give it images")
    return lambda row: preprocessing.apply(source.read(row, at_least=preprocessing.resize))


def decoded_chunks(read: Reader, rows: Sequence[int], chunk: int) -> Iterator[list[Pixels | ImageError]]:
    """Yield the pixels of `rows`, or the error of an image that cannot be read, `chunk` at a time, in order."""
    with ThreadPoolExecutor(min(MOST_READERS, n_threads())) as pool:
        ahead: list[Future[Pixels | ImageError]] = []
        try:
            for start in range(0, len(rows) + chunk, chunk):
                waiting = ahead
                ahead = [pool.submit(_read_one, read, row) for row in rows[start : start + chunk]]
                if waiting:
                    yield [future.result() for future in waiting]
        finally:
            for future in ahead:
                future.cancel()


def _read_one(read: Reader, row: int) -> Pixels | ImageError:
    try:
        return read(row)
    except ImageError as error:
        return error


def encode_source(
    compute: Compute,
    takes: AnyInput,
    request: EncodeRequest,
    *,
    finish: Finish | None = None,
    keep: bool = False,
    cache: FeatureCache | None = None,
    reader: Reader | None = None,
    chunk: int = CHUNK,
    stage: str = "Encoding",
    progress: Progress = silent,
) -> Encoded:
    """Compute the rows of a source of images, or of features, in order; see `encode_rows`.

    Args:
        compute: what is to be done with pixels, or with features.
        takes: what makes the pixels, or says how wide features are; a cache is of use for pixels only.
        request: the images or features.
        finish: makes the outputs of what was computed; None where that is the outputs.
        keep: whether what was computed is wanted beside the outputs (`Encoded.features`); it then has to fit in memory.
        cache: keeps rows by content hash and is asked first.
        reader: replaces the plain reader of images.
        chunk: images that are decoded ahead.
        stage: the name under which progress is reported.
        progress: called after each chunk.

    Raises:
        InputError: images are given to what takes features, features to what takes images, or others than it takes.
    """
    if isinstance(takes, FeatureInput):
        blocks = _feature_blocks(compute, takes, request, stage, progress)
        outputs, features = _finished(blocks, finish, len(request.rows), keep=keep)
        return Encoded(outputs, np.array(request.rows, np.int64), (), features)
    read = reader or plain_reader(request.source, takes)
    return encode_rows(
        compute, read, request, finish=finish, keep=keep, cache=cache, chunk=chunk, stage=stage, progress=progress
    )


def _feature_blocks(
    compute: Compute, takes: FeatureInput, request: EncodeRequest, stage: str, progress: Progress
) -> Iterator[FloatRows]:
    source = request.source
    if not isinstance(source, FeatureRows):
        raise InputError(
            f"this model takes features ({takes.width} numbers a row), not images: compute them with the network that "
            "made those it was trained on (in Python nb.from_features, or model.encode with an array)"
        )
    feature_matrix(source.features[:0], takes.width)
    rows = np.array(request.rows, np.int64)
    for start in range(0, len(rows), BLOCK):
        yield compute(source.features[rows[start : start + BLOCK]])
        progress(stage, min(start + BLOCK, len(rows)), len(rows))


def encode_rows(
    compute: Compute,
    read: Reader,
    request: EncodeRequest,
    *,
    finish: Finish | None = None,
    keep: bool = False,
    cache: FeatureCache | None = None,
    chunk: int = CHUNK,
    stage: str = "Encoding",
    progress: Progress = silent,
) -> Encoded:
    """Compute the rows of images, in order.

    What is computed is held in memory a block of `BLOCK` rows at a time, and with a `finish` only its outputs stay.

    Args:
        compute: what is to be done with pixels.
        read: from a row of the source to its pixels.
        request: the images.
        finish: makes the outputs of what was computed; it is given blocks of `BLOCK` rows.
        keep: whether what was computed is wanted, too.
        cache: keeps rows by content hash and is asked first; needs `request.digests`.
        chunk: images that are decoded ahead.
        stage: the name under which progress is reported.
        progress: called after each chunk.

    Returns:
        The outputs in the order of `request.rows`; images that cannot be read are left out and listed.
    """
    digests = request.digests
    if cache is None or digests is None:
        unread: dict[int, Problem] = {}
        positions = list(range(len(request.rows)))
        fresh = _computed(compute, read, request, positions, chunk, unread, stage, progress)
        outputs, features = _finished((rows for _, rows in fresh), finish, len(positions), keep=keep)
    else:
        unread = {}
        for positions in _to_compute(cache, digests, unread):
            for places, rows in _computed(compute, read, request, positions, chunk, unread, stage, progress):
                cache.add([digests[place] for place in places], rows)
        kept = [digest for place, digest in enumerate(digests) if place not in unread]
        outputs, features = _finished(_gathered(cache, kept), finish, len(kept), keep=keep)
    read_rows = [row for place, row in enumerate(request.rows) if place not in unread]
    problems = tuple(unread[place] for place in sorted(unread))
    return Encoded(outputs, np.array(read_rows, np.int64), problems, features)


def _computed(
    compute: Compute,
    read: Reader,
    request: EncodeRequest,
    positions: list[int],
    chunk: int,
    unread: dict[int, Problem],
    stage: str,
    progress: Progress,
) -> Iterator[tuple[list[int], FloatRows]]:
    """Yield positions with their rows, a chunk at a time; what cannot be read goes into `unread`."""
    chunks = decoded_chunks(read, [request.rows[position] for position in positions], chunk)
    for number, items in enumerate(chunks):
        here = positions[number * chunk : (number + 1) * chunk]
        good: list[int] = []
        pixels: list[Pixels] = []
        for place, item in zip(here, items, strict=True):
            if isinstance(item, ImageError):
                unread[place] = Problem(request.keys[place], str(item))
            else:
                good.append(place)
                pixels.append(item)
        if good:
            yield good, compute(np.stack(pixels))
        progress(stage, min((number + 1) * chunk, len(positions)), len(positions))


def _to_compute(cache: FeatureCache, digests: Sequence[str], unread: Collection[int]) -> Iterator[list[int]]:
    """Yield the positions of what the cache lacks, then those of the copies of what could not be read of them.

    The file of a copy may be whole where another one of the same content was damaged, or changed, since.
    """
    yield cache.missing(digests)
    failed = {digests[place] for place in unread}
    yield [place for place, digest in enumerate(digests) if digest in failed and place not in unread]


def _gathered(cache: FeatureCache, digests: Sequence[str]) -> Iterator[FloatRows]:
    for start in range(0, len(digests), BLOCK):
        yield cache.gather(digests[start : start + BLOCK])


def _finished(
    blocks: Iterable[FloatRows], finish: Finish | None, most: int, *, keep: bool
) -> tuple[FloatRows, FloatRows | None]:
    """Return the outputs of at most so many rows, which come bit by bit and, to `keep` them, the rows; else None."""
    outputs, features = _Filled(most), _Filled(most)
    for rows in blocks if finish is None else in_blocks(blocks):
        outputs.add(rows if finish is None else finish(rows))
        if keep:
            features.add(rows)
    return outputs.rows(), features.rows() if keep else None


class _Filled:
    """Rows that come bit by bit, in one array from the first on: so that they never lie in memory twice."""

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0
        self._rows = np.zeros((0, 0), np.float32)

    def add(self, rows: FloatRows) -> None:
        if not self._count:
            self._rows = np.empty((self._most, rows.shape[1]), np.float32)
        self._rows[self._count : self._count + len(rows)] = rows
        self._count += len(rows)

    def rows(self) -> FloatRows:
        return self._rows[: self._count]


def in_blocks(parts: Iterable[FloatRows]) -> Iterator[FloatRows]:
    """Yield the same rows in blocks of `BLOCK`, the last of what is left: however they came, blocks are the same."""
    waiting: list[FloatRows] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part)
        while count >= BLOCK:
            rows = np.concatenate(waiting)
            yield rows[:BLOCK]
            waiting, count = [rows[BLOCK:]], count - BLOCK
    if count:
        yield np.concatenate(waiting)


def request_of_given(given: Sequence[GivenImage] | npt.ArrayLike, takes: AnyInput) -> EncodeRequest:
    """Return the job of encoding what a person gives: a list of paths, Pillow images or arrays; or features.

    Raises:
        InputError: no such list, or features of another width or type.
    """
    if isinstance(takes, FeatureInput):
        rows = FeatureRows(_features_of(given, takes))
        return EncodeRequest(rows, range(len(rows)), [f"row {row}" for row in range(len(rows))])
    source = GivenImages.of(given)
    return EncodeRequest(source, range(len(source)), [source.name(row) for row in range(len(source))])


def _features_of(given: Any, takes: FeatureInput) -> FloatRows:
    is_image = isinstance(given, str | Path) or hasattr(given, "convert")
    if is_image or (isinstance(given, list | tuple) and any(isinstance(one, str | Path) for one in given)):
        raise InputError(f"this model takes features (n, {takes.width}), not images")
    return feature_matrix(given, takes.width)


def complete(encoded: Encoded, width: int) -> FloatRows:
    """Return all outputs float32 `(n, width)`; raise `ImageError`, naming the first few, where images were unread."""
    if encoded.problems:
        named = "; ".join(f"{problem.path}: {problem.reason}" for problem in encoded.problems[:3])
        n_images = len(encoded.rows) + len(encoded.problems)
        raise ImageError(f"{len(encoded.problems)} of {n_images} images cannot be read: {named}")
    return encoded.outputs.reshape(-1, width)
