"""`nearbit watch`: an index that follows a folder."""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.commands.index.images import COUNTS, keep_outputs_option
from nearbit.cli.commands.index.start import Start, begun_model, model_folder_of, start_options
from nearbit.cli.console import (
    Bars,
    device_option,
    echo,
    emit,
    image_options,
    index_argument,
    json_option,
    model_of_index_option,
    read_images,
)
from nearbit.errors import InputError
from nearbit.reading import ReadingOptions

if TYPE_CHECKING:
    from nearbit.model.bundle import Model
    from nearbit.model.onnx import OnnxModel
    from nearbit.watching import Round


@click.command("watch", epilog="Example: nearbit watch photos/ birds.index")
@click.argument("folder", metavar="IMAGES", type=click.Path(path_type=Path, exists=True, file_okay=False))
@index_argument
@model_of_index_option
@start_options
@keep_outputs_option
@click.option(
    "--settle",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    show_default=True,
    help="Seconds for which a file must stay as it is before it is taken in.",
)
@click.option(
    "--poll",
    type=click.FloatRange(0, min_open=True),
    help="Look every so many seconds in the place of waiting for news, as on a drive of another machine.",
)
@device_option
@image_options
@json_option
def command(
    folder: Path,
    index_path: Path,
    model_path: Path | None,
    keep_outputs: str | None,
    settle: float,
    poll: float | None,
    device: str,
    cache: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Keep INDEX the mirror of a folder: first bring it up to date, then add, move and remove as files do.

    A file is taken in once it has stayed as it is for a while, so that half of a copy is not. An image that lies
    elsewhere now keeps its item. It may be stopped at any moment, with Ctrl-C or however else, and started again; a
    running nearbit serve of INDEX shows what changes. With --json every change is one line.
    """
    from nearbit.files.writing import cache_folder
    from nearbit.watching import EVERY, Follower, follow

    if not isinstance(index_path, Path):
        raise InputError(f"an index that is a file can follow a folder, and {index_path} lies in a server")
    start, kept = Start.taken_from(given), cache or cache_folder()
    # SIGINT too: a shell lets what it starts in the background ignore it
    before = _take_signals(signal.default_int_handler)
    tell = _Teller(folder, index_path, as_json)
    try:
        with Bars() as progress:
            options = ReadingOptions(cache=kept, progress=progress, **given)
            named = model_folder_of(index_path, model_path)
            if named is None:
                images = read_images([folder], options)
                named = begun_model(
                    index_path, images, start, keep_outputs, device=device, cache=kept, progress=progress
                )
            else:
                start.refuse(named)
            follower = Follower(
                index_path,
                folder,
                _encoder(index_path, named, keep_outputs),
                options=options,
                keep_outputs=keep_outputs,
                device=device,
                settle=settle,
            )
            follow(follower, tell, every=poll or EVERY, polls=poll is not None, progress=progress)
    except KeyboardInterrupt:
        _take_signals(signal.SIG_IGN)  # `timeout` and the like send one twice
        echo("\nstopped; nothing is half-written, and the same command goes on")
    finally:
        click.get_current_context().find_root().call_on_close(partial(_give_back, before))


def _take_signals(handler: Any) -> dict[signal.Signals, Any]:
    """Let signals that stop this process be handled so; return how they were handled before."""
    return {one: signal.signal(one, handler) for one in (signal.SIGTERM, signal.SIGINT)}


def _give_back(before: dict[signal.Signals, Any]) -> None:
    """Let signals be handled as before, once the command has ended."""
    for one, handler in before.items():
        signal.signal(one, handler)


def _encoder(index_path: Path, named: Path, keep_outputs: str | None) -> "Callable[[], Model | OnnxModel]":
    """Return what gives the model of an index, loaded again where the index has moved over to another one.

    A new index is made as it is first called.
    """
    from nearbit.model.load import load_any_model, model_of_index, note_of_model

    loaded = [load_any_model(named)]

    def model() -> "Model | OnnxModel":
        from nearbit.index import create_index, open_index
        from nearbit.index.homes import exists

        if not exists(index_path):
            one = loaded[0]
            with create_index(index_path, one.n_bits, model_id=one.model_id, outputs=keep_outputs) as index:
                index.set_notes(note_of_model(index, named))
        with open_index(index_path, read_only=True) as index:
            if index.model_id not in (None, loaded[0].model_id):
                loaded[0] = load_any_model(model_of_index(index))
        return loaded[0]

    return model


class _Teller:
    """Says what each look did, where there is anything to say."""

    def __init__(self, folder: Path, index_path: Path, as_json: bool) -> None:
        self._folder, self._index, self._as_json = folder, index_path, as_json
        self._is_first = True

    def __call__(self, found: "Round") -> None:
        if found.trouble:
            echo(f"nearbit: {found.trouble}")
        for problem in found.problems:
            echo(f"skipped: {problem.path}: {problem.reason}")
        if found.done is not None:
            self._changes(found)

    def _changes(self, found: "Round") -> None:
        counts = {name: getattr(found.done, name) for name in COUNTS if name not in ("unchanged", "absent")}
        words = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        if not words and not self._is_first:
            return
        about = {
            "index": str(self._index),
            "folder": str(self._folder),
            "items": found.items,
            **counts,
            "waiting": found.waiting,
            "process": os.getpid(),
        }
        emit(about, as_json=self._as_json, lines=[f"{self._index}: {found.items} items ({words or 'up to date'})"])
        sys.stdout.flush()
        if self._is_first:
            self._is_first = False
            echo(f"nearbit watches {self._folder} - stop with Ctrl-C")
