"""The outermost layer of the service: how much may come at once, what answers carry, and how errors are answered."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from nearbit.errors import NearbitError
from nearbit.service.http.access import Access, Headers, Scope
from nearbit.service.http.errors import CODES, ApiError, api_error_of_fault
from nearbit.service.monitoring import log
from nearbit.service.service import Service
from nearbit.service.settings import FORM_OVERHEAD, Limits, megabytes

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

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
DRAIN_SHARE = 4
"""After a refusal, so many times the limit is read and thrown away: a sender that is still sending hears the answer."""
DRAIN_SECONDS = 2.0


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
        self._access = Access(parts.options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        scope["app"] = self._app  # what routes then raise is answered here, and nowhere else
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
        except Exception as error:  # noqa: BLE001 - the last resort: the sender learns of it, the log holds the cause
            if not (answer.is_unheard or isinstance(error, ClientDisconnect)):
                await answer.refuse(self._api_error(error, scope))
        self._record(scope, answer.status or UNFINISHED, time.perf_counter() - began)

    def _api_error(self, error: Exception, scope: Scope) -> ApiError:
        """Return how any error is answered; the log holds the cause of what nobody foresaw."""
        if isinstance(error, ApiError):
            return error
        if isinstance(error, NearbitError):
            return self.parts.api_error(error)
        if isinstance(error, HTTPException):
            return _not_routed(error, scope)
        log("fault", path=scope["path"], error=traceback.format_exc())
        return api_error_of_fault(error)

    async def _admitted(self, scope: Scope, receive: Receive, answer: "Response") -> None:
        self._check_head(scope)
        headers: Headers = dict(scope["headers"])
        if b"range" in headers:  # files come whole
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"range"]
        self._access.check(scope, headers)
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

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        self._counters.count_request(scope["method"], scope.get("resource", "other"), status, seconds)
        log("request", method=scope["method"], path=scope["path"], status=status, ms=round(1000 * seconds, 2))


@final
class Response:
    """The way back: adds the headers of every answer and knows what was sent, and whether nobody hears it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None
        self.is_unheard = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            message = {**message, "headers": _protected(message.get("headers", ()))}
        try:
            await self._send(message)
        except OSError:  # the sender of the request has gone
            self.is_unheard = True
            raise

    async def refuse(self, api_error: ApiError) -> None:
        """Send a refusal, unless an answer has begun."""
        if self.status is not None:
            return
        body = api_error.body()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **api_error.headers}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": api_error.status, "headers": raw})
        await self({"type": "http.response.body", "body": body})


@final
class BoundedBody:
    """The body of one request, bounded in size and time."""

    def __init__(self, receive: Receive, headers: dict[bytes, bytes], limits: Limits) -> None:
        """Take the way in; raise `ApiError` where the head of the request announces too much."""
        is_form = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        self._limit = limits.image_bytes + FORM_OVERHEAD if is_form else limits.json_bytes
        self._shown = limits.image_bytes if is_form else limits.json_bytes
        self._seconds = limits.body_seconds
        self._receive = receive
        self._deadline = time.monotonic() + limits.body_seconds
        self._came = 0
        self._is_whole = self._is_late = False
        length = headers.get(b"content-length")
        self._announced = int(length) if length is not None and length.isdigit() else 0

    async def receive(self) -> Message:
        """Return the next message; raise `ApiError` where the body is too large or too slow."""
        if self._is_whole:
            return await self._receive()
        if self._announced > self._limit:
            raise self._too_large(self._announced)
        message = await self._next(self._deadline)
        if self._came > self._limit:
            raise self._too_large(self._came)
        return message

    async def drain(self) -> None:
        """Read and forget what still comes, up to a bound."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while not self._is_whole and not self._is_late and self._came < DRAIN_SHARE * self._limit:
            try:
                await self._next(deadline)
            except ApiError:
                return

    async def _next(self, deadline: float) -> Message:
        try:
            message = await asyncio.wait_for(self._receive(), max(0.001, deadline - time.monotonic()))
        except TimeoutError:
            self._is_late = True
            raise ApiError(
                408,
                f"the body of the request did not arrive within {self._seconds:g} s",
                "send it faster, or send less",
                headers={"Connection": "close"},
            ) from None
        self._came += len(message.get("body", b""))
        self._is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    def _too_large(self, size: int) -> ApiError:
        return ApiError(
            413,
            f"too large ({megabytes(size)} > {megabytes(self._shown)})",
            "send a smaller file",
            headers={"Connection": "close"},
        )


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


def _not_routed(error: HTTPException, scope: Scope) -> ApiError:
    """Return how the service answers where nothing is, or what the framework refuses."""
    status = error.status_code if error.status_code in CODES else 400
    messages = {
        404: f"nothing is at {scope['path'][:200]}",
        405: f"{scope['method']} is not for {scope['path'][:200]}",
    }
    hint = "see /openapi.json" if status in messages else ""
    return ApiError(status, messages.get(status, str(error.detail)), hint, headers=dict(error.headers or {}))
