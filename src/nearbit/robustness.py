"""`attack`: what a model's search is worth when its query images are perturbed, beside what it is worth when not."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nearbit.attacks import RELEVANCES, Budget, Relevance, center_codes, hag, pgd
from nearbit.centers.state import random_signs
from nearbit.codes import binarize, signs_of
from nearbit.datasets import Dataset, Problem, Split
from nearbit.encoding.feature_cache import FeatureStore, FloatRows
from nearbit.encoding.pipeline import decoded_chunks, plain_reader
from nearbit.encoding.preprocessing import Preprocessing
from nearbit.encoding.torch_backend import enough_memory, find_device, placed, whole_floats
from nearbit.errors import DataError, ImageError, InputError
from nearbit.evaluation import measured_split
from nearbit.given import check_choice, check_flag, check_number, keep_plain
from nearbit.metrics import tie_aware_average_precision
from nearbit.model.bundle import Model
from nearbit.names import counted
from nearbit.progress import Progress, silent

Labels = npt.NDArray[np.bool_]
KINDS = ("pgd", "hag")
STEP_SIZES = {"pgd": 1.0, "hag": 100.0}
BATCH = 32
"""Images that are perturbed together."""


@dataclass(frozen=True, kw_only=True)
class AttackOptions:
    """How query images are attacked.

    Attributes:
        kind: "pgd" moves a code away from its center code; "hag" moves it toward its complement, and needs no labels
            for that.
        eps: the largest change of a pixel, of 255.
        steps: how many gradients are followed.
        step_size: of "pgd" the change of a pixel in a step, of 255; of "hag" the learning rate for pixels from 0 to 1.
            None for 1 and 100.
        targeted: whether codes are moved toward the center code of other labels; for "pgd".
        relevance: how labels weigh in a center code; see `nearbit.attacks.center_codes`.
        queries: how many query images; all where there are fewer.
        seed: draws the queries, the target labels, the starts and the signs of even votes.
    """

    kind: Literal["pgd", "hag"] = "pgd"
    eps: float = 8.0
    steps: int = 100
    step_size: float | None = None
    targeted: bool = False
    relevance: Relevance = "shared"
    queries: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        keep_plain(self)
        check_choice("kind", self.kind, KINDS)
        check_choice("relevance", self.relevance, RELEVANCES)
        check_number("eps", self.eps)
        check_number("seed", self.seed, whole=True)
        for name in ("steps", "queries"):
            check_number(name, getattr(self, name), at_least=1, whole=True)
        if self.step_size is not None:
            check_number("step_size", self.step_size)
        check_flag("targeted", self.targeted)
        if self.kind == "hag" and self.targeted:
            raise InputError("hag moves a code toward its complement and has no target: take the kind pgd (--kind pgd)")
        if self.kind == "hag" and self.relevance != "shared":
            raise InputError("hag uses no center code, so relevance would do nothing: leave it out")

    @property
    def step(self) -> float:
        """The step size that is meant."""
        return STEP_SIZES[self.kind] if self.step_size is None else self.step_size


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """Figures of a model on query images that were attacked, each beside that of the same images as they are.

    All are tie-aware mean average precision over the whole database, whose images are not attacked.

    Attributes:
        options: of the attack.
        model_id, split_hash, n_bits, n_query, n_database: of what was attacked.
        clean_map, adversarial_map: by the labels of the queries: after a good attack the second is low.
        clean_t_map, adversarial_t_map: by the target labels, if any: after a good attack the second is high.
        bits_changed: how many bits of a code the attack turns, on average.
        problems: images that could not be read.
    """

    options: AttackOptions
    model_id: str
    split_hash: str
    n_bits: int
    n_query: int
    n_database: int
    clean_map: float
    adversarial_map: float
    clean_t_map: float | None = None
    adversarial_t_map: float | None = None
    bits_changed: float
    problems: tuple[Problem, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready data."""
        values = asdict(self)
        options = values.pop("options")
        values.pop("problems")
        return {**values, **options, "step_size": self.options.step, "unread_images": len(self.problems)}


class _Part(NamedTuple):
    """Images of a part of the split with their outputs and labels."""

    outputs: FloatRows
    labels: Labels
    rows: npt.NDArray[np.int64]


def attack(
    model: Model,
    dataset: Dataset,
    split: Split | None = None,
    *,
    options: AttackOptions | None = None,
    device: str = "auto",
    cache: str | Path | FeatureStore | None = None,
    progress: Progress = silent,
) -> Robustness:
    """Perturb query images within a bound so that their codes find the wrong images, and measure the search by them.

    The network is known to the attack (white box), with the codes and labels of the database. Gradients go through the
    whole network to the pixels that it sees, also where its backbone was frozen in training. Perturbed pixels are real
    numbers from 0 to 255; a file of whole ones would hold slightly others.

    Args:
        model: a trained network that sees pixels.
        dataset: the images and their labels.
        split: by default the one recorded in the model.
        options: see `AttackOptions`.
        device: "auto", "cpu", "cuda", …
        cache: a folder that keeps features by content, or a `FeatureStore` that many runs share.
        progress: called as images are encoded and attacked.

    Returns:
        The figures. Deterministic for a seed on one machine.

    Raises:
        InputError: the model sees no pixels, or gives no gradients.
        DataError: no split is known, it does not belong to the data set, a part of it is empty or has no labels, or
            no labels of the database are foreign to a query that needs a target.
    """
    asked = options or AttackOptions()
    check_pixels(model)
    used = measured_split(model, dataset, split)
    rng = np.random.default_rng(asked.seed)
    labelled = used.query[dataset.labels[used.query].any(axis=1)]
    if not len(labelled) or not dataset.labels[used.database].any():
        raise DataError("an attack needs query and database images with labels, and the split has none: add labels")
    chosen = np.sort(rng.permutation(labelled)[: asked.queries])
    kept = None if cache is None else model.row_cache(cache, device)
    encoded = [
        model.encode_dataset(dataset, rows, device=device, cache=kept, progress=progress)
        for rows in (chosen, used.database)
    ]
    problems = encoded[0].problems + encoded[1].problems
    query, database = (_Part(one.outputs, dataset.labels[one.rows], one.rows) for one in encoded)
    if not len(query.rows) or not len(database.rows):
        raise DataError(f"no image of the query or of the database part can be read ({len(problems)} cannot)")
    targets = _targets(query.labels, database.labels, rng) if asked.targeted else None
    words = _words(asked, query, database, query.labels if targets is None else targets, rng)
    with enough_memory("the gradients of this network; take another --device, such as cpu"):
        outputs = _attacked(model, dataset, query, words, asked, device, progress)
    return _figures(model, used, asked, query, database, targets, outputs, problems)


