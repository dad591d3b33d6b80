#!/usr/bin/env python3
"""The HTTP service under load: requests a second, answer times, and what the server spends them on.

    python benchmarks/service.py --out benchmarks/results/service.json --items 1000000 --seconds 20
    python benchmarks/service.py --out uploads.json --served birds.index --images photos/ --seconds 20

The server runs as `nearbit serve` on loopback; the clients are threads of another process, each with one connection,
each sending its next request when it has its answer. A synthetic index is made for searches by id (noisy classes, as
in benchmarks/index.py, with paths and labels); `--served` names one with a model, to which JPEGs of `--images` are
uploaded. Beside wall time the CPU seconds of the server a request are given: a shared machine gives no honest wall
time. Overload: more clients than requests are worked on at once; then it is measured how soon one is answered again.
"""

import argparse
import json
import multiprocessing
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nearbit.index import create_index
from nearbit.threads import n_threads

Requests = Callable[[int, int], bytes]
"""Returns request number `i` of client `c`, whole, as bytes."""

BITS = 64
CLASSES = 100
CHUNK = 100_000
OVERLOAD_CLIENTS = 160
FORM = b"boundary-of-the-benchmark"
TICKS = os.sysconf("SC_CLK_TCK")


class Sample(NamedTuple):
    """One answer: status, seconds from sending to the last byte, and the server's own steps in milliseconds."""

    status: int
    seconds: float
    steps: dict[str, float]


class Server(NamedTuple):
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int


def make_index(path: Path, n_items: int) -> None:
    """Make an index of noisy classes, with a path and a label an item."""
    rng = np.random.default_rng(0)
    prototypes = rng.random((20, BITS)) < 0.5
    centers = prototypes[np.arange(CLASSES) % 20] ^ (rng.random((CLASSES, BITS)) < 0.3)
    flips = rng.beta(0.3, 3.0, centers.shape).astype(np.float32)
    with create_index(path, BITS) as index:
        for start in range(0, n_items, CHUNK):
            size = min(CHUNK, n_items - start)
            classes = rng.integers(0, CLASSES, size)
            signs = centers[classes] ^ (rng.random((size, BITS), dtype=np.float32) < flips[classes])
            metadata = [
                {"path": f"photos/{label:03d}/{start + row:08d}.jpg", "labels": [f"class {label:03d}"]}
                for row, label in enumerate(classes.tolist())
            ]
            index.add(np.packbits(signs, axis=1), metadata=metadata)


@contextmanager
def serving(index: Path, workers: int) -> Iterator[Server]:
    """Run `nearbit serve` on a free port until the block ends; wait until it is ready."""
    command = [sys.executable, "-m", "nearbit", "serve", str(index), "--port", "0", "--workers", str(workers)]
    with tempfile.TemporaryFile() as journal:
        process = subprocess.Popen(command, stderr=journal)
        try:
            port = _port(process, journal)
            while _status_of(port, b"GET /readyz") != 200:
                time.sleep(0.1)
            yield Server(process, port)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _port(process: subprocess.Popen[bytes], journal: Any) -> int:
    while process.poll() is None:
        found = re.search(rb"http://[^:]*:(\d+)/", os.pread(journal.fileno(), 4096, 0))
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise SystemExit(f"the server did not start: {os.pread(journal.fileno(), 4096, 0).decode()}")


