"""Where the training loop gets its inputs from: cached features, or images decoded anew in every epoch."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nearbit.datasets import Dataset
from nearbit.encoding.feature_cache import FloatRows
from nearbit.encoding.pipeline import EncodeRequest, decoded_chunks
from nearbit.encoding.torch_backend import encode_images
from nearbit.errors import ImageError, TrainingError
from nearbit.networks import Pixels, Preprocessing
from nearbit.training.seeds import generator

Positions = npt.NDArray[np.int64]


class TrainingInputs(Protocol):
    """The images of a training run, by position in the training or the validation part."""

    def batches(self, batches: Sequence[Positions], seed: int, epoch: int, n_views: int = 1) -> Iterator[Tensor]:
        """Yield inputs of the module that is trained for each batch of positions; augmented where asked.

        With several views of each image, which differ, a batch of n has n_views · n inputs: one view after the other.
        """
        ...

    def outputs(self, module: nn.Module, part: str, positions: Positions) -> FloatRows:
        """Return plain outputs float32 `(n, n_bits)` of positions of "train" or "validation", in evaluation mode."""
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

    def _drawn(self, n: int, rng: np.random.Generator, n_views: int) -> npt.NDArray[np.int64]:
        """Return which views each of n images shows: `(n, n_views)`, no view of an image twice."""
        if n_views == 1:
            return rng.integers(len(self.views), size=n)[:, None]
        if n_views > len(self.views):
            raise TrainingError(f"{n_views} views of each image are needed, and {len(self.views)} are cached (--views)")
        return rng.random((n, len(self.views))).argsort(axis=1)[:, :n_views]

    def _shown(self, batch: Positions, numbers: npt.NDArray[np.int64]) -> Tensor:
        """Return one view of each image of a batch: `(n, feature_dim)`."""
        chosen = torch.from_numpy(batch).to(self.views[0].device)
        inputs = self.views[0].index_select(0, chosen)
        for number, view in enumerate(self.views[1:], start=1):
            mask = torch.from_numpy(numbers == number).to(inputs.device)
            inputs = torch.where(mask[:, None], view.index_select(0, chosen), inputs)
        return inputs

    def outputs(self, module: nn.Module, part: str, positions: Positions) -> FloatRows:
        """Return the head's outputs for cached plain features."""
        module.eval()
        with torch.no_grad():
            outputs: FloatRows = module(self.parts[part][torch.from_numpy(positions)]).float().cpu().numpy()
        return outputs


class PixelInputs:
    """Images decoded for each epoch, augmented by random crops and, where it keeps the meaning, mirroring."""

    def __init__(
        self,
        dataset: Dataset,
        preprocessing: Preprocessing,
        parts: dict[str, Positions],
        device: torch.device,
        *,
        augment: bool,
        mirror: bool,
    ) -> None:
        self.dataset, self.preprocessing, self.parts, self.device = dataset, preprocessing, parts, device
        self.augment, self.mirror = augment, mirror

    def batches(self, batches: Sequence[Positions], seed: int, epoch: int, n_views: int = 1) -> Iterator[Tensor]:
        """Yield uint8 pixels `(n, 3, size, size)`."""
        rows = self.parts["train"][np.concatenate(batches)]
        views = [self._pixels(rows.tolist(), len(batches[0]), seed, epoch, view) for view in range(n_views)]
        for batch in batches:
            yield torch.from_numpy(np.stack([next(pixels) for pixels in views for _ in batch])).to(self.device)

    def _pixels(self, rows: list[int], chunk: int, seed: int, epoch: int, view: int) -> Iterator[Pixels]:
        for items in decoded_chunks(lambda row: self._read(row, seed, epoch, view), rows, chunk):
            for item in items:
                if isinstance(item, ImageError):
                    raise TrainingError(f"a training image cannot be read any more: {item}")
                yield item

    def _read(self, row: int, seed: int, epoch: int, view: int) -> Pixels:
        image = self.dataset.source.read(row, at_least=self.preprocessing.augment_side)
        if not self.augment:
            return self.preprocessing.apply(image)
        rng = np.random.default_rng([seed, epoch, row, *([view] if view else [])])
        return self.preprocessing.augment(image, rng, mirror=self.mirror)

    def outputs(self, module: nn.Module, part: str, positions: Positions) -> FloatRows:
        """Return the network's outputs for plain images."""
        rows = self.parts[part][positions]
        job = EncodeRequest(self.dataset.source, rows.tolist(), [self.dataset.keys[row] for row in rows])
        encoded = encode_images(module, self.preprocessing, job, device=self.device)
        if encoded.problems:
            problem = encoded.problems[0]
            raise TrainingError(f"an image cannot be read any more: {problem.path}: {problem.reason}")
        return encoded.outputs
