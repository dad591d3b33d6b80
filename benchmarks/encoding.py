"""python benchmarks/encoding.py speed|memory: CPU time an image, and peak memory, of encoding.

`speed` interleaves in one process, with one thread, the ways to run a network: as nearbit did until 0.1 (PyTorch, 16
images at once), PyTorch in batches of other sizes, PyTorch in bfloat16 with channels last, nearbit's two ways now, and
ONNX Runtime's own rate (a session fed with all images at once). Process CPU time, median of the rounds after one that
is not counted. `memory` runs each case in a process of its own and reads its largest resident set.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

IMAGES = 16
RESULTS = Path(__file__).resolve().parent / "results"
NETWORKS = ("resnet18",)
SIZES = (224, 128)


def ways(name: str, size: int) -> Iterator[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
    """Yield the names of ways to run a network of random or given weights, with what runs pixels."""
    import torch

    from nearbit.encoding.exporting import module_bytes
    from nearbit.encoding.fast import session_of
    from nearbit.encoding.torch_backend import run_batches
    from nearbit.networks import make_backbone

    torch.manual_seed(0)
    backbone = make_backbone(name, image_size=size).eval()

    def plain(batch: int, module: Any = backbone, bf16: bool = False) -> Callable[[np.ndarray], np.ndarray]:
        @torch.no_grad()
        def run(pixels: np.ndarray) -> np.ndarray:
            parts = []
            for start in range(0, len(pixels), batch):
                inputs = torch.from_numpy(pixels[start : start + batch])
                if bf16:
                    inputs = inputs.contiguous(memory_format=torch.channels_last)
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                    parts.append(module(inputs).float().numpy())
            return np.concatenate(parts)

        return run

    yield "before: torch, 16 at once", plain(16)
    for batch in (1, 4):
        yield f"torch, {batch} at once", plain(batch)
    yield "nearbit by torch", lambda pixels: run_batches(backbone, pixels, torch.device("cpu"))
    session = session_of(backbone, backbone.preprocessing, "benchmark", None)
    if session is None:
        raise SystemExit("the network cannot be exported")
    yield "nearbit by ONNX Runtime", session.run
    yield "ONNX Runtime's own", _own_rate(module_bytes(backbone, backbone.preprocessing.takes))
    import copy

    last = copy.deepcopy(backbone).to(memory_format=torch.channels_last)
    yield "torch bf16, channels last, 16", plain(16, last, bf16=True)


def _own_rate(content: bytes) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda pixels: np.asarray(session.run(None, {"pixels": pixels})[0])


def speed(networks: list[str], sizes: list[int], rounds: int) -> list[dict[str, Any]]:
    """Return the figures of each network, size and way."""
    import torch

    torch.set_num_threads(1)
    found = []
    for name in networks:
        for size in sizes:
            pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 3, size, size), dtype=np.uint8)
            run = dict(ways(name, size))
            times: dict[str, list[float]] = {way: [] for way in run}
            outputs: dict[str, np.ndarray] = {}
            for turn in range(rounds + 1):
                for way, call in run.items():
                    start = time.process_time()
                    outputs[way] = call(pixels)
                    if turn:
                        times[way].append(1e3 * (time.process_time() - start) / IMAGES)
            first = outputs["before: torch, 16 at once"]
            typical = float(np.sqrt(np.mean(np.square(first))))
            median = {way: statistics.median(taken) for way, taken in times.items()}
            for way, taken in median.items():
                row = {
                    "network": Path(name).name,
                    "size": size,
                    "way": way,
                    "ms": taken,
                    "times_before": median["before: torch, 16 at once"] / taken,
                    "share_of_onnx_runtime": median["ONNX Runtime's own"] / taken,
                    "difference": float(np.abs(outputs[way] - first).max()) / typical,
                }
                found.append(row)
                print(
                    f"{row['network']:13} {size:4} {way:30} {taken:7.2f} ms {row['times_before']:6.2f}x before, "
                    f"{row['share_of_onnx_runtime']:5.2f} of ONNX Runtime's, differs by {row['difference']:.1e}",
                    flush=True,
                )
    return found


def peak_mb() -> float:
    """Return the largest resident set of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def frozen_model(network: str, size: int, n_bits: int) -> Any:
    """Return a model of random head on a frozen backbone."""
    import torch

    from nearbit.centers import CenterState
    from nearbit.model.bundle import Model
    from nearbit.networks import HashNetwork, Head, make_backbone

    torch.manual_seed(0)
    torch.set_num_threads(1)
    backbone = make_backbone(network, image_size=size)
    head = Head(backbone.spec.feature_dim, n_bits, "linear")
    signs = np.ones((2, n_bits), np.int8)
    return Model(
        network=HashNetwork(backbone, head).eval(),
        head=dict(head.spec),
        n_bits=n_bits,
        classes=("a", "b"),
        method="csq",
        method_options={},
        centers=CenterState(centers=signs, tie_break=signs[0]),
        record={"regime": "frozen"},
    )


