"""`nearbit index remove`, `verify`, `compact`, `stats`, `replace`, `filter`: what an index needs no images for."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.console import emit, index_argument, json_option
from nearbit.errors import IndexFileError, InputError
from nearbit.json_text import json_or_text

if TYPE_CHECKING:
    from nearbit.index import Home, Place

FACTS = ("items", "file_bytes", "cache_bytes", "added_since_merge", "search")
"""What is told of an index that was compacted."""


@click.command("remove", epilog="Example: nearbit index remove birds.index 3 5 8")
@index_argument
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--where", metavar="KEY=VALUE", help="The items with this label, path, digest or metadata.")
@click.option("--missing", is_flag=True, help="The items whose image files are gone.")
@click.option("--dry-run", "only_count", is_flag=True, help="Remove nothing, only say how many it would be.")
@click.option("--force", is_flag=True, help="With --missing: even where not one file is left.")
@json_option
def remove(
    index_path: "Place",
    ids: Sequence[str],
    where: str | None,
    missing: bool,
    only_count: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Remove items from INDEX.

    Those of the IDs, or those with a label or the like (--where), or those whose image files are gone (--missing).
    KEY is labels, path, digest or a key of the metadata, whose VALUE is what JSON makes of it, else the text itself.
    """
    if bool(ids) + (where is not None) + missing != 1:
        raise InputError("say which items: give one of ID, --where KEY=VALUE and --missing")
    if force and not missing:
        raise InputError("--force goes with --missing")
    if missing:
        about, lines = _remove_missing(index_path, only_count=only_count, force=force)
    else:
        about, lines = _remove(index_path, ids, where, only_count=only_count)
    emit(about, as_json=as_json, lines=lines)


def _remove(
    index_path: "Place", ids: Sequence[str], where: str | None, *, only_count: bool
) -> tuple[dict[str, Any], list[str]]:
    from nearbit.index import open_index

    if only_count:
        with open_index(index_path, read_only=True) as index:
            chosen, left = _chosen(index, ids, where), len(index)
            if ids:
                index.items(chosen)  # refuses those that are not there
        found = len(set(chosen))
        about = {"index": str(index_path), "found": found, "removed": 0, "items": left}
        return about, [f"{index_path}: {found} items found", f"nothing was removed (--dry-run), {left} left"]
    with open_index(index_path) as index, index.writing():
        removed, left = index.remove(_chosen(index, ids, where)), len(index)
    about = {"index": str(index_path), "removed": removed, "items": left}
    return about, [f"{index_path}: {removed} items removed, {left} left"]


def _chosen(index: "Home", ids: Sequence[str], where: str | None) -> list[int]:
    return _numbers(ids) if where is None else index.matching(_pair(where)).tolist()


def _remove_missing(index_path: "Place", *, only_count: bool, force: bool) -> tuple[dict[str, Any], list[str]]:
    from nearbit.index import open_index
    from nearbit.indexing_places import remove_missing

    with open_index(index_path, read_only=only_count) as index:
        gone = remove_missing(index, even_all=force, only_count=only_count)
        left = len(index)
    missing, removed = len(gone.ids), 0 if only_count else len(gone.ids)
    about = {"index": str(index_path), "files": gone.files, "missing": missing, "removed": removed, "items": left}
    if not missing:
        return about, [f"{index_path}: all {gone.files} files are there, {left} items"]
    done = "nothing was removed (--dry-run)" if only_count else f"{removed} items removed"
    return about, [f"{index_path}: {gone.words}", f"{done}, {left} left"]


@click.command("verify", epilog="Example: nearbit index verify birds.index")
@index_argument
@json_option
def verify(index_path: "Place", as_json: bool) -> None:
    """Check the file of INDEX, and its search against every code."""
    from nearbit.index import open_index

    with open_index(index_path, read_only=True) as index:
        problems, n_items = index.verify(), len(index)
    if problems:
        raise IndexFileError(f"{index_path}: {len(problems)} problems: {'; '.join(problems)}")
    about = {"index": str(index_path), "items": n_items, "problems": []}
    emit(about, as_json=as_json, lines=[f"{index_path}: {n_items} items, all is well"])


