"""One more class for a trained model: a spare codeword, and if old images are at hand a last layer that reaches it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nearbit.centers import Centers, CenterState, certify, min_distance_of, nearest_spare
from nearbit.codes import signs_of
from nearbit.datasets import Dataset, Problem
from nearbit.encoding.fast import RowCaches, encode_frozen
from nearbit.encoding.feature_cache import FeatureStore, FloatRows
from nearbit.encoding.pipeline import Encoded, EncodeRequest
from nearbit.encoding.torch_backend import find_device, placed
from nearbit.errors import DataError, InputError, did_you_mean
from nearbit.given import check_number
from nearbit.json_text import unstorable
from nearbit.keywords import suggesting
from nearbit.model.bundle import Model
from nearbit.model.measured import OF_CENTERS, OF_CODES, record_without
from nearbit.names import label_name
from nearbit.networks import HashNetwork, Head
from nearbit.networks.heads import apply_head
from nearbit.progress import Progress, silent

RIDGE = 0.1
"""What is added to each eigenvalue of the moments of the last layer's inputs, as a share of their mean."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AddedClass:
    """A model with one more class.

    Attributes:
        model: it has the class as its last one; the model that was given is not changed.
        n_images: how many images of the class were looked at.
        n_kept: how many old images held the last layer in place; 0 where the network stayed as it was.
        center_distance: from the new center to the nearest other one, in bits.
        model_distance: the least distance of the centers of the given model, in bits, at least 1; None for one center.
        warning: where no distance was asked for and the new center is nearer to another one than the centers of the
            given model are to each other: that, and what it means. None otherwise.
        nearest_before: share of those images whose code was nearer to the new center than to any other.
        nearest: the same share with the codes of `model`.
        kept_bits: share of the bits of the old images' codes that stayed; None where there were none.
        problems: images that could not be read.
    """

    model: Model
    n_images: int
    n_kept: int
    center_distance: int
    model_distance: int | None
    warning: str | None
    nearest_before: float
    nearest: float
    kept_bits: float | None
    problems: tuple[Problem, ...]


@suggesting
def add_class(
    model: Model,
    images: Dataset,
    *,
    name: str,
    rows: npt.ArrayLike | None = None,
    keep: Dataset | None = None,
    min_distance: int | None = None,
    seed: int = 0,
    device: str = "auto",
    cache: str | Path | None = None,
    progress: Progress = silent,
) -> AddedClass:
    """Give a trained model one more class, without training.

    The class gets a word of at least the least distance that the centers of the model have, as near to the outputs of
    its images as can be found; see `nearest_spare`. Where no word so far from all centers is found, it gets one at the
    largest distance that was found, and `warning` says so. With no images to `keep` the network stays as it is, and so
    do all codes and the `model_id`: only the list of classes and centers grows. With `keep` the last linear layer is
    solved anew in closed form (ridge regression): the new images are to reach the new word, the kept ones to stay where
    they are. Then all codes may change, and so does the `model_id`: an index has to be made again.

    Deterministic for a seed on the CPU with one number of threads.

    Args:
        model: any model with centers; with `keep` none of the method "label".
        images: of the new class; where they have labels, those with the label `name` are taken.
        name: of the new class.
        rows: which of `images` to take, whatever their labels: numbers, or a bool for each.
        keep: images whose outputs are to stay: of these the ones that the model was trained on, or that an earlier
            class was added by (told by content), or where there are none all that are not of the new class.
        min_distance: of the new center to all others, in bits, or an error. By default that of the model's centers,
            at least 1, or the largest that is found where that is less.
        seed: for the search for a word.
        device: "auto", "cpu", "cuda", …
        cache: a folder that keeps features by content.
        progress: called as images are encoded.

    Raises:
        InputError: the model has the class already or no centers, no word was found that has the `min_distance` that
            was asked for, every word is a center already, or the last layer cannot be changed.
        DataError: no image of the class or, with `keep`, none to keep.
    """
    name = label_name(name)
    _check_name(model, name)
    seed = check_number("seed", seed, whole=True)
    if min_distance is not None:
        min_distance = check_number("min_distance", min_distance, at_least=1, whole=True)
    if keep is not None:
        model.network.head.check_linear()
    chosen = _rows_of_class(images, name) if rows is None else images.chosen(rows)
    new = _features(model, images, chosen, device, cache, progress)
    if not len(new.outputs):
        raise DataError(f"none of the {len(chosen)} images of {name!r} can be read")
    digests = sorted({images.digests[row] for row in new.rows.tolist()})
    old = None if keep is None else _kept(model, keep, name, set(digests), device, cache, progress)
    outputs = apply_head(model.network.head, new.outputs, model.n_bits)
    word = _word(model, outputs, min_distance, seed)
    head = model.network.head if old is None else _solved(model, new.outputs, old.outputs, word)
    added = _with_class(model, head, name, word, digests, 0 if old is None else len(old.outputs))
    distances = (model.centers.centers != word).sum(axis=1)
    return AddedClass(
        model=added,
        n_images=len(new.outputs),
        n_kept=0 if old is None else len(old.outputs),
        center_distance=int(distances.min()),
        model_distance=_model_distance(model),
        warning=_warning(model, name, distances) if min_distance is None else None,
        nearest_before=_nearest_share(added, outputs),
        nearest=_nearest_share(added, apply_head(head, new.outputs, model.n_bits)),
        kept_bits=None if old is None else _kept_bits(model, head, old.outputs),
        problems=new.problems + (() if old is None else old.problems),
    )


