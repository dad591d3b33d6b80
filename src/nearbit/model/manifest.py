"""Model folders and their manifest, `bundle.json`: checked first, then hash and form of each file that is read."""

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nearbit.encoding.preprocessing import AnyInput, FeatureInput
from nearbit.errors import BundleError, NearbitError
from nearbit.files.writing import json_digest, restore_folder, sha256_of
from nearbit.json_text import parse_json

Opened = TypeVar("Opened")

TRAINED, EXPORTED = "nearbit-model", "nearbit-onnx"
"""The kinds of folders: a trained model, and a network exported for ONNX Runtime."""

NETWORK = "network.onnx"
"""The network for ONNX Runtime: of every exported one, and of a trained model that was given one."""
SPLIT = "split.json"
"""What a trained model was trained, validated and measured on, where that is known."""
SEEN = "seen.json"
"""What its backbone had seen before, in other models, where it began with the backbone of one."""

FORMAT_VERSIONS = {TRAINED: 1, EXPORTED: 1}
"""The format of each kind that this nearbit writes and reads."""

FIELDS = {"model_id": str, "n_bits": int, "files": dict}
"""What every manifest says beside the classes, whatever its kind."""

LARGEST_SIDE = 8192
"""Side of an image, in pixels, above which a model's preprocessing is refused."""

LARGEST_DESCRIPTION = 32 * 2**20
"""Bytes of a `bundle.json` above which it is refused."""

ALTERED = "was altered or damaged: its SHA-256 is not the one in bundle.json"

SOON_HASHED = 2**28
"""Bytes whose hash takes a fraction of a second."""

UNFIT = (
    NearbitError, ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
"""What building something of a description raises that does not describe it."""

TRIES = 5
"""How often a folder is opened anew that is replaced while it is read."""

HEADER_BYTES = 512
"""The beginning of an .npy file that is looked at: NumPy writes headers of 128 bytes."""

HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<dtype>[<|][biuf][1248])', 'fortran_order': (?:False|True), "
    rb"'shape': \((?P<shape>(?:[0-9]{1,18},? ?){0,4})\), \} *\n",
    re.DOTALL,
)


def with_digest(description: dict[str, Any]) -> dict[str, Any]:
    """Return a description as JSON will hold it (keys are texts there), with its own SHA-256 under "digest"."""
    written: dict[str, Any] = json.loads(json.dumps(description))
    return written | {"digest": json_digest(written)}


