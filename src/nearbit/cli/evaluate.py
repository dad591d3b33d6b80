"""`nearbit evaluate`: a model on its split, or codes that were made elsewhere."""

from pathlib import Path
from typing import Any

import click

from nearbit.cli.console import (
    Bars,
    data_options,
    device_option,
    json_option,
    list_problems,
    put,
    read_dataset,
    say,
    table,
)
from nearbit.errors import DataError, InputError

CODES = ("query_codes", "query_labels", "database_codes", "database_labels", "n_bits")
FIGURES = (
    "tie_aware_map",
    "lowest_map",
    "highest_map",
    "map_database_order",
    "map_database_order_at_100",
    "map_database_order_at_1000",
    "precision_at_1",
    "precision_at_10",
    "precision_at_100",
)

EXPLAINED = ("tie_aware_map", "map_by_convention")
"""Figures whose convention is printed; --json has it for every figure."""


@click.command("evaluate", epilog="Example: nearbit evaluate birds.model photos/")
@click.argument("model_path", metavar="[MODEL]", type=click.Path(path_type=Path), required=False)
@click.argument("source", metavar="[DATA]", required=False)
@click.option(
    "--codes",
    "codes_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="An .npz file with query_codes, query_labels, database_codes, database_labels and n_bits.",
)
@click.option(
    "--split",
    "split_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Another split than the one that the model records.",
)
@click.option("--convention", help="Also report mAP as another code base computes it, such as deephash-pytorch or csq.")
@click.option("-k", type=int, help="How many ranks that convention counts. [default: all]")
@click.option(
    "--plots",
    "plots_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the precision-recall curve and the figures of each class as PNG files into this folder.",
)
@device_option
@data_options
@json_option
def command(
    model_path: Path | None,
    source: str | None,
    codes_path: Path | None,
    split_path: Path | None,
    convention: str | None,
    k: int | None,
    plots_folder: Path | None,
    device: str,
    as_json: bool,
    cache: Path | None,
    **reading: Any,
) -> None:
    """Measure MODEL on the query and database images of DATA, by the split that the model records.

    The primary figure is the tie-aware mean average precision; the field's usual one stands beside it.
    """
    both = codes_path is not None and (model_path is not None or split_path is not None)
    if model_path is not None and source is None and codes_path is None:
        raise InputError(f"DATA is missing: nearbit evaluate {model_path} DATA")
    if both or (codes_path is None and source is None):
        raise InputError("give MODEL and DATA, or --codes FILE, not both; --split goes with MODEL and DATA")
    chosen = {"convention": convention, "k": k}
    with Bars() as progress:
        about, report = (
            _codes(codes_path, chosen, progress)
            if codes_path is not None
            else _model(model_path, source, split_path, chosen, device, cache, reading, progress)
        )
    if plots_folder is not None:
        from nearbit.report.plots import write_plots

        about["plots"] = [str(path) for path in write_plots(report, plots_folder)]
    put(about, as_json=as_json, lines=_lines(about))


def _lines(about: dict[str, Any]) -> list[str]:
    names = [name for name in (*FIGURES, "map_by_convention") if name in about]
    rows = [(name, "-" if about[name] is None else f"{about[name]:.4f}") for name in names]
    low, high = about["tie_aware_map_interval"]
    return [
        f"{about['n_query']} queries, {about['n_database']} database items, {about['n_bits']} bits, "
        f"{about['distinct_codes']} distinct codes",
        *table(rows, ("figure", "value")),
        f"tie_aware_map lies between {low:.4f} and {high:.4f} for other queries of the kind (95 % bootstrap interval)",
        *(f"{name}: {about['conventions'][name]}" for name in names if name in EXPLAINED),
        *(f"plot: {path}" for path in about.get("plots", ())),
    ]


def _model(
    model_path: Any,
    source: Any,
    split_path: Path | None,
    chosen: dict[str, Any],
    device: str,
    cache: Path | None,
    reading: dict[str, Any],
    progress: Any,
) -> tuple[dict[str, Any], Any]:
    from nearbit.bundle import load_model
    from nearbit.datasets import load_split
    from nearbit.evaluation import evaluate
    from nearbit.files import cache_folder

    model = load_model(model_path)
    kept = cache or cache_folder()
    dataset = read_dataset(source, cache=kept, progress=progress, **reading)
    split = load_split(split_path) if split_path is not None else None
    evaluation = evaluate(model, dataset, split, **chosen, device=device, cache=kept, progress=progress)
    seen = evaluation.queries_seen_in_training
    if seen:
        say(f"warning: {seen} query images are training or validation images of the model: these figures are too good")
    errors = list_problems(
        dataset.problems + evaluation.problems, Path(f"{Path(model_path).name}.evaluate.errors.jsonl")
    )
    return {
        "model": str(model_path),
        "method": model.method,
        "seed": model.record.get("options", {}).get("seed"),
        "head": model.head["kind"],
        **evaluation.to_dict(),
        "queries_seen_in_training": seen,
        "errors_file": errors,
    }, evaluation.report


def _codes(path: Path, chosen: dict[str, Any], progress: Any) -> tuple[dict[str, Any], Any]:
    import zipfile

    import numpy as np

    from nearbit.metrics import evaluate_codes

    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in CODES if name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise DataError(f"{path} cannot be read as an .npz file of plain arrays: {error}") from error
    missing = [name for name in CODES if name not in arrays]
    if missing:
        raise DataError(f"{path} must hold {', '.join(CODES)}; missing: {', '.join(missing)}")
    n_bits = arrays.pop("n_bits")
    if n_bits.ndim or n_bits.dtype.kind not in "iu":
        raise DataError(f"{path}: n_bits must be one whole number, not {n_bits.dtype} {n_bits.shape}")
    report = evaluate_codes(**arrays, n_bits=int(n_bits), **chosen, rng=np.random.default_rng(0), progress=progress)
    return {"codes": str(path), **report.to_dict()}, report
