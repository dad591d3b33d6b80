#!/usr/bin/env python3
"""Codes of a really trained network, as many as a benchmark of search needs.

    nearbit train digits --method crh --bits 64 -o digits.model
    python benchmarks/trained_codes.py digits.model digits --views 300 --items 1000000 10000000 --out codes

Every database image of the model's split is encoded plain and in augmented views (random crops; mirrored where that
keeps the meaning). Items beyond the views are points between two views of one image in the backbone's feature space,
taken through the head: the shape of the codes stays that of the network, not that of a formula. Queries are the split's
query images, plain. Writes OUT-<items>.npz with query_codes, query_outputs, database_codes, query_labels,
database_labels and n_bits, and says what each holds.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.codes import binarize
from nearbit.datasets import Dataset, load_dataset
from nearbit.encoding.pipeline import EncodeRequest
from nearbit.encoding.torch_backend import encode_images, find_device
from nearbit.files.writing import cache_folder
from nearbit.model.bundle import load_model
from nearbit.networks.heads import apply_head

CHUNK = 65_536


def views_of(model: Any, dataset: Dataset, rows: np.ndarray, n_views: int) -> np.ndarray:
    """Return features float16 `(n_views, n_rows, feature_dim)`: the plain view, then augmented ones."""
    backbone = model.network.backbone
    device = find_device("cpu")
    views = []
    for view in range(n_views):
        rng = np.random.default_rng(view)

        def read(row: int, rng: np.random.Generator = rng) -> Any:
            image = dataset.source.read(row, at_least=backbone.preprocessing.augment_side)
            return backbone.preprocessing.augment(image, rng, mirror=dataset.mirror)

        digests = None if view else [dataset.digests[row] for row in rows]
        kept = None if view or not model.is_frozen else model.row_cache(cache_folder(), "cpu").of("torch")
        job = EncodeRequest(dataset.source, rows.tolist(), [dataset.keys[row] for row in rows], digests)
        reader = read if view else None
        encoded = encode_images(backbone, backbone.preprocessing, job, device=device, reader=reader, cache=kept)
        if encoded.problems:
            raise SystemExit(f"{len(encoded.problems)} images cannot be read; the first: {encoded.problems[0]}")
        views.append(encoded.outputs.astype(np.float16))
        print(f"view {view + 1} of {n_views}", flush=True)
    return np.stack(views)


def enlarged(model: Any, views: np.ndarray, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Return codes of `n_items` points, the views themselves first, and which image each is of."""
    n_views, n_images, width = views.shape
    flat = views.reshape(-1, width)
    rng = np.random.default_rng(0)
    codes, images = [], []
    for start in range(0, n_items, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, n_items))
        image = rng.integers(0, n_images, len(numbers))
        first, second = (rng.integers(0, n_views, len(numbers)) * n_images + image for _ in range(2))
        share = rng.random((len(numbers), 1), dtype=np.float32)
        own = numbers < len(flat)
        first[own] = second[own] = numbers[own]
        features = share * flat[first].astype(np.float32) + (1 - share) * flat[second].astype(np.float32)
        codes.append(binarize(apply_head(model.network.head, features, model.n_bits)))
        images.append(first % n_images)
    order = rng.permutation(n_items)
    return np.concatenate(codes)[order], np.concatenate(images)[order]


def main() -> None:
    """Encode and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--items", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--out", required=True, help="how the names of the files begin")
    options = parser.parse_args()
    model, dataset = load_model(options.model), load_dataset(options.data)
    model.split.check(dataset)
    queries = model.encode_dataset(dataset, model.split.query, cache=cache_folder())
    views = views_of(model, dataset, model.split.database, options.views)
    labels = dataset.labels.argmax(axis=1) if dataset.labels.ndim == 2 else dataset.labels
    for n_items in options.items:
        codes, images = enlarged(model, views, n_items)
        path = Path(f"{options.out}-{n_items}.npz")
        np.savez(
            path, query_codes=binarize(queries.outputs), query_outputs=queries.outputs,
            query_labels=labels[queries.rows], database_codes=codes,
            database_labels=labels[model.split.database[images]], n_bits=model.n_bits,
        )  # fmt: skip
        words = np.unique(np.ascontiguousarray(codes).view(f"V{codes.shape[1]}"))
        about = {"file": str(path), "items": n_items, "encoded_views": min(n_items, views.shape[0] * views.shape[1]),
                 "distinct_codes": len(words), "queries": len(queries.rows), "n_bits": model.n_bits}  # fmt: skip
        print(json.dumps(about), flush=True)


if __name__ == "__main__":
    main()
