"""`nearbit inspect`: what a model folder or an index file holds."""

from pathlib import Path
from typing import Any

import click

from nearbit.cli.console import json_option, put


@click.command("inspect", epilog="Example: nearbit inspect birds.index")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--verify", is_flag=True, help="Check the whole file (an index); a model is always checked.")
@json_option
def command(path: Path, verify: bool, as_json: bool) -> None:
    """Say what PATH, a model folder or an index file, holds, and how healthy its codes are."""
    about = _model(path) if path.is_dir() else _index(path, verify)
    lines = [f"{name}: {value}" for name, value in about.items() if not isinstance(value, dict | list)]
    put(about, as_json=as_json, lines=lines)


def _model(path: Path) -> dict[str, Any]:
    from nearbit.bundle import load_model
    from nearbit.centers import pairwise_distances

    model = load_model(path)
    distances = pairwise_distances(model.centers.centers)
    record = model.record
    return {
        "kind": "model",
        "path": str(path),
        "model_id": model.model_id,
        "method": model.method,
        "n_bits": model.n_bits,
        "n_classes": len(model.classes),
        "backbone": model.network.backbone.spec.name,
        "regime": record.get("regime"),
        "head": model.head["kind"],
        "image_size": model.preprocessing.size,
        "seed": record.get("options", {}).get("seed"),
        "selected_epoch": record.get("selected_epoch"),
        "validation_map": record.get("validation_map"),
        "split_hash": model.split.hash if model.split is not None else None,
        "center_distance_min": int(distances.min()),
        "center_distance_mean": round(float(distances.mean()), 2),
        "classes": list(model.classes),
        "method_options": model.method_options,
        "seconds": record.get("seconds"),
    }


def _index(path: Path, verify: bool) -> dict[str, Any]:
    from nearbit.codes import unpack
    from nearbit.index import open_index

    with open_index(path) as index:
        about: dict[str, Any] = {"kind": "index", **index.stats()}
        _, codes = index.codes()
        if len(codes):
            ones = (unpack(codes, index.n_bits) > 0).mean(axis=0)
            about["largest_share_of_one_code"] = round(_largest_share(codes), 4)
            about["constant_bits"] = int(((ones == 0) | (ones == 1)).sum())
            about["mean_bit_imbalance"] = round(float(abs(ones - 0.5).mean()), 4)
        about["labels"] = index.labels()
        about["notes"] = index.notes()
        if verify:
            wrong = index.verify()
            about["verified"] = "all is well" if not wrong else "; ".join(wrong)
    return about


def _largest_share(codes: Any) -> float:
    import numpy as np

    _, counts = np.unique(codes, axis=0, return_counts=True)
    return float(counts.max() / len(codes))
