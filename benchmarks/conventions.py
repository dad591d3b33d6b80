#!/usr/bin/env python3
"""Mean average precision by the field's own code and by nearbit's convention of that name, on the same codes.

    python benchmarks/conventions.py --repositories FOLDER --out benchmarks/results/conventions.json

FOLDER holds clones of the repositories (`git clone https://github.com/OWNER/NAME`): swuxyj/DeepHash-pytorch,
thuml/HashNet, kamwoh/orthohash, yuanli2333/Hadamard-Matrix-for-hashing, thulab/DeepHash. What is missing is named as
skipped. Their function of mAP alone is run, twice: as it is, and with a stable sort in the place of theirs, which is
what the conventions promise. torchmetrics and pytorch-metric-learning are run where they are installed.
"""

import argparse
import ast
import json
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from nearbit.codes import pack
from nearbit.metrics import evaluate_codes

N_BITS = 16
Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Signs float32 and labels float32 rows of 0 and 1: queries, then database."""


def make(seed: int, *, multi: bool) -> Data:
    """Return signs around 20 centers, sorted by class as data sets are, and labels; some queries have no label."""
    rng = np.random.default_rng(seed)
    n_query, n_database = 200, 3000
    centers = rng.choice([-1.0, 1.0], (20, N_BITS))
    classes = np.concatenate([rng.integers(0, 20, n_query), np.sort(rng.integers(0, 18, n_database))])
    signs = np.where(rng.random((len(classes), N_BITS)) < 0.1, -centers[classes], centers[classes]).astype(np.float32)
    rows = (rng.random((len(classes), 20)) < 0.08) if multi else np.eye(20)[classes]
    rows = rows.astype(np.float32)
    if multi:
        rows[:5] = 0
    return signs[:n_query], rows[:n_query], signs[n_query:], rows[n_query:]


def function_of(file: Path, name: str, names: dict[str, Any]) -> Callable[..., Any]:
    """Return one function of a source file, with the names that it needs; the rest of the file is not run."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    own = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in (name, *names.get("also", ()))
    ]
    module = types.ModuleType(name)
    module.__dict__.update(names)
    exec(compile(ast.Module(own, []), str(file), "exec"), module.__dict__)
    return getattr(module, name)


