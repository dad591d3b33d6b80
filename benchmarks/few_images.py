#!/usr/bin/env python3
"""What codes of few images without labels find: random directions, ITQ of fewer bits, and a frame of ITQ.

    python benchmarks/few_images.py PHOTOS --backbone hf:MOBILENET

Of a folder of photographs 60 are drawn, again and again; each way makes codes of their features alone. Recall counts
which of the nearest by the cosine of the features are among the nearest by codes: within the 60 (5 nearest), for 100
other photographs that search the 60 (5), and once the index has grown to 600 (10). Ties in distance go to the first.
Prints a table of means and deviations over the draws, and writes all of them.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from nearbit.datasets import load_dataset
from nearbit.encoding.pipeline import EncodeRequest
from nearbit.encoding.torch_backend import encode_images, find_device
from nearbit.estimators import ITQ, Random
from nearbit.networks import make_backbone

WAYS = {
    "random, 128 bits": lambda: Random(n_bits=128, output="signs"),
    "ITQ, 32 bits": lambda: ITQ(n_bits=32, output="signs"),
    "ITQ, 48 bits": lambda: ITQ(n_bits=48, output="signs"),
    "ITQ, 59 bits": lambda: ITQ(n_bits=59, output="signs"),
    "ITQ, a frame of 128 bits": lambda: ITQ(n_bits=128, frame_from=16, output="signs"),
}
SEEN, GROWN, QUERIES = 60, 600, 100


def features_of(folder: Path, backbone: str, n_images: int) -> np.ndarray:
    """Return the features of evenly spread photographs: float32 `(n, feature_dim)`."""
    dataset = load_dataset(folder)
    network = make_backbone(backbone).eval()
    rows = np.unique(np.linspace(0, len(dataset) - 1, n_images).round().astype(int)).tolist()
    request = EncodeRequest(dataset.source, rows, [dataset.keys[row] for row in rows])
    encoded = encode_images(network, network.preprocessing, request, device=find_device("cpu"))
    return encoded.outputs


def nearest(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the places of the k smallest of each row, the first of equals."""
    return np.argsort(scores, axis=1, kind="stable")[:, :k]


def recall(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the mean share of the expected that was found."""
    return float(np.mean([len(set(one) & set(other)) / len(other) for one, other in zip(found, expected, strict=True)]))


def measured(features: np.ndarray, way: str, seed: int) -> dict[str, float]:
    """Return the three recalls of one way for one draw."""
    order = np.random.default_rng(seed).permutation(len(features))
    seen, grown = features[order[:SEEN]], features[order[:GROWN]]
    queries = features[order[GROWN : GROWN + QUERIES]]

    def unit(rows: np.ndarray) -> np.ndarray:
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    fitted = WAYS[way]().fit(seen)

    def codes(rows: np.ndarray) -> np.ndarray:
        return np.where(fitted.transform(rows) > 0, 1.0, -1.0)

    figures = {}
    for name, asking, items, k in (
        ("within the 60", seen, seen, 5), ("new queries", queries, seen, 5), ("grown to 600", grown, grown, 10),
    ):  # fmt: skip
        by_cosine, by_code = -unit(asking) @ unit(items).T, -codes(asking) @ codes(items).T
        if asking is items:
            np.fill_diagonal(by_cosine, np.inf)
            np.fill_diagonal(by_code, np.inf)
        figures[name] = recall(nearest(by_code, k), nearest(by_cosine, k))
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="hf:facebook/dinov2-small")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/few-images.json"))
    given = parser.parse_args()
    features = features_of(given.folder, given.backbone, given.images)
    if len(features) < GROWN + QUERIES:
        raise SystemExit(f"expected at least {GROWN + QUERIES} photographs, came {len(features)}")
    rows = {way: [measured(features, way, seed) for seed in range(given.draws)] for way in WAYS}
    for way, draws in rows.items():
        told = []
        for name in draws[0]:
            values = [draw[name] for draw in draws]
            told.append(f"{name} {np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}")
        print(f"{way:26}", "  ".join(told))
    about = {"backbone": given.backbone.rpartition("/")[2], "photographs": len(features), "draws": rows}
    given.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
