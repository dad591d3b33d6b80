"""The parts that a data set came with: taken as they are, validation out of train."""

from collections.abc import Mapping

import numpy as np

from nearbit.datasets.dataset import PARTS, Dataset, parts_in
from nearbit.datasets.splits.assign import RowNumbers
from nearbit.errors import DataError


def given_rows(dataset: Dataset) -> dict[str, RowNumbers]:
    """Return the rows that were given to each part; a row may be in several (train and database)."""
    named = np.array(dataset.given_parts or [""] * len(dataset))
    own = {part: [given for given in set(named.tolist()) if part in parts_in(given)] for part in PARTS}
    return {part: np.flatnonzero(np.isin(named, own[part])) for part in PARTS}


def published_rows(dataset: Dataset) -> dict[str, RowNumbers]:
    """Return the given rows of each part, those of validation in train: it is taken out of the published number."""
    rows = given_rows(dataset)
    return rows | {"train": np.union1d(rows["train"], rows["validation"])}


def given_parts(dataset: Dataset, *, searches_all: bool = False) -> tuple[dict[str, RowNumbers], list[str]]:
    """Return the given parts, and what is to be said of them.

    If not given, the database is train, with `searches_all` the images of validation, too. Validation is taken out of
    train, by content: lists have it in both, and folders have copies under other names. It may be empty.

    Raises:
        DataError: there are none, no query images, or no train images beside those of validation.
    """
    if dataset.given_parts is None:
        raise DataError(
            f"{dataset.name}: came without parts; add a split file (columns path, split), or name sizes in place of "
            "the protocol"
        )
    parts = given_rows(dataset)
    _check_not_empty(dataset, parts)
    if not len(parts["database"]):
        parts["database"] = np.union1d(parts["train"], parts["validation"]) if searches_all else parts["train"]
    chosen_by = {dataset.digests[row] for row in parts["validation"].tolist()}
    is_shared = np.array([dataset.digests[row] in chosen_by for row in parts["train"].tolist()], np.bool_)
    if not is_shared.any():
        return parts, []
    content = {dataset.digests[row] for row in parts["train"][is_shared].tolist()}
    shared = sum(dataset.digests[row] in content for row in parts["validation"].tolist())
    parts["train"] = parts["train"][~is_shared]
    if not len(parts["train"]):
        raise DataError(f"{dataset.name}: all train images are in validation, too; leave some out of validation")
    return parts, [
        f"{shared:,} of {len(parts['validation']):,} validation images were given to train, too: train is the other "
        f"{len(parts['train']):,}"
    ]


def _check_not_empty(dataset: Dataset, parts: Mapping[str, RowNumbers]) -> None:
    for part in ("train", "query"):
        if not len(parts[part]):
            raise DataError(f"{dataset.name}: its split gives no {part} images; add some to it, or name sizes instead")
