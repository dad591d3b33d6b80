"""The outermost layer of the service: who may ask, how much at once, and what every answer carries."""

import hmac
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, final

from nearbit.service.http.addressed import Addresses, Authority, authority_of, is_same_origin
from nearbit.service.http.body_limits import BoundedBody
from nearbit.service.http.errors import ApiError, api_error_of_fault
from nearbit.service.logs import log
from nearbit.service.service import Service
from nearbit.service.settings import Limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = dict[bytes, bytes]

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/favicon.ico"})
"""Paths that hold no data: they need no token."""
OPEN_PREFIX = "/static/"
PROBES = frozenset({"/livez", "/readyz"})
"""Paths that hold no data and are asked by HTTP/1.0 probes, which name no host."""
API_PREFIX = "/api/"

POLICY = b"content-security-policy"
SECURITY_HEADERS = (
    (
        POLICY,
        b"default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), geolocation=(), microphone=()"),
)
RETRY = {"Retry-After": "1"}
UNFINISHED = 499
"""Recorded for a request whose sender went away before it was answered."""


@final
class Middleware:
    """An ASGI application around another one.

    Attributes:
        parts: the parts of the service.
    """

    def __init__(self, app: App, parts: Service) -> None:
        """Take the application and the parts of its service."""
        self.parts = parts
        self._app, self._options, self._counters = app, parts.options, parts.counters
        options = parts.options
        self._addresses = Addresses(options)
        self._token = None if options.token is None else options.token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["began"] = began = time.perf_counter()
        answer = Response(send)
        try:
            await self._admitted(scope, receive, answer)
        except ApiError as api_error:
            await answer.refuse(api_error)
        except Exception as error:  # noqa: BLE001 - the last resort: the sender learns of it, the log holds the cause
            if not _is_gone(error):
                log("fault", path=scope["path"], error=traceback.format_exc())
                await answer.refuse(api_error_of_fault(error))
        self._record(scope, answer.status or UNFINISHED, time.perf_counter() - began)

    async def _admitted(self, scope: Scope, receive: Receive, answer: "Response") -> None:
        self._check_head(scope)
        headers: Headers = dict(scope["headers"])
        if b"range" in headers:  # files come whole
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"range"]
        _check_origin(scope, headers, self._checked_host(scope))
        self._check_token(scope)
        if not _needs_room(scope["path"]):
            await self._app(scope, receive, answer)
            return
        if self._counters.working >= self._options.limits.requests:
            raise ApiError(
                503, f"{self._counters.working} requests are being worked on", "try again in a second", headers=RETRY
            )
        self._counters.working += 1
        try:
            await self._bounded(scope, receive, answer, headers)
        finally:
            self._counters.working -= 1

    async def _bounded(self, scope: Scope, receive: Receive, answer: "Response", headers: Headers) -> None:
        """Pass on a request whose body, if it has one, is neither too large nor too slow."""
        if headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers:
            await self._app(scope, receive, answer)
            return
        body = BoundedBody(receive, headers, self._options.limits)
        try:
            await self._app(scope, body.receive, answer)
        finally:
            if answer.status is not None and answer.status >= 400:
                await body.drain()

    def _check_head(self, scope: Scope) -> None:
        """Raise where the head of a request is too large, whatever protocol brought it."""
        limits, fields = self._options.limits, scope["headers"]
        size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if len(fields) > limits.head_fields or size + sum(len(n) + len(v) for n, v in fields) > limits.head_bytes:
            raise too_large_head(limits)

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

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._counters.count_request(scope["method"], route, status, seconds)
        log("request", method=scope["method"], path=scope["path"], status=status, ms=round(1000 * seconds, 2))


@final
class Response:
    """The way back: adds the headers of every answer and knows what was sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            message = {**message, "headers": _protected(message.get("headers", ()))}
        await self._send(message)

    async def refuse(self, api_error: ApiError) -> None:
        """Send a refusal, unless an answer has begun."""
        if self.status is not None:
            return
        body = api_error.body()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **api_error.headers}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": api_error.status, "headers": raw})
        await self({"type": "http.response.body", "body": body})


def _needs_room(path: str) -> bool:
    return path.startswith(API_PREFIX)


def too_large_head(limits: Limits) -> ApiError:
    """Return how a request is refused whose head is too large."""
    return ApiError(
        431,
        f"the head of a request has at most {limits.head_bytes} bytes and {limits.head_fields} fields, not more",
        "send fewer or shorter fields",
        headers={"Connection": "close"},
    )


def _protected(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with those that protect; a stricter policy of its own stays.

    Files come whole, whatever the framework says of ranges.
    """
    own = [pair for pair in headers if pair[0] != b"accept-ranges"]
    has_policy = any(name == POLICY for name, _ in own)
    return [*own, *(SECURITY_HEADERS[1:] if has_policy else SECURITY_HEADERS)]


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


def _is_gone(error: Exception) -> bool:
    """Return whether the sender of a request has gone."""
    return type(error).__name__ == "ClientDisconnect" or isinstance(error, ConnectionError)