def _status_of(port: int, line: bytes) -> int:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            return exchange(connection, line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n").status
    except OSError:
        return 0


def exchange(connection: socket.socket, request: bytes) -> Sample:
    """Send one request and read its answer."""
    began = time.perf_counter()
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _received(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    left = (int(length[1]) if length else 0) - len(body)
    while left > 0:
        left -= len(_received(connection))
    took = time.perf_counter() - began
    timing = re.search(rb"(?i)server-timing: ([^\r]*)", head)
    steps = dict(re.findall(r"(\w+);dur=([\d.]+)", timing[1].decode())) if timing else {}
    return Sample(int(head[9:12]), took, {name: float(ms) for name, ms in steps.items()})


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the server closed the connection")
    return data


def by_id(n_items: int) -> Requests:
    """Return searches from items drawn at random."""
    ids = np.random.default_rng(1).integers(1, n_items + 1, 100_000)

    def request(client: int, number: int) -> bytes:
        item = ids[(client * 7919 + number) % len(ids)]
        return b"GET /api/v1/items/%d/neighbors?k=10 HTTP/1.1\r\nHost: localhost\r\n\r\n" % item

    return request


def uploads(folder: Path) -> Requests:
    """Return uploads of the JPEGs below a folder, in turn."""
    files = [file.read_bytes() for file in sorted(folder.rglob("*.jpg"))[:500]]
    if not files:
        raise SystemExit(f"{folder} holds no .jpg file")

    def request(client: int, number: int) -> bytes:
        head = b'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        picture = files[(client * 61 + number) % len(files)]
        body = b"--%b\r\n%b%b\r\n--%b--\r\n" % (FORM, head, picture, FORM)
        lines = b"Host: localhost\r\nContent-Type: multipart/form-data; boundary=%b\r\nContent-Length: %d" % (
            FORM,
            len(body),
        )
        return b"POST /api/v1/search/image HTTP/1.1\r\n%b\r\n\r\n%b" % (lines, body)

    return request


def load(port: int, requests: Requests, clients: int, seconds: float) -> list[Sample]:
    """Return the answers that clients got in some time; the clients run in a process of their own."""
    context = multiprocessing.get_context("fork")
    results: Any = context.SimpleQueue()
    process = context.Process(target=_clients, args=(port, requests, clients, seconds, results))
    process.start()
    samples: list[Sample] = results.get()
    process.join()
    return samples


def _clients(port: int, requests: Requests, clients: int, seconds: float, results: Any) -> None:
    samples: list[Sample] = []
    end = time.perf_counter() + seconds

    def run(client: int) -> None:
        own, number = [], 0
        while time.perf_counter() < end:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                    while time.perf_counter() < end:
                        own.append(exchange(connection, requests(client, number)))
                        number += 1
            except OSError:
                own.append(Sample(0, 0.0, {}))
        samples.extend(own)

    threads = [threading.Thread(target=run, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(samples)


def measured(server: Server, requests: Requests, clients: int, seconds: float) -> dict[str, Any]:
    """Return what a load did: rate, answer times in milliseconds, steps, CPU time and memory of the server."""
    load(server.port, requests, clients, min(2.0, seconds))  # compiled code, caches
    cpu, memory, began = cpu_seconds(server), memory_mb(server), time.perf_counter()
    samples = load(server.port, requests, clients, seconds)
    wall = time.perf_counter() - began
    good = [sample for sample in samples if sample.status == 200]
    times = np.array([1000 * sample.seconds for sample in good] or [0.0])
    steps = {
        name: round(statistics.fmean(sample.steps.get(name, 0.0) for sample in good), 3) if good else None
        for name in ("decode", "encode", "search", "total")
    }
    return {
        "clients": clients,
        "seconds": round(wall, 2),
        "statuses": dict(Counter(sample.status for sample in samples)),
        "requests_per_second": round(len(good) / wall, 1),
        "p50_ms": round(float(np.percentile(times, 50)), 2),
        "p99_ms": round(float(np.percentile(times, 99)), 2),
        "mean_steps_ms": steps,
        "server_cpu_ms_a_request": round(1000 * (cpu_seconds(server) - cpu) / max(1, len(samples)), 3),
        "memory_mb": [memory, memory_mb(server)],
    }


def recovery(server: Server) -> float:
    """Return the seconds until a request is answered 200 after an overload."""
    began = time.perf_counter()
    while _status_of(server.port, b"GET /api/v1/labels") != 200:
        time.sleep(0.02)
    return round(time.perf_counter() - began, 3)


def cpu_seconds(server: Server) -> float:
    """Return the CPU seconds that a server and its workers have used."""
    return sum(sum(map(int, _stat(process)[11:13])) for process in _family(server.process.pid)) / TICKS


def memory_mb(server: Server) -> float:
    """Return the resident memory of a server and its workers, in MB."""
    pages = sum(int(_stat(process)[21]) for process in _family(server.process.pid))
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _family(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [process, *(other for child in map(int, text.split()) for other in _family(child))]


def _stat(process: int) -> list[str]:
    return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--kept", type=Path, help="where the synthetic index is kept for the next run")
    parser.add_argument("--served", type=Path, help="an index with a model, for uploads")
    parser.add_argument("--images", type=Path, help="JPEGs to upload")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=20.0)
    chosen = parser.parse_args(arguments)
    results: dict[str, Any] = {"python": platform.python_version(), "threads": n_threads(), "load": os.getloadavg()}
    if chosen.served is not None:
        with serving(chosen.served, 1) as server:
            results["uploads"] = measured(server, uploads(chosen.images), chosen.clients, chosen.seconds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            index = chosen.kept or Path(folder) / "synthetic.index"
            if not index.exists():
                make_index(index, chosen.items)
            results["items"] = chosen.items
            for workers in chosen.workers:
                with serving(index, workers) as server:
                    results[f"by id, {workers} worker(s)"] = measured(
                        server, by_id(chosen.items), chosen.clients, chosen.seconds
                    )
                    if workers == 1:
                        over = measured(server, by_id(chosen.items), OVERLOAD_CLIENTS, min(10.0, chosen.seconds))
                        results["overload"] = over | {"recovery_seconds": recovery(server)}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