def _check_name(model: Model, name: str) -> None:
    if not name.strip():
        raise InputError("the new class needs a name")
    if reason := unstorable(name):
        raise InputError(f"the name of the new class cannot be kept: {reason}")
    if name in model.classes:
        raise InputError(f"the model has the class {name!r} already: choose another name")
    if not len(model.centers.centers):
        raise InputError(
            f"the model has no centers to add one to ({model.method} makes none, or had no labels): take a method with "
            "centers (crh, shc)"
        )


def _word(model: Model, outputs: FloatRows, min_distance: int | None, seed: int) -> Centers:
    """Return the word for outputs, with the distance that was asked for; by default with the model's or less."""
    least = _model_distance(model) or 1 if min_distance is None else min_distance
    rng, mean = np.random.default_rng(seed), outputs.mean(axis=0)
    return nearest_spare(model.centers.centers, mean, least, rng, strict=min_distance is not None)


def _model_distance(model: Model) -> int | None:
    centers = model.centers.centers
    return max(1, min_distance_of(centers)) if len(centers) > 1 else None


def _warning(model: Model, name: str, distances: npt.NDArray[np.int64]) -> str | None:
    """Return what it means that the new center is nearer to another one than those of the model are to each other."""
    before, nearest = _model_distance(model), int(distances.min())
    if before is None or nearest >= before:
        return None
    return (
        f"the center of {name!r} is {nearest} bits from that of {model.classes[int(distances.argmin())]!r}, the others "
        f"{before} or more from each other; no word further from all was found. Codes of {name!r} may be confused with "
        "those of its neighbors more often than other classes are; a model of more bits has more room"
    )


def _rows_of_class(images: Dataset, name: str) -> npt.NDArray[np.int64]:
    """Return the rows with the label, or all where no image has any label."""
    if not images.labels.any():
        return np.arange(len(images))
    if name not in images.classes:
        raise DataError(
            f"the images of {images.name} have labels, and none is {name!r}: give images of the new class, in a folder "
            f"without class folders or in one of that name.{did_you_mean(name, images.classes)}"
        )
    return np.flatnonzero(images.labels[:, images.classes.index(name)])


def _kept(
    model: Model,
    keep: Dataset,
    name: str,
    new: set[str],
    device: str,
    cache: str | Path | None,
    progress: Progress,
) -> Encoded:
    """Return the features of the images that are to stay where they are."""
    trained = {digest for added in model.record.get("added_classes", []) for digest in added["digests"]}
    if model.split is not None:
        trained |= {model.split.digests[row] for row in model.split.train.tolist()}
    column = keep.labels[:, keep.classes.index(name)] if name in keep.classes else np.zeros(len(keep), np.bool_)
    free = [row for row in np.flatnonzero(~column).tolist() if keep.digests[row] not in new]
    rows = [row for row in free if keep.digests[row] in trained] or free
    old = _features(model, keep, np.array(rows, np.int64), device, cache, progress)
    if not len(old.outputs):
        raise DataError(f"{keep.name} holds no images to keep: give images of the classes that the model knows")
    return old


