"""The folder in which a run keeps its checkpoints: one run at a time works in it, and removes what is its own."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nearbit.training.checkpoint import OTHER, RUN, of_run


@contextmanager
def checkpoints_of(run_key: str) -> Iterator[None]:
    """Let the checkpoints that are written within the block say of which run they are."""
    token = RUN.set(run_key)
    try:
        yield
    finally:
        RUN.reset(token)


def lock_of(folder: Path) -> Path:
    """Return the lock file of a folder for checkpoints, beside it: who holds it trains there, and writes what comes."""
    return folder.with_name(f"{folder.name}.lock")


def folder_in(checkpoint: Path | None, name: str) -> Path | None:
    """Return a folder for the checkpoints of a part of a run, made in that of the run; None where there are none."""
    if checkpoint is None:
        return None
    folder = checkpoint / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def has_own(folder: Path) -> bool:
    """Return whether a folder for checkpoints holds any of this run (see `checkpoints_of`)."""
    return any(_is_own(file) for file in _not_aside(folder))


def remove_own(folder: Path) -> None:
    """Remove the checkpoints of a run that is done, and the folder where it holds none of other runs.

    Those of other runs stay, with a warning: their commands go on from them. What cannot be removed is left: the run
    has succeeded all the same.
    """
    with suppress(OSError):
        own = [file for file in _not_aside(folder) if _is_own(file)]
        for file in own:
            file.unlink(missing_ok=True)
        if others := _not_aside(folder):
            warnings.warn(
                f"{folder} holds checkpoints of another run, such as {others[0].relative_to(folder)}, and stays: the "
                "command that they are of goes on from them, or remove it",
                stacklevel=2,
            )
        remove_empty(folder)


def remove_empty(folder: Path) -> None:
    """Remove a folder for checkpoints that nothing was written to, and such folders in it."""
    for inner in folder.glob("*/"):
        remove_empty(inner)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _not_aside(folder: Path) -> list[Path]:
    """Return the files of a folder but those that were moved aside for another run."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and OTHER not in path.name)


def _is_own(file: Path) -> bool:
    """Say whether a file is a checkpoint of this run, or of an earlier nearbit, or no sound one."""
    return of_run(file) in (None, "", RUN.get())
