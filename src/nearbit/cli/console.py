"""What all commands share: progress on standard error, results on standard output, options for images."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click
from click.core import ParameterSource

from nearbit.errors import InputError
from nearbit.json_text import unstorable
from nearbit.names import counted as counted
from nearbit.names import escaped
from nearbit.progress import about
from nearbit.reading import ClassLevel, ReadingOptions

if TYPE_CHECKING:
    from nearbit.datasets import Dataset, Problem

    AnyParam = click.ParamType[Any]
    TextParam = click.ParamType[str]
else:  # click has [] from 8.4 on, and nearbit runs from 8.1 on
    AnyParam = TextParam = click.ParamType

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for what can be computed again. [default: NEARBIT_CACHE, else the user's cache folder]",
)


class ModelPath(click.Path):
    """A model: its folder, or `hf:ORG/NAME`, which is fetched from the hub and becomes a folder."""

    def __init__(self, *, exists: bool = False) -> None:
        super().__init__(path_type=Path, exists=exists)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from nearbit.model.hub import is_address, model_folder

        asks = is_address(value) and not (ctx is not None and ctx.resilient_parsing)
        return model_folder(value) if asks else super().convert(value, param, ctx)


class NewPath(click.Path):
    """What -o names to be written, here or elsewhere, before anything is read; never an empty text."""

    def __init__(self, *, file_okay: bool = True, may_be_here: bool = False) -> None:
        """Say whether it may be a file, and whether the folder where one is, its parent or the root will do.

        What is written beside it, and called after it, needs one with a name.
        """
        super().__init__(path_type=Path, file_okay=file_okay)
        self._may_be_here = may_be_here

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(value)
        if not os.fspath(value) or (path.name in ("", "..") and not self._may_be_here):
            self.fail(f"{os.fspath(value)!r} names nothing new to write: give a name such as birds.model", param, ctx)
        return super().convert(value, param, ctx)


class IndexPlace(click.Path):
    """Where an index lies: the path of its file, or an address in a server such as `postgresql://…`."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return address_in(value) or super().convert(value, param, ctx)


def address_in(value: Any) -> Any:
    """Return the address of an index that a text is; None for the path of a file."""
    if not isinstance(value, str) or not (":/" in value or value.lower().startswith("file:")):
        return None
    from nearbit.index.homes.address import is_address, place_of

    return place_of(value) if is_address(value) else None


index_argument = click.argument("index_path", metavar="INDEX", type=IndexPlace())


def model_option(what: str) -> Callable[[Command], Command]:
    """Return the option that names a model, with its help."""
    return click.option("--model", "model_path", type=ModelPath(), help=what)


model_of_index_option = model_option(
    "The model folder, or one that `nearbit export --onnx` wrote. [default: the one that the index names]"
)


text_weights_option = click.option(
    "--text-weights",
    metavar="CHECKPOINT",
    help="Where the text part of the model lies: a folder, or hf:ORG/NAME@REVISION, which is fetched once. "
    "[default: the hub's checkpoint that the model was made with, if it is here]",
)


def _set_max_pixels(context: click.Context, _: click.Parameter, value: int | None) -> None:
    """Set the limit for this command and the processes that it starts (see `nearbit.datasets.decoding.pixel_limit`)."""
    if value is None or context.resilient_parsing:
        return
    before = os.environ.get("NEARBIT_MAX_PIXELS")
    os.environ["NEARBIT_MAX_PIXELS"] = str(value)
    context.call_on_close(lambda: _restore_max_pixels(before))


def _restore_max_pixels(before: str | None) -> None:
    if before is None:
        os.environ.pop("NEARBIT_MAX_PIXELS", None)
    else:
        os.environ["NEARBIT_MAX_PIXELS"] = before


max_pixels_option = click.option(
    "--max-pixels",
    type=click.IntRange(1),
    expose_value=False,
    callback=_set_max_pixels,
    help="Width times height above which an image is not decoded. [default: NEARBIT_MAX_PIXELS, else 64000000]",
)


class Level(AnyParam):
    """Which folder is the class: first, leaf, or a number from 1."""

    name = "first|leaf|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in ("first", "leaf") or (isinstance(value, int) and value >= 1):
            return value
        if isinstance(value, str) and value.isdecimal() and value.isascii() and 1 <= len(value) < 5 and int(value):
            return int(value)
        expected = "expected first, leaf or the number of a folder from 1 at the top"
        return self.fail(f"{value!r} is no class level; {expected}", param, ctx)


class Text(TextParam):
    """A text that can be kept: what every command takes where a text is asked for (`main` sees to it)."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        reason = unstorable(str(value))
        if reason:
            self.fail(f"'{escaped(str(value))}' cannot be kept: {reason}; expected UTF-8 text", param, ctx)
        return str(value)


class Data(TextParam):
    """What is read as images: a name or a path, which need not be UTF-8."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)


_KINDS: dict[Any, dict[str, Any]] = {
    bool: {"is_flag": True},
    Path | None: {"type": click.Path(path_type=Path)},
    ClassLevel | None: {"type": Level()},
}
"""What an option takes, by the type of its field where that is no text."""


def _reading_option(one: Field[Any]) -> Callable[[Command], Command]:
    """Return the option of a field of `ReadingOptions`."""
    choices = one.metadata["choices"]
    kind = {"type": click.Choice(choices)} if choices else _KINDS.get(one.type, {})
    return click.option(
        f"--{one.name.replace('_', '-')}",
        default=one.default,
        show_default=isinstance(one.default, str),
        help=one.metadata["help"],
        **kind,
    )


def data_options(command: Command) -> Command:
    """Add the options that say how a data set is read: the fields of `ReadingOptions` that have a line of help."""
    return _with_reading_options(command, without=())


