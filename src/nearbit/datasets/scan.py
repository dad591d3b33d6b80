"""The files below a folder that may be images, in one fixed order, whatever people keep in their folders."""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from nearbit.datasets.dataset import Problem
from nearbit.errors import DataError
from nearbit.names import escaped

_TEXT = "txt csv tsv json jsonl md rst html htm xml yaml yml toml ini cfg log pdf doc docx xls xlsx py ipynb sh js css"
_DATA = "db npy npz mat pkl h5 hdf5 parquet safetensors pt pth onnx index lst zip tar gz tgz bz2 xz 7z rar md5 sha256"
_OTHER = "mp3 wav mp4 mov avi mkv webm url lnk tmp part"

SIDE_SUFFIXES = frozenset(f".{suffix}" for words in (_TEXT, _DATA, _OTHER) for suffix in words.split(" "))
"""Suffixes of files that are plainly not images: passed over without a word."""

_PICTURE = re.compile(r"\.(jpe?g|jfif|png|bmp|gif|tiff?|webp|ppm|pgm|jp2|avif|heic)$", re.IGNORECASE)

NOT_UTF8 = "its name is not UTF-8: rename it"
"""Why such a file is skipped: its name could be a key neither in JSON nor in a database."""

SIDE_NAMES = frozenset({"readme", "license", "licence", "notice", "makefile", "changelog", "copying", "authors"})


SIDE_FOLDERS = frozenset({
    "__macosx", "@eadir", "#recycle", "@recycle", "$recycle.bin", "system volume information", "lost+found",
})  # fmt: skip
"""Folders that systems, archives and disk stations put beside people's own: passed over without a word."""


def is_picture(path: str) -> bool:
    """Say whether a path ends as names of pictures do."""
    return _PICTURE.search(path) is not None


@dataclass
class Scan:
    """What a folder holds: paths below it with "/" between their parts, sorted, and what was skipped."""

    paths: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def scan_folder(root: Path) -> Scan:
    """List every file below `root` that may be an image.

    Hidden files and folders, `SIDE_FOLDERS`, and files of `SIDE_SUFFIXES` and `SIDE_NAMES`, are passed over. Symbolic
    links are followed; one that leads back into a folder above it is listed as a problem, as are folders that may not
    be read and names that are not UTF-8 (they could not be written in JSON).

    Returns:
        paths and folders sorted by their text; deterministic.

    Raises:
        DataError: `root` is not there or is not a folder.
    """
    if not root.is_dir():
        raise DataError(f"{root}: " + ("not a folder" if root.exists() else "no such folder"))
    found = Scan()
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset({_identity(root)}))]
    while waiting:
        folder, above = waiting.pop()
        for name in _names_in(root, folder, found):
            path = f"{folder}/{name}" if folder else name
            if _is_readable_name(path, found) and _is_folder(root / path):
                inside = _identity(root / path)
                if inside in above:
                    found.problems.append(Problem(path, "a symbolic link to a folder that holds it"))
                    continue
                found.folders.append(path)
                waiting.append((path, above | {inside}))
            elif is_utf8(path) and may_be_image(name):
                found.paths.append(path)
    found.paths.sort()
    found.folders.sort()
    found.problems.sort(key=lambda problem: problem.path)
    return found


def may_be_image(name: str) -> bool:
    """Say whether a file of this name is read as an image: all but those that are plainly something else."""
    lower = PurePath(name.lower())
    return lower.suffix not in SIDE_SUFFIXES and lower.stem not in SIDE_NAMES


def _names_in(root: Path, folder: str, found: Scan) -> list[str]:
    try:
        names = sorted(entry.name for entry in (root / folder).iterdir())
        return [name for name in names if not name.startswith(".") and name.lower() not in SIDE_FOLDERS]
    except OSError as error:
        found.problems.append(Problem(folder or ".", f"a folder that cannot be read: {error.strerror}"))
        return []


def _is_readable_name(path: str, found: Scan) -> bool:
    if is_utf8(path):
        return True
    found.problems.append(Problem(escaped(path), NOT_UTF8))
    return False


def is_utf8(path: str) -> bool:
    """Say whether a path can be written as UTF-8: the names of some files cannot."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
