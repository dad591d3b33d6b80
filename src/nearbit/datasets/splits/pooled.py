"""Protocols that draw their parts from a whole data set, and the parts that it came with already."""

from collections.abc import Mapping

import numpy as np

from nearbit.datasets.dataset import Dataset
from nearbit.datasets.splits.assign import RowNumbers
from nearbit.datasets.splits.given import given_rows, published_rows
from nearbit.datasets.splits.protocols import Protocol
from nearbit.datasets.splits.sizes import SplitSizes
from nearbit.errors import DataError

Parts = Mapping[str, RowNumbers]

_NEEDED = ("train", "query")
"""Parts without which given ones are no split."""


def keeps_given(protocol: Protocol, dataset: Dataset, strata: RowNumbers) -> tuple[bool, list[str]]:
    """Return whether the given parts are those of a protocol for one data set, and what is to be said of them.

    With sizes, a protocol takes given parts of these sizes. The official ones of CIFAR (five sixths train, a sixth is
    the query) it puts together and draws its own. Without sizes it is for the official ones.

    Args:
        protocol: any.
        dataset: what is split, the whole one that the protocol is for.
        strata: int64 `(n,)`, the class that each row is counted for.

    Raises:
        DataError: there are parts, and the protocol has no use for them.
    """
    if dataset.given_parts is None or protocol.dataset is None:
        return False, []
    rows = published_rows(dataset)
    parts = {part: rows[part] for part in ("train", "query", "database")}
    came = _said({part: len(own) for part, own in parts.items() if len(own)}) or "none of its images is in one"
    classes = np.unique(strata)
    a_class = len(dataset) // len(classes)
    wanted = _official(a_class) if protocol.sizes is None else _a_class(protocol.sizes, a_class)
    if protocol.sizes is not None and _fits(strata, parts, wanted, protocol.sizes.database_includes_train):
        return True, [f"the parts that {dataset.name} came with ({came}) are those of {protocol.name}, and are taken"]
    official = any(_fits(strata, parts, _official(a_class) | {"database": n}, n > 0) for n in (0, a_class * 5 // 6))
    if not official:
        expected = _said({part: count * len(classes) for part, count in wanted.items() if count})
        raise DataError(
            f"{dataset.name} came with parts of its own ({came}), which are not those of {protocol.name} ({expected}, "
            f"the same number of each class): {_remedy(protocol, given_rows(dataset))}"
        )
    pooled = f"the official parts ({came}) are put together, and {protocol.name} draws its own by the seed"
    return False, [] if protocol.sizes is None else [pooled]


def _remedy(protocol: Protocol, rows: Parts) -> str:
    """Return what works where given parts are not those of a protocol; one without sizes draws none of its own."""
    tail = "" if protocol.imbalance is None else f" --imbalance {protocol.imbalance.factor:g}"
    without = "give the official ones" if protocol.sizes is None else "give the images without parts"
    if not all(len(rows[part]) for part in _NEEDED):
        return without
    return f"take them as they are (--protocol given{tail}), or {without}"


def _said(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {part}" for part, count in counts.items())


def _official(a_class: int) -> dict[str, int]:
    return {"train": a_class * 5 // 6, "query": a_class // 6, "database": 0}


def _a_class(sizes: SplitSizes, a_class: int) -> dict[str, int]:
    """Return how many images of a class are in train (with validation), query and database."""
    train = sum(size for size in (sizes.train, sizes.validation) if isinstance(size, int))
    query = sizes.query if isinstance(sizes.query, int) else 0
    own = a_class - train - query if sizes.database == "rest" else sizes.database
    database = (own if isinstance(own, int) else 0) + train * sizes.database_includes_train
    return {"train": train, "query": query, "database": database}


def _fits(strata: RowNumbers, parts: Parts, wanted: Mapping[str, int], searches_train: bool) -> bool:
    """Say whether each part has so many images of each class, and the database all of train or none."""
    shared = len(np.intersect1d(parts["train"], parts["database"]))
    came = {part: np.bincount(strata[parts[part]], minlength=strata.max() + 1) for part in wanted}
    used = np.unique(strata)
    has_counts = all((came[part][used] == count).all() for part, count in wanted.items())
    return has_counts and shared == len(parts["train"]) * searches_train
