"""The options that say how a data set is divided, for the commands that divide one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.console import AnyParam, echo
from nearbit.errors import InputError
from nearbit.names import counted, label_name

if TYPE_CHECKING:
    from nearbit.datasets import Dataset, Split


class Size(AnyParam):
    """A part's size: a fraction such as 0.1, or a number of images a class such as 10, or "rest"."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "rest" or isinstance(value, int | float):
            return value
        try:
            return float(value) if "." in value else int(value)
        except ValueError:
            self.fail(f"{value!r} is not a fraction (0.1), a number of images a class (10) or 'rest'", param, ctx)


FEW = 10
"""Images of its kind that a query has to find; with fewer, precision@10 cannot be 1."""

DIVIDING = (
    "protocol", "unseen", "unseen_share", "allow_overlap", "database_includes_train", "train", "validation", "query",
    "database", "imbalance",
)  # fmt: skip
"""The parameters of `split_options` beside the seed."""


def split_options(command: Any) -> Any:
    """Add the options that say how a data set is divided."""
    for part in ("database", "query", "validation", "train"):
        command = click.option(f"--{part}", type=Size(), help=f"Size of {part}: a fraction, images a class, or rest.")(
            command
        )
    command = click.option("--database-includes-train", is_flag=True, help="Search the training images too.")(command)
    command = click.option(
        "--imbalance",
        type=float,
        metavar="FACTOR",
        help="Thin train and validation out to a long tail: the largest class keeps FACTOR times the smallest.",
    )(command)
    command = click.option("--allow-overlap", is_flag=True, help="Allow query images in the database.")(command)
    command = click.option(
        "--unseen-share", type=float, help="Share of the classes that is unseen, drawn by the seed. [default: 0.25]"
    )(command)
    command = click.option(
        "--unseen",
        multiple=True,
        metavar="CLASS",
        help="A class that training does not see (unseen@all, …); repeatable.",
    )(command)
    command = click.option(
        "--protocol", help="A named protocol, such as cifar100/shc or unseen@all; see docs/data.md and docs/unseen.md."
    )(command)
    return click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides every random choice."
    )(command)


def build_split(
    dataset: "Dataset",
    *,
    seed: int,
    protocol: str | None,
    allow_overlap: bool,
    database_includes_train: bool,
    unseen: tuple[str, ...],
    unseen_share: float | None,
    imbalance: float | None,
    **parts: Any,
) -> "Split":
    """Return the split that the options of `split_options` describe."""
    from nearbit.datasets import PROTOCOLS, SplitSizes, make_split

    given = {part: size for part, size in parts.items() if size is not None}
    has_sizes = protocol in PROTOCOLS and PROTOCOLS[protocol].kinds is None
    if has_sizes and (given or database_includes_train):
        raise InputError("a protocol has its own sizes: give --protocol or sizes, not both")
    if unseen and unseen_share is not None:
        raise InputError("name the unseen classes (--unseen) or their share (--unseen-share), not both")
    sizes = (
        SplitSizes(**given, database_includes_train=database_includes_train)
        if given or database_includes_train
        else None
    )
    kinds = [label_name(name) for name in unseen] or unseen_share
    return make_split(
        dataset,
        seed=seed,
        protocol=protocol,
        sizes=sizes,
        allow_overlap=allow_overlap,
        unseen=kinds,
        imbalance=imbalance,
    )


def refuse_dividing(split_path: Path | None, dividing: dict[str, Any]) -> None:
    """Refuse a split that is made beside what would make another one, be it 0.

    Args:
        split_path: of the split, or None.
        dividing: the values of `DIVIDING`.
    """
    given = [value for value in dividing.values() if value is not None and value is not False and value != ()]
    if split_path is not None and given:
        raise InputError(
            "--split names a split that is made: leave out what would make another one (--protocol, the sizes, "
            "--unseen, --unseen-share, --imbalance, --database-includes-train, --allow-overlap)"
        )


def say_split_notes(split: "Split") -> None:
    """Say on standard error what a person should know of how a split was made, where there is such."""
    for note in split.notes:
        echo(f"split: {note}")


def say_few_images(dataset: "Dataset", split: "Split") -> None:
    """Say on standard error what a person should know of a split whose queries have few images to find."""
    if not (len(split.query) and len(split.database) and dataset.n_classes):
        return
    from nearbit.metrics.counting.relevance import relevant_counts

    relevant = sorted(relevant_counts(dataset.labels[split.query], dataset.labels[split.database]).tolist())
    middle = relevant[len(relevant) // 2]
    if middle < FEW:
        echo(
            f"few images a class: the database has {counted(middle, 'image', 'images')} that a query should find (the "
            f"median), so precision@10 is at most {middle / FEW:g} and recall steps by {1 / max(1, middle):.2g}; sizes "
            "are divided otherwise by --train, --validation, --query and --database"
        )


def part_sizes(split: "Split") -> dict[str, int]:
    """Return the number of rows in each part."""
    return {part: len(getattr(split, part)) for part in ("train", "validation", "query", "database")}
