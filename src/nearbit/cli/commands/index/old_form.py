"""`nearbit index INDEX [IMAGES]... --option`: the form of before the subcommands, which goes on working."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nearbit.cli.commands.index.exchange import export, import_
from nearbit.cli.commands.index.images import (
    add,
    check_mirror,
    keep_outputs_option,
    lines_of,
    part_option,
    put_images,
)
from nearbit.cli.commands.index.upkeep import compact, remove, replace, stats, verify
from nearbit.cli.console import (
    Data,
    data_options,
    device_option,
    echo,
    emit,
    index_argument,
    json_option,
    model_of_index_option,
    refuse_options,
)
from nearbit.errors import InputError, NearbitError, did_you_mean

if TYPE_CHECKING:
    from nearbit.index import Place

HOW_TO_FIND = (
    "--sync of the folder where they are now gives their items the new paths, --remove-missing removes the items"
)


@dataclass(frozen=True)
class Action:
    """One thing that an option asks for.

    Attributes:
        option: as it is written.
        name: its parameter.
        becomes: the parameter of the subcommand that takes its value.
        subcommand: what does it now.
        usage: how that is written.
        own: the parameters that go with this option alone.
    """

    option: str
    name: str
    becomes: str
    subcommand: click.Command
    usage: str
    own: tuple[str, ...] = ()


ACTIONS = (
    Action("--remove", "remove", "ids", remove, "remove INDEX ID..."),
    Action("--remove-where", "remove_where", "where", remove, "remove INDEX --where KEY=VALUE"),
    Action("--remove-missing", "missing", "missing", remove, "remove INDEX --missing", ("only_count", "force")),
    Action("--verify", "verify", "", verify, "verify INDEX"),
    Action("--compact", "compact", "", compact, "compact INDEX", ("vacuum",)),
    Action("--stats", "stats", "", stats, "stats INDEX"),
    Action("--export", "export", "file", export, "export INDEX FILE"),
    Action("--import", "import_", "file", import_, "import INDEX FILE", ("n_bits",)),
    Action("--replace-with", "replace_with", "new", replace, "replace INDEX NEW"),
)


@click.command("index", epilog="Example: nearbit index birds.index photos/ --model birds.model")
@index_argument
@click.argument("sources", metavar="[IMAGES]...", nargs=-1, type=Data())
@model_of_index_option
@part_option
@click.option("--sync", "is_mirror", is_flag=True, help="Now: nearbit index sync INDEX IMAGES.")
@keep_outputs_option
@click.option("--remove", metavar="ID,…", help="Now: nearbit index remove INDEX ID...")
@click.option("--remove-where", metavar="KEY=VALUE", help="Now: nearbit index remove INDEX --where KEY=VALUE.")
@click.option("--remove-missing", "missing", is_flag=True, help="Now: nearbit index remove INDEX --missing.")
@click.option("--dry-run", "only_count", is_flag=True, help="With --remove-missing: only say how many and where.")
@click.option("--force", is_flag=True, help="With --remove-missing: even where not one file is left.")
@click.option("--verify", is_flag=True, help="Now: nearbit index verify INDEX.")
@click.option("--compact", is_flag=True, help="Now: nearbit index compact INDEX.")
@click.option("--vacuum", is_flag=True, help="With --compact: free the room that removed items left in the file.")
@click.option("--replace-with", type=click.Path(path_type=Path), help="Now: nearbit index replace INDEX NEW.")
@click.option("--stats", is_flag=True, help="Now: nearbit index stats INDEX.")
@click.option("--export", type=click.Path(path_type=Path), help="Now: nearbit index export INDEX FILE.")
@click.option("--import", "import_", type=click.Path(path_type=Path), help="Now: nearbit index import INDEX FILE.")
@click.option("--bits", "n_bits", type=click.IntRange(1), help="With --import: the code length, if not told.")
@device_option
@data_options
@json_option
@click.pass_context
def old_form(
    context: click.Context,
    /,
    index_path: "Place",
    sources: tuple[str, ...],
    is_mirror: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Put IMAGES into INDEX, or do with it what one option asks for: the form of before, which goes on working.

    The new form has subcommands: see nearbit index --help.
    """
    asked = [action for action in ACTIONS if options[action.name] not in (None, False)]
    _refuse_what_does_not_fit(asked, sources)
    is_name = isinstance(index_path, Path) and not index_path.exists()
    try:
        if asked:
            _do(context, asked[0], index_path, as_json, options)
        else:
            _put(index_path, sources, is_mirror, as_json, options)
    except NearbitError as error:
        hint = did_you_mean(str(index_path), _subcommands(context)) if is_name else ""
        if hint:
            error.add_note(f"({index_path} was taken for an index, not for a subcommand.{hint})")
        raise
    new = asked[0].usage if asked else "sync INDEX IMAGES" if is_mirror else "add INDEX IMAGES..."
    echo(f"nearbit: note: the new form of this command is: nearbit index {new}")


def _subcommands(context: click.Context) -> list[str]:
    """Return the names that stand in the place of an index in the new form."""
    parent = context.find_root()
    group = parent.command.get_command(parent, "index") if isinstance(parent.command, click.Group) else None
    return list(group.commands) if isinstance(group, click.Group) else []


def _do(context: click.Context, action: Action, index_path: "Place", as_json: bool, options: dict[str, Any]) -> None:
    """Call the subcommand that does what an option asks for."""
    taken = {str(option.name) for option in action.subcommand.params}
    values = {name: value for name, value in options.items() if name in taken}
    if action.becomes:
        value = options[action.name]
        values[action.becomes] = (value,) if action.becomes == "ids" else value
    context.invoke(action.subcommand, index_path=index_path, as_json=as_json, **values)


def _put(
    index_path: "Place", sources: tuple[str, ...], is_mirror: bool, as_json: bool, options: dict[str, Any]
) -> None:
    """Do what `add` or `sync` does, and say how to go on in the words of this form."""
    if is_mirror and (options["part"] is not None or len(sources) != 1):
        raise InputError("--sync needs all images of one folder or labels file: name that alone, and leave --part out")
    if is_mirror:
        check_mirror(sources[0], "--sync")
    taken = {str(option.name) for option in add.params} & set(options)
    about, gone = put_images(index_path, sources, is_mirror=is_mirror, **{name: options[name] for name in taken})
    lines = lines_of(about, gone, remove="--sync removes", find=HOW_TO_FIND)
    emit(about, as_json=as_json, lines=lines)


def _refuse_what_does_not_fit(asked: list[Action], sources: tuple[str, ...]) -> None:
    """Raise `InputError` unless it is one action or images that are asked for, with options that mean something."""
    names, given = [action.option for action in asked], _given()
    for action in ACTIONS:
        alone = [name for name in action.own if name in given]
        if alone and asked != [action]:
            raise InputError(f"{given[alone[0]]} goes with {action.option}")
    if len(asked) > 1 or (asked and sources):
        raise InputError(f"give IMAGES or one action, not {' and '.join([*names, *(['IMAGES'] if sources else [])])}")
    if not asked and not sources:
        raise InputError(f"give IMAGES, or one of {', '.join(action.option for action in ACTIONS)}")
    if asked:
        model = ("model_path",) if asked[0].subcommand is import_ else ()
        useful = {"index_path", "sources", "as_json", asked[0].name, *asked[0].own, *model}
        refuse_options(useful, f"goes with IMAGES, not with {names[0]}")


def _given() -> dict[str, str]:
    """Return how the options that were given are written, by parameter."""
    context = click.get_current_context()
    return {
        str(option.name): option.opts[0]
        for option in context.command.params
        if context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    }
