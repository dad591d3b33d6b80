"""Folders under a sealed description, `bundle.json`: it is checked first, then the hash of each file that is read."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.errors import BundleError
from nearbit.files import json_digest
from nearbit.preprocessing import Preprocessing

TRAINED, EXPORTED = "nearbit-model", "nearbit-onnx"
"""The kinds of folders: a trained model, and a network exported for ONNX Runtime."""

LARGEST_SIDE = 8192
"""Side of an image, in pixels, above which a model's preprocessing is refused."""


def seal(description: dict[str, Any]) -> dict[str, Any]:
    """Return a description as JSON will hold it (keys are texts there), with its own SHA-256 under "digest"."""
    written: dict[str, Any] = json.loads(json.dumps(description))
    return written | {"digest": json_digest(written)}


def read_description(folder: Path, kind: str, version: int) -> dict[str, Any]:
    """Return what `bundle.json` says, after checking that this nearbit can read it and that it was not altered.

    Args:
        folder: where it lies.
        kind: what it must describe.
        version: the format version that this nearbit reads.

    Raises:
        BundleError: no model, of another kind, of a newer format, or altered.
    """
    description = _described(folder)
    path = folder / "bundle.json"
    if description.get("kind") != kind:
        raise BundleError(f"{path} does not describe a nearbit model{_instead(description.get('kind'))}")
    if description.get("format_version") != version:
        raise BundleError(
            f"{folder} has the model format {description.get('format_version')!r}; this nearbit reads up to "
            f"{version}: update nearbit"
        )
    if description.pop("digest", None) != json_digest(description):
        raise BundleError(f"{path} was altered or damaged: its content is not what its digest says")
    return description


def kind_of(folder: Path) -> object:
    """Return the kind that `bundle.json` names, not checked any further; see `read_description` for what is raised."""
    return _described(folder).get("kind")


def _described(folder: Path) -> dict[str, Any]:
    path = folder / "bundle.json"
    if not path.is_file():
        raise BundleError(
            f"there is no model at {folder}: expected a folder with a bundle.json, as `nearbit train` writes"
        )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if not isinstance(description, dict):
        raise BundleError(f"{path} does not describe a nearbit model")
    return description


def _instead(kind: object) -> str:
    if kind == EXPORTED:
        return " but a network exported for ONNX Runtime: name the model folder that it was exported from"
    if kind == TRAINED:
        return " exported for ONNX Runtime but the trained one: export it first (nearbit export)"
    return ""


def check_files(folder: Path, files: dict[str, str], known: Collection[str]) -> None:
    """Raise `BundleError` where a model names files that no model has, such as paths outside its folder."""
    unknown = sorted(set(files) - set(known))
    if unknown:
        raise BundleError(f"{folder}: bundle.json names {unknown[0]!r}, which is no file of a model")


def checked_bytes(folder: Path, files: dict[str, str], name: str) -> bytes:
    """Return the content of one file; raise `BundleError` where it is missing or not the one that was saved."""
    path = folder / name
    try:
        if not path.is_file():
            raise BundleError(f"{path} is missing")
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != files.get(name):
        raise BundleError(f"{path} was altered or damaged: its SHA-256 is not the one in bundle.json")
    return content


def check_signs(folder: Path, name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raise `BundleError` unless an array read from `name`.npy is int8 of this shape and holds -1 and +1 only."""
    if not isinstance(array, np.ndarray) or array.dtype != np.int8 or array.shape != shape:
        came = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise BundleError(f"{folder / name}.npy must be int8 {shape}, not {came}")
    if not np.isin(array, (-1, 1)).all():
        raise BundleError(f"{folder / name}.npy must hold -1 and +1 only")


def check_size(folder: Path, preprocessing: Preprocessing) -> None:
    """Raise `BundleError` where the sizes of images are no whole numbers, or so large that they ask for all memory."""
    for value in (preprocessing.size, preprocessing.resize):
        if not isinstance(value, int) or value > LARGEST_SIDE:
            raise BundleError(f"{folder}: image sizes must be whole numbers up to {LARGEST_SIDE}, not {value!r}")
