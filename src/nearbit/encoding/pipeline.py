"""From rows of images to rows of numbers, whatever computes them: threads decode ahead, and known rows are cached.

Rows with known content hashes can be cached: an interrupted run goes on where it stopped and gives the same numbers as
an undisturbed one.
"""

from collections.abc import Callable, Iterator, Sequence
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
FEATURE_CHUNK = 65536
MOST_READERS = 16

Reader = Callable[[int], Pixels]
Compute = Callable[[npt.NDArray[Any]], FloatRows]
"""Pixels uint8 `(n, 3, size, size)`, or features float32 `(n, feature_dim)`, to float32 `(n, width)`."""


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
        cache: keeps rows by content hash and is asked first.
        reader: replaces the plain reader of images.
        chunk: images that are decoded ahead.
        stage: the name under which progress is reported.
        progress: called after each chunk.

    Raises:
        InputError: images are given to what takes features, features to what takes images, or others than it takes.
    """
    if isinstance(takes, FeatureInput):
        return _encode_features(compute, takes, request, stage, progress)
    read = reader or plain_reader(request.source, takes)
    return encode_rows(compute, read, request, cache=cache, chunk=chunk, stage=stage, progress=progress)


def _encode_features(
    compute: Compute, takes: FeatureInput, request: EncodeRequest, stage: str, progress: Progress
) -> Encoded:
    source = request.source
    if not isinstance(source, FeatureRows):
        raise InputError(
            f"this model takes features ({takes.width} numbers a row), not images: compute them with the network that "
            "made those it was trained on (in Python nb.from_features, or model.encode with an array)"
        )
    feature_matrix(source.features[:0], takes.width)
    rows = np.array(request.rows, np.int64)
    found = []
    for start in range(0, len(rows), FEATURE_CHUNK):
        found.append(compute(source.features[rows[start : start + FEATURE_CHUNK]]))
        progress(stage, min(start + FEATURE_CHUNK, len(rows)), len(rows))
    return Encoded(np.concatenate(found) if found else np.zeros((0, 0), np.float32), rows, ())


def encode_rows(
    compute: Compute,
    read: Reader,
    request: EncodeRequest,
    *,
    cache: FeatureCache | None = None,
    chunk: int = CHUNK,
    stage: str = "Encoding",
    progress: Progress = silent,
) -> Encoded:
    """Compute the rows of images, in order.

    Args:
        compute: what is to be done with pixels.
        read: from a row of the source to its pixels.
        request: the images.
        cache: keeps rows by content hash and is asked first; needs `request.digests`.
        chunk: images that are decoded ahead.
        stage: the name under which progress is reported.
        progress: called after each chunk.

    Returns:
        The outputs in the order of `request.rows`; images that cannot be read are left out and listed.
    """
    wanted = range(len(request.rows)) if cache is None or request.digests is None else cache.missing(request.digests)
    positions = list(wanted)
    problems: dict[int, Problem] = {}
    fresh: list[FloatRows] = []
    chunks = decoded_chunks(read, [request.rows[position] for position in positions], chunk)
    for number, items in enumerate(chunks):
        here = positions[number * chunk : (number + 1) * chunk]
        good = [place for place, item in zip(here, items, strict=True) if not isinstance(item, ImageError)]
        problems |= {
            place: Problem(request.keys[place], str(item))
            for place, item in zip(here, items, strict=True)
            if isinstance(item, ImageError)
        }
        if good:
            outputs = compute(np.stack([item for item in items if not isinstance(item, ImageError)]))
            fresh.append(outputs)
            if cache is not None and request.digests is not None:
                cache.add([request.digests[place] for place in good], outputs)
        progress(stage, min((number + 1) * chunk, len(positions)), len(positions))
    return _collect(request, cache, fresh, problems)


def _collect(
    request: EncodeRequest, cache: FeatureCache | None, fresh: list[FloatRows], problems: dict[int, Problem]
) -> Encoded:
    if cache is not None and request.digests is not None:
        unread = {request.digests[place]: problem.reason for place, problem in problems.items()}
        problems = {
            place: Problem(request.keys[place], unread[digest])
            for place, digest in enumerate(request.digests)
            if digest in unread
        }
    kept = [place for place in range(len(request.rows)) if place not in problems]
    outputs = np.zeros((0, 0), np.float32)
    if kept and cache is not None and request.digests is not None:
        outputs = cache.gather([request.digests[place] for place in kept])
    elif kept:
        outputs = np.concatenate(fresh)
    rows = np.array([request.rows[place] for place in kept], np.int64)
    return Encoded(outputs, rows, tuple(problems[place] for place in sorted(problems)))


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
