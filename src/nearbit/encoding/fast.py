"""The fastest way at hand to run a network that no longer changes: ONNX Runtime on the CPU, else PyTorch.

The outputs of the two differ by rounding alone, so that a bit can differ only where its output is nearly 0. Rows that
are cached say what computed them: those of one are never taken for those of the other.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from nearbit.encoding.exporting import module_bytes
from nearbit.encoding.feature_cache import FeatureCache, FeatureStore
from nearbit.encoding.pipeline import Encoded, EncodeRequest, Finish, Reader, encode_source
from nearbit.encoding.preprocessing import AnyInput, Pixels, Preprocessing
from nearbit.encoding.session import Session
from nearbit.encoding.torch_backend import cache_key, encode_images, run_batches
from nearbit.encoding.versions import TORCH, deciding_versions
from nearbit.errors import InputError, MissingExtraError, NearbitError
from nearbit.files.writing import json_digest, read_checked, write_checked
from nearbit.progress import Progress, silent
from nearbit.threads import n_threads

Way = Literal["torch", "onnx"]
ENCODER = "NEARBIT_ENCODER"
NEEDED = ("onnx", "onnxscript", "onnxruntime")
WORTH_PIXELS = 2**24
"""From so many pixels on (334 images of 224 x 224) the seconds of making a network for ONNX Runtime pay."""
TOLERANCE = 1e-3
"""Largest difference of an output that a float32 network may have, relative to the root mean square of outputs."""
GRAINS = (1, 2, 4, 8)
"""Sides of the fields of noise that networks are compared on, in pixels."""


@dataclass(frozen=True)
class RowCaches:
    """The cached rows of one network, apart by what computed them.

    Attributes:
        store: holds the caches.
        kind: "features" or "outputs".
        what: names the network and its preprocessing.
        device: where it runs.
        view: what else tells rows from others.
    """

    store: FeatureStore
    kind: str
    what: str
    device: torch.device
    view: str = ""

    def of(self, way: Way) -> FeatureCache:
        """Return the cache of the rows that one way computed."""
        return self.store.rows(self.kind, _key(self.what, self.device, way) + self.view)


def _key(what: str, device: torch.device, way: Way) -> str:
    if way == "torch":
        return cache_key(what, device)
    return json_digest({"what": cache_key(what, device), "onnxruntime": version("onnxruntime")})


def chosen_way(
    takes: AnyInput, device: torch.device, n_rows: int, caches: RowCaches | None, digests: Sequence[str] | None
) -> Way:
    """Return how a network that no longer changes is to be run.

    By ONNX Runtime where it is installed, the device is the CPU, and there are so many images that making the network
    for it pays; not where PyTorch computed all the rows before. `NEARBIT_ENCODER` (auto, torch, onnx) overrules the
    last two.

    Args:
        takes: what the network is given.
        device: where it is to run.
        n_rows: images in all.
        caches: of its rows.
        digests: of the images, by which the rows are cached.

    Raises:
        InputError: `NEARBIT_ENCODER` names no way.
        MissingExtraError: it names ONNX Runtime, and that is not installed.
    """
    asked = os.environ.get(ENCODER, "").strip() or "auto"
    if asked not in ("auto", *get_args(Way)):
        raise InputError(f"{ENCODER} must be auto, torch or onnx, not {asked!r}: correct or unset it")
    absent = [name for name in NEEDED if find_spec(name) is None]
    if asked == "onnx" and absent:
        raise MissingExtraError(absent[0], "onnx", f"{ENCODER}=onnx")
    if asked == "torch" or absent or device.type != "cpu" or not isinstance(takes, Preprocessing):
        return "torch"
    if asked == "auto" and n_rows * takes.size**2 < WORTH_PIXELS:
        return "torch"
    is_known = caches is not None and digests is not None and not caches.of("torch").missing(digests)
    return "torch" if asked == "auto" and is_known else "onnx"


def encode_frozen(
    module: nn.Module,
    takes: AnyInput,
    request: EncodeRequest,
    *,
    what: str,
    device: torch.device,
    caches: RowCaches | None = None,
    way: Way | None = None,
    total: int | None = None,
    finish: Finish | None = None,
    keep: bool = False,
    reader: Reader | None = None,
    stage: str = "Encoding",
    progress: Progress = silent,
) -> Encoded:
    """Run images through a module that no longer changes, in order; see `encode_source`.

    Args:
        module: maps uint8 pixels `(n, 3, size, size)`, or float32 features, to `(n, width)`; on `device`.
        takes: what makes those pixels, or says how wide the features are.
        request: the images.
        what: names the module and its preprocessing: of equal names outputs are equal.
        device: where the module is and runs.
        caches: keep rows by content hash.
        way: what computes; None for `chosen_way`.
        total: how many images there are in all, where they come bit by bit.
        finish, keep, reader, stage, progress: see `encode_source`.
    """
    n_rows = len(request.rows) if total is None else total
    kind = way or chosen_way(takes, device, n_rows, caches, request.digests)
    session = None
    if kind == "onnx" and isinstance(takes, Preprocessing):
        session = session_of(module, takes, what, None if caches is None else caches.store.folder)
    asked: dict[str, Any] = {
        "finish": finish, "keep": keep, "reader": reader, "stage": stage, "progress": progress,
        "cache": None if caches is None else caches.of("torch" if session is None else "onnx"),
    }  # fmt: skip
    if session is None:
        return encode_images(module, takes, request, device=device, **asked)
    return encode_source(session.run, takes, request, **asked)


_sessions: "WeakKeyDictionary[nn.Module, tuple[str, Session | None]]" = WeakKeyDictionary()
"""What was made of modules in this process, by their names; None where a module cannot be exported."""


def session_of(module: nn.Module, takes: Preprocessing, what: str, folder: Path | None) -> Session | None:
    """Return a module in ONNX Runtime, made once and then kept, in `folder` too; None, with a warning, where it cannot.

    A network that is made is compared with the module on noise before it is kept.

    Args:
        module: on the CPU, in evaluation mode.
        takes: its preprocessing.
        what: names both.
        folder: of caches, or None.
    """
    known = _sessions.get(module)
    if known is None or known[0] != what:
        _sessions[module] = known = (what, _made(module, takes, what, folder))
    return known[1]


def _made(module: nn.Module, takes: Preprocessing, what: str, folder: Path | None) -> Session | None:
    made_by = deciding_versions((*TORCH, "onnx", "onnxscript"))
    name = json_digest({"what": what, "libraries": made_by})[:32]
    path = None if folder is None else folder / "networks" / f"{name}.onnx"
    content = None if path is None else read_checked(path)
    try:
        if content is not None:
            return _session(content, module, takes)
        content, session = _exported(module, takes)
    except Exception as error:  # noqa: BLE001 - exporters raise anything, and PyTorch runs what they cannot take
        warnings.warn(
            f"the network cannot be made for ONNX Runtime, so PyTorch encodes, more slowly: {_reason(error)}",
            stacklevel=2,
        )
        return None
    if path is not None:
        write_checked(path, content)
    return session


def network_of(module: nn.Module, takes: AnyInput) -> bytes | None:
    """Return a module as the content of an `.onnx` file, compared with it.

    None where `[onnx]` is not installed or it takes features; and, with a warning, where it cannot be exported.
    """
    if not isinstance(takes, Preprocessing) or any(find_spec(name) is None for name in NEEDED):
        return None
    try:
        return _exported(module, takes)[0]
    except Exception as error:  # noqa: BLE001 - exporters raise anything; the model is whole without
        warnings.warn(f"the model holds no network for ONNX Runtime: {_reason(error)}", stacklevel=2)
        return None


def _exported(module: nn.Module, takes: Preprocessing) -> tuple[bytes, Session]:
    """Return a module for ONNX Runtime; raise anything where it cannot be exported or computes something else."""
    content = module_bytes(module, takes.takes)
    session = _session(content, module, takes)
    _compare(session, module, takes)
    return content, session


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _session(content: bytes, module: nn.Module, takes: Preprocessing) -> Session:
    with torch.no_grad():
        width = int(module.eval()(torch.from_numpy(_noise(takes.size)[:1])).shape[1])
    return Session(content, takes=takes.takes, n_outputs=width, threads=n_threads())


def _compare(session: Session, module: nn.Module, takes: Preprocessing) -> None:
    """Raise `NearbitError` unless both give the same outputs, but for rounding."""
    noise = _noise(takes.size)
    before = run_batches(module, noise, torch.device("cpu")).astype(np.float64)
    difference = float(np.abs(before - session.run(noise)).max())
    allowed = TOLERANCE * float(np.sqrt(np.mean(np.square(before))))
    if not difference <= allowed:
        raise NearbitError(f"its outputs differ by {difference:.3g}, allowed are {allowed:.3g}")


def _noise(size: int) -> Pixels:
    """Return noise of several grains as pixels uint8 `(8, 3, size, size)`; always the same."""
    rng = np.random.default_rng(0)
    images = []
    for grain in GRAINS:
        side = -(-size // grain)
        fields = rng.integers(0, 256, (2, 3, side, side), dtype=np.uint8)
        images.append(fields.repeat(grain, axis=2).repeat(grain, axis=3)[:, :, :size, :size])
    return np.ascontiguousarray(np.concatenate(images))
