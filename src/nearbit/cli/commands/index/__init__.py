"""`nearbit index`: one subcommand for each thing that is done to an index; what names no subcommand is the old form."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

from nearbit.cli.commands.index.copying import copy
from nearbit.cli.commands.index.exchange import export, import_, restore, snapshot
from nearbit.cli.commands.index.images import add, sync
from nearbit.cli.commands.index.old_form import old_form
from nearbit.cli.commands.index.reencode import reencode
from nearbit.cli.commands.index.upkeep import compact, filter_, remove, replace, stats, verify
from nearbit.cli.console import json_option
from nearbit.errors import InputError, did_you_mean

HELP = ("-h", "--help")
OUT = ("-o", "--out", "--output")
"""How other commands name what they make."""


def is_alone(folder: str, args: list[str], parent: click.Context | None) -> bool:
    """Return whether a folder of images is all that is named: then the index is called after it.

    With options that `add` cannot read, too, which is to say so.
    """
    return Path(folder).is_dir() and _n_sources(args, parent) in (None, 1)


def refuse_missing(first: str, args: list[str], parent: click.Context | None, subcommands: Collection[str]) -> None:
    """Raise `InputError` where all that is named is neither there nor called as an index or a data set is."""
    from nearbit.datasets.load import BUILT_IN

    is_other = first.startswith("-") or "://" in first or first.endswith(".index") or first in BUILT_IN
    if is_other or Path(first).exists() or _n_sources(args, parent) != 1:
        return
    raise InputError(f"{first}: no such file or folder.{did_you_mean(first, list(subcommands))}".removesuffix("."))


def _n_sources(args: list[str], parent: click.Context | None) -> int | None:
    """Return how many IMAGES `add` reads from what is written; None where it cannot read it."""
    sources = add.make_context("add", ["INDEX", *args], parent, resilient_parsing=True).params["sources"]
    return None if sources is None else len(sources)


def named_after(
    folder: str, info_name: str, args: list[str], parent: click.Context | None, **extra: Any
) -> click.Context:
    """Return the context of `add` for an index that is called after a folder."""
    name = f"{Path(folder).resolve().name or 'images'}.index"
    try:
        return add.make_context(info_name, [name, *args], parent, **extra)
    except click.NoSuchOption as error:
        if error.option_name not in OUT:
            raise
        hint = f"{error.format_message()} Another name than {name}: nearbit index add NAME.index {folder}."
        raise click.UsageError(hint, error.ctx) from error


class Subcommands(click.Group):
    """The subcommands in the order in which they are named; an index or an option in their place is the old form."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        first = next((word for word in args if word != "--json"), None)
        if first is None or first in self.commands or first in HELP:
            return super().make_context(info_name, args, parent, **extra)
        if is_alone(first, args, parent):
            return named_after(first, f"{info_name} add", args, parent, **extra)
        refuse_missing(first, args, parent, self.commands)
        return old_form.make_context(info_name, args, parent, **extra)


@click.group(
    "index",
    cls=Subcommands,
    invoke_without_command=True,
    epilog="Example: nearbit index add birds.index photos/ --model birds.model",
)
@json_option
@click.pass_context
def command(context: click.Context, /, as_json: bool) -> None:
    """Put images into an index, and look after it.

    With a folder alone, nearbit index photos/, it makes photos.index of its images, without training.

    `add` and `sync` take the options that say how images are read (--class-level, --max-pixels and the like), see
    `nearbit index add --help`. An index file that is called as a subcommand is reached with its folder: ./add.

    The form of before, nearbit index INDEX [IMAGES]... with options such as --sync or --verify, still works.
    """
    if context.invoked_subcommand is None:
        raise click.UsageError(f"give a subcommand: {', '.join(command.commands)}.", context)
    if as_json:
        context.default_map = {name: {"as_json": True} for name in command.commands}


for subcommand in (
    add,
    sync,
    reencode,
    remove,
    verify,
    compact,
    stats,
    replace,
    filter_,
    export,
    import_,
    snapshot,
    restore,
    copy,
):
    command.add_command(subcommand)
