"""`nearbit serve` as a program: what it refuses, what it prints, how it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest
from service_site import TOKEN, Client, png, wait_until, write_index, write_manifest

from model_makers import random_model
from nearbit.cli.main import run
from nearbit.index import create_index, open_index
from nearbit.indexing import index_dataset
from nearbit.model.bundle import load_model
from nearbit.service.serving import Multiprocess, listen, serve
from nearbit.service.settings import ServiceOptions
from tiny_data import tiny_dataset


@pytest.fixture
def refused(capsys):
    """Run `nearbit serve` in this process, which must be refused; return the one line on standard error."""

    def call(*arguments):
        assert run(["serve", *map(str, arguments)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        return err

    return call


def test_what_cannot_be_served_is_refused_in_one_line(tmp_path, small, refused, monkeypatch):
    monkeypatch.delenv("NEARBIT_TOKEN", raising=False)
    assert "does not exist" in refused(tmp_path / "none.index", "--port", 0)
    (tmp_path / "text").write_text("no index")
    assert "not an index" in refused(tmp_path / "text", "--port", 0)
    assert "needs a token" in refused(small, "--host", "0.0.0.0", "--port", 0)
    assert "needs a token" in refused(small, "--allow-write", "--port", 0)
    (tmp_path / "empty").write_text("\n")
    assert "empty: write a token" in refused(small, "--token-file", tmp_path / "empty", "--port", 0)
    assert "no model at" in refused(small, "--model", tmp_path, "--port", 0)
    write_manifest(tmp_path, model_id="another")
    assert "codes of another model" in refused(small, "--model", tmp_path, "--port", 0)


def test_a_busy_port_is_refused_with_what_to_do(small, refused):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = refused(small, "--port", taken.getsockname()[1])
    assert re.search(r"cannot listen at 127.0.0.1:\d+ \(Address already in use\): name another one with --port", words)


def test_answers_are_not_held_back_for_an_acknowledgement(small):
    with listen(ServiceOptions(index=small, port=0)) as listening:
        assert listening.proto == socket.IPPROTO_TCP  # what asyncio asks for before it sets TCP_NODELAY


def test_a_missing_package_is_named_with_its_extra(small, refused, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "which is not installed: pip install " in refused(small)


class Program:
    """`nearbit serve` as a process of its own."""

    def __init__(self, index, *options, environment=None):
        command = [sys.executable, "-m", "nearbit", "serve", str(index), "--port", "0", *options]
        kept = {**os.environ, **(environment or {})}
        self.journal = index.with_name("journal.txt")
        with open(self.journal, "wb") as journal:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=journal, env=kept)
        try:
            wait_until(lambda: '"start"' in self.journal.read_text(), 240)
            self.client = Client(int(re.search(r":(\d+)/", self.journal.read_text())[1]))
            wait_until(lambda: self.client("GET", "/readyz").status == 200, 240)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def stop(self, sign=signal.SIGTERM):
        """Send a signal and return the exit status and the lines of the log."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        status = self.process.wait(60)
        self.process.stdout.close()
        return status, self.journal.read_text().splitlines()


def is_refused(port):
    """Say whether nobody listens at a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_after_what_is_under_way(tmp_path, sign):
    program = Program(write_index(tmp_path), environment={"NEARBIT_TOKEN": TOKEN})
    client = program.client
    assert client.get("labels").status == 401
    assert client.get("labels", Authorization=f"Bearer {TOKEN}").status == 200
    body = json.dumps({"queries": [{"id": 1}]}).encode()
    head = (
        f"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(head.encode())
        assert connection.recv(200) == b"HTTP/1.1 100 Continue\r\n\r\n", "it is worked on"
        connection.sendall(body[:5])
        program.process.send_signal(sign)
        wait_until(lambda: is_refused(client.port), 60)
        connection.sendall(body[5:])
        assert b" 200 " in connection.recv(200)
    program.process.wait(60)
    status, lines = program.stop()
    assert status == 0
    events = [json.loads(line) for line in lines if line.startswith("{")]
    assert events[0]["event"] == "start"
    assert events[-1]["event"] == "stop"
    assert TOKEN not in "".join(lines)
    requests = [one for one in events if one["event"] == "request"]
    assert {"method": "POST", "path": "/api/v1/search", "status": 200}.items() <= requests[-1].items()
    with pytest.raises(ConnectionRefusedError, match="refused"):
        socket.create_connection(("127.0.0.1", client.port), timeout=1)


@pytest.mark.slow
def test_several_processes_answer_alike_and_end_together(tmp_path):
    program = Program(write_index(tmp_path), "--workers", "2", "--json")
    said = json.loads(program.process.stdout.readline())
    assert said["url"] == f"http://127.0.0.1:{program.client.port}/"
    assert said["process"] == program.process.pid
    answers = {program.client.get("items/1/neighbors?k=30").body.partition(b',"timings')[0] for _ in range(20)}
    assert len(answers) == 1
    status, _ = program.stop()
    assert status == 0
    with pytest.raises(ConnectionRefusedError, match="refused"):
        socket.create_connection(("127.0.0.1", program.client.port), timeout=1)


def test_a_process_that_is_slow_to_start_is_not_replaced_for_it(small, monkeypatch):
    seen = []
    monkeypatch.setattr(Multiprocess, "run", lambda self: seen.append(self.config.timeout_worker_healthcheck))
    options = ServiceOptions(index=small, port=0, workers=2)
    with listen(options) as listening:
        serve(options, listening)
    assert seen == [60]


@pytest.mark.slow
def test_an_upload_has_the_code_that_the_model_gives_it(tmp_path):
    model, dataset = random_model(), tiny_dataset()
    model.save(tmp_path / "a.model")
    with create_index(tmp_path / "a.index", model.n_bits, model_id=model.model_id) as index:
        index_dataset(index, model, dataset, device="cpu")
        index.set_notes({"model_path": "a.model"})
    program = Program(tmp_path / "a.index")
    images = [png((200, 40, 40)), png((3, 99, 250), 400), png((0, 0, 0), 9)]
    for number, image in enumerate(images):
        (tmp_path / f"{number}.png").write_bytes(image)
    codes = load_model(tmp_path / "a.model").encode([tmp_path / f"{number}.png" for number in range(3)], device="cpu")
    with open_index(tmp_path / "a.index", read_only=True) as index:
        results = index.search(codes, k=7)
    for number, image in enumerate(images):
        (found,) = program.client.form("search/image", image, [("k", "7")]).json["results"]
        assert found["query"]["code"] == codes[number].tobytes().hex()
        assert [(one["id"], one["distance"]) for one in found["neighbors"]] == results.pairs(number)
    assert program.stop()[0] == 0