@contextmanager
def stable_sorts() -> Iterator[None]:
    """Let NumPy's and torch's sorts keep the order of equal values."""
    import torch

    argsort, sort = np.argsort, torch.sort

    def topk(values: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
        ordered, places = sort(values, dim=dim, descending=largest, stable=True)
        return ordered.narrow(dim, 0, k), places.narrow(dim, 0, k)

    def stable(values: Any, axis: int = -1, **_: Any) -> Any:
        return argsort(values, axis=axis, kind="stable")

    with (
        mock.patch.object(np, "argsort", stable),
        mock.patch.object(np, "argpartition", lambda values, _: stable(values)),
        mock.patch.object(torch, "topk", topk),
        mock.patch.object(torch.Tensor, "topk", topk),
    ):
        yield


def repositories(folder: Path | None) -> dict[str, tuple[Path | None, Callable[[Path, Data, int], float]]]:
    """Return, by the name of the convention, the file of each repository and how its function is called."""
    import torch

    def deephash_pytorch(file: Path, data: Data, k: int) -> float:
        names = {"np": np, "tqdm": iter, "also": ("CalcHammingDist",)}
        queries, query_rows, database, database_rows = data
        return float(function_of(file, "CalcTopMap", names)(database, queries, database_rows, query_rows, k))

    def hashnet(file: Path, data: Data, k: int) -> float:
        parts = dict(zip(("test_code", "test_labels", "database_code", "database_labels"), copies(data), strict=True))
        return float(function_of(file, "mean_average_precision", {"np": np})(parts, k))

    def orthohash(file: Path, data: Data, k: int) -> float:
        class Silent:
            total = 0.0

            def tick(self) -> None: ...

            def toc(self) -> None: ...

        class Configs:
            @staticmethod
            def tensor_to_dataset(codes: Any) -> Any:
                return codes

            @staticmethod
            def dataloader(codes: Any, size: int, *_: Any) -> Any:
                return codes.split(size)

        quiet = types.SimpleNamespace(info=lambda *_, **__: None)
        names = {"np": np, "torch": torch, "Timer": Silent, "configs": Configs, "logging": quiet, "print": quiet.info}
        queries, query_rows, database, database_rows = (torch.from_numpy(part) for part in copies(data))
        return float(function_of(file, "calculate_mAP", names)(database, database_rows, queries, query_rows, k))

    def csq(file: Path, data: Data, k: int) -> float:
        queries, query_rows, database, database_rows = copies(data)
        options = types.SimpleNamespace(R=k, T=0)
        with np.errstate(all="ignore"), mock.patch.object(np, "float", float, create=True):  # NumPy removed it
            return float(
                function_of(file, "mean_average_precision", {"np": np})(
                    database, queries, database_rows, query_rows, options
                )[0]
            )

    def thulab(file: Path, data: Data, k: int) -> float:
        queries, query_rows, database, database_rows = copies(data)
        names = {"np": np, "distance": lambda a, b, **_: -(a @ b.T)}
        return float(
            function_of(file, "get_mAPs", names)(queries, query_rows, database, database_rows, k, "inner_product")
        )

    files = {
        "deephash-pytorch": ("DeepHash-pytorch/utils/tools.py", deephash_pytorch),
        "hashnet": ("HashNet/pytorch/src/test.py", hashnet),
        "orthohash": ("orthohash/functions/hashing.py", orthohash),
        "csq": ("Hadamard-Matrix-for-hashing/test.py", csq),
        "thulab-deephash": ("DeepHash/DeepHash/evaluation/__init__.py", thulab),
    }
    return {name: (None if folder is None else folder / path, call) for name, (path, call) in files.items()}


def copies(data: Data) -> Data:
    """Return copies: several of these functions change what they are given."""
    return data[0].copy(), data[1].copy(), data[2].copy(), data[3].copy()


def torchmetrics_map(data: Data, k: int) -> float:
    """Return mAP by the functional form of torchmetrics, scores kept positive."""
    import torch
    from torchmetrics.functional.retrieval import retrieval_average_precision

    queries, query_rows, database, database_rows = (torch.from_numpy(part) for part in data)
    values = [
        float(retrieval_average_precision(database @ query + N_BITS + 1, database_rows @ row > 0, top_k=k))
        for query, row in zip(queries, query_rows, strict=True)
    ]
    return float(np.mean(values))


def pml_map(data: Data, k: int) -> float:
    """Return mAP by pytorch-metric-learning, for one label an item."""
    import torch
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    queries, query_rows, database, database_rows = (torch.from_numpy(part) for part in data)
    calculator = AccuracyCalculator(
        include=("mean_average_precision",), k=k, device=torch.device("cpu"),
        knn_func=CustomKNN(LpDistance(normalize_embeddings=False, power=2)),
    )  # fmt: skip
    figures = calculator.get_accuracy(queries, query_rows.argmax(1), database, database_rows.argmax(1))
    return float(figures["mean_average_precision"])


def calls(folder: Path | None) -> Iterator[tuple[str, Callable[[Data, int], float], bool]]:
    """Yield the name of each convention that can be checked, how it is computed, whether it knows several labels."""
    for name, (file, call) in repositories(folder).items():
        if file is None or not file.is_file():
            print(f"skipped: {name}: {file or 'no folder of repositories was given'}")
            continue
        yield name, lambda data, k, file=file, call=call: call(file, data, k), True
    for name, package, call, multi in (
        ("torchmetrics", "torchmetrics", torchmetrics_map, True),
        ("pytorch-metric-learning", "pytorch_metric_learning", pml_map, False),
    ):
        if find_spec(package) is None:
            print(f"skipped: {name} is not installed")
            continue
        yield name, call, multi


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repositories", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for name, call, knows_many in calls(options.repositories):
        for multi in (False, True)[: 1 + knows_many]:
            for k in (100, 3000):
                data = make(k, multi=multi)
                codes = [pack(part.astype(np.int8)) for part in (data[0], data[2])]
                labels = [part > 0 for part in (data[1], data[3])]
                ours = evaluate_codes(codes[0], labels[0], codes[1], labels[1], n_bits=N_BITS, convention=name, k=k)
                as_it_is = call(data, k)
                with stable_sorts():
                    stable = call(data, k)
                row = {"convention": name, "labels": "many" if multi else "one", "k": k, "theirs": as_it_is,
                       "theirs_stable_sort": stable, "nearbit": ours.map_by_convention,
                       "tie_aware_at_all": ours.tie_aware_map}  # fmt: skip
                rows.append(row)
                print(
                    f"{name:24} {row['labels']:4} k={k:<5} theirs {as_it_is:.6f}  with a stable sort {stable:.9f}  "
                    f"nearbit {ours.map_by_convention:.9f}  difference {abs(stable - ours.map_by_convention):.1e}"
                )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    worst = max((abs(row["theirs_stable_sort"] - row["nearbit"]) for row in rows), default=0.0)
    print(f"{len(rows)} comparisons; largest difference {worst:.1e}")


if __name__ == "__main__":
    main()
