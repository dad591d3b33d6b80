"""Images decoded by worker processes, several batches ahead, and copied to a GPU while it computes.

What an image becomes depends on the seed, the epoch, its row and the view alone, so that batches are the same bit for
bit however many processes decode them, and after an interruption.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from nearbit.datasets import ImageSource
from nearbit.encoding.torch_backend import moved
from nearbit.errors import ImageError, TrainingError
from nearbit.networks import Pixels, Preprocessing
from nearbit.pool import OrderedPool, ProcessDied

PREFETCHED = 4
"""Batches that each process has ready."""

UNREADABLE = "a training image cannot be read any more: {}"


class Shown(NamedTuple):
    """One image of a batch: its row, and what its augmentation is drawn from."""

    row: int
    seed: int
    epoch: int
    view: int


@dataclass(frozen=True)
class PixelReader:
    """Reads images as they are trained on: augmented by random crops and, where it keeps the meaning, mirroring."""

    source: ImageSource
    keys: Sequence[str]
    preprocessing: Preprocessing
    augment: bool
    mirror: bool

    def read(self, shown: Shown) -> Pixels:
        """Return uint8 `(3, size, size)`; raise `ImageError` with the key of the image where it cannot be read."""
        try:
            image = self.source.read(shown.row, at_least=self.preprocessing.augment_side)
        except ImageError as error:
            raise ImageError(f"{self.keys[shown.row]}: {error}") from error
        if not self.augment:
            return self.preprocessing.apply(image)
        rng = np.random.default_rng([shown.seed, shown.epoch, shown.row, *([shown.view] if shown.view else [])])
        return self.preprocessing.augment(image, rng, mirror=self.mirror)


@dataclass(frozen=True)
class _Decoder:
    """Makes, in a process, what decodes a batch into memory that this one shares with the first."""

    reader: PixelReader

    def __call__(self) -> Callable[[list[Shown]], Tensor | str]:
        torch.set_num_threads(1)
        return self._decode

    def _decode(self, batch: list[Shown]) -> Tensor | str:
        """Return the pixels, or what is said of the first image that cannot be read."""
        size = self.reader.preprocessing.size
        pixels = torch.empty((len(batch), 3, size, size), dtype=torch.uint8)
        pixels.share_memory_()  # type: ignore[no-untyped-call]
        places = pixels.numpy()
        for place, shown in enumerate(batch):
            try:
                places[place] = self.reader.read(shown)
            except ImageError as error:
                return str(error)
        return pixels


@final
class Workers:
    """Processes that decode batches ahead.

    They are started anew and not forked, since this process has threads: a script that trains with them needs its
    `if __name__ == "__main__":`.
    """

    def __init__(self, reader: PixelReader, n_workers: int) -> None:
        self._pool: OrderedPool[list[Shown], Tensor | str] = OrderedPool(_Decoder(reader), n_workers, ahead=PREFETCHED)

    def batches(self, plan: Sequence[list[Shown]]) -> Iterator[Tensor]:
        """Yield the pixels of each batch, uint8 `(n, 3, size, size)`, in order.

        Raises:
            TrainingError: an image cannot be read, or a process has died.
        """
        try:
            for batch in self._pool.answers(plan):
                if isinstance(batch, str):
                    raise TrainingError(UNREADABLE.format(batch))
                yield batch
        except ProcessDied as error:
            raise TrainingError(
                f"a process that decodes images ended without a word (exit code {error.exit_code}), perhaps for want "
                "of memory or of room in /dev/shm: repeat the command to go on, with fewer of them (--workers)"
            ) from error


def on_device(batches: Iterator[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Yield batches on the device; a GPU still computes with the one before as the next one is copied to it."""
    if device.type != "cuda":
        for batch in batches:
            yield batch.to(device)
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    for batch in batches:
        with torch.cuda.stream(stream):
            copied = moved(batch, device)
        computing = torch.cuda.current_stream(device)
        computing.wait_stream(stream)
        copied.record_stream(computing)
        yield copied
