"""Running the service: one process or several behind one address, until a signal ends it."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from nearbit.compiled import BUILDING, SEARCH, WEIGHTED, is_compiling, prepare
from nearbit.errors import InputError
from nearbit.index import open_index
from nearbit.model.load import model_of_index
from nearbit.service.app import make_app
from nearbit.service.http.connection import Connection
from nearbit.service.monitoring import LogHandler, log
from nearbit.service.settings import ServiceOptions, bracketed

BACKLOG = 512
STOPPING_SECONDS = 2
"""How much of the time to stop is left for threads and files, after requests had theirs."""
ANSWERING_SECONDS = 60
"""So long one of several processes may be silent before another takes its place: on a slow machine it starts slowly."""
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
    """Serve until SIGINT or SIGTERM; requests under way may then end, and after `drain_seconds` the process does.

    Args:
        options: what is served to whom.
        listening: from `listen`.
        ready: called once requests are answered; with several processes once the address takes them.
    """
    logging.basicConfig(handlers=[LogHandler()], level=logging.WARNING, force=True)
    facts = {"address": address(options, listening), "index": str(options.index), "workers": options.workers}
    if options.workers == 1:
        prepare(SEARCH, BUILDING, WEIGHTED)
        sys.setswitchinterval(SWITCH_SECONDS)
        app = make_app(options)
        server = Server(_config(options, app), ready, ends_after=options.limits.drain_seconds)
        log("start", **facts)
        server.run(sockets=[listening])
        if not app.parts.has_ended or is_compiling():  # a model that loads, a picture: Python would wait, or abort
            end_process()
    else:
        with open_index(options.index, read_only=True) as index:
            if options.model is not None:
                model_of_index(index, options.model)  # what every worker would refuse is refused once, here
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

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None] | None, *, ends_after: float | None = None
    ) -> None:
        super().__init__(config)
        self._ready, self._ends_after = ready, ends_after

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End after what is under way, and by that the program too: a signal that was obeyed is not raised again."""
        if self._ends_after is not None and not self.should_exit:
            end_process_after(self._ends_after)
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready is not None:
            self._ready()


def end_process() -> None:
    """End this process now, whatever its threads do: what they have under way is not needed, or is made whole again."""
    log("stop")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def end_process_after(seconds: float) -> None:
    """End this process after some seconds, if it has not ended by itself."""
    timer = threading.Timer(seconds, end_process)
    timer.daemon = True
    timer.start()


def _ends_in_time(seconds: float) -> None:
    """Let the signals that a server obeys also begin the time after which this process ends."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        obeyed = signal.getsignal(sign)

        def handle(number: int, frame: FrameType | None, obeyed: Any = obeyed) -> None:
            end_process_after(seconds)
            obeyed(number, frame)

        if callable(obeyed):
            signal.signal(sign, handle)


def _prepared(options: ServiceOptions) -> Any:
    """Return the application, in a process made ready for it."""
    _ends_in_time(options.limits.drain_seconds)
    prepare(SEARCH, BUILDING, WEIGHTED)
    sys.setswitchinterval(SWITCH_SECONDS)
    logging.basicConfig(handlers=[LogHandler()], level=logging.WARNING, force=True)
    return make_app(options)


def _config(options: ServiceOptions, app: Any) -> uvicorn.Config:
    limits = options.limits
    return uvicorn.Config(
        app,
        http=partial(Connection, limits=limits),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_worker_healthcheck=ANSWERING_SECONDS,
        timeout_graceful_shutdown=max(1, limits.drain_seconds - STOPPING_SECONDS),
        h11_max_incomplete_event_size=limits.head_bytes,
        backlog=BACKLOG,
    )
