"""The services that tests share: each runs in a thread, on loopback, on a port of its own."""

import contextlib
import socket
import time

import pytest

pytest.importorskip("starlette", reason="the service needs the extra serve")
pytest.importorskip("uvicorn", reason="the service needs the extra serve")

from service_site import TOKEN, FakeEncoder, running, write_index

from nearbit.service import service as service_module
from nearbit.service.http import middleware
from nearbit.service.settings import ServiceOptions


@pytest.fixture(scope="session", autouse=True)
def _fake_model():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service_module, "load_encoder", lambda folder: FakeEncoder())
        patch.setattr(middleware, "log", lambda event, **facts: None)
        yield


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A folder with an index that tests must not change."""
    return write_index(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def site(small):
    """A service without token that only reads."""
    with running(ServiceOptions(index=small)) as client:
        yield client


@pytest.fixture
def writable(tmp_path):
    """A service of one's own that may be changed, with its token."""
    options = ServiceOptions(index=write_index(tmp_path), token=TOKEN, allow_write=True)
    with running(options) as client:
        client.index = options.index
        client.bearer = {"Authorization": f"Bearer {TOKEN}"}
        yield client


@pytest.fixture
def raw(site):
    """Send bytes as they are and return all that comes back until the connection closes."""

    def send(*chunks, pause=0.0, timeout=10):
        with socket.create_connection(("127.0.0.1", site.port), timeout=timeout) as connection:
            for chunk in chunks:
                try:
                    connection.sendall(chunk)
                except OSError:
                    break
                time.sleep(pause)
            answer = b""
            with contextlib.suppress(OSError):
                while data := connection.recv(65536):
                    answer += data
            return answer

    return send
