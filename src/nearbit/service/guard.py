"""The outermost layer of the service: who may ask, how much at once, and what every answer carries."""

import hmac
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, final

from nearbit.service.bodies import BoundedBody
from nearbit.service.journal import log
from nearbit.service.refusals import Refusal
from nearbit.service.service import Service

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = dict[bytes, bytes]

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/favicon.ico"})
"""Paths that hold no data: they need no token."""
OPEN_PREFIX = "/static/"
API_PREFIX = "/api/"

SECURITY_HEADERS = (
    (
        b"content-security-policy",
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
class Guard:
    """An ASGI application around another one.

    Attributes:
        parts: the parts of the service.
    """

    def __init__(self, app: App, parts: Service) -> None:
        """Take the application and the parts of its service."""
        self.parts = parts
        self._app, self._options, self._counters = app, parts.options, parts.counters
        options = parts.options
        self._hosts = options.hosts
        self._token = None if options.token is None else f"Bearer {options.token}".encode()

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
        answer = Answer(send)
        try:
            await self._admitted(scope, receive, answer)
        except Refusal as refusal:
            await answer.refuse(refusal)
        except Exception as error:  # noqa: BLE001 - the last resort: the sender learns of it, the log holds the cause
            if not _is_gone(error):
                log("fault", path=scope["path"], error=traceback.format_exc())
                await answer.refuse(Refusal(500, "the service failed", "see its log; please report it"))
        self._record(scope, answer.status or UNFINISHED, time.perf_counter() - began)

    async def _admitted(self, scope: Scope, receive: Receive, answer: "Answer") -> None:
        headers: Headers = dict(scope["headers"])
        if b"range" in headers:  # files come whole
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"range"]
        self._check_host(scope)
        _check_origin(scope, headers)
        self._check_token(scope["path"], headers)
        if not _needs_room(scope["path"]):
            await self._app(scope, receive, answer)
            return
        if self._counters.working >= self._options.limits.requests:
            raise Refusal(
                503, f"{self._counters.working} requests are being worked on", "try again in a second", headers=RETRY
            )
        self._counters.working += 1
        try:
            await self._bounded(scope, receive, answer, headers)
        finally:
            self._counters.working -= 1

    async def _bounded(self, scope: Scope, receive: Receive, answer: "Answer", headers: Headers) -> None:
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

    def _check_host(self, scope: Scope) -> None:
        """Raise where a request is addressed to a name that is not ours: a page elsewhere may have it point here."""
        named = [value for name, value in scope["headers"] if name == b"host"]
        host = _name_of(named[0].decode("latin-1")) if len(named) == 1 else ""
        if host not in self._hosts:
            raise Refusal(
                400,
                f"this service is not known as {host!r}",
                "address it as localhost, or start it with --allowed-host NAME",
                code="unknown_host",
            )

    def _check_token(self, path: str, headers: Headers) -> None:
        if self._token is None or path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
            return
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._token):
            raise Refusal(
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
class Answer:
    """The way back: adds the headers of every answer and knows what was sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            message = {**message, "headers": [*message.get("headers", ()), *SECURITY_HEADERS]}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Send a refusal, unless an answer has begun."""
        if self.status is not None:
            return
        body = refusal.body()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **refusal.headers}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": refusal.status, "headers": raw})
        await self({"type": "http.response.body", "body": body})


def _needs_room(path: str) -> bool:
    return path.startswith(API_PREFIX)


def _name_of(authority: str) -> str:
    """Return the host of "host:port", in lower case."""
    name = authority.rpartition(":")[0] if ":" in authority.rpartition("]")[2] else authority
    return name.lower()


def _check_origin(scope: Scope, headers: Headers) -> None:
    """Raise where a page of another origin had a browser send this request; its answers are for our own page only."""
    if _is_visit(scope, headers):
        return
    site = headers.get(b"sec-fetch-site", b"none")
    origin = headers.get(b"origin")
    own = headers.get(b"host", b"").lower()
    is_foreign = origin is not None and origin.lower().rpartition(b"://")[2] != own
    if is_foreign or site not in (b"same-origin", b"none"):
        raise Refusal(403, "pages of other sites may not use this service", "open the page of the service itself")


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Return whether someone follows a link to our page, which may stand anywhere."""
    is_page = scope["path"] == "/" and scope["method"] in ("GET", "HEAD")
    return is_page and headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"


def _is_gone(error: Exception) -> bool:
    """Return whether the sender of a request has gone."""
    return type(error).__name__ == "ClientDisconnect" or isinstance(error, ConnectionError)