def images_case(network: str, size: int, data: str, n_images: int, cache: str) -> dict[str, Any]:
    """Encode images of a data set with a frozen network; return the peak before and after."""
    import nearbit as nb

    model = frozen_model(network, size, 64)
    model.outputs(np.zeros((4, 32, 32, 3), np.uint8))
    loaded = peak_mb()
    dataset = nb.load_dataset(data)
    rows = np.arange(min(n_images, len(dataset)))
    encoded = model.encode_dataset(dataset, rows, cache=Path(cache))
    return {"loaded_mb": loaded, "peak_mb": peak_mb(), "rows": len(encoded.rows), "cpu_s": time.process_time()}


def rows_case(n_rows: int, width: int, cache: str) -> dict[str, Any]:
    """Make outputs of cached synthetic features, which lie in files; return the peak before and after."""
    import hashlib

    from nearbit.encoding.feature_cache import FeatureCache
    from nearbit.encoding.pipeline import EncodeRequest, encode_rows
    from nearbit.networks.heads import Head, apply_head

    loaded, rng = peak_mb(), np.random.default_rng(0)
    digests = [hashlib.sha256(str(row).encode()).hexdigest() for row in range(n_rows)]
    kept = FeatureCache(Path(cache), "synthetic")
    for start in range(0, n_rows, 8192):
        chunk = digests[start : start + 8192]
        if kept.missing(chunk):
            kept.add(chunk, rng.standard_normal((len(chunk), width), np.float32))
    head = Head(width, 64, "linear")

    def nothing(_: Any) -> Any:
        raise AssertionError("all rows are cached")

    request = EncodeRequest(None, range(n_rows), digests, digests)  # type: ignore[arg-type]
    encoded = encode_rows(
        nothing,
        nothing,
        request,
        finish=lambda rows: apply_head(head, rows, 64),
        cache=FeatureCache(Path(cache), "synthetic"),
    )
    return {"loaded_mb": loaded, "peak_mb": peak_mb(), "rows": len(encoded.rows), "cpu_s": time.process_time()}


def memory(network: str, size: int, data: str, counts: list[int], n_rows: int) -> list[dict[str, Any]]:
    """Run each case in a process of its own; return what they found."""
    found, width = [], 256
    with tempfile.TemporaryDirectory() as cache:
        cases: list[tuple[str, str, list[Any]]] = [
            (f"{n} images, {state}", "images_case", [network, size, data, n, cache])
            for n in counts
            for state in ("computed", "cached")
        ]
        cases += [(f"{n_rows} synthetic rows x {width}", "rows_case", [n_rows, width, cache])] if n_rows else []
        for words, case, arguments in cases:
            command = f"import json, encoding; print(json.dumps(encoding.{case}(*{arguments!r})))"
            said = subprocess.run(
                [sys.executable, "-c", command], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
            )
            row = {"case": words, **json.loads(said.stdout.splitlines()[-1])}
            found.append(row)
            print(
                f"{words:36} peak {row['peak_mb']:7.0f} MB, {row['peak_mb'] - row['loaded_mb']:6.0f} beside what was "
                f"loaded before ({row['loaded_mb']:.0f}); {row['cpu_s']:.0f} s of CPU",
                flush=True,
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["speed", "memory"])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), help="names that --backbone takes")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", default="cifar-100-binary")
    parser.add_argument("--images", nargs="+", type=int, default=[10_000, 60_000])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    if asked.part == "speed":
        found = speed(asked.networks, asked.sizes, asked.rounds)
    else:
        found = memory(asked.networks[0], asked.sizes[0], asked.data, asked.images, asked.rows)
    path = asked.output or RESULTS / f"encoding-{asked.part}.json"
    path.write_text(json.dumps({"threads": 1, "found": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
