"""A service over a small index, run by the real server on loopback, and a client that sends exactly what it is told."""

import contextlib
import http.client
import io
import json
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the service needs the extra serve")
pytest.importorskip("uvicorn", reason="the service needs the extra serve")

from nearbit.codes import pack, signs_of
from nearbit.datasets import content_digest
from nearbit.index import create_index, open_index
from nearbit.model.manifest import TRAINED, with_digest
from nearbit.service.serving import listen, make_server

N_BITS = 12
TOKEN = "a-token-of-the-tests"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        error = self.json["error"]
        assert sorted(error) == ["code", "hint", "message"]
        assert all(isinstance(value, str) for value in error.values())
        return error["code"]


class Client:
    """One request a connection; `headers` replace the usual ones."""

    def __init__(self, port):
        self.port = port

    def __call__(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            own = {"Host": f"localhost:{self.port}", **(headers or {})}
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in own.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None and "Content-Length" not in own:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self("GET", f"/api/v1/{path}", headers={k.replace("_", "-"): v for k, v in headers.items()})

    def search(self, body, **headers):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self("POST", "/api/v1/search", text, {"Content-Type": "application/json", **headers})

    def form(self, path, image=b"", fields=(), *, files=None, headers=None):
        body, kind = form_of(files if files is not None else [("image", "a.png", image)], fields)
        return self("POST", f"/api/v1/{path}", body, {"Content-Type": kind, **(headers or {})})


def form_of(files, fields=()):
    """Return the body and the content type of a form, written by hand."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + text.encode() for name, text in fields]
    for name, filename, data in files:
        head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
        parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data)
    body = b"".join(b"--xyz\r\n" + part + b"\r\n" for part in parts) + b"--xyz--\r\n"
    return body, "multipart/form-data; boundary=xyz"


class FakeEncoder:
    """A model of no training: the mean color of an image, through a fixed matrix."""

    n_bits, model_id = N_BITS, "fake"
    classes = ("red", "green", "blue")

    class preprocessing:
        resize = 8

    def __init__(self):
        self.matrix = np.random.default_rng(5).normal(size=(4, N_BITS)).astype(np.float32)

    def outputs(self, images):
        means = [np.asarray(image, np.float32).mean(axis=(0, 1)) / 255 for image in images]
        return np.array([np.append(mean, 1) @ self.matrix for mean in means], np.float32)


def wait_until(holds, seconds=10):
    """Wait until something holds; fail where it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def png(color, side=24):
    out = io.BytesIO()
    Image.new("RGB", (side, side), color).save(out, "PNG")
    return out.getvalue()


def colors_of(n):
    return [(7 * row % 256, 31 * row % 256, 101 * row % 256) for row in range(n)]


def write_index(folder: Path, n=30, *, outputs=None):
    """Write pictures of one color each, below photos/, with their index; the last one has no file."""
    photos = folder / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    encoder = FakeEncoder()
    images = [png(color) for color in colors_of(n)]
    rows = encoder.outputs([Image.open(io.BytesIO(image)) for image in images])
    metadata = []
    for row, image in enumerate(images):
        label = ["red", "green", "blue"][row % 3]
        if row != n - 1:
            (photos / f"{row:02d}.png").write_bytes(image)
        about = {"path": f"photos/{row:02d}.png", "labels": [label], "digest": content_digest(image)}
        metadata.append({**about, "camera": row % 2})
    with create_index(folder / "small.index", N_BITS, model_id="fake", outputs=outputs) as index:
        index.add(pack(signs_of(rows)), metadata=metadata, outputs=rows if outputs else None)
        index.set_notes({"model_path": "fake.model"})
    (folder / "fake.model").mkdir(exist_ok=True)
    write_manifest(folder / "fake.model")
    return folder / "small.index"


def write_manifest(folder, **about):
    """Write the manifest of a trained model that made the codes, but for what is given."""
    whole = {"kind": TRAINED, "format_version": 1, "model_id": "fake", "n_bits": N_BITS, "classes": [], "files": {}}
    (folder / "bundle.json").write_text(json.dumps(with_digest(whole | about)))


def stored_codes(path):
    """Return the codes of an index, item by item: uint8 (n, bytes)."""
    with open_index(path, read_only=True) as index:
        return np.stack([item.code for item in index])


@contextlib.contextmanager
def running(options, is_ready=lambda service: service.is_ready):
    """Serve in a thread; yields a client, with the service as an attribute, once that is ready."""
    options = replace(options, port=0)
    listening, started = listen(options), threading.Event()
    server = make_server(options, started.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        assert started.wait(60)
        client = Client(listening.getsockname()[1])
        client.service = server.config.app.parts
        wait_until(lambda: is_ready(client.service), 60)
        yield client
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
