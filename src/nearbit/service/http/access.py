"""Who may ask: to whom a request is addressed, from which page it comes, and whether it carries the token."""

import hmac
import re
from collections.abc import MutableMapping, Sequence
from typing import Any, final

from nearbit.service.http.errors import ApiError
from nearbit.service.settings import ServiceOptions

Scope = MutableMapping[str, Any]
Headers = dict[bytes, bytes]

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/favicon.ico"})
"""Paths that hold no data: they need no token."""
OPEN_PREFIX = "/static/"
PROBES = frozenset({"/livez", "/readyz"})
"""Paths that hold no data and are asked by HTTP/1.0 probes, which name no host."""

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


@final
class Access:
    """Who may use a service."""

    def __init__(self, options: ServiceOptions) -> None:
        """Take the names and the token of a service."""
        self._addresses = Addresses(options)
        self._token = None if options.token is None else options.token.encode()

    def check(self, scope: Scope, headers: Headers) -> None:
        """Raise `ApiError` (400, 403, 401) where a request may not be answered."""
        _check_origin(scope, headers, self._checked_host(scope))
        self._check_token(scope)

    def _checked_host(self, scope: Scope) -> Authority | None:
        """Return to whom a request is addressed; a page elsewhere may have pointed a name of its own at this service.

        Raises:
            ApiError: to a name or a port that is not ours, or to more than a name and a port.
        """
        named = _values(scope, b"host")
        if not named and scope["path"] in PROBES:
            return None
        host = authority_of(named[0]) if len(named) == 1 else None
        server = scope.get("server")
        if host is None or not self._addresses.have(host, server[1] if server else None):
            raise ApiError(
                400,
                f"this service is not known as {', '.join(named)[:200]!r}",
                "address it as localhost with its port, or start it with --allowed-host NAME or NAME:PORT",
                code="unknown_host",
            )
        return host

    def _check_token(self, scope: Scope) -> None:
        path = scope["path"]
        if self._token is None or path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
            return
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        kind, _, token = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        if kind.lower() != b"bearer" or not hmac.compare_digest(token.strip(b" "), self._token):
            raise ApiError(
                401,
                "this service answers only to those who have its token",
                "send the header Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )


def _values(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


def _check_origin(scope: Scope, headers: Headers, host: Authority | None) -> None:
    """Raise where a page of another origin had a browser send this request; its answers are for our own page only."""
    if _is_visit(scope, headers):
        return
    origins, sites = _values(scope, b"origin"), _values(scope, b"sec-fetch-site")
    is_foreign = bool(origins) and (host is None or not is_same_origin(origins, host))
    if is_foreign or any(site not in ("same-origin", "none") for site in sites):
        raise ApiError(403, "pages of other sites may not use this service", "open the page of the service itself")


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Return whether someone follows a link to our page, which may stand anywhere."""
    is_page = scope["path"] == "/" and scope["method"] in ("GET", "HEAD")
    return is_page and headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"
