"""One connection: the head of a request is bounded before anything else is done, and nobody holds it for nothing."""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from nearbit.service.http.errors import ApiError
from nearbit.service.http.middleware import too_large_head
from nearbit.service.monitoring import log
from nearbit.service.settings import Limits

STALLED_LOOKS = 3
"""An answer of which nothing was taken for so many times the idle time is given up."""
HEAD_SLICE = 8192
"""So many bytes are parsed at a time while a head is read."""
HEAD = b"HTTP/1.1 "
"""How the head of an answer begins."""
MOST_WAITING = 16
"""Requests that wait on one connection for the answers to those before them; more end it."""


class HeadTooLarge(Exception):
    """Ends the parsing of a head."""


class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """A connection that ends where no request comes, where there are too many, and after a head that is too large."""

    def __init__(self, *arguments: Any, limits: Limits, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._idle_seconds, self._most, self._limits = limits.idle_seconds, limits.connections, limits
        self._is_in_head, self._is_too_large = False, False
        self._came, self._head_bytes, self._fields = 0, 0, 0
        self._begun_after: Any = None
        self._unsent, self._stalls = 0, 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > self._most:
            transport.close()
            return
        self.transport = Together(transport, self.loop)
        self.loop.call_later(self._idle_seconds, self._look)

    def data_received(self, data: bytes) -> None:
        """Take bytes: those of a head in slices, so that one that is too large is never read as a whole."""
        at = 0
        while at < len(data) and not self.transport.is_closing():
            stop = at + HEAD_SLICE if self._is_in_head or self.cycle is None or not self.cycle.more_body else len(data)
            was_in_head = self._is_in_head
            super().data_received(data[at:stop])
            self._came += min(stop, len(data)) - at if was_in_head else 0
            if self._is_in_head and self._came > self._limits.head_bytes and not self.transport.is_closing():
                self._is_too_large = True
                self.send_400_response("")
            at = stop

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._is_in_head, self._came, self._head_bytes, self._fields = True, 0, 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count a piece of the first line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a field."""
        self._fields += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request on; end a connection that sends many more without waiting for answers."""
        self._is_in_head = False
        super().on_headers_complete()
        if len(self.pipeline) > MOST_WAITING:
            self.transport.abort()
            raise HeadTooLarge

    def send_400_response(self, msg: str) -> None:
        """Refuse a head that is no HTTP, or too large, in the one shape of errors; what came of it is let go."""
        if self.transport.is_closing():
            return
        words = "the request is not one of HTTP/1.1"
        api_error = too_large_head(self._limits) if self._is_too_large else ApiError(400, words, "send it again")
        self._is_in_head = False
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = b""
        log("head_refused", status=api_error.status)
        self.transport.write(_raw(api_error))
        self.transport.close()

    def _count(self, n_bytes: int) -> None:
        self._head_bytes += n_bytes
        if self._head_bytes > self._limits.head_bytes or self._fields > self._limits.head_fields:
            self._is_too_large = True
            raise HeadTooLarge

    def _look(self) -> None:
        """Close where a request's head takes too long to come, the first or a later one; cut off where nobody reads."""
        if self not in self.connections:
            return
        if self._is_stuck():
            self.transport.abort()
            return
        if self._is_late() and not self.transport.is_closing():
            self.transport.close()
        self.loop.call_later(self._idle_seconds, self._look)

    def _is_late(self) -> bool:
        """Return whether a first request is not there, or a later one began to come and was not there a look ago.

        Silence after an answer has a time of its own, that of keep-alive; any byte ends it.
        """
        is_begun = self.cycle is not None and self.cycle.response_complete and self.timeout_keep_alive_task is None
        before, self._begun_after = self._begun_after, self.cycle if is_begun else None
        return self.cycle is None or (is_begun and before is self.cycle)

    def _is_stuck(self) -> bool:
        """Return whether an answer waits, and none of it was taken for some looks."""
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        self._stalls = self._stalls + 1 if self._unsent and self._unsent == before else 0
        return self._stalls >= STALLED_LOOKS


class Together:
    """A transport that sends the head of an answer with the first bytes of its body, in one call of the system."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Take the transport; all but writing and closing is its own."""
        self._transport, self._loop, self._held = transport, loop, b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write bytes after those that are held; a head is held until more comes, or nothing else is to be done."""
        if not self._held and data.startswith(HEAD):
            self._held = data
            self._loop.call_soon(self.flush)
            return
        held, self._held = self._held, b""
        self._transport.write(held + data if held else data)

    def flush(self) -> None:
        """Write what is held."""
        if self._held:
            self.write(b"")

    def close(self) -> None:
        """Write what is held, and close."""
        self.flush()
        self._transport.close()


def _raw(api_error: ApiError) -> bytes:
    """Return an answer as it goes over the wire, outside of any application."""
    body = api_error.body()
    reason = {400: "Bad Request", 431: "Request Header Fields Too Large"}[api_error.status]
    lines = (
        f"HTTP/1.1 {api_error.status} {reason}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "x-content-type-options: nosniff",
        "connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
