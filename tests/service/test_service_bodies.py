"""Hostile bodies: too large, too slow, too many parts, no images, bombs. The service refuses and goes on."""

import io
import socket
import struct
import threading
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from service_site import form_of, png, running, wait_until

from nearbit.service.settings import Limits, ServiceOptions

TIGHT = replace(Limits(), image_bytes=60_000, json_bytes=2_000, body_seconds=0.6, requests=3, idle_seconds=0.5)


@pytest.fixture(scope="module")
def tight(small):
    """A service of narrow bounds."""
    with running(ServiceOptions(index=small, limits=TIGHT)) as client:
        yield client


def bomb(side):
    """Return a small PNG that would decode to side x side pixels."""
    row = b"\0" + bytes(side)
    packed, deflate = [], zlib.compressobj(9)
    for _ in range(side):
        packed.append(deflate.compress(row))
    data = b"".join(packed) + deflate.flush()

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def peak_memory():
    """Return the highest resident memory of this process so far, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def test_a_bomb_is_refused_before_it_is_decoded(site):
    data = bomb(9000)
    assert len(data) < 100_000
    before = peak_memory()
    answer = site.form("search/image", data)
    assert (answer.status, answer.code) == (422, "not_an_image")
    assert "9000 x 9000 is more than 40,000,000 pixels" in answer.json["error"]["message"]
    assert peak_memory() - before < 50


def test_an_upload_beyond_the_bound_is_refused(tight):
    answer = tight.form("search/image", bytes(400_000))
    assert (answer.status, answer.code) == (413, "too_large")
    assert "too large (0.4 MB > 0.06 MB)" in answer.json["error"]["message"]
    answer = tight.form("search/image", bytes(70_000))
    assert (answer.status, answer.code) == (413, "too_large")
    assert tight.form("search/image", png((1, 2, 3))).status == 200


def test_a_body_without_length_is_bounded_too(tight):
    part = b'--xyz\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    head = (
        b"POST /api/v1/search/image HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: multipart/form-data; boundary=xyz\r\n\r\n%x\r\n%b\r\n" % (len(part), part)
    )
    with socket.create_connection(("127.0.0.1", tight.port), timeout=10) as connection:
        connection.sendall(head)
        for _ in range(100):
            try:
                connection.sendall(b"1000\r\n" + bytes(4096) + b"\r\n")
            except OSError:
                break
        answer = connection.recv(65536)
    assert b" 413 " in answer.partition(b"\r\n")[0]


def test_a_large_json_body_is_refused(tight):
    assert tight.search(b'{"queries": [' + b" " * 3000 + b"]}").status == 413


@pytest.mark.parametrize("form", [True, False])
def test_a_slow_body_is_refused(tight, form):
    path = b"search/image" if form else b"search"
    kind = b"multipart/form-data; boundary=xyz" if form else b"application/json"
    head = b"POST /api/v1/%b HTTP/1.1\r\nHost: localhost\r\nContent-Type: %b\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", tight.port), timeout=10) as connection:
        connection.sendall(head % (path, kind) + b"-")
        answer = b""
        while data := connection.recv(65536):
            answer += data
    assert b" 408 " in answer.partition(b"\r\n")[0]
    assert b'"too_slow"' in answer


@pytest.mark.parametrize(
    ("files", "fields", "status"),
    [
        ([], [], 422),
        ([("image", "a.png", png((1, 2, 3)))] * 2, [], 400),
        ([("picture", "a.png", png((1, 2, 3)))], [], 422),
        ([("image", "a.png", png((1, 2, 3)))], [("label", "red")] * 101, 400),
        ([("image", "a.png", png((1, 2, 3)))], [("k", "3"), ("k", "3")], 422),
        ([("image", "a.png", png((1, 2, 3)))], [("url", "http://127.0.0.1:1/")], 422),
        ([("image", "a.png", b"")], [], 422),
        ([], [("image", "http://169.254.169.254/")], 422),
    ],
)
def test_a_form_of_other_parts_is_refused(site, files, fields, status):
    answer = site.form("search/image", files=files, fields=fields)
    assert answer.status == status
    assert answer.code in ("invalid", "bad_request", "not_an_image")


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "", "multipart/mixed; boundary=xyz"])
def test_an_upload_that_is_no_form_is_refused(site, kind):
    answer = site("POST", "/api/v1/search/image", b"x" * 20, {"Content-Type": kind})
    assert (answer.status, answer.code) == (415, "wrong_content_type")


@pytest.mark.parametrize("body", [b"", b"--xyz", b"--abc--\r\n", b"--xyz\r\n\r\n\r\n--xyz--\r\n", b"\0" * 100])
def test_a_broken_form_is_refused(site, body):
    answer = site("POST", "/api/v1/search/image", body, {"Content-Type": "multipart/form-data; boundary=xyz"})
    assert answer.status in (400, 422)
    assert answer.code in ("bad_request", "invalid")
    assert site("POST", "/api/v1/search/image", body, {"Content-Type": "multipart/form-data"}).status == 400


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    "data", [SVG, b"<html>", b"GIF89a", png((1, 2, 3))[:40], b"%PDF-1.7", b"http://127.0.0.1/a.png", b"\xff\xd8\xff"]
)
def test_what_is_no_image_is_refused_in_words(site, data):
    answer = site.form("search/image", data)
    assert (answer.status, answer.code) == (422, "not_an_image")
    assert answer.json["error"]["hint"]


def test_all_usual_formats_are_taken(site):
    for form in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"):
        out = io.BytesIO()
        Image.new("RGB", (30, 20), (200, 10, 10)).save(out, form)
        assert site.form("search/image", out.getvalue()).status == 200


def test_idle_connections_are_closed_and_do_not_stand_in_the_way(tight):
    idle = [socket.create_connection(("127.0.0.1", tight.port), timeout=10) for _ in range(200)]
    assert tight.get("items/1/neighbors").status == 200
    assert [connection.recv(10) for connection in idle] == [b""] * 200
    for connection in idle:
        connection.close()
    assert tight.get("items/1/neighbors").status == 200


@pytest.fixture
def patient(small):
    """A service that works on few requests at once, and waits long for what they bring."""
    limits = replace(TIGHT, body_seconds=60, idle_seconds=60)
    with running(ServiceOptions(index=small, limits=limits)) as client:
        yield client


def test_more_requests_than_there_is_room_for_are_told_to_come_again(patient):
    body, kind = form_of([("image", "a.png", png((1, 2, 3)))])
    head = b"POST /api/v1/search/image HTTP/1.1\r\nHost: localhost\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    waiting = [socket.create_connection(("127.0.0.1", patient.port), timeout=20) for _ in range(TIGHT.requests)]
    for connection in waiting:
        connection.sendall(head % (kind.encode(), len(body)))
    wait_until(lambda: patient.service.counters.working == TIGHT.requests)
    answer = patient.get("labels")
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "busy", "1")
    assert patient("GET", "/livez").status == 200
    for connection in waiting:
        connection.sendall(body)
        assert b" 200 " in connection.recv(200)
        connection.close()
    wait_until(lambda: patient.service.counters.working == 0)
    assert patient.get("labels").status == 200


def test_a_full_queue_of_images_answers_503(small, monkeypatch):
    limits = replace(Limits(), waiting_images=1)
    gate = threading.Event()
    with running(ServiceOptions(index=small, limits=limits)) as site:
        model = site.service.encoding._model.result()
        slow, begun = model.outputs, threading.Event()

        def held(images):
            begun.set()
            gate.wait(10)
            return slow(images)

        monkeypatch.setattr(model, "outputs", held, raising=False)
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(site.form("search/image", png((1, 2, 3))))) for _ in range(5)
        ]
        threads[0].start()
        assert begun.wait(10)  # the first is being encoded: of the others one may wait
        for thread in threads[1:]:
            thread.start()
        wait_until(lambda: len(answers) == 3)
        gate.set()
        for thread in threads:
            thread.join()
        assert sorted(answer.status for answer in answers) == [200, 200, 503, 503, 503]
        assert all(answer.status == 200 or answer.headers["retry-after"] == "2" for answer in answers)


def test_a_sender_that_goes_away_harms_nobody(site):
    for cut in (50, 150, 300):
        body, kind = form_of([("image", "a.png", png((1, 2, 3)))])
        whole = (
            f"POST /api/v1/search/image HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
            connection.sendall(whole[:cut])
    assert site.form("search/image", png((1, 2, 3))).status == 200
    wait_until(lambda: site.service.counters.working == 0)
