"""`nearbit attack`: a model on query images that are perturbed so that their codes find the wrong images."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.console import (
    Bars,
    Data,
    ModelPath,
    data_options,
    device_option,
    emit,
    json_option,
    list_problems,
    read_dataset,
    say_notes,
    table,
)
from nearbit.errors import InputError
from nearbit.reading import ReadingOptions

if TYPE_CHECKING:
    from nearbit.model.bundle import Model

ASKED = ("kind", "eps", "steps", "step_size", "targeted", "relevance", "queries", "seed")
"""Parameters that are fields of `AttackOptions`."""
FIGURES = {
    "clean_map": "mAP, clean",
    "adversarial_map": "mAP, attacked",
    "clean_t_map": "t-MAP, clean",
    "adversarial_t_map": "t-MAP, attacked",
}


@click.command("attack", epilog="Example: nearbit attack birds.model photos/ --eps 8 --queries 500")
@click.argument("model_path", metavar="MODEL", type=ModelPath())
@click.argument("source", metavar="DATA", type=Data())
@click.option(
    "--kind",
    type=click.Choice(["pgd", "hag"]),
    default="pgd",
    show_default=True,
    help="pgd: away from the center code of the query's labels; hag: toward the complement of its code.",
)
@click.option(
    "--eps", type=click.FloatRange(0), default=8.0, show_default=True, help="Largest change of a pixel, of 255."
)
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True, help="Gradients that are followed.")
@click.option(
    "--step-size", type=float, help="pgd: change of a pixel in a step, of 255; hag: a rate. [default: 1; 100]"
)
@click.option("--targeted", is_flag=True, help="Move codes toward other labels, and measure t-MAP by these.")
@click.option(
    "--relevance",
    type=click.Choice(["shared", "jaccard", "cosine"]),
    default="shared",
    show_default=True,
    help="How images with several labels weigh in a center code.",
)
@click.option(
    "--queries", type=click.IntRange(1), default=1000, show_default=True, help="Queries drawn of the split's."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of every random choice.")
@click.option(
    "--split",
    "split_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Another split than the one that the model records.",
)
@device_option
@data_options
@json_option
def command(
    model_path: Path, source: str, split_path: Path | None, device: str, as_json: bool, cache: Path | None, **given: Any
) -> None:
    """Perturb query images of DATA by at most --eps so that MODEL finds the wrong images for them, and measure it.

    The attack knows the network and the database. The figure of the same queries as they are stands beside it.
    """
    from nearbit.datasets import load_split
    from nearbit.robustness import AttackOptions, attack

    asked = AttackOptions(**{name: given.pop(name) for name in ASKED})
    model = _trained(model_path)
    with Bars() as progress:
        options = ReadingOptions(cache=cache, progress=progress, **given)
        dataset = read_dataset(source, options)
        say_notes(dataset)
        split = None if split_path is None else load_split(split_path)
        found = attack(model, dataset, split, options=asked, device=device, cache=options.kept, progress=progress)
    errors = list_problems(dataset.problems + found.problems, Path(f"{model_path.name}.attack.errors.jsonl"))
    about = {"model": str(model_path), "method": model.method, **found.to_dict(), "errors_file": errors}
    emit(about, as_json=as_json, lines=_lines(about))


def _trained(path: Path) -> "Model":
    """Return the trained model in a folder; an exported network has no gradients."""
    from nearbit.model.manifest import EXPORTED, kind_of

    if kind_of(path) == EXPORTED:
        raise InputError(f"{path} is an exported network, without gradients: attack the model that it was made of")
    from nearbit.model.bundle import load_model
    from nearbit.robustness import check_pixels

    model = load_model(path)
    check_pixels(model)
    return model


def _lines(about: dict[str, Any]) -> list[str]:
    size = (
        f"steps of {about['step_size']:g}/255"
        if about["kind"] == "pgd"
        else f"steps at the rate {about['step_size']:g}"
    )
    rows = [(label, f"{about[name]:.4f}") for name, label in FIGURES.items() if about[name] is not None]
    aim = ", targeted" if about["targeted"] else ""
    return [
        f"{about['n_query']} queries, {about['n_database']} database items, {about['n_bits']} bits",
        f"{about['kind']}{aim}, within {about['eps']:g}/255, {about['steps']} {size}, seed {about['seed']}",
        *table(rows, ("figure", "value")),
        f"the attack turns {about['bits_changed']:.1f} of {about['n_bits']} bits of a query's code on average",
    ]
