"""`nearbit evaluate`: a model on its split, or codes that were made elsewhere."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.console import (
    Bars,
    Data,
    ModelPath,
    data_options,
    device_option,
    echo,
    emit,
    json_option,
    list_problems,
    read_dataset,
    refuse_options,
    table,
)
from nearbit.errors import DataError, InputError
from nearbit.reading import ReadingOptions

if TYPE_CHECKING:
    from nearbit.datasets import Dataset, Split
    from nearbit.datasets.formats.hierarchy import Hierarchy
    from nearbit.model.bundle import Model

CODES = ("query_codes", "query_labels", "database_codes", "database_labels")
WITH_CODES = ("codes_path", "figures", "convention", "k", "hierarchy_text", "plots_folder", "as_json")
"""Parameters that have a use with --codes."""


@click.command("evaluate", epilog="Example: nearbit evaluate birds.model photos/")
@click.argument("model_path", metavar="[MODEL]", type=ModelPath(), required=False)
@click.argument("source", metavar="[DATA]", required=False, type=Data())
@click.option(
    "--codes",
    "codes_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="An .npz file with query_codes, query_labels, database_codes, database_labels, n_bits; for asymmetric figures "
    "query_outputs, too.",
)
@click.option(
    "--split",
    "split_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Another split than the one that the model records.",
)
@click.option(
    "--protocol", help="For a model trained without some classes: seen@seen, seen@all, unseen@unseen, unseen@all."
)
@click.option(
    "--figures",
    help="Kinds of figures, with commas between: tie-aware, database-order, precision, ndcg, guaranteed, hierarchy, "
    "asymmetric; or names of single ones. [default: all]",
)
@click.option("--convention", help="Also report mAP as another code base computes it, such as deephash-pytorch or csq.")
@click.option("-k", type=click.IntRange(1), help="How many ranks that convention counts. [default: all]")
@click.option(
    "--hierarchy",
    "hierarchy_text",
    metavar="FILE",
    help="Also grade relevance: by a CSV file of lines class,parent (with --codes: class numbers), a text file with "
    "an indented tree or lines PARENT CHILD, NABirds' hierarchy.txt, or by the superclasses of DATA (given; a file so "
    "named: ./given).",
)
@click.option(
    "--plots",
    "plots_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the precision-recall curves and the figures of each class as PNG files into this folder.",
)
@device_option
@data_options
@json_option
def command(
    model_path: Path | None,
    source: str | None,
    codes_path: Path | None,
    split_path: Path | None,
    protocol: str | None,
    figures: str | None,
    convention: str | None,
    k: int | None,
    hierarchy_text: str | None,
    plots_folder: Path | None,
    device: str,
    as_json: bool,
    cache: Path | None,
    **reading: Any,
) -> None:
    """Measure MODEL on the query and database images of DATA, by the split that the model records.

    The primary figure is the tie-aware mean average precision; the field's usual one stands beside it. Figures named
    asymmetric_… rank by the real outputs of the queries instead.
    """
    both = codes_path is not None and (model_path is not None or split_path is not None)
    if model_path is not None and source is None and codes_path is None:
        raise InputError(f"DATA is missing: nearbit evaluate {model_path} DATA")
    if both or (codes_path is None and source is None):
        raise InputError("give MODEL and DATA, or --codes FILE, not both; --split goes with MODEL and DATA")
    if split_path is not None and protocol is not None:
        raise InputError("--split names a split that is made: leave --protocol out")
    _check_options(codes_path, convention, k, plots_folder)
    kinds = _figures(figures, with_hierarchy=hierarchy_text is not None)
    hierarchy = None if hierarchy_text is None else _hierarchy(hierarchy_text, with_data=codes_path is None)
    chosen = {"figures": kinds, "convention": convention, "k": k, "hierarchy": hierarchy}
    with Bars() as progress:
        options = ReadingOptions(cache=cache, progress=progress, **reading)
        about, report = (
            _codes(codes_path, chosen, progress)
            if codes_path is not None
            else _model(model_path, source, (split_path, protocol), chosen, device, options)
        )
    if plots_folder is not None:
        from nearbit.report.plots import write_plots

        about["plots"] = [str(path) for path in write_plots(report, plots_folder)]
    emit(about, as_json=as_json, lines=_lines(about))


def _lines(about: dict[str, Any]) -> list[str]:
    from nearbit.metrics.figures import CONVENTION, FIGURES

    names = [name for name in (*(figure.name for figure in FIGURES), CONVENTION) if name in about]
    explained = {CONVENTION, *(figure.name for figure in FIGURES if figure.is_primary)}
    rows = [(name, "-" if about[name] is None else f"{about[name]:.4f}") for name in names]
    low, high = about["tie_aware_map_interval"]
    return [
        f"{about['n_query']} queries, {about['n_database']} database items, {about['n_bits']} bits, "
        f"{about['distinct_codes']} distinct codes",
        *table(rows, ("figure", "value")),
        *_reference_lines(about.get("reference")),
        f"tie_aware_map lies between {low:.4f} and {high:.4f} for other queries of the kind (95 % bootstrap interval)",
        *(f"{name}: {about['conventions'][name]}" for name in names if name in explained),
        *_condition_lines(about.get("center_condition")),
        *(f"health of the database codes: {sentence}" for sentence in about["health"]["advice"]),
        *(f"plot: {path}" for path in about.get("plots", ())),
    ]


def _condition_lines(condition: dict[str, Any] | None) -> list[str]:
    """Return how codes lie around the centers of their classes; nothing for a model without such."""
    if condition is None:
        return []
    share, least = f"{condition['share_within']:.1%}", condition["center_distance_min"]
    return [
        f"{share} of the codes lie nearer than a quarter of the least center distance ({least} bits) to their own "
        f"center (half within {condition['radius_50']:g} bits, 95 % within {condition['radius_95']:g})"
    ]


def _reference_lines(reference: dict[str, Any] | None) -> list[str]:
    """Return what the float features give and how much of it the codes keep; nothing where no backbone was frozen."""
    if reference is None:
        return []
    from nearbit.metrics.cosine import WITHOUT_CODES

    rows = []
    for (figure, label), share in zip(WITHOUT_CODES.items(), ("kept_share", "probe_kept_share"), strict=True):
        if reference[figure] is not None:
            kept = (reference[name] for name in (share, f"asymmetric_{share}"))
            rows.append((label, f"{reference[figure]:.4f}", *("-" if one is None else f"{one:.1%}" for one in kept)))
    header = ("without codes", "mAP", "codes keep", "asymmetric")
    ranked, whole = reference["queries_ranked"], reference["queries"]
    said = [] if ranked == whole else [f"these rows are of {ranked} of the {whole} queries, drawn with seed 0"]
    advice = [f"advice: {sentence}" for sentence in reference["advice"]]
    return [*table(rows, header), *said, *advice]


def _check_options(codes_path: Path | None, convention: str | None, k: int | None, plots_folder: Path | None) -> None:
    """Refuse what cannot be done before any work, and options that would do nothing."""
    from nearbit.metrics import convention_named

    if codes_path is not None:
        refuse_options(WITH_CODES, "goes with MODEL and DATA, not with --codes")
    if convention is not None:
        convention_named(convention)
    elif k is not None:
        raise InputError("-k counts the ranks of a convention: name one (--convention NAME), or leave -k out")
    if plots_folder is not None:
        from nearbit.report.plots import check_plots

        check_plots()


def _figures(text: str | None, *, with_hierarchy: bool) -> list[str] | None:
    """Return the kinds and names of `--figures`, checked before any work; None for all."""
    from nearbit.metrics.figures import figures_asked

    names = None if text is None else [name.strip() for name in text.split(",")]
    asked = any(figure.group == "hierarchy" for figure in figures_asked(names))
    if names is not None and asked != with_hierarchy:
        raise InputError("--hierarchy goes with figures of the kind hierarchy: give both, or neither")
    return names


def _hierarchy(text: str, *, with_data: bool) -> "Hierarchy | str":
    """Return the tree of a file, or "given" for the superclasses that the data come with."""
    from nearbit.datasets.formats.hierarchy import GIVEN, read_hierarchy

    if text != GIVEN:
        return read_hierarchy(Path(text))
    if not with_data:
        raise InputError("--hierarchy given takes the superclasses of DATA: with --codes name a file")
    return GIVEN


def _tree(hierarchy: "Hierarchy", classes: Sequence[str]) -> dict[str, str]:
    """Return the parents of classes and of what lies above, after saying how classes were found by numbers."""
    parents, how = hierarchy.of(classes)
    if how:
        echo(how)
    return parents


def _model(
    model_path: Any,
    source: Any,
    asked: tuple[Path | None, str | None],
    chosen: dict[str, Any],
    device: str,
    options: ReadingOptions,
) -> tuple[dict[str, Any], Any]:
    from nearbit.evaluation import evaluate
    from nearbit.model.bundle import load_model

    model = load_model(model_path)
    dataset = read_dataset(source, options)
    split = _split(model, dataset, *asked)
    if not isinstance(chosen["hierarchy"], str | None):
        chosen = chosen | {"hierarchy": _tree(chosen["hierarchy"], dataset.classes)}
    evaluation = evaluate(model, dataset, split, **chosen, device=device, cache=options.kept, progress=options.progress)
    seen = evaluation.queries_seen_in_training
    if seen:
        echo(f"warning: {seen} query images are training or validation images of the model: these figures are too good")
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


def _split(model: "Model", dataset: "Dataset", path: Path | None, protocol: str | None) -> "Split | None":
    """Return the split that the options ask for; None for the model's own."""
    from nearbit.datasets import load_split, other_protocol

    if path is not None:
        return load_split(path)
    if protocol is None:
        return None
    if model.split is None:
        raise DataError("the model records no split for --protocol to follow: give one (--split FILE)")
    return other_protocol(dataset, model.split, protocol)


