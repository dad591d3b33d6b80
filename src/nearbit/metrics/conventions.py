"""Average precision as the field's repositories compute it: conventions by name, and what is wrong with each."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError, did_you_mean
from nearbit.metrics.counting.comparison import Comparison, Counts, OrderedSums, Values, check_k, compare
from nearbit.metrics.tie_aware import DIVISORS, average_precision_from, harmonic_numbers

CHOICES = {
    "ties": ("expected", "database order"),
    "divisor": DIVISORS,
    "nothing_found": ("zero", "drop"),
    "without_relevant": ("zero", "drop"),
    "unlabeled": ("zero", "drop"),
}
"""What each field of a convention can be."""


@dataclass(frozen=True, kw_only=True)
class Convention:
    """One definition of mean average precision (mAP).

    Attributes:
        ties: "expected" (exact mean over all orders) or "database order".
        divisor: one of `DIVISORS`: "relevant" (all relevant items), "at most k" (no more of them than k) or "found"
            (those within the first k ranks).
        nothing_found: a query with no hit in those ranks counts "zero" or is left out of the mean, "drop"; with
            expected ties, one that has no relevant item in the database.
        without_relevant: a query with no relevant item in the database counts "zero" or is left out, "drop".
        unlabeled: a query without any label counts "zero" or is left out, "drop".
        wrong: what is wrong with it.

    Raises:
        InputError: a choice is none of those.
    """

    ties: str
    divisor: str
    nothing_found: str
    unlabeled: str
    wrong: str
    without_relevant: str = "zero"

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise InputError(
                    f"{name} must be one of {', '.join(known)}, not {value!r}.{did_you_mean(value, known)}"
                )

    def describe(self, k: int | None) -> str:
        """Return the definition in one sentence."""
        ranks = "over the whole database" if k is None else f"within the first {k} ranks"
        return (
            f"mean average precision {ranks}; ties: {self.ties}; divisor: {self.divisor}; a query that finds nothing: "
            f"{self.nothing_found}; one with nothing relevant in the database: {self._without_relevant()}; a query "
            f"without labels: {self.unlabeled}; {self.wrong}"
        )

    def _without_relevant(self) -> str:
        return "drop" if "drop" in (self.nothing_found, self.without_relevant) else "zero"


_ORDER = "the order of the database decides ties, by up to 38 points"
_FOUND = "with k, missing a relevant item can raise it"
_DROP = "queries that find nothing vanish, which can double it"

CONVENTIONS_BY_NAME: dict[str, Convention] = {
    "tie-aware": Convention(
        ties="expected",
        divisor="at most k",
        nothing_found="zero",
        unlabeled="zero",
        wrong="nothing known; as with every k, what lies beyond it does not count",
    ),
    "deephash-pytorch": Convention(
        ties="database order",
        divisor="found",
        nothing_found="zero",
        unlabeled="zero",
        wrong=f"{_ORDER}; {_FOUND}; its sort is not stable and its k = -1 drops the last item (not imitated)",
    ),
    "orthohash": Convention(
        ties="database order",
        divisor="found",
        nothing_found="zero",
        unlabeled="zero",
        wrong=f"{_ORDER}; {_FOUND}; its topk promises no order of ties (database order here)",
    ),
    "csq": Convention(
        ties="database order",
        divisor="found",
        nothing_found="zero",
        unlabeled="drop",
        wrong=f"{_ORDER}; {_FOUND}; queries without labels vanish",
    ),
    "hashnet": Convention(
        ties="database order",
        divisor="found",
        nothing_found="drop",
        unlabeled="drop",
        wrong=f"{_ORDER}; {_FOUND}; {_DROP}",
    ),
    "thulab-deephash": Convention(
        ties="database order",
        divisor="found",
        nothing_found="drop",
        unlabeled="drop",
        wrong=f"{_ORDER}; {_FOUND}; {_DROP}; its argpartition promises no order of ties (database order here)",
    ),
    "torchmetrics": Convention(
        ties="database order",
        divisor="found",
        nothing_found="zero",
        unlabeled="zero",
        wrong=f"{_ORDER}; {_FOUND}; its topk promises no order of ties (database order here), and items of a score of "
        "0 or less count as not relevant (not imitated)",
    ),
    "pytorch-metric-learning": Convention(
        ties="database order",
        divisor="relevant",
        nothing_found="zero",
        unlabeled="drop",
        without_relevant="drop",
        wrong=f"{_ORDER}; queries without relevant items vanish; its topk promises no order of ties (database order "
        "here)",
    ),
}
"""The conventions by the code bases that use them; "tie-aware" is nearbit's own."""


def convention_named(name: str) -> Convention:
    """Return a convention by its name; raise `InputError` that suggests the near one for an unknown name."""
    if name not in CONVENTIONS_BY_NAME:
        known = list(CONVENTIONS_BY_NAME)
        raise InputError(f"convention must be one of {', '.join(known)}, not {name!r}.{did_you_mean(name, known)}")
    return CONVENTIONS_BY_NAME[name]


