"""Files at addresses: `s3://bucket/x`, `gs://…`, `memory://…` by fsspec, and files of this machine; whole or absent.

An upload to an object store shows nothing before its last byte is there; on other systems it goes beside its place and
is renamed. `local:` and `file:` addresses, and plain paths, are files of this machine.
"""

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, final

from nearbit.errors import DataError, InputError, MissingExtraError, NearbitError
from nearbit.files.writing import behind_links, write_whole

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
"""`Path` makes ":/" of "://"; one letter alone is a drive."""

_HERE = ("file", "local")
OBJECT_STORES = frozenset(["s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "obs", "cos"])
"""Where an object is seen once it is whole, and a rename is a copy."""

_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
"""Under which names file systems say when a file was changed."""


def is_address(path: str | Path) -> bool:
    """Say whether a text is the address of a file that is reached by fsspec or `file://`, such as `s3://bucket/x`."""
    return _SCHEME.match(os.fspath(path)) is not None


def address_of(path: str | Path) -> str:
    """Return an address as it was written: `Path` takes one of its slashes away."""
    text = os.fspath(path)
    found = _SCHEME.match(text)
    if found is None:
        return text
    return f"{found[1]}://{'/' if found[1] in _HERE else ''}{text[found.end() :].lstrip('/')}"


@dataclass(frozen=True)
class Found:
    """What a file system says of a file: its length in bytes, and when it was changed (seconds), where it says so."""

    size: int
    modified: float | None


@final
@dataclass(frozen=True)
class FilePlace:
    """A file or a folder, at an address or on this machine; nothing is asked before a method is called.

    Every method raises `DataError` where the place cannot be reached, and `MissingExtraError` without its library.

    Attributes:
        text: the address or the path, without a "/" at its end.
        local: the path, on this machine; None elsewhere.
    """

    text: str
    local: Path | None

    @classmethod
    def of(cls, path: "str | Path | FilePlace") -> "FilePlace":
        """Return the place of an address or a path."""
        if isinstance(path, FilePlace):
            return path
        text = address_of(path)
        found = _SCHEME.match(text)
        if found is None:
            return cls(text.rstrip("/") or text, Path(text))
        if found[1] in _HERE:
            inner = text.removeprefix(f"{found[1]}:")
            inner = f"/{inner.lstrip('/')}"
            return cls(inner.rstrip("/"), Path(inner))
        if not text[found.end() :].strip("/"):
            raise InputError(f"{text!r} names no file or folder: expected such as {found[1]}://bucket/folder")
        return cls(text.rstrip("/"), None)

    def __str__(self) -> str:
        return self.text

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.text.rpartition("/")[2]

    @property
    def folder(self) -> "FilePlace":
        """The folder that it lies in."""
        if self.local is not None:
            return FilePlace.of(self.local.parent)
        return FilePlace(self.text.rpartition("/")[0], None)

    def child(self, name: str) -> "FilePlace":
        """Return a file below this folder."""
        return FilePlace.of(self.local / name) if self.local is not None else FilePlace(f"{self.text}/{name}", None)

    @cached_property
    def _system(self) -> tuple[Any, str]:
        """The file system of fsspec, and the path in it."""
        fsspec = _library()
        with reaching(self.text):
            return fsspec.core.url_to_fs(self.text)  # type: ignore[no-any-return]

    @property
    def _scheme(self) -> str:
        return self.text.partition(":")[0].lower()

    def checked(self) -> "FilePlace":
        """Return the place itself, after checking that there is a library for it; nothing is asked over the network."""
        if self.local is None:
            _ = self._system
        return self

    def found(self) -> Found | None:
        """Return length and time of a file; None where there is no such file."""
        if self.local is not None:
            with reaching(self.text):
                if not self.local.is_file():
                    return None
                facts = self.local.stat()
                return Found(facts.st_size, facts.st_mtime)
        system, inner = self._system
        with reaching(self.text):
            system.invalidate_cache()
            try:
                info = system.info(inner)
            except FileNotFoundError:
                return None
            return _found(info) if info["type"] == "file" else None

    def files(self) -> dict[str, Found]:
        """Return the files in this folder by name, sorted; nothing where there is no such folder."""
        if self.local is not None:
            with reaching(self.text):
                inside = sorted(self.local.iterdir()) if self.local.is_dir() else []
                stats = {one.name: one.stat() for one in inside if one.is_file()}
                return {name: Found(one.st_size, one.st_mtime) for name, one in stats.items()}
        system, inner = self._system
        with reaching(self.text):
            system.invalidate_cache()
            try:
                infos = system.ls(inner, detail=True)
            except FileNotFoundError:
                return {}
            named = {info["name"].rstrip("/").rpartition("/")[2]: info for info in infos if info["type"] == "file"}
            return {name: _found(named[name]) for name in sorted(named) if name}

    def matching(self) -> list["FilePlace"]:
        """Return the files whose addresses match this one, in which `*`, `?` and `[…]` stand for names, sorted."""
        if self.local is not None:
            with reaching(self.text):
                root = Path(self.local.anchor) if self.local.is_absolute() else Path()
                pattern = str(self.local.relative_to(root))
                return [FilePlace.of(file) for file in sorted(root.glob(pattern)) if file.is_file()]
        system, inner = self._system
        with reaching(self.text):
            system.invalidate_cache()
            return [FilePlace.of(system.unstrip_protocol(name)) for name in sorted(system.glob(inner))]

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open a file for reading, from anywhere in it."""
        if self.local is not None:
            with reaching(self.text):
                handle = open(self.local, "rb")  # noqa: SIM115  closed below
            with handle:
                yield handle
            return
        system, inner = self._system
        with reaching(self.text):
            remote = system.open(inner, "rb")
        with remote:
            yield remote

    def read(self, most: int) -> bytes:
        """Return the content of a file; raise `DataError` where it has more than `most` bytes."""
        with self.opened() as handle, reaching(self.text):
            content = handle.read(most + 1)
        if len(content) > most:
            raise DataError(f"{self.text}: has more than {most:,} bytes")
        return content

    def part(self, start: int, size: int) -> bytes:
        """Return `size` bytes of a file from `start` on, and fewer at its end."""
        if self.local is not None:
            with self.opened() as handle, reaching(self.text):
                handle.seek(start)
                return handle.read(size)
        system, inner = self._system
        with reaching(self.text):
            return bytes(system.cat_file(inner, start=start, end=start + size))

    def fill(self, write: Callable[[Path], None], *, over_database: bool = False) -> None:
        """Make or replace a file: `write` fills one on this machine, which then comes here, whole or not at all.

        On this machine a database is replaced only where that is asked for.
        """
        if self.local is not None:
            if not self.local.parent.is_dir():
                behind_links(self.local).parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.local, write, over_database=over_database)
            return
        self.checked()
        with tempfile.TemporaryDirectory(prefix="nearbit-") as folder:
            aside = Path(folder) / "whole"
            write(aside)
            self._upload(aside)

    def write(self, content: bytes) -> None:
        """Make or replace a file with this content, whole or not at all."""
        self.fill(lambda aside: _write(aside, content))

    def _upload(self, file: Path) -> None:
        system, inner = self._system
        size = file.stat().st_size
        with reaching(self.text):
            if self._scheme in OBJECT_STORES:
                system.put_file(str(file), inner)
            else:
                folder, _, name = inner.rpartition("/")
                aside = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}.tmp"
                try:
                    system.put_file(str(file), aside)
                    if system.exists(inner):
                        system.rm_file(inner)
                    system.mv(aside, inner)
                finally:
                    if system.exists(aside):
                        system.rm_file(aside)
        there = self.found()
        if there is None or there.size != size:
            came = "nothing" if there is None else f"{there.size:,} bytes"
            raise DataError(f"{self.text}: {size:,} bytes were sent, and {came} arrived: try again")

    def fetch(self, file: Path) -> None:
        """Copy a file to this machine, to a name where nothing stands that is needed."""
        with self.opened() as handle, reaching(self.text), open(file, "wb") as target:
            shutil.copyfileobj(handle, target, 2**22)

    def remove(self) -> None:
        """Remove a file; nothing happens where there is none."""
        if self.local is not None:
            with reaching(self.text):
                self.local.unlink(missing_ok=True)
            return
        system, inner = self._system
        with reaching(self.text):
            if system.exists(inner):
                system.rm_file(inner)


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


@contextmanager
def reaching(text: str) -> Iterator[None]:
    """Turn whatever a file system raises within the block into one error that names the address."""
    try:
        yield
    except NearbitError:
        raise
    except ImportError as error:
        raise InputError(f"{text}: fsspec lacks the library of such addresses: {_said(error)}") from error
    except FileNotFoundError as error:
        raise DataError(f"{text}: there is no such file or folder") from error
    except Exception as error:  # each kind of store has errors of its own, and an address that it cannot take is one
        raise DataError(f"{text}: cannot be reached: {_said(error)}") from error


def _said(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:200]


def _found(info: dict[str, Any]) -> Found:
    said = next((info[name] for name in _TIMES if info.get(name) is not None), None)
    return Found(int(info.get("size") or 0), _seconds(said))


def _seconds(said: Any) -> float | None:
    if isinstance(said, str):
        try:
            said = datetime.fromisoformat(said)
        except ValueError:
            return None
    if isinstance(said, datetime):
        return said.timestamp()
    return float(said) if isinstance(said, int | float) else None


def _library() -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError("fsspec", "remote", "a file at an address such as s3://…") from error
    return fsspec
