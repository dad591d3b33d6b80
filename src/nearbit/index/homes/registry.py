"""The homes that there are: which module opens an address, and what must be installed for it."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import final

from nearbit.errors import InputError, MissingExtraError
from nearbit.index.homes import embedded
from nearbit.index.homes.address import Address, Place
from nearbit.index.homes.contract import Opener


@final
@dataclass(frozen=True)
class Entry:
    """A home.

    Attributes:
        module: what opens it: an `Opener`.
        extra: the extra of nearbit that brings what it needs.
        package: what is imported from it.
        distribution: what that is called where it is installed from.
    """

    module: str
    extra: str
    package: str
    distribution: str


_POSTGRESQL = Entry("nearbit.index.homes.postgresql.opening", "postgresql", "psycopg", "psycopg")

_MILVUS = Entry("nearbit.index.homes.milvus.opening", "milvus", "pymilvus", "pymilvus")

HOMES: dict[str, Entry] = {"postgresql": _POSTGRESQL, "postgres": _POSTGRESQL, "milvus": _MILVUS}
"""By the scheme of an address."""


def opener_of(address: Address) -> Opener:
    """Return what opens an address.

    Raises:
        InputError: no home has this scheme.
        MissingExtraError: what the home needs is not installed.
    """
    entry = HOMES.get(address.scheme)
    if entry is None:
        known = ", ".join(f"{scheme}://" for scheme in HOMES)
        raise InputError(
            f"no index can lie at {address.scheme}://…: an index is a file, or lies at one of {known}; name its path, "
            "or another address"
        )
    if find_spec(entry.package) is None:
        raise MissingExtraError(entry.distribution, entry.extra, f"an index at {address.scheme}://")
    opener: Opener = import_module(entry.module)
    return opener


def exists(place: Place) -> bool:
    """Return whether there is something at a place: a file that is not blank, or an index in a server, which is asked.

    Raises:
        IndexFileError: a file that cannot be read, or is no SQLite file at all.
    """
    return opener_of(place).exists(place) if isinstance(place, Address) else embedded.exists(place)