def _codes(path: Path, chosen: dict[str, Any], progress: Any) -> tuple[dict[str, Any], Any]:
    import numpy as np

    from nearbit.cli.arrays import read_arrays
    from nearbit.codes import check_signs
    from nearbit.metrics import evaluate_codes, grades_of_tree
    from nearbit.metrics.figures import figures_asked
    from nearbit.metrics.health import health_of

    arrays, n_bits = read_arrays(path, CODES, also=("query_outputs",))
    if "query_outputs" in arrays:
        check_signs(arrays["query_outputs"], arrays["query_codes"], n_bits, name="query_outputs")
    hierarchy = chosen.pop("hierarchy")
    if not any(figure.group == "asymmetric" for figure in figures_asked(chosen["figures"])):
        arrays.pop("query_outputs", None)
    grades, names = None, None
    if hierarchy is not None:
        arrays |= _numbered(arrays)
        names = arrays.pop("names")
        grades = grades_of_tree(_tree(hierarchy, names), names)
    report = evaluate_codes(
        **arrays, n_bits=n_bits, **chosen, grades=grades, rng=np.random.default_rng(0), progress=progress
    )
    if names is not None:
        by_name = {names[int(place)]: value for place, value in report.per_class.items()}
        report = replace(report, per_class=by_name)
    health = health_of(arrays["database_codes"], n_bits).to_dict()
    return {"codes": str(path), **report.to_dict(), "health": health}, report


def _numbered(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return labels by the classes that occur, and under "names" the numbers that these had, as text."""
    import numpy as np

    from nearbit.metrics.counting.relevance import check_labels

    labels = {name: check_labels(arrays[name], name) for name in ("query_labels", "database_labels")}
    if any(own.ndim == 2 for own in labels.values()):
        return {**labels, "names": [str(number) for number in range(max(own.shape[-1] for own in labels.values()))]}
    numbers = np.unique(np.concatenate(list(labels.values())))
    placed = {name: np.searchsorted(numbers, own) for name, own in labels.items()}
    return {**placed, "names": [str(number) for number in numbers]}