@click.command("compact", epilog="Example: nearbit index compact birds.index --vacuum")
@index_argument
@click.option("--vacuum", is_flag=True, help="Free the room, too, that removed items left in the file.")
@json_option
def compact(index_path: "Place", vacuum: bool, as_json: bool) -> None:
    """Take all changes of INDEX into its search structure now."""
    from nearbit.index import open_index

    with open_index(index_path) as index:
        before = index.stats()["file_bytes"]
        index.compact(vacuum=vacuum)
    with open_index(index_path) as index:
        facts = index.stats()
    about = {"index": str(index_path), "file_bytes_before": before, **{name: facts[name] for name in FACTS}}
    line = f"{index_path}: {facts['items']} items, {before} bytes before, {facts['file_bytes']} now"
    emit(about, as_json=as_json, lines=[line])


@click.command("stats", epilog="Example: nearbit index stats birds.index --json")
@index_argument
@json_option
def stats(index_path: "Place", as_json: bool) -> None:
    """Say what INDEX holds and how it is searched."""
    from nearbit.index import open_index

    with open_index(index_path, read_only=True) as index:
        facts = index.stats()
    emit(facts, as_json=as_json, lines=[line for name, value in facts.items() for line in _fact_lines(name, value)])


@click.command("replace", epilog="Example: nearbit index replace birds.index new.index")
@index_argument
@click.argument("new", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def replace(index_path: "Place", new: Path, as_json: bool) -> None:
    """Put a copy of the index NEW in the place of INDEX.

    INDEX may be open or served: who reads it goes on with the new one, and writers are waited for.
    """
    from nearbit.index import replace_index

    n_items = replace_index(index_path, str(new))
    about = {"index": str(index_path), "items": n_items, "copied_from": str(new)}
    emit(about, as_json=as_json, lines=[f"{index_path}: now holds the {n_items} items of {new}"])


@click.command("filter", epilog="Example: nearbit index filter birds.index camera path")
@index_argument
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--drop", is_flag=True, help="Take the filters by these keys away.")
@json_option
def filter_(index_path: "Place", keys: Sequence[str], drop: bool, as_json: bool) -> None:
    """Keep filters of INDEX by path, digest or metadata.

    What is asked for under a KEY (path, digest, or a key of the metadata) is then found without a scan of all items.
    Without a KEY it says which filters there are. Labels need none.
    """
    from nearbit.index import open_index

    if drop and not keys:
        raise InputError("--drop goes with at least one KEY")
    with open_index(index_path, read_only=not keys) as index:
        for key in keys:
            (index.drop_filter if drop else index.create_filter)(key)
        kept = index.filters()
    about = {"index": str(index_path), "filters": kept}
    emit(about, as_json=as_json, lines=[f"{index_path}: filters by {', '.join(kept) or 'labels alone'}"])


def _fact_lines(name: str, value: Any) -> list[str]:
    """Return the lines for people of a fact of an index: of several numbers one a line, of none nothing."""
    if isinstance(value, dict):
        return [line for inner, one in value.items() for line in _fact_lines(f"{name} {inner}", one)]
    if value is None:
        return []
    if isinstance(value, bool):
        value = "yes" if value else "no"
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return [f"{name.replace('_', ' ')}: {shown}"]


def _numbers(words: Sequence[str]) -> list[int]:
    try:
        return [int(word) for text in words for word in text.split(",")]
    except ValueError as error:
        raise InputError(
            f"items are named by their ids: expected ids with commas between, or blanks, such as 3,5,8 or 3 5 8, "
            f"not {' '.join(words)!r}"
        ) from error


def _pair(text: str) -> dict[str, Any]:
    """Return KEY=VALUE as a filter; the value is what JSON makes of it, else the text itself."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"what chooses items takes KEY=VALUE, such as labels=wren, not {text!r}")
    if key in ("labels", "path", "digest"):
        return {key: value}
    return {key: json_or_text(value, f"the value of {key}", InputError)}
