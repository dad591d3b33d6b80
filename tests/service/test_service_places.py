"""Several services before one index in a server, behind a balancer: one is killed under load, a model is changed."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from service_site import TOKEN, Client, png, running, wait_until, write_index

import milvus_server
import postgresql_server
from nearbit.index import open_index
from nearbit.index.homes import place_of
from nearbit.indexing_copy import copy_index
from nearbit.service.settings import ServiceOptions

BEARER = {"Authorization": f"Bearer {TOKEN}"}
NUMBERS = itertools.count(1)
SERVE = """
import sys
from nearbit.service import service
from service_site import FakeEncoder
service.load_encoder = lambda folder: FakeEncoder()
from nearbit.cli.main import main
main(sys.argv[1:])
"""


class Balancer:
    """Passes each connection to the next of several ports, and to another one where that is closed."""

    def __init__(self):
        self.ports = []
        self._turns = itertools.count()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client):
        ports, turn = self.ports, next(self._turns)
        with client:
            for step in range(len(ports)):
                try:
                    server = socket.create_connection(("127.0.0.1", ports[(turn + step) % len(ports)]), timeout=30)
                except OSError:
                    continue
                with server:
                    back = threading.Thread(target=_copied, args=(server, client), daemon=True)
                    back.start()
                    _copied(client, server)
                    back.join()
                return

    def close(self):
        self._listener.close()


def _copied(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def balancer():
    one = Balancer()
    yield one
    one.close()


@pytest.fixture(params=["postgresql", "milvus"])
def place(request, tmp_path):
    """The address of a copy of the index at `tmp_path`, in each server in turn."""
    engine = {"postgresql": postgresql_server, "milvus": milvus_server}[request.param]
    address = engine.address(request.getfixturevalue(request.param), f"places{next(NUMBERS)}")
    copy_index(write_index(tmp_path), address)
    return address


@contextlib.contextmanager
def served(place, folder, name, balancer):
    """Run `nearbit serve` as a process of its own, with the model of the tests; give the process and its port."""
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "NEARBIT_TOKEN": TOKEN, "PYTHONPATH": paths}
    options = ["--port", "0", "--allow-write", "--json", "--allowed-host", f"localhost:{balancer.port}"]
    command = [sys.executable, "-c", SERVE, "serve", place, *options]
    with open(folder / f"{name}.txt", "wb") as journal:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=journal, env=environment)
    try:
        line = process.stdout.readline()
        assert line, (folder / f"{name}.txt").read_text()
        port = int(json.loads(line)["url"].rstrip("/").rpartition(":")[2])
        wait_until(lambda: Client(port)("GET", "/readyz").status == 200, 120)
        yield process, port
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


class Load:
    """Clients that add pictures and ask for them through the balancer, until they are told to stop."""

    def __init__(self, client):
        self.client, self.done = client, threading.Event()
        self.added, self.lost, self.wrong = [], 0, []
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(3)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number):
        for turn in itertools.count():
            if self.done.is_set():
                return
            try:
                self._add((60 + number, turn % 256, 9))
            except OSError:
                self.lost += 1  # it was not acknowledged
            except Exception as error:  # noqa: BLE001 - told by the test
                self.wrong.append(error)
                return

    def _add(self, color):
        answer = self.client.form("items", png(color), [("label", "new")], headers=BEARER)
        if answer.status == 503 and "another program is writing to it" in answer.json["error"]["message"]:
            return  # nothing was changed, and it is tried again
        if answer.status != 201:
            self.wrong.append(answer)
            return
        self.added.append((answer.json["id"], answer.json["digest"]))
        item = self.client("GET", f"/api/v1/items/{answer.json['id']}", headers=BEARER)  # the other one, mostly
        if item.status != 200:
            self.wrong.append(item)


@pytest.mark.slow
def test_what_was_acknowledged_outlives_a_service_that_is_killed(place, tmp_path, balancer):
    client = Client(balancer.port)
    with served(place, tmp_path, "one", balancer) as (one, first), served(place, tmp_path, "two", balancer) as two:
        balancer.ports = [first, two[1]]
        with Load(client) as load:
            wait_until(lambda: len(load.added) >= 12 or load.wrong, 180)
            one.send_signal(signal.SIGKILL)
            one.wait()
            seen = len(load.added)
            wait_until(lambda: len(load.added) >= seen + 12 or load.wrong, 180)
        assert load.wrong == []
        assert client("GET", "/api/v1/index", headers=BEARER).json["items"] >= 30 + len(load.added)
    ids = [item_id for item_id, _ in load.added]
    assert len(set(ids)) == len(ids)
    with open_index(place) as index:
        assert [item.digest for item in index.items(ids)] == [digest for _, digest in load.added]
        assert 30 + len(ids) <= len(index) <= 30 + len(ids) + load.lost
        assert index.verify() == []


@pytest.mark.slow
def test_a_change_of_the_model_mixes_no_results(postgresql, tmp_path, balancer):
    """New services run before the new index; the balancer is told of them alone in one step."""
    wrong, answers, done = [], [], threading.Event()
    places = []
    for model in ("old", "new"):
        (tmp_path / model).mkdir()
        address = postgresql_server.address(postgresql, f"rolling{next(NUMBERS)}")
        with open_index(write_index(tmp_path / model)) as index:
            ids = [item.id for item in index]
            index.update(ids, metadata=[{"labels": [model]} for _ in ids])
        copy_index(tmp_path / model / "small.index", address)
        places.append(address)
    client = Client(balancer.port)

    def asks():
        while not done.is_set():
            try:
                found = client("GET", "/api/v1/items/3/neighbors?k=9").json["results"][0]["neighbors"]
            except Exception as error:  # noqa: BLE001 - told by the test
                wrong.append(error)
                return
            answers.append({label for one in found for label in one["labels"]})

    options = {"allowed_hosts": (f"localhost:{balancer.port}",)}
    with (
        running(ServiceOptions(index=place_of(places[0]), **options)) as old,
        running(ServiceOptions(index=place_of(places[1]), **options)) as new,
    ):
        balancer.ports = [old.port]
        thread = threading.Thread(target=asks)
        thread.start()
        try:
            wait_until(lambda: len(answers) > 20 or wrong, 60)
            balancer.ports = [new.port]
            switched = len(answers)
            wait_until(lambda: len(answers) >= switched + 2 or wrong, 60)  # the first may have been asked before
            seen = len(answers)
            wait_until(lambda: len(answers) > seen + 20 or wrong, 60)
        finally:
            done.set()
            thread.join()
    assert wrong == []
    assert {frozenset(one) for one in answers} == {frozenset({"old"}), frozenset({"new"})}
    assert all(one == {"new"} for one in answers[seen:])
