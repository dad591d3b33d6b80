"""To whom a request is addressed, and from which page it comes: names and ports, compared as a whole."""

import re
from collections.abc import Sequence
from typing import final

from nearbit.service.settings import ServiceOptions

_AUTHORITY = re.compile(r"([a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"(https?)://(.+)")
DEFAULT_PORTS = {"http": 80, "https": 443}

Authority = tuple[str, int | None]


def authority_of(text: str) -> Authority | None:
    """Return the name, in lower case, and the port, if there is one, of a Host header; None where it is more."""
    found = _AUTHORITY.fullmatch(text.lower())
    if found is None or (found[2] is not None and int(found[2]) > 65_535):
        return None
    return found[1], None if found[2] is None else int(found[2])


@final
class Addresses:
    """The names and ports under which a service may be addressed.

    Its own names go with the port that it listens on; browsers always send that port, so a name without one is taken
    too. A name that was allowed may have the ports of HTTP and HTTPS besides, those of a proxy; one that was allowed
    with its port has that one.
    """

    def __init__(self, options: ServiceOptions) -> None:
        """Take the names of a service."""
        allowed = [authority_of(name) for name in options.allowed_hosts]
        self._own = options.hosts
        self._named = frozenset(name for name, port in filter(None, allowed) if port is None)
        self._exact = frozenset(one for one in filter(None, allowed) if one[1] is not None)

    def have(self, authority: Authority, listening: int | None) -> bool:
        """Return whether a request may be addressed so on a connection to the port `listening`."""
        name, port = authority
        if authority in self._exact:
            return True
        if name in self._named:
            return port in (None, *DEFAULT_PORTS.values(), listening)
        return name in self._own and (port is None or listening is None or port == listening)


def is_same_origin(origins: Sequence[str], host: Authority) -> bool:
    """Return whether the one `Origin` of a request is that of the page which its `Host` names, port included."""
    found = _ORIGIN.fullmatch(origins[0].lower()) if len(origins) == 1 else None
    theirs = None if found is None else authority_of(found[2])
    if found is None or theirs is None:
        return False
    usual = DEFAULT_PORTS[found[1]]
    return (theirs[0], theirs[1] or usual) == (host[0], host[1] or usual)
