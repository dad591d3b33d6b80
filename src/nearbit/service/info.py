"""What can be said of codes and of a model without loading the model: health, a map of the centers, its card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, Signs, hamming_distances, pack
from nearbit.datasets.splits.split import load_split
from nearbit.errors import BundleError, DataError
from nearbit.metrics.health import health_of
from nearbit.metrics.kept import advice_of, share_of
from nearbit.model.manifest import SPLIT, read_class_signs, read_manifest, regime_of, tuning_figures
from nearbit.service.contract.answers import BesideFloats, CardAnswer, CenterAnswer, CentersAnswer, HealthAnswer

HEALTH_ITEMS = 200_000
"""Beyond so many items, health is measured on evenly spaced ones."""

CARD_OPTIONS = ("backbone", "image_size", "epochs", "batch_size", "learning_rate", "augment", "seed")

SCHEDULED = ("epochs", "batch_size", "learning_rate")
"""Of these, what has a value of its own in the schedule by which the codes were trained, asked for or the method's."""


@dataclass(frozen=True, eq=False)
class ClassCenters:
    """The class centers of a model: names, and signs int8 `(n_classes, n_bits)`."""

    names: tuple[str, ...]
    signs: Signs


def health_info(codes: Codes, n_bits: int, centers: ClassCenters | None) -> HealthAnswer:
    """Return the health of codes, at least one, with the share of ones of each bit."""
    measured = codes
    if len(codes) > HEALTH_ITEMS:
        measured = codes[np.linspace(0, len(codes) - 1, HEALTH_ITEMS).astype(np.int64)]
    packed = None if centers is None or centers.signs.shape[1] != n_bits else pack(centers.signs)
    ones = np.zeros(n_bits, np.int64)
    for start in range(0, len(measured), 10_000):
        ones += np.unpackbits(measured[start : start + 10_000], axis=1, count=n_bits).sum(axis=0, dtype=np.int64)
    found = health_of(measured, n_bits, centers=packed)
    return {
        "n_items": found.n_items,
        "n_bits": found.n_bits,
        "distinct_codes": found.distinct_codes,
        "share_in_largest_groups": found.share_in_largest_groups,
        "constant_bits": found.constant_bits,
        "bit_imbalance": found.bit_imbalance,
        "bit_correlation": found.bit_correlation,
        "k": found.k,
        "tie_at_k": found.tie_at_k,
        "center_margin": found.center_margin,
        "center_spread": found.center_spread,
        "likely_distance": likely_distance(n_bits, found.center_margin, found.center_spread),
        "advice": found.advice(),
        "n_all": len(codes),
        "ones": [round(float(share), 4) for share in ones / len(measured)],
    }


def likely_distance(n_bits: int, margin: int | None, spread: float | None) -> int | None:
    """Return the distance up to which two items are rather of one class than of the two nearest ones; None if unknown.

    A bit of an item differs from its center's with the probability p = spread / n_bits, so that two items differ in a
    share s = 2 p (1 - p) of the bits in which their centers agree, and in 1 - s of the others: n_bits s bits in one
    class, n_bits s + margin (1 - 2 s) in the two nearest. Halfway lies the distance.

    Args:
        n_bits: code length in bits.
        margin: least distance between two centers, in bits.
        spread: mean distance of an item to its nearest center, in bits.
    """
    if margin is None or spread is None:
        return None
    p = min(spread / n_bits, 0.5)
    share = 2 * p * (1 - p)
    return int(n_bits * share + margin * (1 - 2 * share) / 2)


@dataclass(frozen=True, eq=False)
class TrainedOn:
    """The pictures that a model was trained on: its id, and the SHA-256 of each."""

    model_id: str
    digests: frozenset[bytes]

    def has(self, model_id: str | None, digest: str | None) -> bool | None:
        """Return whether a picture of an index of this model is among them; None of another model, or unknown."""
        if model_id != self.model_id or digest is None:
            return None
        try:
            return bytes.fromhex(digest) in self.digests
        except ValueError:  # an index keeps whatever digest it was given
            return False


def trained_on(folder: Path) -> TrainedOn | None:
    """Return the pictures that a model was trained on; None where its folder does not say.

    Raises:
        BundleError: its manifest cannot be read.
        DataError: its split cannot be read.
    """
    about = description_of(folder)
    if SPLIT not in about["files"]:
        return None
    split = load_split(folder / SPLIT)
    if split.hash != about.get("split_hash"):
        raise DataError(f"the split of the model {folder.name} is not the one that it names; write it again")
    return TrainedOn(about["model_id"], frozenset(bytes.fromhex(split.digests[row]) for row in split.train))


def description_of(folder: Path) -> dict[str, Any]:
    """Return what the manifest of a model says; raise `BundleError` where it cannot be read, or was altered."""
    try:
        return read_manifest(folder)
    except BundleError as error:
        raise BundleError(f"the model at {folder.name} cannot be read; give another one (--model)") from error


