"""Seen and unseen classes: a network is trained on the seen ones alone, and asked for either among its own or all."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.datasets.dataset import Dataset
from nearbit.datasets.splits.assign import RowNumbers, content_groups
from nearbit.datasets.splits.protocols import Kinds
from nearbit.datasets.splits.split import Split
from nearbit.errors import DataError, InputError, did_you_mean

UNSEEN_SHARE = 0.25
"""The share of the classes that is unseen where nothing else is said, as Sablayrolles et al. take it (75 and 25)."""

Unseen = float | Sequence[str] | None
Flags = npt.NDArray[np.bool_]


def choose_unseen(dataset: Dataset, unseen: Unseen, seed: int) -> tuple[str, ...]:
    """Return the names of the unseen classes, in the order of the data set.

    Args:
        dataset: at least two of its classes with images stay seen.
        unseen: names; or a share between 0 and 1 of the classes that have images, rounded (a half upwards) but at
            least one class; None for `UNSEEN_SHARE`.
        seed: draws the classes where a share is given. Of equal seeds the larger share holds the smaller one.

    Raises:
        InputError: no share and no list of names, an unknown name, or fewer than two seen classes.
    """
    present = np.flatnonzero(dataset.labels.any(axis=0))
    if unseen is None or isinstance(unseen, int | float):
        share = UNSEEN_SHARE if unseen is None else unseen
        if isinstance(share, bool) or not 0 < share < 1:
            raise InputError(f"the share of unseen classes must lie between 0 and 1, not {share!r}")
        number = max(1, int(share * len(present) + 0.5 + 1e-9))
        columns = np.random.default_rng([seed, 1]).permutation(present)[:number]
    else:
        columns = _columns(dataset, unseen)
    seen = len(np.setdiff1d(present, columns))
    if seen < 2:
        raise InputError(
            f"training needs at least 2 seen classes, and {len(columns)} of the {len(present)} classes of "
            f"{dataset.name} would be unseen: name fewer, or a smaller share"
        )
    return tuple(dataset.classes[column] for column in sorted(columns.tolist()))


def keep_kinds(
    dataset: Dataset, parts: Mapping[str, RowNumbers], unseen: Sequence[str], kinds: Kinds
) -> dict[str, RowNumbers]:
    """Return the parts that a protocol leaves of those of an ordinary split.

    Train and validation keep images of seen classes only. So do the query and the database where the protocol says
    seen; where it says unseen they keep images that have no seen label. Labels of all rows of equal content count.

    Args:
        dataset: whose rows the parts are of.
        parts: rows by the name of the part.
        unseen: the names of the unseen classes.
        kinds: what the protocol asks for, and what it searches.

    Raises:
        DataError: a seen class keeps no training image, or no query or no database image is left.
    """
    columns = _columns(dataset, unseen)
    rows_of = _rows_by_kind(dataset, columns)
    asked, searched = kinds
    wanted = {"train": "seen", "validation": "seen", "query": asked, "database": searched}
    kept = {part: rows[rows_of[wanted[part]][rows]] for part, rows in parts.items()}
    _check_train(dataset, columns, parts["train"], kept["train"])
    for part in ("query", "database"):
        if not len(kept[part]):
            raise DataError(
                f"of {len(parts[part])} {part} images of {dataset.name}, none has {wanted[part]} classes only: "
                "choose other unseen classes, or make the part larger"
            )
    return kept


def seen_only(dataset: Dataset, split: Split) -> Dataset:
    """Return the data set with the labels of the classes that training may see: all, unless the split says otherwise.

    The rows stay, so that the split still fits; rows of unseen classes have no label.

    Raises:
        DataError: the recipe names unseen classes that the data set has not, or that train or validation holds.
    """
    named = split.recipe.get("unseen")
    if named is None:
        return dataset
    if not isinstance(named, list | tuple):
        raise DataError(f"the recipe of the split must list its unseen classes, not {named!r}; make the split again")
    try:
        columns = _columns(dataset, named)
    except InputError as error:
        raise DataError(f"the split does not fit {dataset.name}: {error}") from error
    for part in ("train", "validation"):
        held = np.flatnonzero(dataset.labels[split.rows(part)][:, columns].any(axis=0))
        if len(held):
            raise DataError(
                f"{part} holds images of {dataset.classes[columns[held[0]]]!r}, which the recipe of the split calls "
                "unseen; make the split again"
            )
    seen = np.setdiff1d(np.arange(dataset.n_classes), columns)
    return replace(
        dataset,
        labels=dataset.labels[:, seen],
        classes=tuple(dataset.classes[column] for column in seen),
        parents=None if dataset.parents is None else tuple(dataset.parents[column] for column in seen),
    )


def _columns(dataset: Dataset, names: Sequence[Any]) -> RowNumbers:
    """Return the columns of classes by name, ascending."""
    if isinstance(names, str) or not len(names):
        raise InputError(f"unseen classes must be a share or a list of at least one name, not {names!r}")
    places = {name: column for column, name in enumerate(dataset.classes)}
    for name in names:
        if name not in places:
            hint = did_you_mean(str(name), dataset.classes)
            raise InputError(f"{dataset.name} has no class {name!r} that could be unseen.{hint}")
    return np.array(sorted({places[name] for name in names}), np.int64)


def _rows_by_kind(dataset: Dataset, columns: RowNumbers) -> dict[str, Flags]:
    """Return which rows have seen labels only, unseen labels only, and any, counting those of all equal content."""
    groups = content_groups(dataset.digests)
    has_unseen, has_seen = (
        np.bincount(groups, labels.any(axis=1), minlength=1)[groups] > 0
        for labels in (dataset.labels[:, columns], np.delete(dataset.labels, columns, axis=1))
    )
    return {"seen": has_seen & ~has_unseen, "unseen": has_unseen & ~has_seen, "all": np.ones(len(dataset), np.bool_)}


def _check_train(dataset: Dataset, columns: RowNumbers, before: RowNumbers, after: RowNumbers) -> None:
    lost = np.flatnonzero(dataset.labels[before].any(axis=0) & ~dataset.labels[after].any(axis=0))
    lost = np.setdiff1d(lost, columns)
    if len(lost):
        raise DataError(
            f"the class {dataset.classes[lost[0]]!r} has no training image without an unseen label: name it "
            "among the unseen classes too, or take another seed"
        )
