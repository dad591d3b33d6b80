"""Where the training loop gets its inputs from: cached features, or images decoded anew in every epoch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nearbit.datasets import Dataset, ImageSource
from nearbit.encoding.feature_cache import FloatRows
from nearbit.encoding.pipeline import EncodeRequest, decoded_chunks
from nearbit.encoding.torch_backend import encode_images, moved
from nearbit.errors import ImageError, TrainingError
from nearbit.networks import Pixels
from nearbit.training.inputs.feeding import UNREADABLE, PixelReader, Shown, Workers, on_device
from nearbit.training.seeds import generator

Positions = npt.NDArray[np.int64]


class TrainingInputs(Protocol):
    """The images of a training run, by position in a part; some have those of queries and database, too."""

    def batches(self, batches: Sequence[Positions], seed: int, epoch: int, n_views: int = 1) -> Iterator[Tensor]:
        """Yield inputs of the module that is trained for each batch of positions; augmented where asked.

        With several views of each image, which differ, a batch of n has n_views · n inputs: one view after the other.
        """
        ...

    def besides(self, positions: Positions, seed: int, epoch: int) -> Tensor:
        """Return inputs for any training images while the batches of an epoch are under way."""
        ...

    def outputs(self, module: nn.Module, part: str, positions: Positions) -> FloatRows:
        """Return plain outputs float32 `(n, n_bits)` of images of a part, by position, in evaluation mode."""
        ...


def cut_batches(order: Positions, batch_size: int, least: int = 2) -> list[Positions]:
    """Cut an order into batches; a last one of fewer than `least` images joins the one before.

    Batch normalisation needs two images, and each of several processes one.
    """
    cuts = list(range(batch_size, len(order), batch_size))
    if cuts and len(order) - cuts[-1] < least:
        cuts.pop()
    return np.split(order, cuts)


class FeatureInputs:
    """Features computed once: float32 `(n_views, n_train, feature_dim)` and `(n_validation, feature_dim)`."""

    def __init__(self, train_views: Sequence[FloatRows], validation: FloatRows, device: torch.device) -> None:
        self.views = [torch.from_numpy(np.ascontiguousarray(view)).to(device) for view in train_views]
        self.parts = {
            "train": self.views[0],
            "validation": torch.from_numpy(np.ascontiguousarray(validation)).to(device),
        }

    def batches(self, batches: Sequence[Positions], seed: int, epoch: int, n_views: int = 1) -> Iterator[Tensor]:
        """Yield features; where there are more views than asked for, each image shows some, drawn for each epoch."""
        sizes = [len(batch) for batch in batches]
        drawn = self._drawn(sum(sizes), generator(seed, "views", epoch), n_views)
        for batch, shown in zip(batches, np.split(drawn, np.cumsum(sizes)[:-1]), strict=True):
            views = [self._shown(batch, numbers) for numbers in shown.T]
            yield views[0] if n_views == 1 else torch.cat(views)

    def besides(self, positions: Positions, seed: int, epoch: int) -> Tensor:
        """Return features; each image shows a view that is drawn as for a batch."""
        return next(self.batches([positions], seed, epoch))

    def _drawn(self, n: int, rng: np.random.Generator, n_views: int) -> npt.NDArray[np.int64]:
        """Return which views each of n images shows: `(n, n_views)`, no view of an image twice."""
        if n_views == 1:
            return rng.integers(len(self.views), size=n)[:, None]
        if n_views > len(self.views):
            raise TrainingError(f"{n_views} views of each image are needed, and {len(self.views)} are cached (--views)")
        return rng.random((n, len(self.views))).argsort(axis=1)[:, :n_views]

    def _shown(self, batch: Positions, numbers: npt.NDArray[np.int64]) -> Tensor:
        """Return one view of each image of a batch: `(n, feature_dim)`."""
        chosen = moved(torch.from_numpy(batch), self.views[0].device)
        inputs = self.views[0].index_select(0, chosen)
        for number, view in enumerate(self.views[1:], start=1):
            mask = moved(torch.from_numpy(numbers == number), inputs.device)
            inputs = torch.where(mask[:, None], view.index_select(0, chosen), inputs)
        return inputs

    def outputs(self, module: nn.Module, part: str, positions: Positions) -> FloatRows:
        """Return the head's outputs for cached plain features."""
        module.eval()
        with torch.no_grad():
            outputs: FloatRows = module(self.parts[part][torch.from_numpy(positions)]).float().cpu().numpy()
        return outputs


class PixelInputs:
    """Images decoded for each epoch, by threads or by worker processes, and augmented where that is asked for."""

    def __init__(
        self,
        dataset: Dataset,
        reader: PixelReader,
        parts: dict[str, Positions],
        device: torch.device,
        *,
        n_workers: int = 0,
        plain: Mapping[str, ImageSource] | None = None,
    ) -> None:
        """Take the images, and what reads the training images; `plain` has another source for images of a part.

        It is asked where their plain outputs are wanted.
        """
        self.plain = plain or {}
        self.dataset, self.reader, self.parts, self.device = dataset, reader, parts, device
        self._workers = Workers(reader, n_workers) if n_workers else None

    def batches(self, batches: Sequence[Positions], seed: int, epoch: int, n_views: int = 1) -> Iterator[Tensor]:
        """Yield uint8 pixels `(n, 3, size, size)`."""
        rows = self.parts["train"]
        plan = [
            [Shown(row, seed, epoch, view) for view in range(n_views) for row in rows[batch].tolist()]
            for batch in batches
        ]
        read = self._decoded if self._workers is None else self._workers.batches
        return on_device(read(plan), self.device)

    def besides(self, positions: Positions, seed: int, epoch: int) -> Tensor:
        """Return pixels that this process decodes, since others may be at an epoch's."""
        shown = [Shown(row, seed, epoch, 0) for row in self.parts["train"][positions].tolist()]
        return next(on_device(self._decoded([shown]), self.device))

    def _decoded(self, plan: Sequence[list[Shown]]) -> Iterator[Tensor]:
        """Yield batches that threads of this process decode."""
        flat = [shown for batch in plan for shown in batch]
        chunks = decoded_chunks(lambda place: self.reader.read(flat[place]), range(len(flat)), len(plan[0]))
        pixels = (item for items in chunks for item in items)
        for batch in plan:
            yield torch.from_numpy(np.stack([_readable(next(pixels)) for _ in batch]))

    def outputs(self, module: nn.Module, part: str, positions: Positions) -> FloatRows:
        """Return the network's outputs for plain images."""
        rows = self.parts[part][positions]
        source = self.plain.get(part, self.dataset.source)
        job = EncodeRequest(source, rows.tolist(), [self.dataset.keys[row] for row in rows])
        encoded = encode_images(module, self.reader.preprocessing, job, device=self.device)
        if encoded.problems:
            problem = encoded.problems[0]
            raise TrainingError(f"an image cannot be read any more: {problem.path}: {problem.reason}")
        return encoded.outputs


def _readable(item: Pixels | ImageError) -> Pixels:
    """Return pixels; raise `TrainingError` for an image that cannot be read any more."""
    if isinstance(item, ImageError):
        raise TrainingError(UNREADABLE.format(item))
    return item
