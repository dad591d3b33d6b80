"""Figures of a training for TensorBoard: one run for each network, one scalar for each figure of an epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearbit.errors import MissingExtraError
from nearbit.training.callbacks import EpochFigures


class Scalars:
    """Writes the figures of each epoch under a folder; `scalars_in` opens and closes it."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("tensorboard", "tensorboard", "--tensorboard") from error
        self._folder, self._make = folder, SummaryWriter
        self._writers: dict[str, Any] = {}

    def epoch(self, name: str, figures: EpochFigures) -> None:
        """Write every figure of an epoch of the network `name`; later epochs that an earlier run wrote are voided."""
        step = int(figures["epoch"])
        if name not in self._writers:
            self._writers[name] = self._make(str(self._folder / name), purge_step=step)
        writer = self._writers[name]
        for figure, value in figures.items():
            if figure != "epoch" and isinstance(value, int | float):
                writer.add_scalar(figure, value, step)
        writer.flush()

    def close(self) -> None:
        """Write what is left."""
        for writer in self._writers.values():
            writer.close()


@contextmanager
def scalars_in(folder: Path) -> Iterator[Scalars]:
    """Open a folder for the figures of a training.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    scalars = Scalars(folder)
    try:
        yield scalars
    finally:
        scalars.close()
