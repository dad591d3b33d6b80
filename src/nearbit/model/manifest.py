"""Model folders and their manifest, `bundle.json`: it is checked first, then the hash of each file that is read."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from nearbit.encoding.preprocessing import Preprocessing
from nearbit.errors import BundleError, NearbitError
from nearbit.files.writing import json_digest, restore_folder, sha256_of
from nearbit.json_text import parse_json

Opened = TypeVar("Opened")

TRAINED, EXPORTED = "nearbit-model", "nearbit-onnx"
"""The kinds of folders: a trained model, and a network exported for ONNX Runtime."""

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


def class_names(folder: Path, description: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes; raise `BundleError` unless they are a list of texts."""
    names = description.get("classes")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BundleError(f"{folder}: bundle.json must name the classes in a list of texts")
    return tuple(names)


def check_files(folder: Path, files: dict[str, str], known: Collection[str]) -> None:
    """Raise `BundleError` where a model names files that no model has, such as paths outside its folder."""
    unknown = sorted(set(files) - set(known))
    if unknown:
        raise BundleError(f"{folder}: bundle.json names {unknown[0]!r}, which is no file of a model")


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


def check_size(folder: Path, preprocessing: Preprocessing) -> None:
    """Raise `BundleError` where the sizes of images are no whole numbers, or so large that they ask for all memory."""
    for value in (preprocessing.size, preprocessing.resize):
        if not isinstance(value, int) or isinstance(value, bool) or value > LARGEST_SIDE:
            raise BundleError(f"{folder}: image sizes must be whole numbers up to {LARGEST_SIDE}, not {value!r}")
