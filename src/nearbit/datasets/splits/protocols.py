"""Splits that papers use, by name."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from nearbit.datasets.splits.sizes import SplitSizes
from nearbit.errors import DataError, InputError, did_you_mean

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
    """

    name: str
    description: str
    citation: str
    dataset: str | None = None
    sizes: SplitSizes | None = None
    kinds: Kinds | None = None


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
