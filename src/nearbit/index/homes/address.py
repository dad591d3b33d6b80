"""Addresses of indexes in a server: `postgresql://me@db.example/photos?index=birds`. Passwords are not shown."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Self, final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from nearbit.errors import InputError
from nearbit.given import path_of

_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]+:/|file:")
""""postgresql://…", "s3://…"; `Path` makes ":/" of "://". One letter alone is a drive."""

_SECRET = re.compile(r"(?i)pass|token|secret|pwd")
"""Parameters of an address whose values are never shown."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
DEFAULT_NAME = "nearbit"


@final
@dataclass(frozen=True)
class Address:
    """Where in a server an index lies. `str()` of it is safe to show: it holds no password.

    Attributes:
        scheme: the engine, in lower case.
        url: what reaches the server, without the parameters that are ours; may hold a password.
        name: what the index is called there (`?index=NAME`).
        folder: from where the relative paths of its items are seen here (`?folder=/mnt/photos`); None for where the
            index says.
        options: the other parameters, by name; a home takes what it knows out of them.
    """

    scheme: str
    url: str = field(repr=False)
    name: str = DEFAULT_NAME
    folder: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Return the address in a text; raise `InputError` where it is none, or one with a name that no index has."""
        try:
            parts = urlsplit(text)
            given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except ValueError:
            raise InputError(
                f"{_scheme_of(text)}://… is no address: expected SCHEME://USER@HOST/DATABASE?index=NAME"
            ) from None
        if "@" in parts.path + parts.fragment or ("@" in parts.query and "@" not in parts.netloc):
            raise InputError(
                f"{_scheme_of(text)}://… has an @ behind its host: write the characters / ? # of a user or a password "
                "as %2F %3F %23, and @ elsewhere as %40"
            )
        name, folder = given.pop("index", DEFAULT_NAME), given.pop("folder", None)
        if not _NAME.fullmatch(name):
            raise InputError(
                f"index={name!r} names no index: expected a small letter, then up to 39 small letters, digits or _"
            )
        url = f"{parts.scheme}://{parts.netloc}{parts.path}"
        return cls(parts.scheme, url, name, None if folder is None else Path(folder), MappingProxyType(given))

    def at(self, folder: Path) -> Self:
        """Return the address with a folder from which paths are seen, where it names none itself."""
        return self if self.folder is not None else replace(self, folder=folder)

    def __str__(self) -> str:
        """Return the address without a password; it can be given to a command again."""
        parts = urlsplit(self.url)
        user, at, host = parts.netloc.rpartition("@")
        shown = {key: value for key, value in self.options.items() if not _SECRET.search(key)}
        shown |= {"index": self.name} | ({} if self.folder is None else {"folder": str(self.folder)})
        query = urlencode(shown, quote_via=quote, safe="/")
        return f"{self.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}?{query}"

    def __reduce__(self) -> tuple[type["Address"], tuple[object, ...]]:
        """Return how it goes to another process, such as a worker of the service."""
        return Address, (self.scheme, self.url, self.name, self.folder, dict(self.options))


Place = Path | Address
"""Where an index lies: its file, or its address in a server."""


def is_address(text: str) -> bool:
    """Return whether other programs take a text as the name of a database, and not of a file."""
    return bool(_ADDRESS.match(text))


def place_of(place: str | Path | Address) -> Place:
    """Return where an index lies, of what names it.

    Raises:
        InputError: no path, an empty text, ":memory:", a text that is no address though it looks like one, or a `Path`
            of one.
    """
    if isinstance(place, Address):
        return place
    text = os.fspath(place) if isinstance(place, os.PathLike) else place
    if isinstance(text, str) and is_address(text) and isinstance(place, str) and not text.lower().startswith("file:"):
        return Address.parsed(text)
    if isinstance(text, str) and (is_address(text) or text.startswith(":memory:") or not text):
        shown = f"{_scheme_of(text)}:…" if is_address(text) else repr(text)
        raise InputError(
            f"an index is a file or lies at an address: expected its path, or the address as a str, not {shown}; "
            "without a file, for as long as it is open: create_index(None, n_bits=…)"
        )
    return path_of("path", place)


def _scheme_of(text: str) -> str:
    return text.partition(":")[0].lower()
