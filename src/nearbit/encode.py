"""From images to outputs: the one border between torch and NumPy.

Images are decoded by threads, a chunk ahead of the network. Rows with known content hashes can be cached: an
interrupted run goes on where it stopped and gives the same numbers as an undisturbed one.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from nearbit.datasets import ImageSource, Problem
from nearbit.errors import ImageError, InputError
from nearbit.files import json_digest
from nearbit.networks import Pixels, Preprocessing
from nearbit.progress import Progress, silent
from nearbit.row_cache import RowCache, Rows
from nearbit.threads import n_threads

CHUNK = 512
CPU_BATCH = 16
BATCH = 128
MOST_READERS = 16

Reader = Callable[[int], Pixels]


@dataclass(frozen=True, eq=False)
class Encoded:
    """What came out of a network.

    Attributes:
        outputs: float32 `(n, width)`: outputs of a hash network, or features of a backbone.
        rows: int64 `(n,)`: the row of the source that each came from, in the order asked.
        problems: the images that could not be read, with reasons; their rows are left out.
    """

    outputs: Rows
    rows: npt.NDArray[np.int64]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Job:
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


def find_device(name: str) -> torch.device:
    """Return the device that `name` means: "auto" is a GPU where there is one, else the CPU.

    Raises:
        InputError: the device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {name!r} is not there ({reason}): take auto, cpu, cuda or cuda:0") from error
    return torch.device(name)


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that decide what a model computes."""
    return {name: version(name) for name in ("nearbit", "torch", "numpy", "pillow")}


def rows_key(what: str, device: torch.device) -> str:
    """Return the key under which rows are cached: other devices and libraries give other last bits.

    Args:
        what: names the weights and the preprocessing.
        device: where the rows are computed.
    """
    return json_digest({"what": what, "device": device.type, "libraries": library_versions()})


def plain_reader(source: ImageSource, preprocessing: Preprocessing) -> Reader:
    """Return a function from a row to its pixels, without augmentation."""
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


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Turn a device's want of memory within the block into an error that says for what it was too little."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise InputError(f"the device has too little memory for {what}") from error


@torch.no_grad()
def run_batches(module: nn.Module, pixels: npt.NDArray[np.generic], device: torch.device) -> Rows:
    """Return the float32 outputs `(n, width)` of a module in evaluation mode for inputs of any kind, batch by batch."""
    parts = []
    size = CPU_BATCH if device.type == "cpu" else BATCH
    for start in range(0, len(pixels), size):
        batch = torch.from_numpy(pixels[start : start + size]).to(device)
        with enough_memory(f"a batch of {len(batch)} images; take another --device, such as cpu"):
            parts.append(module(batch).float().cpu().numpy())
    return np.concatenate(parts)


def encode_images(
    module: nn.Module,
    preprocessing: Preprocessing,
    job: Job,
    *,
    device: torch.device,
    cache: RowCache | None = None,
    reader: Reader | None = None,
    stage: str = "Encoding",
    progress: Progress = silent,
) -> Encoded:
    """Run images through a module, in evaluation mode, in order.

    Args:
        module: maps uint8 pixels `(n, 3, size, size)` to `(n, width)`.
        preprocessing: what makes those pixels.
        job: the images.
        device: where the module is and runs.
        cache: keeps rows by content hash and is asked first; needs `job.digests`.
        reader: replaces the plain reader, for augmented views.
        stage: the name under which progress is reported.
        progress: called after each chunk.

    Returns:
        The outputs in the order of `job.rows`; images that cannot be read are left out and listed. On the CPU, with the
        same number of threads, the same readable images in the same order give the same numbers to the last bit.
    """
    module.eval()
    read = reader or plain_reader(job.source, preprocessing)
    wanted = range(len(job.rows)) if cache is None or job.digests is None else cache.missing(job.digests)
    positions = list(wanted)
    problems: dict[int, Problem] = {}
    fresh: list[Rows] = []
    chunks = decoded_chunks(read, [job.rows[position] for position in positions], CHUNK)
    for number, chunk in enumerate(chunks):
        here = positions[number * CHUNK : (number + 1) * CHUNK]
        good = [place for place, item in zip(here, chunk, strict=True) if not isinstance(item, ImageError)]
        problems |= {
            place: Problem(job.keys[place], str(item))
            for place, item in zip(here, chunk, strict=True)
            if isinstance(item, ImageError)
        }
        if good:
            outputs = run_batches(
                module, np.stack([item for item in chunk if not isinstance(item, ImageError)]), device
            )
            fresh.append(outputs)
            if cache is not None and job.digests is not None:
                cache.add([job.digests[place] for place in good], outputs)
        progress(stage, min((number + 1) * CHUNK, len(positions)), len(positions))
    return _collect(job, cache, fresh, problems)


def _collect(job: Job, cache: RowCache | None, fresh: list[Rows], problems: dict[int, Problem]) -> Encoded:
    if cache is not None and job.digests is not None:
        unread = {job.digests[place]: problem.reason for place, problem in problems.items()}
        problems = {
            place: Problem(job.keys[place], unread[digest])
            for place, digest in enumerate(job.digests)
            if digest in unread
        }
    kept = [place for place in range(len(job.rows)) if place not in problems]
    outputs = np.zeros((0, 0), np.float32)
    if kept and cache is not None and job.digests is not None:
        outputs = cache.gather([job.digests[place] for place in kept])
    elif kept:
        outputs = np.concatenate(fresh)
    rows = np.array([job.rows[place] for place in kept], np.int64)
    return Encoded(outputs, rows, tuple(problems[place] for place in sorted(problems)))
