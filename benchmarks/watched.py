"""What `benchmarks/watch.py` measures: pairs of nearbit and a peer doing the same work, in short forms.

Each entry is a function that makes its data in a folder and returns a `Pair`. A new one needs a line in `ENTRIES`.
"""

import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import index as search_benchmark
import metrics as metrics_benchmark
import service as service_benchmark
import training as training_benchmark
from nearbit.codes import as_words
from nearbit.index import create_index, open_index
from nearbit.index.engine.structure import build_structure
from nearbit.metrics import evaluate_codes

Work = Callable[[], float]
"""Does the work once and returns its CPU seconds."""

BITS, K = 64, 100
FIRST_SEARCH = (
    "import sys, nearbit, numpy; i = nearbit.open_index(sys.argv[1]); i.search(numpy.zeros((1, 8), 'u1'), k=10)"
)


class Pair(NamedTuple):
    """Two ways to do the same: the ratio of an entry is the peer's CPU seconds over ours, so more is better."""

    ours: Work
    peer: Work


class Sizes(NamedTuple):
    """How large the short forms are."""

    codes: int = 1_000_000
    queries: int = 1_000
    images: int = 16
    side: int = 224
    rows: int = 10_000
    requests: int = 400


Entry = Callable[[Sizes, Path, ExitStack], Pair]
"""(sizes, a folder for data, what is closed in the end) to a pair."""


def timed(work: Callable[[], object], times: int = 1) -> Work:
    """Return what does a piece of work some times and returns the CPU seconds of one."""

    def once() -> float:
        began = time.process_time()
        for _ in range(times):
            work()
        return (time.process_time() - began) / times

    return once


def _search(kind: str, peer: str, *, single: bool) -> Entry:
    """Return the entry of a search for the nearest 100 of codes, beside another engine."""

    def entry(sizes: Sizes, folder: Path, stack: ExitStack) -> Pair:
        case = search_benchmark.make(kind, sizes.codes, BITS, 100)
        queries = case.queries["random" if kind == "uniform" else "own"]
        structure = build_structure(as_words(case.database), BITS)
        ours = search_benchmark.nearbit_search(structure, K)
        theirs = _numpy_search(case.database) if peer == "numpy" else _faiss_search(case)
        if single:
            return Pair(_per_query(ours, queries), _per_query(theirs, queries[:20]))
        return Pair(timed(lambda: ours(queries)), timed(lambda: theirs(queries)))

    return entry


def _per_query(search: search_benchmark.Search, queries: np.ndarray) -> Work:
    whole = timed(lambda: [search(query[None]) for query in queries])
    return lambda: whole() / len(queries)


def _faiss_search(case: search_benchmark.Case) -> search_benchmark.Search:
    import faiss

    faiss.omp_set_num_threads(1)
    peer = faiss.IndexBinaryFlat(BITS)
    peer.add(case.database)
    return search_benchmark.faiss_search(peer, K)


