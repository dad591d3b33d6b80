"""How papers split, by name: sizes a class, or the counts that the lists of the field must have."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from nearbit.datasets.dataset import Dataset
from nearbit.datasets.listing import NO_LABEL
from nearbit.datasets.splits.given import published_rows
from nearbit.datasets.splits.long_tail import Imbalance
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
        imbalance: for a protocol with a long tail, that of its training and validation images.
        n_classes: for a protocol of lists, how many classes they have.
        counts: for a protocol of lists, how many images with a label each part has (train before validation is taken
            out of it).
        least: for a protocol of lists, how many at least, of parts of which several sizes are in use.
        searches_train: for a protocol of given parts, whether the database, where they name none, is train with
            validation.
        note: what a person should know of figures by it.
    """

    name: str
    description: str
    citation: str
    dataset: str | None = None
    sizes: SplitSizes | None = None
    kinds: Kinds | None = None
    imbalance: Imbalance | None = None
    n_classes: int | None = None
    counts: Mapping[str, int] | None = None
    least: Mapping[str, int] = field(default_factory=dict)
    searches_train: bool = False
    note: str = ""


def _lists(
    name: str, n_classes: int, counts: Mapping[str, int], citation: str, remark: str = "", *,
    least: Mapping[str, int] | None = None, note: str = "",
) -> Protocol:  # fmt: skip
    """Return a protocol of lists; where they name no database, it is train."""
    least = least or {}
    parts = [f"{count:,} {part}" for part, count in counts.items()]
    parts += [f"at least {count:,} {part}" for part, count in least.items()]
    searches_train = "database" not in {**counts, **least}
    database = "; the training images are the database" if searches_train else ""
    return Protocol(
        name=name, n_classes=n_classes, counts=counts, citation=citation, least=least, searches_train=searches_train,
        note=note,
        description=f"lists of {n_classes} classes: {', '.join(parts)}; a tenth of train becomes validation{database}"
        f"{remark}",
    )  # fmt: skip


_HASHNET = "the lists of HashNet (Cao et al., ICCV 2017, arXiv 1702.00758)"
_LARGE = {"database": 100_000}
"""Of sets whose databases vary from copy to copy (NUS-WIDE's, of up to 223,496 images; 100 classes of ImageNet, of some
1,300 each): a smaller one is cut short, and without one the few training images would be searched."""
_IMAGENET = (
    "its classes are ImageNet's: a backbone with weights that were trained on ImageNet has seen all 100 of them and "
    "most of these images with their labels, so figures say nothing of new classes"
)


