"""How large the parts of a split are: fractions or counts a class, or those of a protocol that papers use, by name."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nearbit.datasets.dataset import PARTS
from nearbit.datasets.splits.long_tail import Imbalance
from nearbit.errors import DataError, InputError, did_you_mean

Size = float | int | Literal["rest"] | None

UNUSED = "unused"
PLACES = (*PARTS, UNUSED)
"""Where a row can go: the parts, and nowhere."""


@dataclass(frozen=True, kw_only=True)
class SplitSizes:
    """The size of each part, class by class.

    A size is a fraction of the class (a float between 0 and 1), a count of images (a whole number of at least 1),
    "rest" (what the others leave; one part at most), or None (no images). Without "rest", what is left is not used.

    Attributes:
        train: may not be None.
        validation: disjoint from train.
        query: disjoint from all others.
        database: beyond what `database_includes_train` adds.
        database_includes_train: whether the rows of train and validation are in the database as well.

    Raises:
        InputError: a size of another kind, two times "rest", or fractions that sum to more than 1.
    """

    train: Size = "rest"
    validation: Size = 0.1
    query: Size = 0.1
    database: Size = 0.2
    database_includes_train: bool = False

    def __post_init__(self) -> None:
        sizes = [getattr(self, part) for part in PARTS]
        for part, size in zip(PARTS, sizes, strict=True):
            _check_size(part, size)
        if self.train is None:
            raise InputError("train must have images: give a fraction, a count or 'rest', not None")
        if sizes.count("rest") > 1:
            raise InputError("only one part can be 'rest'")
        total = math.fsum(size for size in sizes if isinstance(size, float))
        if total > 1 + 1e-9:
            raise InputError(f"the fractions must sum to 1 at most, not {total:g}")

    @property
    def exact(self) -> bool:
        """Whether every size is a count, "rest" or None, so that each part has exactly as many images as it says."""
        return not any(isinstance(getattr(self, part), float) for part in PARTS)

    def as_recipe(self) -> dict[str, Any]:
        """Return the sizes as plain values for a recipe."""
        return asdict(self)


def counts_for(sizes: SplitSizes, n_images: int, name: str) -> list[int]:
    """Return how many images of one class go to each of `PLACES`; they sum to `n_images`.

    Fractions are rounded to the nearest whole number (a half upwards); where that would leave train without an image,
    the largest other part (database before query before validation) gives way. A class of one image goes to train.

    Args:
        sizes: of each part.
        n_images: of the class; with 0 all counts are 0.
        name: of the class, for messages.

    Raises:
        DataError: the counts ask for more images than the class has.
    """
    if n_images == 0:
        return [0] * len(PLACES)
    wanted = {part: getattr(sizes, part) for part in PARTS}
    counts = {part: _rounded(size, n_images) for part, size in wanted.items()}
    counts["train"] = max(1, counts["train"])
    while sum(counts.values()) > n_images:
        gives = max(("database", "query", "validation"), key=lambda part: _can_give(wanted[part], counts[part]))
        if _can_give(wanted[gives], counts[gives]) == 0:
            raise DataError(
                f"the class {name!r} has {n_images} images to place, but the sizes ask for {sum(counts.values())}; "
                "ask for fewer, or give fractions"
            )
        counts[gives] -= 1
    left = n_images - sum(counts.values())
    rest = next((part for part, size in wanted.items() if size == "rest"), UNUSED)
    counts[rest] = counts.get(rest, 0) + left
    return [counts.get(place, 0) for place in PLACES]


def _can_give(size: Size, count: int) -> int:
    return count if isinstance(size, float) else 0


def _rounded(size: Size, n_images: int) -> int:
    if isinstance(size, float):
        return math.floor(size * n_images + 0.5 + 1e-9)
    return size if isinstance(size, int) else 0


def _check_size(part: str, size: object) -> None:
    if size is None or size == "rest":
        return
    is_count = isinstance(size, int) and not isinstance(size, bool) and size >= 1
    is_fraction = isinstance(size, float) and 0 < size < 1
    if not (is_count or is_fraction):
        raise InputError(
            f"{part} must be a fraction between 0 and 1, a count of 1 or more a class, 'rest' or None, not {size!r}"
        )


_PER_CLASS = {"cifar10": 6000, "cifar100": 600}

Kinds = tuple[Literal["seen", "unseen"], Literal["seen", "unseen", "all"]]
"""Of which classes the queries are, and of which the database is."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A named way to split.

    Attributes:
        name: by which it is asked for.
        description: numbers of images in a line.
        citation: where it is from.
        dataset: the data set that it is for; None for any with given parts.
        sizes: images a class; None for the parts as given.
        kinds: for a protocol of seen and unseen classes, what is asked for and what is searched; its sizes are free.
        imbalance: for a protocol with a long tail, that of its training and validation images.
    """

    name: str
    description: str
    citation: str
    dataset: str | None = None
    sizes: SplitSizes | None = None
    kinds: Kinds | None = None
    imbalance: Imbalance | None = None


def _long_tail(factor: int, exponent: float, n_train: int) -> Protocol:
    return Protocol(
        name=f"cifar100/lt-{factor}", dataset="cifar100", imbalance=Imbalance(factor=factor, exponent=exponent),
        citation="Chen et al., Long-Tail Hashing, SIGIR 2021",
        description=f"{n_train:,} training images, {factor} times as many of the first class as of the last (a tenth "
        "become validation), the official 10,000 test images as queries, all 50,000 others in the database",
    )  # fmt: skip


def _cifar10(number: str, sizes: SplitSizes, description: str) -> Protocol:
    citation = "the CIFAR-10 settings of swuxyj/DeepHash-pytorch; OrthoHash (Hoe et al., NeurIPS 2021) uses the second"
    return Protocol(
        name=f"cifar10/{number}", dataset="cifar10", sizes=sizes, citation=citation,
        description=f"{description}; a tenth of the training images become validation",
    )  # fmt: skip


def _unseen(asked: Literal["seen", "unseen"], searched: Literal["seen", "unseen", "all"]) -> Protocol:
    return Protocol(
        name=f"{asked}@{searched}",
        description=f"a quarter of the classes is unseen in training; queries of {asked} classes, a database of "
        + ("all classes" if searched == "all" else f"{searched} classes"),
        citation="Sablayrolles et al., How should we evaluate supervised hashing?, ICASSP 2017, arXiv 1609.06753, "
        "proposed retrieval of unseen classes",
        kinds=(asked, searched),
    )


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="given",
            description="the parts that the data set came with; without validation, a tenth of train becomes it",
            citation="the data set's own",
        ),
        Protocol(
            name="cifar100/shc",
            dataset="cifar100",
            sizes=SplitSizes(train=90, validation=10, query=50, database=450),
            description="a class 100 training images (10 become validation), 50 queries, 450 in the database, disjoint",
            citation="Deep Hashing with Semantic Hash Centers for Image Retrieval, ACM TOIS 2025, arXiv 2507.08404",
        ),
        _cifar10(
            "i",
            SplitSizes(train=450, validation=50, query=100, database="rest"),
            "a class 500 training images, 100 queries, the other 5,400 in the database",
        ),
        _cifar10(
            "ii",
            SplitSizes(train=450, validation=50, query=100, database="rest", database_includes_train=True),
            "a class 500 training images, 100 queries, all other 5,900 in the database, training images too",
        ),
        _cifar10(
            "iii",
            SplitSizes(train=4500, validation=500, query=1000, database=None, database_includes_train=True),
            "a class 1,000 queries; the other 5,000 train and are the database",
        ),
        _long_tail(1, 0.0, 50_000),
        _long_tail(50, 0.83, 3_732),
        _long_tail(100, 0.99, 2_598),
        _unseen("seen", "seen"),
        _unseen("seen", "all"),
        _unseen("unseen", "unseen"),
        _unseen("unseen", "all"),
    )
}
"""Every protocol by its name."""


def protocol_named(name: str) -> Protocol:
    """Return a protocol; raise `InputError` for an unknown name."""
    if name not in PROTOCOLS:
        known = tuple(PROTOCOLS)
        raise InputError(f"the protocol must be one of {', '.join(known)}, not {name!r}.{did_you_mean(name, known)}")
    return PROTOCOLS[name]


def check_protocol(protocol: Protocol, dataset: str, strata: npt.NDArray[np.int64]) -> None:
    """Raise `DataError` unless the data set is the whole one that the protocol is for.

    Args:
        protocol: a protocol with sizes.
        dataset: the name of the data set.
        strata: int64 `(n,)`, the class of each row.
    """
    if protocol.dataset is None:
        return
    if dataset != protocol.dataset:
        raise DataError(
            f"the protocol {protocol.name} is for {protocol.dataset}, but the data set is {dataset}; leave it out"
        )
    a_class = _PER_CLASS[protocol.dataset]
    came = np.bincount(strata[strata >= 0])
    came = came[came > 0]
    if len(strata) != 60_000 or len(came) != 60_000 // a_class or (came != a_class).any():
        raise DataError(
            f"the protocol {protocol.name} needs all 60,000 images of {dataset}, {a_class} of each of its "
            f"{60_000 // a_class} (fine) classes; came {len(strata)} images of {len(came)} classes"
        )