def read_manifest(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """Return what `bundle.json` says, after checking that this nearbit can read it and that it was not altered.

    Args:
        folder: where it lies.
        kind: what it must describe; None for either kind.

    Raises:
        BundleError: no model, of another kind, of a newer format, altered, or without what every manifest says.
    """
    description = described(folder)
    path, found = folder / "bundle.json", str(description.get("kind"))
    if found not in ((TRAINED, EXPORTED) if kind is None else (kind,)):
        raise BundleError(f"{path} does not describe a nearbit model{_instead(found)}")
    version = FORMAT_VERSIONS[found]
    if description.get("format_version") != version:
        raise BundleError(
            f"{folder} has the model format {description.get('format_version')!r}; this nearbit reads up to "
            f"{version}: update nearbit"
        )
    try:
        digest = json_digest({key: value for key, value in description.items() if key != "digest"})
    except (RecursionError, MemoryError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: it is nested too deeply or too large ({error})") from error
    if description.pop("digest", None) != digest:
        raise BundleError(f"{path} was altered or damaged: its content is not what its digest says")
    for name, form in FIELDS.items():
        if not isinstance(description.get(name), form):
            raise BundleError(f"{path} does not describe a nearbit model: it names no {name}, or one that cannot be")
    class_names(folder, description)
    return description


def opened_whole(folder: Path, read: Callable[[], Opened]) -> Opened:
    """Return what `read` makes of a folder: of the old one or of the new one where it is replaced meanwhile.

    Raises:
        BundleError: what `read` raises of a folder that stayed the same.
    """
    for _ in range(TRIES):
        before = _version(folder)
        try:
            return read()
        except BundleError:
            if _version(folder) == before:
                raise
    return read()


def _version(folder: Path) -> tuple[int, ...] | None:
    try:
        found = (folder / "bundle.json").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def kind_of(folder: Path) -> object:
    """Return the kind that `bundle.json` names, not checked any further; see `read_manifest` for what is raised."""
    return described(folder).get("kind")


def described(folder: Path) -> dict[str, Any]:
    """Return what `bundle.json` says, not checked any further; raise `BundleError` where it cannot be read."""
    path = folder / "bundle.json"
    restore_folder(folder)
    if not path.is_file():
        raise BundleError(
            f"there is no model at {folder}: expected a folder with a bundle.json, as `nearbit train` writes"
        )
    try:
        with open(path, "rb") as handle:
            content = handle.read(LARGEST_DESCRIPTION + 1)
    except (OSError, MemoryError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if len(content) > LARGEST_DESCRIPTION:
        raise BundleError(f"{path} cannot be read: no description has more than {LARGEST_DESCRIPTION >> 20} MiB")
    description = parse_json(content, f"{path} cannot be read: it", BundleError)
    if not isinstance(description, dict):
        raise BundleError(f"{path} does not describe a nearbit model")
    return description


def _instead(kind: str) -> str:
    if kind == EXPORTED:
        return " but a network exported for ONNX Runtime: name the model folder that it was exported from"
    if kind == TRAINED:
        return " exported for ONNX Runtime but the trained one: export it first (nearbit export)"
    return ""


def tuning_figures(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a model's record says of the first of two steps, without its epochs; None where there was one."""
    tuning = record.get("tuning")
    if not isinstance(tuning, dict):
        return None
    return {name: value for name, value in tuning.items() if name != "history"}


def regime_of(record: Mapping[str, Any]) -> Any:
    """Return what a model's record says was trained, for people; None where it says nothing.

    In two steps the record's own "regime" is that of the second one, whose backbone is frozen.
    """
    return "two-step" if isinstance(record.get("tuning"), dict) else record.get("regime")


def class_names(folder: Path, description: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes; raise `BundleError` unless they are a list of texts."""
    names = description.get("classes")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BundleError(f"{folder}: bundle.json must name the classes in a list of texts")
    return tuple(names)


def check_target(path: Path) -> None:
    """Raise `BundleError` where something else than a model stands at `path`, which a new model must not replace."""
    restore_folder(path)
    if path.exists() and not (path / "bundle.json").is_file():
        raise BundleError(f"{path} stands and is not a model folder: choose another name")


def check_files(folder: Path, files: dict[str, str], known: Collection[str]) -> None:
    """Raise `BundleError` where a model names files that no model has, such as paths outside its folder."""
    unknown = sorted(set(files) - set(known))
    if unknown:
        raise BundleError(
            f"{folder}: bundle.json names {unknown[0]!r}, which is no file of a model that this nearbit knows: update"
        )


def checked_bytes(folder: Path, files: dict[str, str], name: str) -> bytes:
    """Return the content of one file; raise `BundleError` where it is missing or not the one that was saved.

    A link is followed, wherever it leads: what is read there has the SHA-256 that the description says, or is refused.
    """
    path = folder / name
    try:
        if not path.is_file():
            raise BundleError(f"{path} is missing")
        content = path.read_bytes()
    except (OSError, MemoryError) as error:
        raise BundleError(f"{path} cannot be read: {error or 'it does not fit into memory'}") from error
    if hashlib.sha256(content).hexdigest() != files.get(name):
        raise BundleError(f"{path} {ALTERED}")
    return content


@contextmanager
def or_damaged(folder: Path, files: dict[str, str], name: str) -> Iterator[None]:
    """Let an error about what a file says of itself say that the file is damaged, where it is not the one saved.

    A file so large that this would take long keeps its first error.
    """
    try:
        yield
    except BundleError as error:
        path = folder / name
        if path.is_file() and path.stat().st_size <= SOON_HASHED and sha256_of(path) != files.get(name):
            raise BundleError(f"{path} {ALTERED}") from error
        raise


def check_size(folder: Path, preprocessing: AnyInput) -> None:
    """Raise `BundleError` where the sizes of images are no whole numbers, or so large that they ask for all memory."""
    if isinstance(preprocessing, FeatureInput):
        return
    for value in (preprocessing.size, preprocessing.resize):
        if not isinstance(value, int) or isinstance(value, bool) or value > LARGEST_SIDE:
            raise BundleError(f"{folder}: image sizes must be whole numbers up to {LARGEST_SIDE}, not {value!r}")


def declared(folder: Path, files: dict[str, str], name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return the type and the shape that an .npy file says it holds, without reading its values.

    Raises:
        BundleError: it is missing, no .npy file, or has not as many bytes as it says.
    """
    if not (folder / name).is_file():
        raise BundleError(f"{folder / name} is missing")
    with or_damaged(folder, files, name):
        return _declared(folder / name)


def _declared(path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    with open(path, "rb") as handle:
        start = handle.read(HEADER_BYTES)
        size = os.fstat(handle.fileno()).st_size
    found = HEADER.match(start)
    if found is None:
        raise BundleError(f"{path} is not an array that nearbit wrote: it begins with other bytes")
    dtype = np.dtype(found["dtype"].decode())
    shape = tuple(int(side) for side in found["shape"].replace(b" ", b"").split(b",") if side)
    if found.end() + math.prod(shape) * dtype.itemsize != size:
        raise BundleError(f"{path} has not the values that it says: {dtype} {shape}")
    return dtype, shape


def read_array(folder: Path, files: dict[str, str], name: str) -> npt.NDArray[Any]:
    """Return an array whose type and shape were found right in what is `declared`."""
    array: npt.NDArray[Any] = np.load(BytesIO(checked_bytes(folder, files, name)), allow_pickle=False)
    return array


def check_declared(
    folder: Path, files: dict[str, str], name: str, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> None:
    """Raise `BundleError` unless an .npy file says that it holds an array of this type and shape."""
    found = declared(folder, files, name)
    if found != (dtype, shape):
        with or_damaged(folder, files, name):
            raise BundleError(f"{folder / name} must be {dtype} {shape}, not {found[0]} {found[1]}")


def read_class_signs(folder: Path, files: dict[str, str], n_classes: int, n_bits: int) -> npt.NDArray[np.int8]:
    """Return the centers of a model: int8 `(n_classes, n_bits)`, or `(0, n_bits)` where its method has none."""
    none = declared(folder, files, "centers.npy")[1] == (0, n_bits)
    return read_signs(folder, files, "centers.npy", (0 if none else n_classes, n_bits))


def read_signs(folder: Path, files: dict[str, str], name: str, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """Return int8 -1 and +1 of this shape from the file `name`; raise `BundleError` for anything else."""
    check_declared(folder, files, name, np.dtype(np.int8), shape)
    array = read_array(folder, files, name)
    if array.dtype != np.int8 or array.shape != shape or not np.isin(array, (-1, 1)).all():
        raise BundleError(f"{folder / name} must hold -1 and +1 only")
    return array