def centers_of(folder: Path) -> ClassCenters | None:
    """Return the centers of a model; None where it has none.

    Raises:
        BundleError: they are missing or damaged.
    """
    about = description_of(folder)
    classes = tuple(about["classes"])
    try:
        signs = read_class_signs(folder, about["files"], len(classes), about["n_bits"])
    except BundleError as error:
        said = str(error).replace(str(folder), folder.name)
        raise BundleError(f"the centers of the model {folder.name} cannot be read: {said}; write it again") from error
    return ClassCenters(classes, signs) if len(signs) else None


def map_of(centers: ClassCenters, counts: dict[str, int]) -> CentersAnswer:
    """Return the centers as points whose distances in the plane are near the Hamming distances of the centers.

    Args:
        centers: of at least one class.
        counts: items of the index by label.
    """
    packed, n_bits = pack(centers.signs), centers.signs.shape[1]
    distances = hamming_distances(packed, packed, n_bits)
    points, kept = plane_of(distances)
    pairs = distances[np.triu_indices(len(distances), 1)]
    rows: list[CenterAnswer] = [
        {"name": name, "x": round(float(x), 4), "y": round(float(y), 4), "items": counts.get(name, 0), "code": code}
        for name, (x, y), code in zip(centers.names, points, (row.tobytes().hex() for row in packed), strict=True)
    ]
    return {
        "n_bits": n_bits,
        "centers": rows,
        "distance_min": int(pairs.min()) if len(pairs) else None,
        "distance_mean": round(float(pairs.mean()), 3) if len(pairs) else None,
        "explained": round(kept, 4),
    }


def plane_of(distances: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], float]:
    """Return points `(n, 2)` by classical multidimensional scaling, and the share of the spread that they show.

    Hamming distances are squared Euclidean distances (of codes written as 0 and 1), so that no distance is squared
    here; coordinates are in the root of bits. The sign of an axis is such that its largest coordinate is positive.

    Args:
        distances: Hamming distances `(n, n)`, in bits.
    """
    n = len(distances)
    middle = np.eye(n) - 1.0 / n
    values, vectors = np.linalg.eigh(-0.5 * middle @ distances.astype(np.float64) @ middle)
    order = np.argsort(-values, kind="stable")[:2]
    points = np.zeros((n, 2))
    top = np.maximum(values[order], 0.0)
    axes = vectors[:, order] * np.sqrt(top)
    points[:, : axes.shape[1]] = axes
    largest = points[np.abs(points).argmax(axis=0), np.arange(2)]
    whole = float(np.maximum(values, 0.0).sum())
    return points * np.where(largest < 0, -1.0, 1.0), float(top.sum() / whole) if whole > 0 else 1.0


def card_of(folder: Path) -> CardAnswer:
    """Return the facts of a model that people ask for."""
    description = description_of(folder)
    about = {**description.get("about", {}), **description}  # an exported network keeps there what its source said
    record = about.get("record", {})
    backbone = about.get("backbone", {})
    if isinstance(backbone, str):
        backbone = {"name": backbone}
    return {
        "name": folder.name,
        "model_id": about["model_id"],
        "precision": about.get("precision"),
        "method": about.get("method"),
        "method_options": about.get("method_options"),
        "n_bits": about["n_bits"],
        "classes": about["classes"],
        "backbone": {name: backbone.get(name) for name in ("name", "feature_dim", "pretrained")},
        "preprocessing": about.get("preprocessing"),
        "head": about.get("head"),
        "regime": regime_of(record),
        "tuning": tuning_figures(record),
        "options": _card_options(record),
        "dataset": record.get("dataset"),
        "n_train": record.get("n_train"),
        "n_validation": record.get("n_validation"),
        "selected_epoch": record.get("selected_epoch"),
        "validation_map": record.get("validation_map"),
        **_beside_floats(about, record),
        "split_hash": about.get("split_hash"),
        "libraries": about.get("libraries"),
    }


def _card_options(record: dict[str, Any]) -> dict[str, Any]:
    """Return what training was told, and what it was done by: in two steps the options were for the first."""
    options, schedule = record.get("options", {}), record.get("schedule", {})
    foreign = SCHEDULED if regime_of(record) == "two-step" else ()
    told = {name: options[name] for name in CARD_OPTIONS if name in options and name not in foreign}
    return told | {name: schedule[name] for name in SCHEDULED if name in schedule}


def _beside_floats(about: dict[str, Any], record: dict[str, Any]) -> BesideFloats:
    """Return what a model's record says of the float features, what its codes keep of it, and what helps."""
    score, reference = record.get("validation_map"), record.get("reference") or {}
    whole = reference.get("float_cosine_map")
    kept = None if score is None else share_of(score, whole)
    if kept is None:
        return {"float_map": whole, "kept_share": None, "advice": []}
    helps = advice_of(
        kept,
        method=about.get("method"),
        n_bits=about["n_bits"],
        images=reference.get("images_per_class"),
        asymmetric=" (nearbit evaluate says how much)",
    )
    return {"float_map": whole, "kept_share": kept, "advice": [helps] if helps else []}
