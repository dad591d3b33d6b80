"""A real Milvus for the tests: started once, on loopback and in a temporary folder, and stopped with them.

Run as a program, this file is what starts it: FOLDER PORT; it stops when its standard input ends, however that comes.
`NEARBIT_MILVUS=HOST:PORT` names a server that runs already, such as one of another version.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from server_needed import missing

SECONDS = 180.0


class MilvusProcess:
    """A server that can be stopped and started again with what it holds."""

    prefix = "index"

    def __init__(self, folder):
        self.folder = folder
        self._port, self._health = free_port(), free_port()
        self.host = f"127.0.0.1:{self._port}"
        self._process = None

    def start(self):
        """Start it, and wait until it answers; raise `RuntimeError` where it does not."""
        given = [str(self.folder), str(self._port), str(self._health)]
        self._process = subprocess.Popen([sys.executable, __file__, *given], stdin=subprocess.PIPE)
        end = time.monotonic() + SECONDS
        while not self._is_healthy():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(self._last_words())
            time.sleep(0.2)

    def stop(self):
        """Stop it; a second call does nothing."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process = None

    def _is_healthy(self):
        try:
            with urlopen(f"http://127.0.0.1:{self._health}/healthz", timeout=5) as answer:
                return b"OK" in answer.read()
        except (URLError, OSError):
            return False

    def _last_words(self):
        logs = [log.read_text(errors="replace") for log in self.folder.glob("logs/milvus-std*.log")]
        lines = [line for line in "\n".join(logs).splitlines() if line.strip()]
        return " / ".join(lines[-3:]) or "it said nothing"


class MilvusElsewhere:
    """A server that somebody else started."""

    def __init__(self, host):
        self.host = host
        self.prefix = f"test{secrets.token_hex(4)}_"


@contextmanager
def started():
    """Give a running server; where it cannot be started, see `missing`."""
    pytest.importorskip("pymilvus", reason="pymilvus is not installed: Milvus is not tested")
    if "NEARBIT_MILVUS" in os.environ:
        yield MilvusElsewhere(os.environ["NEARBIT_MILVUS"])
        return
    pytest.importorskip("milvus", reason="the package milvus (a server) is not installed: Milvus is not tested")
    folder = Path(tempfile.mkdtemp(prefix="nearbit-milvus-"))
    server = MilvusProcess(folder)
    try:
        try:
            server.start()
        except RuntimeError as error:
            missing("milvus", f"Milvus cannot be started here (one a machine), and is not tested: {error}")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def free_port():
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def address(server, name, **options):
    """Return the address of an index of a name in a server."""
    more = "".join(f"&{key}={value}" for key, value in options.items())
    return f"milvus://{server.host}?index={server.prefix}{name}{more}"


def forget(server):
    """Drop what a test left there: many collections make a server slow."""
    from pymilvus import MilvusClient

    client = MilvusClient(f"http://{server.host}", dedicated=True)
    for name in client.list_collections():
        if name.startswith(server.prefix):
            client.drop_collection(name)
    client.close()


def serve(folder, port, health):
    """Run a server until the standard input ends or the server does."""
    from milvus import MilvusServer, MilvusServerConfig

    MilvusServerConfig.try_bind_port = lambda _, port: _bound(port)
    server = MilvusServer(wait_for_started=False)
    server.set_base_dir(folder)
    server.listen_port, server.webservice_port = int(port), int(health)
    server.start()
    try:
        while server.server_proc.poll() is None and not _has_ended(sys.stdin):
            pass
    finally:
        server.server_proc.terminate()
        try:
            server.server_proc.wait(10)
        except subprocess.TimeoutExpired:
            server.server_proc.kill()
            server.server_proc.wait()


def _bound(port):
    """Return a socket at a port, also where one was closed there a moment ago; None where somebody listens."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind(("0.0.0.0", port))
    except OSError:
        one.close()
        return None
    return one


def _has_ended(stream):
    import select

    ready, _, _ = select.select([stream], [], [], 0.2)
    return bool(ready) and not stream.buffer.read1(1)


if __name__ == "__main__":
    serve(*sys.argv[1:])
