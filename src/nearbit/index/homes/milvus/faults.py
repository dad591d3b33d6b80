"""What Milvus's errors mean, in plain words; passwords and tokens are left out."""

import re

import grpc
from pymilvus.exceptions import MilvusException

from nearbit.errors import IndexFileError
from nearbit.index.homes.address import Address

NOTHING = "nothing more was changed"

LOST = (grpc.RpcError, grpc.FutureTimeoutError)
"""What else the client raises where a channel is lost."""

_LOADING = (
    r"collection not loaded|not fully loaded|collection on recovering|channel not available|no available|node offline"
)

_WORDS: tuple[tuple[str, str], ...] = (
    (
        r"auth check failure|unauthenticated|UNAUTHENTICATED|invalid (user|password|credential)",
        "the server refuses this user; name one in the address, or its token (user:password) in MILVUS_TOKEN",
    ),
    (
        r"PrivilegeRename|PERMISSION_DENIED|permission deny|privilege",
        f"this user may not do that; {NOTHING}: let an administrator grant it (a writer also renames collections), or "
        "name another user",
    ),
    (
        r"database not found|DatabaseNotFound",
        "the server has no such database; make it (create_database), or name another",
    ),
    (
        r"deny to write|quota|memory (quota|limit)|disk quota|rate ?limit",
        f"the server takes no writes now (its memory, disk or rate is used up); {NOTHING}: make room, then do it again",
    ),
    (
        _LOADING,
        "the server has not loaded it (it was just started, or it was released); wait, or open it again",
    ),
    (
        r"collection not found|can't find collection",
        "a collection of it is gone; restore it from a backup, or copy the index there again",
    ),
)
"""By what the message says; the first that fits."""

_AWAY = re.compile(
    r"UNAVAILABLE|DEADLINE|Fail connecting|server unavailable|Retry timeout|closed channel|Retry run out"
)
_SECRET = re.compile(r"//[^/@\s]*@")


def plain_error(address: Address, error: Exception) -> IndexFileError:
    """Return an error of pymilvus in plain words."""
    said = _gist(error)
    for pattern, words in _WORDS:
        if re.search(pattern, said):
            return IndexFileError(f"the index {address} cannot be used: {words} (Milvus says: {said})")
    if _AWAY.search(said) or isinstance(error, LOST):
        return IndexFileError(
            f"the server of {address} cannot be reached: {said}; see that it runs and that host and port are right, "
            "then do it again"
        )
    return IndexFileError(f"the index {address} cannot be used: Milvus says: {said}; {NOTHING}")


def is_loading(error: MilvusException) -> bool:
    """Return whether an error says that the collection is not loaded (yet)."""
    return re.search(_LOADING, str(error.message)) is not None


def _gist(error: Exception) -> str:
    said = str(error.message) if isinstance(error, MilvusException) else str(error)
    return _SECRET.sub("//", " ".join(said.split()))[:240]