def average_precision_by(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
    *,
    convention: Convention,
    k: int | None = None,
) -> Values:
    """Return the average precision by a convention of the queries that it counts; their `mean` is its mAP.

    Args:
        query_codes: uint8 `(n_query, ceil(n_bits / 8))`.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_codes: uint8 `(n_database, ceil(n_bits / 8))`.
        database_labels: labels of the database, in the form of `query_labels`.
        n_bits: code length in bits.
        convention: from `convention_named`, or your own.
        k: how many ranks count; None for all.

    Returns:
        float64 `(n_counted,)`, in the order of the queries; those that the convention drops are absent.

    Raises:
        InputError: as for `ordered_average_precision`; or the convention drops every query.
    """
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    limit = comparison.n_database if k is None else check_k(k)
    harmonic = harmonic_numbers(comparison.n_database)

    def figure(own: Comparison, block: range) -> Values:
        if convention.ties == "expected":
            items, relevant = own.histograms(block)
            return expected_by(convention, items, relevant, limit, harmonic)
        return ordered_by(convention, own.ordered(block, np.array([limit], np.int64)), limit)

    values = comparison.per_query(figure)
    return values[counted_by(convention, values, query_labels)]


def expected_by(convention: Convention, items: Counts, relevant: Counts, k: int, harmonic: Values) -> Values:
    """Return average precision by a convention of expected ties from histograms; NaN for a query that it drops."""
    values = average_precision_from(items, relevant, harmonic, k, convention.divisor)
    dropped = "drop" in (convention.nothing_found, convention.without_relevant)
    return np.where(dropped & (relevant.sum(axis=1) == 0), np.nan, values)


def ordered_by(convention: Convention, ordered: OrderedSums, k: int, column: int = -1) -> Values:
    """Return average precision by a convention of ties in database order within k ranks, one of the limits summed up.

    NaN stands for a query that the convention drops for what it finds.
    """
    found, total = ordered.found[:, column], ordered.relevant.sum(axis=1)
    divisor = {"found": found, "relevant": total, "at most k": np.minimum(total, k)}[convention.divisor]
    dropped = (convention.nothing_found == "drop") & (found == 0)
    dropped |= (convention.without_relevant == "drop") & (total == 0)
    return np.where(dropped, np.nan, ordered.sums[:, column] / np.maximum(divisor, 1))


def counted_by(convention: Convention, values: Values, query_labels: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which queries a convention counts, bool `(n_query,)`: not NaN, and with a label where it asks for one.

    Raises:
        InputError: it drops every query.
    """
    counted, labels = ~np.isnan(values), np.asarray(query_labels)
    if convention.unlabeled == "drop" and labels.ndim == 2:
        counted &= labels.any(axis=1)
    if not counted.any():
        raise InputError("the convention drops every query: none has a label and a hit; choose another, or a larger k")
    return np.asarray(counted, np.bool_)


def ordered_average_precision(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
    *,
    k: int | None = None,
) -> Values:
    """Return the average precision at `k` of each query by the convention of DeepHash-pytorch.

    Items of equal distance stand in database order (a stable sort). The divisor is the number of relevant items
    *found in the top k*, not of all relevant ones; a query that finds none has the value 0 and counts in the mean.
    Most published tables (CSQ, OrthoHash, MDS, SHC and their kin) use this convention. What is wrong with it: the
    value depends on the order of the database, by up to 38 points of mAP where codes tie; and with `k`, missing a
    relevant item can raise it (`[+, −, +]` gives 5/6, `[+, −, −]` gives 1). Report the tie-aware figure beside it.

    Args:
        query_codes: uint8 `(n_query, ceil(n_bits / 8))`.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_codes: uint8 `(n_database, ceil(n_bits / 8))`.
        database_labels: labels of the database, in the form of `query_labels`.
        n_bits: code length in bits.
        k: how many ranks count; None for all. A `k` beyond the database is the same as all.

    Returns:
        float64 `(n_query,)`, each in [0, 1]. Deterministic for one order of the database.

    Raises:
        InputError: a wrong type, shape or length, set tail bits, no query, an empty database, or k < 1.

    Differs from the authors' code: their sort is not stable (NumPy's default), so their order of ties is arbitrary;
    `k = -1`, which there drops the last item, is an error here.
    """
    limit = None if k is None else check_k(k)
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    limits = np.array([comparison.n_database if limit is None else limit], np.int64)
    return comparison.per_query(lambda own, block: found_average_precision(own.ordered(block, limits))[:, 0])


def found_average_precision(ordered: OrderedSums) -> Values:
    """Return the average precision within each limit, divided by the relevant items found: `(n_query, n_limits)`."""
    return np.asarray(ordered.sums / np.maximum(ordered.found, 1), dtype=np.float64)
