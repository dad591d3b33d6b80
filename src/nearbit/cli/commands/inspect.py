"""`nearbit inspect`: what a model folder, an exported network, an index file or a file of codes holds."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.console import ModelPath, address_in, emit, json_option
from nearbit.cli.train_outcome import about_final, about_tuning
from nearbit.errors import InputError

if TYPE_CHECKING:
    from nearbit.index import Home, Place


class Inspected(ModelPath):
    """What `nearbit inspect` looks at: a file, a folder, a model on the hub, or an index in a server."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return address_in(value) or super().convert(value, param, ctx)


@click.command("inspect", epilog="Example: nearbit inspect birds.index")
@click.argument("path", type=Inspected(exists=True))
@click.option("--verify", is_flag=True, help="Check the whole file (an index); a model is always checked.")
@click.option(
    "-k",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Results that a search asks for (health).",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw how the centers of a model changed (crh) to this file, such as centers.png.",
)
@json_option
def command(path: "Place", verify: bool, k: int, plot: Path | None, as_json: bool) -> None:
    """Say what PATH holds, and how healthy its codes are.

    PATH is a model folder (its centers), an exported network, an index (a file or its address in a server), or an .npz
    file with codes (or database_codes) and n_bits.
    """
    if plot is not None:
        _plot(path, plot)
    about = _index(path, verify, k) if not isinstance(path, Path) else _of_path(path, verify, k)
    lines = [f"{name}: {_short(value)}" for name, value in about.items() if not isinstance(value, dict | list | None)]
    lines += [*about_tuning(about), *about_final(about)] if about["kind"] == "model" else []
    lines += _condition_lines(about.get("center_condition"))
    lines += _health_lines(about["health"], set(about)) if "health" in about else []
    emit(about, as_json=as_json, lines=lines)


def _of_path(path: Path, verify: bool, k: int) -> dict[str, Any]:
    """Return what is said of a folder or a file."""
    if path.is_dir():
        return _folder(path)
    is_codes = path.suffix == ".npz" and path.is_file()
    if verify and is_codes:
        raise InputError("--verify checks an index; a file of codes is always checked")
    return _codes(path, k) if is_codes else _index(path, verify, k)


def _plot(path: "Place", plot: Path) -> None:
    from nearbit.model.bundle import load_model
    from nearbit.model.measured import is_as_measured
    from nearbit.report.history import plot_center_history

    if not isinstance(path, Path) or not path.is_dir():
        raise InputError(f"--plot draws the centers of a model folder, and {path} is none: leave it out")
    record = load_model(path).record
    if not is_as_measured(record):
        raise InputError(
            f"the codes of {path} were changed after its training, so that it has no history of its centers: name the "
            "model that it was made of"
        )
    plot_center_history(record.get("history", []), plot)


def _folder(path: Path) -> dict[str, Any]:
    from nearbit.model.manifest import EXPORTED, kind_of

    return _exported(path) if kind_of(path) == EXPORTED else _model(path)


def _exported(path: Path) -> dict[str, Any]:
    from nearbit.model.onnx import load_onnx_model

    model = load_onnx_model(path)
    parity, retrieval = model.about.get("parity") or {}, model.about.get("retrieval") or {}
    return {
        "kind": "exported network",
        "path": str(path),
        "model_id": model.model_id,
        "source_model_id": model.source_model_id,
        "precision": model.precision,
        "method": model.about.get("method"),
        "n_bits": model.n_bits,
        "n_classes": len(model.classes),
        "backbone": model.about.get("backbone"),
        "image_size": getattr(model.preprocessing, "size", None),
        "network_bytes": len(model.content),
        "compared_on": parity.get("n_images"),
        "equal_bits": parity.get("equal_bits"),
        "largest_difference": parity.get("largest_difference"),
        "map_before": retrieval.get("before"),
        "map_after": retrieval.get("after"),
        "classes": list(model.classes),
        "parity": parity,
        "retrieval": retrieval or None,
        "libraries": model.about.get("libraries"),
    }