def image_options(command: Command) -> Command:
    """Add the options that say how images are read: those of `data_options`, but for the parts of a data set."""
    return _with_reading_options(command, without=("split_file",))


def _with_reading_options(command: Command, without: Collection[str]) -> Command:
    for one in fields(ReadingOptions):
        if "help" in one.metadata and one.name not in without:
            command = _reading_option(one)(command)
    return max_pixels_option(cache_option(command))


def read_dataset(source: str, options: ReadingOptions) -> "Dataset":
    """Load a data set; the command line needs no image library before."""
    from nearbit.datasets import load_dataset

    return load_dataset(source, options)


def read_images(sources: Sequence[str | Path], options: ReadingOptions) -> "Dataset":
    """Load images, with their labels if there are any: of one source of any kind, or of several files."""
    from nearbit.datasets import load_images

    return load_images(sources[0] if len(sources) == 1 else list(sources), options)


def say_notes(dataset: "Dataset") -> None:
    """Say on standard error what a person should know of how a data set was read, where there is such."""
    if dataset.notes:
        echo("\n".join([f"read: {dataset.read_as}", *dataset.notes]))


LOG_SECONDS = 30.0
"""Seconds between two lines of progress in a log."""


class Bars:
    """Progress bars on standard error: one a stage; where that is no terminal, a line every half minute.

    Attributes:
        note: what stands behind the bar or in the line: "" for nothing.
    """

    def __init__(self) -> None:
        self.note = ""
        self._bar: Any = None
        self._stage = ""
        self._began = self._said = 0.0
        self._first = 0

    def __enter__(self) -> Self:
        return self

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Be a `Progress`: see `show`."""
        self.show(stage, done, total)

    def __exit__(self, *exception: object) -> None:
        self._close()

    def show(self, stage: str, done: int, total: int) -> None:
        """Move the bar of a stage to `done` of `total`."""
        if not sys.stderr.isatty():
            self._log(stage, done, total)
            return
        if self._bar is None or stage != self._stage:
            self._open(stage, total)
        self._bar.set_postfix_str(self.note, refresh=False)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._close()

    def _log(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began, self._said, self._first = stage, now, now, done
            if (done, total) == (0, 1):  # of one step nothing more can be told
                echo(stage)
        if now - self._said >= LOG_SECONDS and self._first < done < total:
            self._said = now
            left = (now - self._began) / (done - self._first) * (total - done)
            echo(f"{stage}: {done} of {total}, {about(left)} left{f'; {self.note}' if self.note else ''}")
        if done >= total:
            self._stage = ""  # what comes next under the same name has a time of its own

    def _open(self, stage: str, total: int) -> None:
        from tqdm import tqdm

        self._close()
        self._stage = stage
        self._bar = tqdm(total=total, desc=printable(stage), file=sys.stderr, dynamic_ncols=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def refuse_options(besides: Collection[str], why: str) -> None:
    """Raise `InputError` where an option was given that would do nothing here.

    Args:
        besides: the parameters of the running command that have a use here.
        why: what follows the option in the message, such as "goes with IMAGES, not with --stats".
    """
    context = click.get_current_context()
    for option in context.command.params:
        name = str(option.name)
        if name not in besides and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InputError(f"{option.opts[0]} {why}: leave it out")


def make_folder(output: Path) -> None:
    """Make the folder that -o names, before there is anything to lose."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {output} (-o) cannot be made: {error.strerror}; name another one") from error


def echo(message: str) -> None:
    """Write one line for people, on standard error."""
    click.echo(printable(message), err=True)


def emit(value: dict[str, Any], *, as_json: bool, lines: Sequence[str]) -> None:
    """Write the result on standard output: one JSON object, or lines for people."""
    if as_json:
        click.echo(json_text(value))
    else:
        for line in lines:
            click.echo(printable(line))


def json_text(value: dict[str, Any]) -> str:
    """Return one line of JSON, readable where it can be; escaped where it is not UTF-8, or commands a terminal."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return printable(CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What commands a terminal, but for the tab and the end of a line, and what turns the direction of writing."""


def printable(text: str) -> str:
    """Return a text for a terminal, as UTF-8: other bytes of a name, and commands, come as "\\\\udcff", "\\\\x1b"."""
    shown = CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return shown.encode("utf-8", "backslashreplace").decode()


SHOWN_PROBLEMS = 3
"""So many skipped images are named at once."""


def list_problems(problems: "Sequence[Problem]", errors_file: Path) -> str | None:
    """Write skipped images with their reasons to a file and say so; return its path.

    Where none was skipped, a file of an earlier run is removed and None returned.
    """
    if not problems:
        errors_file.unlink(missing_ok=True)  # of an earlier run, whose problems are solved
        return None
    from nearbit.datasets import write_problems

    write_problems(errors_file, problems)
    first = [f"{escaped(one.path)}: {one.reason}" for one in problems[:SHOWN_PROBLEMS]]
    were = counted(len(problems), "image was", "images were")
    more = ", the first" if len(problems) > SHOWN_PROBLEMS else ""
    echo(f"{were} skipped; the reasons are in {errors_file}{more}: {'; '.join(first)}")
    return str(errors_file)


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> list[str]:
    """Return the lines of a table with aligned columns: numbers to the right, words to the left; each cell on one."""
    texts = [[printable(str(cell)).replace("\n", "\\n").replace("\t", "\\t") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(header), *texts]) for column in range(len(header))]
    numeric = [all(_is_number(row[column]) for row in texts) for column in range(len(header))]
    lines = [list(header), *texts]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    ]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == "-"
    return True
