"""From images to outputs: the one border between torch and NumPy.

How images are read ahead and rows cached, whatever computes them, is in `nearbit.encoding.pipeline`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nearbit.encoding.feature_cache import FeatureCache, FloatRows
from nearbit.encoding.pipeline import CHUNK, Encoded, EncodeRequest, Finish, Reader, encode_source
from nearbit.encoding.preprocessing import AnyInput
from nearbit.encoding.versions import deciding_versions
from nearbit.errors import InputError
from nearbit.files.writing import json_digest
from nearbit.progress import Progress, silent

CPU_PIXELS = 4 * 224 * 224
"""Pixels of a batch on the CPU: of more, what a layer makes leaves the cache and the heap (docs/performance.md)."""
BATCH = 128
FEATURE_BATCH = 8192


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
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {name!r} is not there ({reason}): take auto, cpu, cuda or cuda:0") from error
    return torch.device(name)


def cache_key(what: str, device: torch.device) -> str:
    """Return the key under which rows are cached: other devices and libraries give other last bits.

    Args:
        what: names the weights and the preprocessing.
        device: where the rows are computed.
    """
    about = {"what": what, "device": device.type, "libraries": deciding_versions()}
    return json_digest(about | ({"convolutions": "float32"} if device.type == "cuda" else {}))


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Turn a device's want of memory within the block into an error that says for what it was too little."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise InputError(f"the device has too little memory for {what}") from error


def put_on(module: nn.Module, device: torch.device) -> None:
    """Move a module to a device; raise `InputError` where that has too little memory."""
    with enough_memory("the network; take another --device, such as cpu"):
        module.to(device)


@contextmanager
def placed(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Have a module on a device within the block, and where it was after it, whatever happens; one thread at a time."""
    before = next((value.device for value in [*module.parameters(), *module.buffers()]), device)
    try:
        put_on(module, device)
        yield
    finally:
        module.to(before)


def moved(values: Tensor, device: torch.device) -> Tensor:
    """Return values of the CPU on a device; a GPU goes on with what it was given before, and nobody waits for it."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


class _Switch(NamedTuple):
    """A switch of torch: whose it is, its name, what it is set to now, and what it is for whole float32."""

    owner: Any
    name: str
    before: Any
    whole: Any


@final
class _WholeFloats:
    """Convolutions on GPUs in whole float32 as long as anybody needs them so: switches that all threads share."""

    def __init__(self) -> None:
        self._lock, self._needed = threading.Lock(), 0
        self._switches: list[_Switch] = []

    def begin(self) -> None:
        with self._lock:
            if not self._needed:
                self._switches = _switches()
                for one in self._switches:
                    setattr(one.owner, one.name, one.whole)
            self._needed += 1

    def end(self) -> None:
        with self._lock:
            self._needed -= 1
            if not self._needed:
                for one in self._switches:
                    setattr(one.owner, one.name, one.before)


def _switches() -> list[_Switch]:
    """Return torch's switches: one for all of cuDNN, and from 2.9 on one for each operation.

    They are to agree, since torch refuses to read the first one otherwise; where it refuses already, that one is left.
    """
    cudnn: Any = torch.backends.cudnn
    found = []
    with suppress(RuntimeError):
        found.append(_Switch(cudnn, "allow_tf32", cudnn.allow_tf32, False))
    owners: list[Any] = [getattr(cudnn, name, None) for name in ("conv", "rnn")]
    for owner in owners:
        if hasattr(owner, "fp32_precision"):
            found.append(_Switch(owner, "fp32_precision", owner.fp32_precision, "ieee"))
    return found


_WHOLE_FLOATS = _WholeFloats()


@contextmanager
def whole_floats(device: torch.device) -> Iterator[None]:
    """Compute convolutions in whole float32 within the block on a GPU, too.

    By default torch rounds to TF32 there, which turns bits of codes.
    """
    if device.type != "cuda":
        yield
        return
    _WHOLE_FLOATS.begin()
    try:
        yield
    finally:
        _WHOLE_FLOATS.end()


@torch.no_grad()
def run_batches(module: nn.Module, pixels: npt.NDArray[np.generic], device: torch.device) -> FloatRows:
    """Return the float32 outputs `(n, width)` of a module in evaluation mode for inputs of any kind, batch by batch.

    They stay on the device until all are there, so that it does not wait for each batch to be read.
    """
    parts = []
    size = _batch_size(pixels.shape[1:], device)
    what = f"batches of {min(size, len(pixels))} images; take another --device, such as cpu"
    with enough_memory(what), whole_floats(device):
        for start in range(0, len(pixels), size):
            parts.append(module(moved(torch.from_numpy(pixels[start : start + size]), device)).float())
        outputs: FloatRows = torch.cat(parts).cpu().numpy()
    return outputs


def _batch_size(shape: tuple[int, ...], device: torch.device) -> int:
    """Return how many inputs of a shape, features or pixels, go through a network at once."""
    if len(shape) == 1:
        return FEATURE_BATCH
    return max(1, min(BATCH, CPU_PIXELS // (shape[1] * shape[2]))) if device.type == "cpu" else BATCH


def encode_images(
    module: nn.Module,
    preprocessing: AnyInput,
    request: EncodeRequest,
    *,
    device: torch.device,
    finish: Finish | None = None,
    keep: bool = False,
    cache: FeatureCache | None = None,
    reader: Reader | None = None,
    stage: str = "Encoding",
    progress: Progress = silent,
) -> Encoded:
    """Run images through a module, in evaluation mode, in order.

    Args:
        module: maps uint8 pixels `(n, 3, size, size)`, or float32 features, to `(n, width)`.
        preprocessing: what makes those pixels, or says how wide the features are.
        request: the images.
        device: where the module is and runs.
        finish: makes the outputs of what the module gives, block by block; None where these are the outputs.
        keep: whether what the module gives is wanted beside the outputs.
        cache: keeps rows by content hash and is asked first; needs `request.digests`.
        reader: replaces the plain reader, for augmented views.
        stage: the name under which progress is reported.
        progress: called after each chunk.

    Returns:
        The outputs in the order of `request.rows`; images that cannot be read are left out and listed. On the CPU, with
        the same number of threads, the same readable images in the same order give the same numbers to the last bit.
    """
    module.eval()

    def compute(inputs: npt.NDArray[np.generic]) -> FloatRows:
        return run_batches(module, inputs, device)

    return encode_source(
        compute,
        preprocessing,
        request,
        finish=finish,
        keep=keep,
        cache=cache,
        reader=reader,
        chunk=CHUNK,
        stage=stage,
        progress=progress,
    )