def _model(path: Path) -> dict[str, Any]:
    from nearbit.centers import pairwise_distances
    from nearbit.model.bundle import load_model
    from nearbit.model.manifest import regime_of, tuning_figures
    from nearbit.model.measured import OF_CODES, is_as_measured, record_without

    model = load_model(path)
    centers, record = model.centers.centers, model.record
    if not is_as_measured(record):  # folders of older versions still have what was measured on other codes
        record = record_without(record, OF_CODES) | {"certificate": record.get("certificate")}
    distances = pairwise_distances(centers) if len(centers) > 1 else None
    certificate = record.get("certificate") or {}
    condition = record.get("center_condition")
    return {
        "kind": "model",
        "path": str(path),
        "model_id": model.model_id,
        "method": model.method,
        "n_bits": model.n_bits,
        "n_classes": len(model.classes),
        "backbone": model.network.backbone.spec.name,
        "regime": regime_of(record),
        "head": model.head["kind"],
        "image_size": getattr(model.preprocessing, "size", None),
        "seed": record.get("options", {}).get("seed"),
        "selected_epoch": record.get("selected_epoch"),
        "n_train": record.get("n_train"),
        "validation_map": record.get("validation_map"),
        "final": record.get("final"),
        "tuning": tuning_figures(record),
        "split_hash": model.split.hash if model.split is not None else None,
        "center_distance_min": None if distances is None else int(distances.min()),
        "center_distance_mean": None if distances is None else round(float(distances.mean()), 2),
        "center_distance_bound": certificate.get("proven_upper_bound"),
        "semantic_loss": certificate.get("semantic_loss"),
        "center_correlation": certificate.get("correlation"),
        "center_condition": condition,
        "center_history": _center_history(record),
        "classes": list(model.classes),
        "shortened_from": record.get("shortened_from"),
        "added_classes": [added["name"] for added in record.get("added_classes", [])],
        "method_options": model.method_options,
        "seconds": record.get("seconds"),
    }


def _condition_lines(condition: dict[str, Any] | None) -> list[str]:
    """Return how codes of validation images lie around the centers of their classes; nothing where none is known."""
    if condition is None:
        return []
    radii = "; ".join(f"{q} % within {condition[f'radius_{q}']:g}" for q in (50, 95, 100))
    return [
        f"codes of {condition['n_items']} validation images around their own centers, in bits: {radii}",
        f"share of them nearer than a quarter of the least center distance ({condition['center_distance_min']}): "
        f"{condition['share_within']:.1%} (with all of them, every average precision would be 1)",
    ]


def _center_history(record: dict[str, Any]) -> dict[str, list[Any]] | None:
    """Return, epoch by epoch, how the centers changed; None for a method whose centers stay."""
    names = ("epoch", "centers_changed", "center_distance_min", "center_distance_mean", "center_correlation")
    history = record.get("history", [])
    if not any("center_distance_min" in epoch for epoch in history):
        return None
    return {name: [epoch.get(name) for epoch in history] for name in names}


def _codes(path: Path, k: int) -> dict[str, Any]:
    from nearbit.cli.arrays import read_arrays
    from nearbit.metrics.health import health_of

    arrays, n_bits = read_arrays(path, (), one_of=("codes", "database_codes"))
    health = health_of(next(iter(arrays.values())), n_bits, k=k)
    return {
        "kind": "codes",
        "path": str(path),
        "items": health.n_items,
        "n_bits": n_bits,
        "health": health.to_dict(),
    }


def _index(path: "Place", verify: bool, k: int) -> dict[str, Any]:
    from nearbit.index import open_index
    from nearbit.metrics.health import health_of

    with open_index(path, read_only=True) as index:
        about: dict[str, Any] = {"kind": "index", **index.stats()}
        _, codes = index.codes()
        if len(codes):
            about["health"] = health_of(codes, index.n_bits, k=k, centers=_centers(index)).to_dict()
        about["labels"] = index.labels()
        about["notes"] = index.notes()
        if verify:
            wrong = index.verify()
            about["verified"] = "all is well" if not wrong else "; ".join(wrong)
    return about


def _centers(index: "Home") -> Any:
    """Return the codes of the centers of the model that made the index; None where that model is not at hand."""
    from nearbit.codes import pack
    from nearbit.model.load import centers_in, model_at_hand

    folder = model_at_hand(index)
    centers = () if folder is None else centers_in(folder)
    return pack(centers) if len(centers) else None


def _health_lines(health: dict[str, Any], said: Collection[str]) -> list[str]:
    """Return what is said of the codes, beside what was said already."""
    left_out = {"n_items", "advice", *said}
    numbers = {name: value for name, value in health.items() if name not in left_out}
    lines = [f"{name}: {_short(value)}" for name, value in numbers.items() if value is not None]
    return lines + [f"advice: {sentence}" for sentence in health["advice"] or ["none needed"]]


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
