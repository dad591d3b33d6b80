"""Images decoded by worker processes, several batches ahead, and copied to a GPU while it computes.

What an image becomes depends on the seed, the epoch, its row and the view alone, so that batches are the same bit for
bit however many processes decode them, and after an interruption.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from nearbit.datasets import ImageSource
from nearbit.errors import ImageError, TrainingError
from nearbit.networks import Pixels, Preprocessing

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


class _Images(Dataset[Any]):
    """What a process decodes: an image, or why it cannot be read."""

    def __init__(self, reader: PixelReader) -> None:
        self.reader = reader

    def __getitem__(self, shown: Shown) -> Pixels | str:
        try:
            return self.reader.read(shown)
        except ImageError as error:
            return str(error)


class _Plan(Sampler[list[Shown]]):
    """The batches of the epoch to come; the processes stay from one epoch to the next."""

    def __init__(self) -> None:
        self.batches: Sequence[list[Shown]] = ()

    def __iter__(self) -> Iterator[list[Shown]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _stacked(images: list[Pixels | str]) -> Tensor | str:
    """Return the batch, or what is said of the first image in it that cannot be read."""
    pixels = [image for image in images if not isinstance(image, str)]
    if len(pixels) < len(images):
        return next(image for image in images if isinstance(image, str))
    return torch.from_numpy(np.stack(pixels))


@final
class Workers:
    """Processes that decode batches ahead.

    They are started anew and not forked, since this process has threads: a script that trains with them needs its
    `if __name__ == "__main__":`.
    """

    def __init__(self, reader: PixelReader, n_workers: int, device: torch.device) -> None:
        self._plan = _Plan()
        self._loader: DataLoader[Any] = DataLoader(
            _Images(reader),
            batch_sampler=self._plan,
            num_workers=n_workers,
            collate_fn=_stacked,
            pin_memory=device.type == "cuda",
            prefetch_factor=PREFETCHED,
            persistent_workers=True,
            multiprocessing_context="spawn",
        )

    def batches(self, plan: Sequence[list[Shown]]) -> Iterator[Tensor]:
        """Yield the pixels of each batch, uint8 `(n, 3, size, size)`, in order.

        Raises:
            TrainingError: an image cannot be read, or a process has died.
        """
        self._plan.batches = plan
        try:
            for batch in self._loader:
                if isinstance(batch, str):
                    raise TrainingError(UNREADABLE.format(batch))
                yield batch
        except RuntimeError as error:
            raise TrainingError(
                f"a process that decodes images has died ({error}): repeat the command to go on, with fewer of them "
                "(--workers) where memory is short"
            ) from error


def on_device(batches: Iterator[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Yield batches on the device; to a GPU the next one is copied while it computes with the one before."""
    if device.type != "cuda":
        for batch in batches:
            yield batch.to(device)
        return
    stream, ahead = torch.cuda.Stream(device), None  # type: ignore[no-untyped-call]
    for batch in batches:
        with torch.cuda.stream(stream):
            copied = batch.pin_memory().to(device, non_blocking=True)
        if ahead is not None:
            yield ahead
        torch.cuda.current_stream(device).wait_stream(stream)
        copied.record_stream(torch.cuda.current_stream(device))
        ahead = copied
    if ahead is not None:
        yield ahead
