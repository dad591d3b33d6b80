"""Bodies of requests: how much may come, and how long it may take."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, final

from nearbit.service.http.errors import ApiError
from nearbit.service.settings import Limits

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

FORM_OVERHEAD = 200_000
"""Bytes of an upload beside the file: boundaries, headers of parts, fields."""

DRAIN_SHARE = 4
"""After a refusal, so many times the limit is read and thrown away: a sender that is still sending hears the answer."""
DRAIN_SECONDS = 2.0


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


def megabytes(size: int) -> str:
    """Return a number of bytes for people."""
    return f"{size / 1e6:.3g} MB"
