"""Heads of requests: bounded in bytes and fields before anything else is done, and gone from memory afterwards."""

import contextlib
import gc
import json
import socket
import time

import pytest
from service_site import running, wait_until

from nearbit.service.http.connection import MOST_WAITING
from nearbit.service.settings import Limits, ServiceOptions

BYTES, FIELDS = 4096, 30
START = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
GOOD = START + b"\r\n"


@pytest.fixture(scope="module")
def narrow(small):
    limits = Limits(head_bytes=BYTES, head_fields=FIELDS, idle_seconds=3)
    with running(ServiceOptions(index=small, limits=limits)) as site:
        yield site


def ask(port, *parts, wait=0.0):
    """Send parts; return the first line and the body of the answer, empty where none came."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:
                break
            time.sleep(wait)
        answer = b""
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0], body


HEADS = {
    "a long value": [START + b"X: " + b"a" * BYTES + b"\r\n\r\n"],
    "a long name": [START + b"a" * BYTES + b": x\r\n\r\n"],
    "a long path": [b"GET /" + b"a" * BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    "a long query": [b"GET /livez?" + b"a" * BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    "many fields": [START + b"X: 1\r\n" * FIELDS + b"\r\n"],
    "many fields, no end": [START, *[b"X: 1\r\n" * 5] * 20],
    "a value without end": [START + b"X: ", *[b"a" * 3000] * 30],
    "a value without end, at once": [START + b"X: " + b"a" * 2_000_000],
    "a path without end": [b"GET /", *[b"a" * 3000] * 30],
    "after a good one": [GOOD + START + b"X: " + b"a" * BYTES + b"\r\n\r\n"],
}


@pytest.mark.parametrize("parts", HEADS.values(), ids=HEADS)
def test_a_head_beyond_the_bounds_is_refused(narrow, parts):
    line, body = ask(narrow.port, *parts, wait=0.005 if len(parts) > 1 else 0)
    assert line == b"HTTP/1.1 431 Request Header Fields Too Large"
    assert json.loads(body)["error"]["code"] == "head_too_large"
    assert narrow("GET", "/livez").status == 200


def test_a_head_within_the_bounds_is_taken(narrow):
    for more in (b"X: " + b"a" * (BYTES - 200), b"\r\n".join([b"X: 1"] * (FIELDS - 3))):
        line, body = ask(narrow.port, START + more + b"\r\nConnection: close\r\n\r\n")
        assert (line, body) == (b"HTTP/1.1 200 OK", b"ok\n")


@pytest.mark.parametrize(
    "junk", [b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", START + b"a b: c\r\n\r\n"]
)
def test_what_is_no_http_has_the_one_shape_of_errors(narrow, junk):
    line, body = ask(narrow.port, junk)
    assert line == b"HTTP/1.1 400 Bad Request"
    assert json.loads(body)["error"]["code"] == "bad_request"


def test_requests_without_end_before_the_first_answer_end_the_connection(narrow):
    with socket.create_connection(("127.0.0.1", narrow.port), timeout=10) as connection:
        connection.sendall(GOOD * 4000)
        answer = b""
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                answer += data
    assert answer.count(b"HTTP/1.1 200") <= MOST_WAITING + 1
    assert ask(narrow.port, GOOD * 3 + START + b"Connection: close\r\n\r\n")[1].count(b"ok\n") == 4


def test_refused_heads_leave_nothing_behind(narrow):
    def connections():
        gc.collect()
        return [one for one in gc.get_objects() if type(one).__name__ == "Connection" and hasattr(one, "_fields")]

    before = len(connections())
    for _ in range(40):
        assert b" 431 " in ask(narrow.port, START + b"X: " + b"a" * 100_000)[0]
    assert sum(len(value) for one in connections() for _, value in one.headers or ()) < 40 * BYTES
    wait_until(lambda: len(connections()) <= before + 2, 15)