def _numpy_search(database: np.ndarray) -> search_benchmark.Search:
    """Return the simplest search by NumPy: bits that differ, counted, and the first 100 of a stable sort."""
    words = database.view(np.uint64)[:, 0]

    def search(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = queries.view(np.uint64)[:, 0]
        distances = np.stack([np.bitwise_count(words ^ word) for word in own])
        rows = distances.argsort(axis=1, kind="stable")[:, :K]
        return np.take_along_axis(distances, rows, axis=1), rows

    return search


def first_search(sizes: Sizes, folder: Path, stack: ExitStack) -> Pair:
    """The first search after an installation, of a whole process, beside one that finds its kernels compiled."""
    path = folder / "first.index"
    with create_index(path, BITS) as made:
        made.add(search_benchmark.make("uniform", sizes.codes, BITS, 1).database)

    def process(**more: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = os.environ | more
        subprocess.run([sys.executable, "-c", FIRST_SEARCH, str(path)], check=True, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def cold() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            return process(NUMBA_CACHE_DIR=empty)

    return Pair(cold, process)


def _encoding(peer: str) -> Entry:
    """Return the entry of encoding images with a ResNet-18 of random weights."""

    def entry(sizes: Sizes, folder: Path, stack: ExitStack) -> Pair:
        import torch

        import nearbit as nb

        model = _random_model(sizes.side)
        pixels = np.random.default_rng(0).integers(0, 256, (sizes.images, sizes.side, sizes.side, 3), np.uint8)
        images = nb.from_images(pixels)
        batch = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        network = model.network.eval()

        def plain() -> Any:
            with torch.inference_mode():
                return network(batch)

        theirs = plain if peer == "torch" else _onnx(model, batch.numpy())
        return Pair(timed(lambda: model.encode_dataset(images, device="cpu")), timed(theirs))

    return entry


def _random_model(side: int) -> Any:
    import torch

    from nearbit.centers import CenterState, random_signs
    from nearbit.model.bundle import Model
    from nearbit.networks import HashNetwork, Head, make_backbone

    torch.manual_seed(0)
    backbone = make_backbone("resnet18", image_size=side)
    head = Head(backbone.spec.feature_dim, BITS, "linear")
    signs = random_signs((3, BITS), np.random.default_rng(0))
    return Model(
        network=HashNetwork(backbone, head).eval(),
        head=head.spec,
        n_bits=BITS,
        classes=("a", "b", "c"),
        method="csq",
        method_options={},
        centers=CenterState(centers=signs, tie_break=signs[0]),
        split=None,
        record={},
    )


def _onnx(model: Any, batch: np.ndarray) -> Callable[[], Any]:
    import onnxruntime

    from nearbit.onnx_export import network_bytes

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(network_bytes(model), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: batch})


def _evaluation(kind: str) -> Entry:
    """Return the entry of a whole report beside mAP alone by a radix sort of uint8 distances."""

    def entry(sizes: Sizes, folder: Path, stack: ExitStack) -> Pair:
        data = metrics_benchmark.make(sizes.queries, sizes.codes // 10, multi=kind == "multi")
        few = 20

        def radix() -> None:
            queries, query_labels, database, labels = data
            words = database.view(np.uint64)[:, 0]
            for query, own in zip(queries[:few].view(np.uint64)[:, 0], query_labels[:few], strict=True):
                order = np.bitwise_count(words ^ query).argsort(kind="stable")
                relevant = labels == own if labels.ndim == 1 else (labels & own).any(axis=1)
                ranks = np.flatnonzero(relevant[order]) + 1
                (np.arange(1, len(ranks) + 1) / np.maximum(ranks, 1)).mean()

        peer = timed(radix)
        return Pair(timed(lambda: evaluate_codes(*data, n_bits=BITS)), lambda: peer() * sizes.queries / few)

    return entry


def _filtered(share: int) -> Entry:
    """Return the entry of a search among one in `share` items by label, beside one among all."""

    def entry(sizes: Sizes, folder: Path, stack: ExitStack) -> Pair:
        path, rng = folder / f"filter-{share}.index", np.random.default_rng(0)
        codes = search_benchmark.make("clusters-5", sizes.codes // 5, BITS, 100)
        labels = np.where(rng.integers(0, share, len(codes.database)) == 0, "rare", "common")
        with create_index(path, BITS) as made:
            made.add(codes.database, metadata=[{"labels": [label]} for label in labels.tolist()])
            made.compact()
        index = stack.enter_context(open_index(path))
        queries = codes.queries["own"]

        def each(where: dict[str, Any] | None) -> Callable[[], object]:
            return lambda: [index.search(query[None], k=10, where=where) for query in queries]

        return Pair(timed(each({"labels": "rare"})), timed(each(None)))

    return entry


def service(sizes: Sizes, folder: Path, stack: ExitStack) -> Pair:
    """A request by id to the running service, beside the search of the index alone."""
    path, n_items = folder / "service.index", sizes.codes // 5
    service_benchmark.make_index(path, n_items)
    index = stack.enter_context(open_index(path))
    server = stack.enter_context(service_benchmark.serving(path, 1))
    request = service_benchmark.by_id(n_items)
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
    codes = search_benchmark.make("uniform", 100, BITS, 100).queries["random"]

    def ours() -> float:
        before = service_benchmark.cpu_seconds(server)
        for number in range(sizes.requests):
            assert service_benchmark.exchange(connection, request(0, number)).status == 200  # noqa: S101
        return (service_benchmark.cpu_seconds(server) - before) / sizes.requests

    return Pair(ours, _per_query(lambda query: index.search(query, k=10), codes))


def _training(case: str) -> Entry:
    """Return the entry of an epoch of a head beside a bare loop."""

    def entry(sizes: Sizes, folder: Path, stack: ExitStack) -> Pair:
        found = training_benchmark.made(sizes.rows, 1280)
        pairs: list[tuple[float, float]] = []

        def ours() -> float:
            pairs[:] = training_benchmark.measured(training_benchmark.CASES[case], *found, 3)
            return float(np.median([own for own, _ in pairs]))

        return Pair(ours, lambda: float(np.median([bare for _, bare in pairs])))

    return entry


ENTRIES: dict[str, Entry] = {
    "search uniform, batch / faiss": _search("uniform", "faiss", single=False),
    "search uniform, single / faiss": _search("uniform", "faiss", single=True),
    "search uniform, single / numpy": _search("uniform", "numpy", single=True),
    "search clusters-5, single / faiss": _search("clusters-5", "faiss", single=True),
    "first search, cold / warm process": first_search,
    "encode resnet18 / torch": _encoding("torch"),
    "encode resnet18 / onnxruntime": _encoding("onnx"),
    "report, one label / radix mAP": _evaluation("single"),
    "report, several labels / radix mAP": _evaluation("multi"),
    "filter 1 in 10 / unfiltered": _filtered(10),
    "filter 1 in 1000 / unfiltered": _filtered(1000),
    "service by id / search alone": service,
    "train csq linear / bare loop": _training("csq linear"),
    "train crh linear / bare loop": _training("crh linear"),
    "train csq hidden / bare loop": _training("csq hidden"),
}
"""By name: what is measured, / beside what."""


def chosen(words: Sequence[str]) -> list[str]:
    """Return the names of entries that hold one of some words; all without any."""
    return [name for name in ENTRIES if not words or any(word in name for word in words)]
