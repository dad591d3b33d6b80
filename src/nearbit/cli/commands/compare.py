"""`nearbit compare`: methods x lengths x seeds on one data set, as tables and a report."""

import re
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.backbone_options import AUTO, with_backbone
from nearbit.cli.console import Bars, Data, NewPath, data_options, echo, emit, json_option, read_dataset
from nearbit.cli.split_options import DIVIDING, build_split, refuse_dividing, split_options
from nearbit.cli.training_options import FILE, TRAINING, training_options
from nearbit.errors import InputError
from nearbit.reading import ReadingOptions

if TYPE_CHECKING:
    from nearbit.datasets import Dataset, Split
    from nearbit.progress import Progress

LISTS = ("--methods", "--bits", "--heads", "--also")
"""Options that take several values: `--bits 16 32 64`."""
PLACE = re.compile(r"(?:^|^-\w|[=:](?!//))((?:~[^/]*|\.{1,2})?/.*)", re.DOTALL)
"""A path that does not begin with the name of a folder beside the reader's own."""
TYPED = "nearbit.compare.typed"
"""Where the context keeps the arguments as they were typed."""


class Command(click.Command):
    """A command some of whose options take several values in a row."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, with each further value behind such an option given to it."""
        ctx.meta[TYPED] = list(args)
        return super().parse_args(ctx, spread(args, LISTS))


def spread(args: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return arguments in which `--bits 16 32` reads `--bits 16 --bits 32`, for the options named."""
    found: list[str] = []
    current = None
    for place, arg in enumerate(args):
        if arg.startswith("-"):
            current = arg if arg in options else None
        elif current is not None and args[place - 1] != current:
            found.append(current)
        found.append(arg)
    return found


@click.command(
    "compare",
    cls=Command,
    epilog="Example: nearbit compare photos/ --methods crh shc mds csq --bits 16 32 64 --seeds 3 -o results/",
)
@click.argument("source", metavar="DATA", type=Data())
@click.option(
    "-o", "--output", type=NewPath(file_okay=False, may_be_here=True), required=True, help="The folder to write."
)
@click.option(
    "--methods",
    multiple=True,
    default=("crh", "shc", "mds", "csq"),
    show_default=True,
    help="Methods and baselines, and auto; with options as in crh:margin=0.3,assignment=exact.",
)
@click.option("--bits", multiple=True, type=click.IntRange(1), default=(16, 32, 64), show_default=True)
@click.option(
    "--heads",
    multiple=True,
    type=click.Choice(["auto", "linear", "hidden"]),
    default=("auto",),
    show_default=True,
    help="Each head is compared for itself; auto is the better one on validation.",
)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="How many, from --seed on.")
@click.option("--split", "split_path", type=FILE, help="One split for all seeds, that was written before.")
@click.option(
    "--also",
    multiple=True,
    metavar="PROTOCOL",
    help="Measure each model there too, with --protocol seen@seen: seen@all, unseen@unseen, unseen@all.",
)
@click.option("--jobs", type=click.IntRange(1), help="Processes at once. [default: a core each, at most 4; GPU: 1]")
@click.option("--keep-models", is_flag=True, help="Keep the model folder of every run, in OUTPUT/models.")
@training_options
@split_options
@data_options
@json_option
def command(
    source: str,
    output: Path,
    methods: tuple[str, ...],
    bits: tuple[int, ...],
    heads: tuple[str, ...],
    seeds: int,
    seed: int,
    split_path: Path | None,
    also: tuple[str, ...],
    jobs: int | None,
    keep_models: bool,
    cache: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Train every method at every length with several seeds on DATA, and write tables and a report.

    A seed decides the split, the centers and the training. Repeated, the command goes on where it stopped: runs that
    are done stay, and new methods, lengths or seeds come beside them. OUTPUT gets report.html, table.md, table.csv,
    table.tex, summary.json, and a JSON file for each run.
    """
    from nearbit.compare.bench import Work
    from nearbit.compare.findings import find
    from nearbit.compare.run import Grid, compare
    from nearbit.compare.soundness import sound
    from nearbit.compare.write import summary_lines, write_comparison
    from nearbit.files.writing import cache_folder
    from nearbit.training import TrainOptions

    dividing = {name: given.pop(name) for name in DIVIDING}
    options = TrainOptions(**{name: given.pop(name) for name in TRAINING})
    refuse_dividing(split_path, dividing)
    agreed = given.pop("yes")
    folder = cache or cache_folder()
    load = partial(read_dataset, source, ReadingOptions(cache=cache, **given))
    if options.backbone == AUTO:
        options = with_backbone(options, load().source, agreed=agreed)
    work = Work(
        load=load,
        split=partial(_split, split_path, dividing),
        options=options,
        folder=output,
        cache=folder,
        keep_models=keep_models,
        also=also,
    )
    grid = Grid(methods=methods, bits=bits, heads=heads, seeds=tuple(range(seed, seed + seeds)))
    with Bars() as progress:
        comparison = compare(
            work,
            grid,
            command=_typed(click.get_current_context().meta[TYPED]),
            processes=jobs,
            progress=partial(_shown, progress),
            say=echo,
            warn=echo,
            after_seed=partial(_tables_so_far, output),
        )
        progress("Comparing the results", 0, 1)
        with sound(output):
            findings = find(comparison)
        written = write_comparison(output, findings)
        progress("Comparing the results", 1, 1)
    failed = [result.cell.name for result in comparison.results if result.status == "failed"]
    about = {
        "output": str(output),
        "files": [str(path) for path in written],
        "cells": len(comparison.results),
        "failed": failed,
    }
    emit(about, as_json=as_json, lines=[*summary_lines(output, findings), f"report: {output / 'report.html'}"])
    if failed:
        raise InputError(f"{len(failed)} of {len(comparison.results)} runs failed ({_first(failed)}): see the report")


def _shown(progress: "Progress", stage: str, done: int, total: int) -> None:
    """Show progress; in a log the line of each run says how many are left, and for how long, by what such runs take."""
    from nearbit.compare.run import STAGE

    if stage != STAGE or sys.stderr.isatty():
        progress(stage, done, total)


def _tables_so_far(output: Path, seed: int) -> None:
    """Write the tables of the runs that are over, once a seed is whole."""
    from nearbit.compare.write import write_comparison

    write_comparison(output)
    echo(f"seed {seed} is whole: {output / 'report.html'} and the tables hold every run so far")


def _split(path: Path | None, dividing: dict[str, Any], dataset: "Dataset", seed: int) -> "Split":
    from nearbit.datasets import load_split

    return load_split(path) if path is not None else build_split(dataset, seed=seed, **dividing)


def _typed(arguments: Sequence[str]) -> str:
    """Return the command as it was typed, with paths cut to their last part: a report names no machine's folders."""
    return shlex.join(["nearbit", "compare", *(_without_folders(argument) for argument in arguments)])


def _without_folders(argument: str) -> str:
    """Return an argument with the path in it, also behind "--cache=", "-o" or "hf:", cut to its last part."""
    found = PLACE.search(argument)
    return argument if found is None else argument[: found.start(1)] + Path(found[1]).name


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
