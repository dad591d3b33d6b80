"""`make_split`: from a data set to a split, by the parts it came with, by a named protocol, or by sizes a class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearbit.datasets.dataset import PARTS, Dataset, parts_in
from nearbit.datasets.splits.assign import RowNumbers, assign_rows, content_groups, fill_train, rarest_labels
from nearbit.datasets.splits.given import given_parts
from nearbit.datasets.splits.long_tail import Imbalance, thinned
from nearbit.datasets.splits.pooled import keeps_given
from nearbit.datasets.splits.protocols import Protocol, check_protocol, protocol_named
from nearbit.datasets.splits.sizes import PLACES, Size, SplitSizes, counts_for
from nearbit.datasets.splits.split import Split, refuse_overlap
from nearbit.datasets.splits.unseen import Unseen, choose_unseen, keep_kinds
from nearbit.errors import DataError, InputError
from nearbit.given import check_number, plain
from nearbit.keywords import suggesting

_GIVEN_VALIDATION = SplitSizes(train="rest", validation=0.1, query=None, database=None)


@suggesting
def make_split(
    dataset: Dataset,
    *,
    seed: int = 0,
    protocol: str | None = None,
    sizes: SplitSizes | Mapping[str, Size] | None = None,
    allow_overlap: bool = False,
    unseen: Unseen = None,
    imbalance: float | Imbalance | None = None,
) -> Split:
    """Divide a data set into train, validation, query and database.

    Where neither `protocol` nor `sizes` is named: the given parts of the data set if it has them, else fractions of
    each class (query and validation 0.1, database 0.2, the rest train). Each row is counted for its rarest label.
    Rows of equal content stay together. Each class that has images has one in train. Deterministic for a seed.
    Where no row has a label and neither is named, every row is in train and in the database, and none in the others:
    that is all there is to do for a method that needs no labels.

    Args:
        dataset: rows without a label are left out, unless none has one.
        seed: 0 or more.
        protocol: a name of `PROTOCOLS`. Those of seen and unseen classes ("unseen@all", …) share train and validation
            for one seed; see `keep_kinds` for what they keep of the ordinary split of that seed.
        sizes: of the parts, as `SplitSizes` or by name, such as {"train": 5, "query": 0.1, "database": "rest"}; not
            together with a protocol that has its own.
        allow_overlap: whether content of the query may also be in the database, in train or in validation (only
            possible with given parts); recorded in the recipe.
        unseen: for protocols of seen and unseen classes, the names of the unseen ones, or their share of the classes
            (then drawn by the seed); None for a quarter.
        imbalance: thins train and validation out to a long tail: how many times as many images the largest class keeps
            as the smallest, at least 1; see `nearbit.datasets.splits.long_tail`. Query and database stay as they are.

    Raises:
        InputError: a protocol with its own sizes and sizes, an unknown protocol, a negative seed, or unseen classes
            that are unknown, too many, or given without a protocol for them; an imbalance below 1, or beside a protocol
            that has one or of seen and unseen classes.
        DataError: no labels for a protocol or sizes to go by, a protocol for another data set, counts that a class has
            not, no given query or train images, or query images in the database, in train or in validation; with an
            imbalance several labels an image, or a class that would keep no image.
    """
    if isinstance(sizes, Mapping):
        named: dict[str, Any] = {**sizes}
        sizes = SplitSizes(**named)
    found = None if protocol is None else protocol_named(protocol)
    with_unseen = found is not None and found.kinds is not None
    if found is not None and sizes is not None and not with_unseen:
        raise InputError("name a protocol or sizes, not both")
    if unseen is not None and not with_unseen:
        raise InputError("unseen classes go with the protocols seen@seen, seen@all, unseen@unseen and unseen@all")
    tail, unseen = _tail_of(found, imbalance), plain(unseen)
    seed = check_number("seed", seed, whole=True)
    if not dataset.labels.any():
        return _unlabelled(dataset, seed, protocol, sizes, tail)
    if found is not None and found.kinds is not None:
        return _by_kinds(dataset, found, sizes, seed, allow_overlap, unseen)
    if found is None and sizes is None:
        found, sizes = (protocol_named("given"), None) if dataset.given_parts else (None, SplitSizes())
    return _ordinary(dataset, found, sizes, seed, allow_overlap, tail)


def _tail_of(protocol: Protocol | None, imbalance: float | Imbalance | None) -> Imbalance | None:
    """Return the imbalance that is asked for, by a protocol or besides."""
    own = None if protocol is None else protocol.imbalance
    if imbalance is None:
        return own
    if protocol is not None and (own is not None or protocol.kinds is not None):
        reason = "has an imbalance of its own" if own is not None else "keeps whole classes unseen"
        raise InputError(f"the protocol {protocol.name} {reason}: leave the imbalance out, or take another protocol")
    return imbalance if isinstance(imbalance, Imbalance) else Imbalance(factor=imbalance)


def other_protocol(dataset: Dataset, split: Split, protocol: str) -> Split:
    """Return the split of another protocol of seen and unseen classes with the same training images.

    Args:
        dataset: that the split was made for.
        split: of a protocol of seen and unseen classes.
        protocol: "seen@seen", "seen@all", "unseen@unseen" or "unseen@all".

    Raises:
        InputError: the split is not of such a protocol, or another one is asked for.
        DataError: the split does not belong to the data set, or its recipe makes another split now.
    """
    split.check(dataset)
    recipe = split.recipe
    if protocol_named(protocol).kinds is None or not recipe.get("unseen"):
        raise InputError(
            f"the protocol {protocol} cannot follow a split by {recipe.get('protocol') or 'sizes'}: both must be of "
            "seen and unseen classes (train --protocol seen@seen, then evaluate --protocol unseen@all)"
        )
    try:
        sizes = None if recipe.get("sizes") is None else SplitSizes(**recipe["sizes"])
        seed, overlap = recipe["seed"], recipe["allow_overlap"]
    except (KeyError, TypeError, InputError) as error:
        raise DataError("the recipe of the split is damaged: make the split again") from error
    made = make_split(
        dataset, seed=seed, protocol=protocol, sizes=sizes, allow_overlap=overlap, unseen=recipe["unseen"]
    )
    if not (np.array_equal(made.train, split.train) and np.array_equal(made.validation, split.validation)):
        raise DataError("the recipe of the split makes other training images now: evaluate by a split file (--split)")
    return made


def _ordinary(
    dataset: Dataset,
    protocol: Protocol | None,
    sizes: SplitSizes | None,
    seed: int,
    allow_overlap: bool,
    tail: Imbalance | None = None,
) -> Split:
    name = None if protocol is None else protocol.name
    recipe: dict[str, Any] = {"protocol": name, "seed": seed, "allow_overlap": allow_overlap}
    rng, notes, by_given = np.random.default_rng(seed), list[str](), False
    if protocol is not None:
        strata = rarest_labels(dataset.labels)
        check_protocol(protocol, dataset, strata)
        by_given, notes = keeps_given(protocol, dataset, strata)
        notes += [protocol.note] if protocol.note else []
        sizes = sizes or protocol.sizes
    if sizes is None or by_given:
        parts, more = _given(dataset, rng, searches_all=protocol is not None and protocol.searches_train)
        notes += more
    else:
        recipe["sizes"] = sizes.as_recipe()
        if protocol is None and dataset.given_parts is not None:
            notes.append(f"the parts that {dataset.name} came with are not used: sizes are named")
        parts, more = _by_sizes(dataset, sizes, rng)
        notes += more
    if tail is not None:
        train, validation, said = thinned(dataset, parts["train"], parts["validation"], tail, seed)
        parts, recipe = parts | {"train": train, "validation": validation}, recipe | {"imbalance": said}
    return _checked(dataset, parts, recipe, notes)


def _by_kinds(
    dataset: Dataset, protocol: Protocol, sizes: SplitSizes | None, seed: int, allow_overlap: bool, unseen: Unseen
) -> Split:
    """Return what a protocol of seen and unseen classes keeps of the ordinary split.

    Given parts count where they name a database: with the training images as database, it would not be searched among
    images that are new to the network.
    """
    assert protocol.kinds is not None  # noqa: S101 - the caller has looked
    names = choose_unseen(dataset, unseen, seed)
    is_given = sizes is None and any("database" in parts_in(given) for given in set(dataset.given_parts or ()))
    whole = _ordinary(
        dataset, protocol_named("given") if is_given else None, None if is_given else sizes or SplitSizes(), seed,
        allow_overlap,
    )  # fmt: skip
    parts = keep_kinds(dataset, {part: whole.rows(part) for part in PARTS}, names, protocol.kinds)
    recipe = whole.recipe | {"protocol": protocol.name, "unseen": list(names)}
    return _checked(dataset, parts, recipe, whole.notes)


def _unlabelled(
    dataset: Dataset, seed: int, protocol: str | None, sizes: SplitSizes | None, tail: Imbalance | None
) -> Split:
    if protocol is not None or sizes is not None or tail is not None or dataset.given_parts is not None:
        raise DataError(
            f"{dataset.name}: no image has a label, so there is nothing to split by; add labels, or name no parts, "
            "protocol or sizes (then all images are for training and for the database)"
        )
    rows, none = np.arange(len(dataset)), np.empty(0, np.int64)
    parts = {"train": rows, "validation": none, "query": none, "database": rows}
    return _checked(dataset, parts, {"protocol": "unlabelled", "seed": seed, "allow_overlap": False})


def _checked(
    dataset: Dataset, parts: dict[str, RowNumbers], recipe: dict[str, Any], notes: Sequence[str] = ()
) -> Split:
    if dataset.class_level is not None:
        recipe = recipe | {"class_level": dataset.class_level}
    split = Split(
        **parts, dataset=dataset.name, recipe=recipe, digests=dataset.digests, keys=dataset.keys,
        fingerprint=dataset.fingerprint, notes=tuple(notes),
    )  # fmt: skip
    if not recipe["allow_overlap"]:
        refuse_overlap(split)
    return split


def _by_sizes(dataset: Dataset, sizes: SplitSizes, rng: np.random.Generator) -> tuple[dict[str, RowNumbers], list[str]]:
    """Return the parts, and what is to be said of those that came out smaller than asked for."""
    places, notes = _places(dataset, np.arange(len(dataset)), sizes, rng)
    parts = {part: np.flatnonzero(places == number) for number, part in enumerate(PARTS)}
    if sizes.database_includes_train:
        parts["database"] = np.union1d(np.union1d(parts["database"], parts["train"]), parts["validation"])
    empty = [part for part, rows in parts.items() if getattr(sizes, part) is not None and not len(rows)]
    if empty:
        notes.append(
            f"no image is left for {', '.join(empty)}: each class has one image in train first, and equal images stay "
            "together; add images, or give other sizes"
        )
    return parts, notes


def _places(
    dataset: Dataset, rows: RowNumbers, sizes: SplitSizes, rng: np.random.Generator
) -> tuple[RowNumbers, list[str]]:
    """Return the place, a number of `PLACES`, of every row of the data set, with only `rows` to place.

    Of an image with one label a count holds in each class, or it is an error; where images have several labels, train
    takes from the other parts what it needs of each, and that is said.
    """
    strata = np.full(len(dataset), -1, np.int64)
    strata[rows] = rarest_labels(dataset.labels[rows])
    n_images = np.bincount(strata[strata >= 0], minlength=dataset.n_classes)
    counts = [counts_for(sizes, int(n), name) for n, name in zip(n_images, dataset.classes, strict=True)]
    groups = content_groups(dataset.digests)
    groups = np.where(strata >= 0, groups, len(dataset) + np.arange(len(dataset)))
    asked = np.array(counts, np.int64)
    places = assign_rows(strata, groups, asked, rng)
    counted = [PARTS.index(part) for part in PARTS if isinstance(getattr(sizes, part), int)]
    filled = fill_train(dataset, groups, rows, places)
    to_check = filled if dataset.is_single_label else places
    _check_counts(dataset, (asked - _placed(strata, to_check, dataset.n_classes))[:, counted], counted)
    taken = (asked - _placed(strata, filled, dataset.n_classes)).sum(axis=0)
    notes = [
        f"{PARTS[number]} has {taken[number]:,} fewer images than the count asks for: they are in train, which "
        "would have none of a class without them"
        for number in counted
        if taken[number] > 0
    ]
    if isinstance(sizes.train, int) and taken[0] < 0:
        notes.append(
            f"train has {-taken[0]:,} more images than the count asks for: without them it would have none of a class"
        )
    return filled, notes


def _placed(strata: RowNumbers, places: RowNumbers, n_strata: int) -> RowNumbers:
    """Return how many rows of each stratum are at each place, int64 `(n_strata, len(PLACES))`."""
    came = np.zeros((n_strata, len(PLACES)), np.int64)
    used = strata >= 0
    np.add.at(came, (strata[used], places[used]), 1)
    return came


def _check_counts(dataset: Dataset, missing: RowNumbers, counted: Sequence[int]) -> None:
    """Raise `DataError` where a part has more or fewer images of a class than a count says.

    Args:
        dataset: that is split.
        missing: int64 `(n_classes, n_counted)`, how many are missing.
        counted: of which parts, as numbers of `PARTS`.
    """
    wrong = np.argwhere(missing != 0)
    if len(wrong):
        column, number = wrong[0].tolist()
        raise DataError(
            f"the class {dataset.classes[column]!r} has so many equal images (which stay together) that the count of "
            f"{PARTS[counted[number]]} cannot be met; remove the copies, or give a fraction"
        )


def _given(
    dataset: Dataset, rng: np.random.Generator, *, searches_all: bool
) -> tuple[dict[str, RowNumbers], list[str]]:
    """Return the given parts, a tenth of train as validation where none is given, and what is to be said of them."""
    parts, notes = given_parts(dataset, searches_all=searches_all)
    if not len(parts["validation"]):
        places, _ = _places(dataset, parts["train"], _GIVEN_VALIDATION, rng)
        parts["validation"] = np.flatnonzero(places == PLACES.index("validation"))
        parts["train"] = np.setdiff1d(parts["train"], parts["validation"])
    return parts, notes