def _features(
    model: Model,
    dataset: Dataset,
    rows: npt.NDArray[np.int64],
    device: str,
    cache: str | Path | None,
    progress: Progress,
) -> Encoded:
    """Return the backbone's features of rows of a data set."""
    place, backbone = find_device(device), model.network.backbone
    what = backbone.fingerprint()
    keys, digests = [dataset.keys[row] for row in rows], [dataset.digests[row] for row in rows]
    job = EncodeRequest(dataset.source, rows.tolist(), keys, digests)
    kept = None if cache is None else RowCaches(FeatureStore(cache), "features", what, place)
    with placed(backbone, place):
        return encode_frozen(
            backbone, model.preprocessing, job, what=what, device=place, caches=kept, progress=progress
        )


def _solved(model: Model, new: FloatRows, old: FloatRows, word: Centers) -> Head:
    """Return the head with its last layer moved by ridge regression.

    The new images weigh as much as those of an average class. Their outputs are wanted at the word, as far from 0 as
    the kept outputs are on average; those of the kept images are wanted where they are.
    """
    head = model.network.head.eval()
    inner_new, inner_old = _inner(head, new), _inner(head, old)
    outputs = apply_head(head, new, model.n_bits)
    size = float(np.abs(apply_head(head, old, model.n_bits)).mean())
    weight = len(old) / len(model.classes) / len(new)
    moments = inner_old.T @ inner_old + weight * inner_new.T @ inner_new
    moments += RIDGE * np.trace(moments) / len(moments) * np.eye(len(moments))
    change = np.linalg.solve(moments, weight * inner_new.T @ (size * word - outputs)).T
    return head.shifted(torch.from_numpy(change[:, :-1]), torch.from_numpy(change[:, -1]))


def _inner(head: Head, features: FloatRows) -> npt.NDArray[np.float64]:
    """Return the inputs of the last linear layer with a 1 behind them: `(n, width + 1)`."""
    with torch.no_grad():
        inner = head.inner(torch.from_numpy(features)).numpy()
    return np.column_stack([inner, np.ones(len(inner))]).astype(np.float64)


def _with_class(model: Model, head: Head, name: str, word: Centers, digests: list[str], n_kept: int) -> Model:
    """Return the model with the class; what the method chose its centers from, and what was measured, is left out."""
    centers = np.concatenate([model.centers.centers, word[None]])
    event: dict[str, Any] = {"name": name, "digests": digests, "kept_images": n_kept}
    changed = (*OF_CODES, "shortened_from") if n_kept else OF_CENTERS  # moved bits are not those of a longer code
    record = record_without(model.record, changed) | {
        "certificate": certify(centers).to_dict() if len(centers) > 1 else None,
        "added_classes": [*model.record.get("added_classes", []), event],
    }
    if n_kept:
        record |= {"validation_map": None, "reference": None}
    return replace(
        model,
        network=HashNetwork(model.network.backbone, head).eval(),
        classes=(*model.classes, name),
        centers=CenterState(centers=centers, tie_break=model.centers.tie_break),
        similarity=None,
        record=record,
    )


def _nearest_share(model: Model, outputs: FloatRows) -> float:
    """Return the share of outputs whose codes are nearer to the last center than to any other."""
    agreement = signs_of(outputs).astype(np.int32) @ model.centers.centers.astype(np.int32).T
    return float((agreement[:, -1] > agreement[:, :-1].max(axis=1)).mean())


def _kept_bits(model: Model, head: Head, features: FloatRows) -> float:
    before, after = (signs_of(apply_head(one, features, model.n_bits)) for one in (model.network.head, head))
    return float((before == after).mean())
