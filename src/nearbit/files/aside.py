"""Names for what is not complete yet, beside its target: they say who writes, so that what the dead left is removed."""

import hashlib
import os
import platform
import re
import shutil
import uuid
from pathlib import Path


def beside(path: Path) -> Path:
    """Return a name beside `path` for what is not complete, which says who writes it: the machine and the process."""
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def moved_away(path: Path) -> list[tuple[Path, bool]]:
    """Return the folders that writers of `path` moved away from there, and whether each of those writers runs."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.([0-9a-f]{{8}})-(\d+)-[0-9a-f]{{8}}\.old", re.DOTALL)
    try:
        others = sorted(path.parent.iterdir())
    except OSError:  # no such folder, or one that may not be listed: nothing is known to lie in it
        return []
    found = [(other, pattern.fullmatch(other.name)) for other in others]
    return [(other, match[1] != _machine() or _runs(int(match[2]))) for other, match in found if match is not None]


def remove_orphans(folder: Path, name: str | None = None) -> None:
    """Remove what writers on this machine that run no more left unfinished: of one target, or of all in a folder.

    A folder that was moved away stays for as long as nothing stands in its place.
    """
    target = ".+" if name is None else re.escape(name)
    pattern = re.compile(rf"\.({target})\.{_machine()}-(\d+)-[0-9a-f]{{8}}\.(tmp|old)", re.DOTALL)
    for other in folder.iterdir():
        found = pattern.fullmatch(other.name)
        if found is None or _runs(int(found[2])) or (found[3] == "old" and not (folder / found[1]).exists()):
            continue
        remove(other)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, as far as that is possible: it is a leftover."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _runs(process: int) -> bool:
    if os.name == "nt":  # there os.kill would end the process, so nothing counts as left behind
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
