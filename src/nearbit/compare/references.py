"""What the float features of a comparison give without codes: once for each seed, since no method has a part in it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nearbit.datasets import Dataset, Split
from nearbit.encoding.versions import deciding_versions
from nearbit.files.writing import json_digest
from nearbit.progress import Progress
from nearbit.reference import FeaturePart, float_figures
from nearbit.training.context import RunContext


def references_of(
    context: RunContext,
    dataset: Dataset,
    splits: Mapping[int, Split],
    known: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """Return the figures of float features by seed, as JSON has it; those that are known and the same again stay.

    Args:
        context: whose backbone makes the features, as it is before any training; one from scratch has none.
        dataset: the images.
        splits: of each seed that is asked for.
        known: what an older run found, by seed.
        progress: called as features are computed.
    """
    found = dict(known)
    for seed, split in splits.items() if context.regime != "scratch" else ():
        key = _key(context, split)
        if known.get(str(seed), {}).get("key") != key:
            figures = _figures(context, dataset, split, progress)
            found[str(seed)] = None if figures is None else {"key": key, **figures}
    return {seed: figures for seed, figures in found.items() if figures is not None}


def _key(context: RunContext, split: Split) -> str:
    """Name the figures by all that decides them."""
    place = {"device": context.device.type, "libraries": deciding_versions()}
    return json_digest({"split": split.hash, "features": context.backbone.fingerprint(), **place})


def _figures(context: RunContext, dataset: Dataset, split: Split, progress: Progress) -> dict[str, Any] | None:
    """Return what features give on a split; None where no query or no database image can be read."""
    wanted = {part: getattr(split, part) for part in ("query", "database", "train")}
    encoded = context.plain_features(np.unique(np.concatenate([*wanted.values()])).tolist(), progress)
    parts = {}
    for part, rows in wanted.items():
        read = rows[np.isin(rows, encoded.rows)]
        features = encoded.outputs[np.searchsorted(encoded.rows, read)] if len(read) else encoded.outputs[:0]
        parts[part] = FeaturePart(features, dataset.labels[read])
    if not len(parts["query"].features) or not len(parts["database"].features):
        return None
    return float_figures(**parts).to_dict()