def _long_tail(factor: int, exponent: float, n_train: int) -> Protocol:
    return Protocol(
        name=f"cifar100/lt-{factor}", dataset="cifar100", imbalance=Imbalance(factor=factor, exponent=exponent),
        searches_train=True, citation="Chen et al., Long-Tail Hashing, SIGIR 2021",
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
            citation="Chen et al., Deep Hashing with Semantic Hash Centers for Image Retrieval, ACM TOIS 2025, "
            "arXiv 2507.08404",
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
        _lists(
            "imagenet100/hashnet",
            100,
            {"train": 13_000, "query": 5_000, "database": 128_503},
            _HASHNET,
            "; training images are in the database, and whatever was trained on ImageNet has seen them all",
            note=_IMAGENET,
        ),
        _lists(
            "imagenet100/10k",
            100,
            {"train": 10_000, "query": 5_000},
            "the text of HashNet (Cao et al., ICCV 2017), 100 training images a class; the lists of VL-Group/modfire "
            "(100 other classes)",
            "; training images are in the database, and whatever was trained on ImageNet has seen them all",
            least=_LARGE,
            note=_IMAGENET,
        ),
        _lists(
            "coco/hashnet",
            80,
            {"train": 10_000, "query": 5_000, "database": 117_218},
            _HASHNET,
            "; the lists of its Caffe branch have every query in the database and are refused",
        ),
        _lists(
            "nus-wide/21",
            21,
            {"train": 10_500, "query": 2_100, "database": 193_734},
            "the 195,834 images of the 21 most frequent concepts, 100 queries and 500 training images a concept",
            "; copies of the lists are in use that lack some 2,000 of the database",
        ),
        _lists(
            "nus-wide/21-m",
            21,
            {"train": 10_500, "query": 2_100},
            "the lists nuswide_21_m of swuxyj/DeepHash-pytorch, of HashNet's 223,496 images",
            "; databases of several sizes are in use, and CSQ's copy lacks 105 images of train and query",
            least=_LARGE,
        ),
        _lists(
            "nus-wide/81",
            81,
            {"train": 10_000, "query": 5_000},
            "the lists nuswide_81 of thulab/DeepHash and nuswide_81_m of swuxyj/DeepHash-pytorch, of HashNet's 223,496 "
            "images",
            "; databases of several sizes are in use; HashNet's own lists are refused: 2,185 rows of train and 1,131 "
            "of query have no label",
            least=_LARGE,
        ),
        _lists(
            "mirflickr25k/38",
            38,
            {"train": 3_928, "query": 981, "database": 19_672},
            "the lists of swuxyj/DeepHash-pytorch (38 labels)",
            "; listed are 4,000, 1,000 and 20,000 images, of which 419 have no label",
        ),
        _lists(
            "voc2012",
            20,
            {"train": 4_000, "query": 1_000, "database": 6_540},
            "the lists of swuxyj/DeepHash-pytorch",
        ),
        _lists(
            "cub200",
            200,
            {"train": 5_994, "query": 5_794},
            "Wah et al., Caltech-UCSD Birds-200-2011, its own split",
        ),
        _lists("cars196", 196, {"train": 8_144, "query": 8_041}, "Krause et al., 3DRR 2013, its own split"),
        _lists(
            "nabirds",
            555,
            {"train": 23_929, "query": 24_633},
            "Van Horn et al., CVPR 2015, its own split",
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


def check_protocol(protocol: Protocol, dataset: Dataset, strata: npt.NDArray[np.int64]) -> None:
    """Raise `DataError` unless the data set is the whole one that the protocol is for.

    Args:
        protocol: a protocol with sizes, or of lists.
        dataset: what is split.
        strata: int64 `(n,)`, the class of each row.
    """
    if protocol.counts is not None:
        _check_counts(protocol, protocol.counts, dataset)
    elif protocol.dataset is not None:
        _check_whole(protocol, protocol.dataset, dataset, strata)


def _check_counts(protocol: Protocol, counts: Mapping[str, int], dataset: Dataset) -> None:
    """Refuse lists that are short, or of other classes."""
    came = {part: len(rows) for part, rows in published_rows(dataset).items()}
    wrong = [
        f"{part} has {came[part]:,} images, not {count:,}" for part, count in counts.items() if came[part] != count
    ]
    wrong += [
        f"{part} has {came[part]:,} images, not {count:,} at least"
        for part, count in protocol.least.items()
        if came[part] < count
    ]
    if protocol.searches_train and came["database"] and not _searches_train(dataset):
        wrong.append(f"database has {came['database']:,} images that are not those of train")
    if dataset.n_classes != protocol.n_classes:
        wrong.append(f"there are {dataset.n_classes} classes, not {protocol.n_classes}")
    if wrong:
        raise DataError(
            f"the protocol {protocol.name} is for {protocol.description}. "
            f"In {dataset.name} {', '.join(wrong)}{_left_out(dataset)}. "
            "Complete it, or leave the protocol out: then its parts count as they are (given)"
        )


def _searches_train(dataset: Dataset) -> bool:
    rows = published_rows(dataset)
    return np.array_equal(rows["database"], rows["train"])


def _left_out(dataset: Dataset) -> str:
    """Say which of the listed images are in no part because they have no label or cannot be read."""
    problems = [problem for problem in dataset.problems if not problem.is_class]
    unlabelled = [problem for problem in problems if problem.reason.startswith(NO_LABEL)]
    said = ""
    if unlabelled:
        said += f"; {len(unlabelled):,} listed images have no label (all 0), the first: {unlabelled[0].path!r}"
    if lost := len(problems) - len(unlabelled):
        said += f"; skipped while it was read: {lost:,} (nearbit data lists them)"
    return said


def _check_whole(protocol: Protocol, expected: str, dataset: Dataset, strata: npt.NDArray[np.int64]) -> None:
    """Refuse another data set, and a part of this one; parts that came with it tell by their sizes what they are of."""
    is_named = re.sub(r"[\W_]", "", dataset.name.lower()) == expected  # CIFAR-10, cifar_10
    if not is_named and dataset.given_parts is None:
        raise DataError(
            f"the protocol {protocol.name} is for {expected}, but the data set is {dataset.name}; leave it out"
        )
    a_class = _PER_CLASS[expected]
    came = np.bincount(strata[strata >= 0])
    came = came[came > 0]
    if len(strata) != 60_000 or len(came) != 60_000 // a_class or (came != a_class).any():
        raise DataError(
            f"the protocol {protocol.name} needs all 60,000 images of {expected}, {a_class} of each of its "
            f"{60_000 // a_class} (fine) classes; came {len(strata)} images of {len(came)} classes in {dataset.name}"
        )
