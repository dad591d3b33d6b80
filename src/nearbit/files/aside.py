"""What is made beside its target until it is complete, and the one step in which it takes the target's place.

The names of what is not complete say who writes, so that what the dead left is removed.
"""

import ctypes
import errno
import hashlib
import os
import platform
import re
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

AT_FDCWD, EXCHANGE, MAC_SWAP = -100, 2, 2
SYSTEM_CALLS = {"x86_64": 316, "aarch64": 276, "riscv64": 276}
"""Numbers of renameat2 on Linux, for C libraries that do not name it."""

UNKNOWN = {errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What a kernel, a sandbox or a file system answers that cannot exchange two names."""

PATIENCE = 2.0
"""Seconds that a reader waits for a living writer to end the step for which the system needs two."""


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
    for other, target, is_old in _orphans(folder, name):
        if not is_old or (folder / target).exists():
            remove(other)


def left_behind(path: Path) -> list[Path]:
    """Return what writers of `path` on this machine that run no more left unfinished: files only."""
    if not path.parent.is_dir():
        return []
    return sorted(other for other, _, is_old in _orphans(path.parent, path.name) if not is_old and other.is_file())


def _orphans(folder: Path, name: str | None) -> Iterator[tuple[Path, str, bool]]:
    """Yield what the dead left in a folder: its path, the name of its target, and whether it was moved away."""
    target = ".+" if name is None else re.escape(name)
    pattern = re.compile(rf"\.({target})\.{_machine()}-(\d+)-[0-9a-f]{{8}}\.(tmp|old)", re.DOTALL)
    for other in folder.iterdir():
        found = pattern.fullmatch(other.name)
        if found is not None and not _runs(int(found[2])):
            yield other, found[1], found[3] == "old"


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


def put_in_place(new: Path, path: Path) -> None:
    """Let a complete folder take the place of `path`; the folder that stood there is removed, or lies at `new`.

    Where the system can exchange two names, `path` is at each instant the old or the new folder. Where it cannot, the
    old one is moved away first; a writer that is killed just then leaves it to `restore_folder`.
    """
    if not os.path.lexists(path):
        new.rename(path)
    elif not swap(new, path):
        _replace_in_two_steps(new, path)


def swap(one: Path, other: Path) -> bool:
    """Let two names change places in one step; return False where the system or the file system cannot do that."""
    exchange = _exchange_call()
    if exchange is None:
        return False
    ctypes.set_errno(0)
    if exchange(os.fsencode(one), os.fsencode(other)) == 0:
        return True
    number = ctypes.get_errno()
    if number in UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(other))


def restore_folder(path: Path) -> None:
    """Put back the folder that stood at `path`, where a writer was killed between the two steps of replacing it.

    Does nothing where something stands there. A writer that runs is given a while to finish.
    """
    deadline = time.monotonic() + PATIENCE
    while not os.path.lexists(path) and (found := moved_away(path)):
        dead = [other for other, runs in found if not runs]
        if not dead and time.monotonic() < deadline:
            time.sleep(0.02)
            continue
        try:
            (dead or [other for other, _ in found])[-1].rename(path)
        except FileNotFoundError:  # its writer has come back to it, or another reader was faster
            continue


def _replace_in_two_steps(new: Path, path: Path) -> None:
    replaced = new.with_suffix(".old")
    path.rename(replaced)
    try:
        new.rename(path)
    except BaseException:
        if not os.path.lexists(path):
            replaced.rename(path)
        raise
    remove(replaced)


def _exchange_call() -> Callable[[bytes, bytes], Any] | None:
    """Return what exchanges two names, given as bytes, and returns 0; None where this system has no such call."""
    if sys.platform not in ("linux", "darwin"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        named = getattr(library, "renamex_np", None)
        return None if named is None else lambda one, other: named(one, other, MAC_SWAP)
    named = getattr(library, "renameat2", None)
    if named is not None:
        return lambda one, other: named(AT_FDCWD, one, AT_FDCWD, other, EXCHANGE)
    number = SYSTEM_CALLS.get(platform.machine())
    if number is None:
        return None
    return lambda one, other: library.syscall(number, AT_FDCWD, one, AT_FDCWD, other, EXCHANGE)
