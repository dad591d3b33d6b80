"""Running the service: one process or several behind one address, until a signal ends it."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.supervisors import Multiprocess

from nearbit.errors import InputError
from nearbit.index import open_index
from nearbit.service.app import make_app
from nearbit.service.encoder import model_folder
from nearbit.service.journal import JournalHandler, log
from nearbit.service.settings import ServiceOptions, bracketed

BACKLOG = 512
STALLED_LOOKS = 3
"""An answer of which nothing was taken for so many times the idle time is given up."""
SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while others wait: searches take less, and answers should not wait."""


def listen(options: ServiceOptions) -> socket.socket:
    """Return a socket that listens at the address.

    Raises:
        InputError: the address is taken, or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # Named as TCP, since asyncio turns Nagle's delay (40 ms an answer) off only for connections that are.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((options.host.strip("[]"), options.port))
        found.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        found.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot listen at {options.host}:{options.port} ({reason}): name another one with --port or --host"
        ) from error
    found.set_inheritable(True)
    return found


def address(options: ServiceOptions, listening: socket.socket) -> str:
    """Return the URL of the page."""
    return f"http://{bracketed(options.host)}:{listening.getsockname()[1]}/"


def serve(options: ServiceOptions, listening: socket.socket, ready: Callable[[], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; requests under way then have `drain_seconds` to end.

    Args:
        options: what is served to whom.
        listening: from `listen`.
        ready: called once requests are answered; with several processes once the address takes them.
    """
    logging.basicConfig(handlers=[JournalHandler()], level=logging.WARNING, force=True)
    facts = {"address": address(options, listening), "index": str(options.index), "workers": options.workers}
    if options.workers == 1:
        sys.setswitchinterval(SWITCH_SECONDS)
        server = make_server(options, ready)
        log("start", **facts)
        server.run(sockets=[listening])
    else:
        with open_index(options.index, read_only=True) as index:
            model_folder(index, options.model)  # what every worker would refuse is refused once, here
        log("start", **facts)
        if ready is not None:
            ready()
        config = _config(options, partial(_prepared, options))
        config.factory = True
        config.workers = options.workers
        Multiprocess(config, sockets=[listening]).run()
    log("stop")


def make_server(options: ServiceOptions, ready: Callable[[], None] | None = None) -> "Server":
    """Return a server of one process, ready to run; raise what `make_app` raises."""
    return Server(_config(options, make_app(options)), ready)


class Server(uvicorn.Server):
    """A server that tells when it has begun and ends the program in order."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._ready = ready

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End after what is under way, and by that the program too: a signal that was obeyed is not raised again."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready is not None:
            self._ready()


def _prepared(options: ServiceOptions) -> Any:
    """Return the application, in a process made ready for it."""
    sys.setswitchinterval(SWITCH_SECONDS)
    logging.basicConfig(handlers=[JournalHandler()], level=logging.WARNING, force=True)
    return make_app(options)


def _config(options: ServiceOptions, app: Any) -> uvicorn.Config:
    limits = options.limits
    return uvicorn.Config(
        app,
        http=partial(_Connection, idle_seconds=limits.idle_seconds, most=limits.connections),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=limits.drain_seconds,
        backlog=BACKLOG,
    )


class _Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """A connection that is closed where no request comes, and where there are too many."""

    def __init__(self, *arguments: Any, idle_seconds: float, most: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._idle_seconds, self._most = idle_seconds, most
        self._begun_after: Any = None
        self._unsent, self._stalls = 0, 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > self._most:
            transport.close()
            return
        self.loop.call_later(self._idle_seconds, self._look)

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