def check_pixels(model: Model) -> None:
    """Raise `InputError` for a model that sees no pixels."""
    if not isinstance(model.preprocessing, Preprocessing):
        raise InputError(
            "an attack changes pixels, and this model takes features and no images: attack one whose backbone sees "
            "images (--backbone small, resnet18, timm:NAME, hf:FOLDER)"
        )


def _targets(labels: Labels, known: Labels, rng: np.random.Generator) -> Labels:
    """Return, for each query, label vectors of the database that share no label with its own, drawn evenly."""
    distinct = np.unique(known[known.any(axis=1)], axis=0)
    foreign = ~(labels.astype(np.float32) @ distinct.T.astype(np.float32) > 0)
    n_without = int((~foreign.any(axis=1)).sum())
    if n_without:
        raise DataError(
            f"{counted(n_without, 'query shares', 'queries share')} a label with every image of the database, so that "
            "nothing is left as their target: attack without a target (leave --targeted out)"
        )
    return np.stack([distinct[rng.choice(np.flatnonzero(row))] for row in foreign])


def _words(asked: AttackOptions, query: _Part, database: _Part, labels: Labels, rng: np.random.Generator) -> Tensor:
    """Return the words that an attack moves codes away from, or toward: float `(n, n_bits)`."""
    if asked.kind == "hag":
        return torch.from_numpy(signs_of(query.outputs)).float()
    given = (labels, signs_of(database.outputs), database.labels, random_signs((query.outputs.shape[1],), rng))
    wanted, codes, known, tie_break = (torch.from_numpy(np.ascontiguousarray(array)).float() for array in given)
    return center_codes(wanted, codes, known, tie_break, asked.relevance)


def _attacked(
    model: Model,
    dataset: Dataset,
    query: _Part,
    words: Tensor,
    asked: AttackOptions,
    device: str,
    progress: Progress,
) -> FloatRows:
    """Return the outputs of the perturbed queries: float32 `(n, n_bits)`."""
    place, noise = find_device(device), torch.Generator().manual_seed(asked.seed)
    scale = float(np.abs(query.outputs).mean()) or 1.0
    budget = Budget(eps=asked.eps, steps=asked.steps, step_size=asked.step, scale=scale)
    network = model.network.eval()
    parts, done = [], 0
    with placed(network, place):
        for batch in _pixels(model, dataset, query.rows):
            pixels, codes = batch.to(place), words[done : done + len(batch)].to(place)
            perturbed = (
                hag(network, pixels, codes, budget)
                if asked.kind == "hag"
                else pgd(network, pixels, codes, budget, toward=asked.targeted, noise=noise)
            )
            with torch.no_grad(), whole_floats(place):
                parts.append(network(perturbed).float().cpu().numpy())
            done += len(batch)
            progress("Attacking queries", done, len(query.rows))
    return np.concatenate(parts)


def _pixels(model: Model, dataset: Dataset, rows: npt.NDArray[np.int64]) -> Iterator[Tensor]:
    """Yield batches of the pixels that the network sees: uint8 `(n, 3, size, size)`."""
    preprocessing = model.preprocessing
    assert isinstance(preprocessing, Preprocessing)  # noqa: S101 - models of features were refused before
    read = plain_reader(dataset.source, preprocessing)
    for items in decoded_chunks(read, rows.tolist(), BATCH):
        for item in items:
            if isinstance(item, ImageError):
                raise DataError(f"an image cannot be read any more: {item}")
        yield torch.from_numpy(np.stack([item for item in items if not isinstance(item, ImageError)]))


def _figures(
    model: Model,
    used: Split,
    asked: AttackOptions,
    query: _Part,
    database: _Part,
    targets: Labels | None,
    outputs: FloatRows,
    problems: tuple[Problem, ...],
) -> Robustness:
    codes = binarize(database.outputs)

    def mean_ap(rows: FloatRows, labels: Labels) -> float:
        values = tie_aware_average_precision(binarize(rows), labels, codes, database.labels, model.n_bits)
        return float(values.mean())

    return Robustness(
        options=asked,
        model_id=model.model_id,
        split_hash=used.hash,
        n_bits=model.n_bits,
        n_query=len(query.rows),
        n_database=len(database.rows),
        clean_map=mean_ap(query.outputs, query.labels),
        adversarial_map=mean_ap(outputs, query.labels),
        clean_t_map=None if targets is None else mean_ap(query.outputs, targets),
        adversarial_t_map=None if targets is None else mean_ap(outputs, targets),
        bits_changed=float((signs_of(query.outputs) != signs_of(outputs)).sum(axis=1).mean()),
        problems=problems,
    )
