"""The end of the service: in its promised time, whatever its threads do, and never by an abort."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from service_site import Client, png, running, wait_until, write_index

from nearbit.service import service
from nearbit.service.http import uploads
from nearbit.service.routes import search
from nearbit.service.settings import Limits, ServiceOptions

PROGRAM = """
import sys, threading, time
from pathlib import Path
from nearbit.service import service
from nearbit.service.routes import search as routes_search
from nearbit.service.serving import listen, serve
from nearbit.service.settings import Limits, ServiceOptions
sys.path.insert(0, {tests!r})
from service_site import FakeEncoder

def forever(*arguments, **options):
    print("stuck", flush=True)
    while True:
        time.sleep(0.01)

service.load_encoder = forever if {loads} else lambda folder: FakeEncoder()
routes_search.decoded = forever
options = ServiceOptions(index=Path({index!r}), port=0, limits=Limits(drain_seconds=3))
with listen(options) as listening:
    serve(options, listening)
"""


@pytest.fixture
def started(tmp_path):
    """Start a service whose model or whose decodes never end; its process is ended afterwards."""
    running_ones = []

    def start(*, loads):
        index, journal = write_index(tmp_path), tmp_path / "journal.txt"
        text = PROGRAM.format(tests=str(Path(__file__).parent), index=str(index), loads=loads)
        with open(journal, "wb") as log:
            process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=log)
        running_ones.append(process)
        wait_until(lambda: '"start"' in journal.read_text(), 120)
        return process, Client(int(re.search(r":(\d+)/", journal.read_text())[1])), journal

    yield start
    for process in running_ones:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_service_whose_model_still_loads_ends_in_order(started, sign):
    process, client, journal = started(loads=True)
    assert process.stdout.readline() == b"stuck\n"
    wait_until(lambda: client("GET", "/livez").status == 200)
    assert client("GET", "/readyz").status == 503
    process.send_signal(sign)
    assert process.wait(60) == 0
    assert json.loads(journal.read_text().splitlines()[-1])["event"] == "stop"


@pytest.mark.slow
def test_a_service_ends_while_pictures_are_decoded(started):
    process, client, journal = started(loads=False)
    wait_until(lambda: client("GET", "/readyz").status == 200)
    asking = [threading.Thread(target=ask_and_forget, args=(client,)) for _ in range(5)]
    for one in asking:
        one.start()
    assert process.stdout.readline() == process.stdout.readline() == b"stuck\n"
    assert client.get("items/1/thumbnail").status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    for one in asking:
        one.join(20)
    assert json.loads(journal.read_text().splitlines()[-1])["event"] == "stop"


def ask_and_forget(client):
    with contextlib.suppress(OSError):
        client.form("search/image", png((1, 2, 3)))


def test_uploads_that_take_long_are_given_up_and_thumbnails_go_on(small, monkeypatch):
    gate = threading.Event()

    def slow(data, *arguments):
        gate.wait(20)
        return uploads.decoded(data, *arguments)

    monkeypatch.setattr(search, "decoded", slow)
    answers = []
    try:
        with running(ServiceOptions(index=small, limits=Limits(decode_seconds=0.4))) as site:
            threads = [
                threading.Thread(target=lambda: answers.append(site.form("search/image", png((1, 2, 3)))))
                for _ in range(service.DECODERS + 2)
            ]
            for one in threads:
                one.start()
            assert site.get("items/1/thumbnail").status == 200
            assert site.get("items/1/neighbors").status == 200
            for one in threads:
                one.join(20)
            told = sorted((answer.status, answer.code) for answer in answers)
            assert told == [(422, "too_slow")] * service.DECODERS + [(503, "busy")] * 2
            gate.set()
            wait_until(lambda: site.form("search/image", png((1, 2, 3))).status == 200)
    finally:
        gate.set()


def test_a_stop_waits_for_no_thread_for_long(small, monkeypatch):
    gate = threading.Event()
    with running(ServiceOptions(index=small)) as site:
        site.service._begun(site.service._decodes, gate.wait, 30)
        site.service.stop()
        assert not site.service.has_ended
        gate.set()
        site.service.stop()
        assert site.service.has_ended
        monkeypatch.setattr(site.service, "stop", lambda: None)
