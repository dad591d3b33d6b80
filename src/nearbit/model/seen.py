"""The images that the backbone of a model has seen: those of its own split, and those of the models it began with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearbit.datasets import Split, load_split
from nearbit.errors import BundleError
from nearbit.files.writing import write_json
from nearbit.json_text import parse_json
from nearbit.model.manifest import SEEN, SPLIT, checked_bytes

FORMAT = "nearbit seen images"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class SeenImages:
    """Images by content, each the SHA-256 that a data set has for it.

    Attributes:
        trained: those that weights were trained on.
        validated: those that chose among weights, such as the epoch.
    """

    trained: frozenset[str] = frozenset()
    validated: frozenset[str] = frozenset()

    def __or__(self, other: "SeenImages") -> "SeenImages":
        return SeenImages(trained=self.trained | other.trained, validated=self.validated | other.validated)

    def __sub__(self, other: "SeenImages") -> "SeenImages":
        return SeenImages(trained=self.trained - other.trained, validated=self.validated - other.validated)

    def __bool__(self) -> bool:
        return bool(self.trained or self.validated)

    def save(self, path: Path) -> None:
        """Write them as JSON, whole or not at all."""
        parts = {"trained": sorted(self.trained), "validated": sorted(self.validated)}
        write_json(path, {"format": FORMAT, "version": VERSION, **parts}, indent=None)


NONE_SEEN = SeenImages()


def seen_in(split: Split | None) -> SeenImages:
    """Return what a run on a split sees; nothing where there is none."""
    if split is None:
        return NONE_SEEN
    parts = {"trained": split.train, "validated": split.validation}
    return SeenImages(**{name: frozenset(split.digests[row] for row in rows) for name, rows in parts.items()})


def read_split(folder: Path, files: dict[str, str], split_hash: object) -> Split | None:
    """Return the split of a model folder, if it has one; raise `BundleError` where it is not the one that is named."""
    split = None
    if SPLIT in files:
        checked_bytes(folder, files, SPLIT)
        split = load_split(folder / SPLIT)
    if (None if split is None else split.hash) != split_hash:
        raise BundleError(f"{folder}: the split is not the one that bundle.json names")
    return split


def read_seen(folder: Path, files: dict[str, str]) -> SeenImages:
    """Return what the backbone had seen before the model's own split; nothing where the folder does not say."""
    if SEEN not in files:
        return NONE_SEEN
    path = folder / SEEN
    found = parse_json(checked_bytes(folder, files, SEEN), str(path), BundleError)
    if not isinstance(found, dict) or (found.get("format"), found.get("version")) != (FORMAT, VERSION):
        raise BundleError(f'{path}: expected {{"format": "{FORMAT}", "version": {VERSION}, …}}; update nearbit')
    return SeenImages(trained=_digests(path, found, "trained"), validated=_digests(path, found, "validated"))


def _digests(path: Path, found: dict[str, Any], name: str) -> frozenset[str]:
    digests = found.get(name)
    if not isinstance(digests, list) or not all(isinstance(digest, str) for digest in digests):
        raise BundleError(f"{path}: {name} must be a list of texts")
    return frozenset(digests)
