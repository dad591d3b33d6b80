"""What `nearbit index` does without images: remove, verify, compact, tell, export and import."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from nearbit.cli.console import refuse_options
from nearbit.errors import IndexFileError, InputError
from nearbit.json_text import json_or_text

Command = TypeVar("Command", bound=Callable[..., Any])
ActionResult = tuple[dict[str, Any], list[str]]

_OPTIONS = (
    click.option("--remove", metavar="ID,…", help="Remove the items of these ids."),
    click.option("--remove-where", metavar="KEY=VALUE", help="Remove items by label, path, digest or metadata."),
    click.option("--remove-missing", "missing", is_flag=True, help="Remove the items whose image files are gone."),
    click.option("--dry-run", "only_count", is_flag=True, help="With --remove-missing: only say how many and where."),
    click.option("--force", is_flag=True, help="With --remove-missing: even where not one file is left."),
    click.option("--verify", is_flag=True, help="Check the file, and its search against every code."),
    click.option("--compact", is_flag=True, help="Take all changes into the search structure now."),
    click.option("--vacuum", is_flag=True, help="With --compact: free the room that removed items left in the file."),
    click.option(
        "--replace-with",
        type=click.Path(path_type=Path),
        help="Put a copy of this index in the place of INDEX, which may be open or served.",
    ),
    click.option("--stats", is_flag=True, help="Say what INDEX holds and how it is searched."),
    click.option("--export", type=click.Path(path_type=Path), help="Write a .npz, .faiss, .usearch or .sql file."),
    click.option("--import", "import_", type=click.Path(path_type=Path), help="Add a .npz, .faiss or .usearch file."),
    click.option("--bits", "n_bits", type=click.IntRange(1), help="With --import: the code length, if not told."),
)


def action_options(command: Command) -> Command:
    """Add the options of the actions."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Action:
    """The actions as the options ask for them; at most one."""

    index_path: Path
    model_path: Path | None
    n_bits: int | None
    vacuum: bool
    remove: str | None
    remove_where: str | None
    verify: bool
    compact: bool
    stats: bool
    missing: bool
    only_count: bool
    force: bool
    export: Path | None
    import_: Path | None
    replace_with: Path | None

    def is_asked(self, sources: tuple[str, ...]) -> bool:
        """Return whether an action is asked for; raise `InputError` unless it is one action or images."""
        asked = self._asked()
        if self.vacuum and asked != ["--compact"]:
            raise InputError("--vacuum goes with --compact")
        if self.n_bits is not None and asked != ["--import"]:
            raise InputError("--bits goes with --import: a model says how long its codes are")
        for option, given in (("--dry-run", self.only_count), ("--force", self.force)):
            if given and asked != ["--remove-missing"]:
                raise InputError(f"{option} goes with --remove-missing")
        if len(asked) > 1 or (asked and sources):
            raise InputError(
                f"give IMAGES or one action, not {' and '.join([*asked, *(['IMAGES'] if sources else [])])}"
            )
        if not asked and not sources:
            raise InputError(f"give IMAGES, or one of {', '.join(self._known())}")
        if asked:
            useful = {"sources", "as_json", *(field.name for field in fields(Action))}
            if asked != ["--import"]:
                useful.remove("model_path")
            refuse_options(useful, f"goes with IMAGES, not with {asked[0]}")
        return bool(asked)

    def run(self) -> ActionResult:
        """Do what is asked; return the facts for JSON and the lines for people."""
        return self._known()[self._asked()[0]][1]()

    def _known(self) -> dict[str, tuple[bool, Callable[[], ActionResult]]]:
        return {
            "--remove": (self.remove is not None, self._remove),
            "--remove-where": (self.remove_where is not None, self._remove),
            "--remove-missing": (self.missing, self._remove_missing),
            "--verify": (self.verify, self._verify),
            "--compact": (self.compact, self._compact),
            "--stats": (self.stats, self._stats),
            "--export": (self.export is not None, self._export),
            "--import": (self.import_ is not None, self._import),
            "--replace-with": (self.replace_with is not None, self._replace),
        }

    def _asked(self) -> list[str]:
        return [name for name, (is_asked, _) in self._known().items() if is_asked]

    def _remove(self) -> ActionResult:
        from nearbit.index import open_index

        with open_index(self.index_path) as index, index.writing():
            if self.remove is not None:
                ids = _numbers(self.remove)
            else:
                ids = index.matching(_pair(str(self.remove_where))).tolist()
            removed, left = index.remove(ids), len(index)
        about = {"index": str(self.index_path), "removed": removed, "items": left}
        return about, [f"{self.index_path}: {removed} items removed, {left} left"]

    def _remove_missing(self) -> ActionResult:
        from nearbit.index import open_index
        from nearbit.indexing_places import remove_missing

        with open_index(self.index_path, read_only=self.only_count) as index:
            gone = remove_missing(index, even_all=self.force, only_count=self.only_count)
            left = len(index)
        removed = 0 if self.only_count else len(gone.ids)
        about = {
            "index": str(self.index_path), "files": gone.files, "missing": len(gone.ids), "removed": removed,
            "items": left,
        }  # fmt: skip
        if not gone.ids:
            return about, [f"{self.index_path}: all {gone.files} files are there, {left} items"]
        done = "nothing was removed (--dry-run)" if self.only_count else f"{removed} items removed"
        return about, [f"{self.index_path}: {gone.words}", f"{done}, {left} left"]

    def _verify(self) -> ActionResult:
        from nearbit.index import open_index

        with open_index(self.index_path, read_only=True) as index:
            problems, n_items = index.verify(), len(index)
        if problems:
            raise IndexFileError(f"{self.index_path}: {len(problems)} problems: {'; '.join(problems)}")
        about = {"index": str(self.index_path), "items": n_items, "problems": []}
        return about, [f"{self.index_path}: {n_items} items, all is well"]

    def _compact(self) -> ActionResult:
        from nearbit.index import open_index

        with open_index(self.index_path) as index:
            before = index.stats()["file_bytes"]
            index.compact(vacuum=self.vacuum)
        with open_index(self.index_path) as index:
            stats = index.stats()
        about = {"index": str(self.index_path), "file_bytes_before": before, **_chosen(stats)}
        lines = [f"{self.index_path}: {stats['items']} items, {before} bytes before, {stats['file_bytes']} now"]
        return about, lines

    def _stats(self) -> ActionResult:
        from nearbit.index import open_index

        with open_index(self.index_path, read_only=True) as index:
            stats = index.stats()
        return stats, [line for name, value in stats.items() for line in fact_lines(name, value)]

    def _export(self) -> ActionResult:
        from nearbit.index import open_index
        from nearbit.index.exchange import export_index

        with open_index(self.index_path, read_only=True) as index:
            n_items = export_index(index, str(self.export))
        about = {"index": str(self.index_path), "items": n_items, "file": str(self.export)}
        return about, [f"{self.export}: {n_items} items"]

    def _import(self) -> ActionResult:
        from nearbit.files.writing import path_seen_from
        from nearbit.index import create_index
        from nearbit.index.exchange import import_items, read_file

        items = read_file(str(self.import_), self.n_bits)
        model_id = self._model_of(items)
        with create_index(self.index_path, items.n_bits, model_id=model_id, exist_ok=True) as index:
            added = import_items(index, items)
            if self.model_path is not None:
                index.set_notes({"model_path": path_seen_from(index.path.absolute().parent, self.model_path)})
            total = len(index)
        about = {"index": str(self.index_path), "added": added, "items": total, "n_bits": items.n_bits}
        return about, [f"{self.index_path}: {total} items of {items.n_bits} bits ({added} added)"]

    def _replace(self) -> ActionResult:
        from nearbit.index import replace_index

        n_items = replace_index(self.index_path, str(self.replace_with))
        about = {"index": str(self.index_path), "items": n_items, "copied_from": str(self.replace_with)}
        return about, [f"{self.index_path}: now holds the {n_items} items of {self.replace_with}"]

    def _model_of(self, items: Any) -> str | None:
        """Return the id of the model that made the items of a file: what the file says, else --model."""
        named: str | None = items.model_id
        if self.model_path is None:
            return named
        from nearbit.model.load import load_any_model

        model = load_any_model(self.model_path)
        if named not in (None, model.model_id):
            raise InputError(
                f"{self.import_} holds codes of the model {named!r}, not {model.model_id!r}: leave --model out"
            )
        if model.n_bits != items.n_bits:
            raise InputError(
                f"{self.import_} holds codes of {items.n_bits} bits, {self.model_path} makes {model.n_bits}"
            )
        return model.model_id


def fact_lines(name: str, value: Any) -> list[str]:
    """Return the lines for people of a fact of an index: of several numbers one a line, of none nothing."""
    if isinstance(value, dict):
        return [line for inner, one in value.items() for line in fact_lines(f"{name} {inner}", one)]
    if value is None:
        return []
    if isinstance(value, bool):
        value = "yes" if value else "no"
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return [f"{name.replace('_', ' ')}: {shown}"]


def _chosen(stats: dict[str, Any]) -> dict[str, Any]:
    return {name: stats[name] for name in ("items", "file_bytes", "cache_bytes", "added_since_merge", "search")}


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise InputError(f"--remove takes ids with commas between, such as 3,5,8, not {text!r}") from error


def _pair(text: str) -> dict[str, Any]:
    """Return KEY=VALUE as a filter; the value is what JSON makes of it, else the text itself."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"--remove-where takes KEY=VALUE, such as labels=wren, not {text!r}")
    if key in ("labels", "path", "digest"):
        return {key: value}
    return {key: json_or_text(value, f"the value of {key} in --remove-where", InputError)}
