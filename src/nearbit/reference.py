"""What the float features give that codes are made of: a user of the backbone has it without any code.

Two rankings by cosine stand beside the codes: of the backbone's features as they are, and of the answers of a linear
probe on them. The share that the codes keep says what the short code costs, and what to do about it.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nearbit.encoding.feature_cache import FloatRows
from nearbit.methods.closed_form.ridge import RidgeOptions, ridge_map
from nearbit.metrics import Report
from nearbit.metrics.cosine import cosine_average_precision
from nearbit.metrics.counting.comparison import Values
from nearbit.metrics.kept import advice_of, images_per_class, share_of

MOST_PAIRS = 250_000_000
"""Queries x database items that are ranked; where there are more, a sample of the queries is."""
FEWEST_QUERIES = 100
"""A sample has at least so many, however large the database."""
ROWS_PER_BLOCK = 8192
_RANKED = "mean average precision over the whole database; items ranked by the cosine of {rows}, rounded to 2^-18; "
_REST = "divisor: all relevant items; ties: exact mean over all orders; a query that finds nothing counts 0"
MEANINGS = {
    "float_cosine_map": _RANKED.format(rows="the backbone's float features") + _REST,
    "linear_probe_map": _RANKED.format(
        rows="the answers of a ridge regression of the labels (0 or 1) on the features of the training images"
    )
    + _REST,
    "kept_share": "tie_aware_map of the same queries over float_cosine_map",
    "asymmetric_kept_share": "asymmetric_tie_aware_map of the same queries over float_cosine_map",
    "probe_kept_share": "tie_aware_map of the same queries over linear_probe_map",
    "asymmetric_probe_kept_share": "asymmetric_tie_aware_map of the same queries over linear_probe_map",
}
"""What each figure is, by name."""


class FeaturePart(NamedTuple):
    """Features float32 `(n, feature_dim)` of a part of a split, and their labels bool `(n, n_classes)`."""

    features: FloatRows
    labels: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FloatFigures:
    """What float features give on a split.

    Attributes:
        queries: int64 `(n,)`: the places of the queries that were ranked, all or a sample of them.
        n_query: how many there are.
        n_train: images that the probe was made from.
        float_cosine: float64 `(n,)`: tie-aware average precision by cosine of the features.
        linear_probe: the same by cosine of the probe's answers; None without labelled training images.
    """

    queries: npt.NDArray[np.int64]
    n_query: int
    n_train: int
    float_cosine: Values
    linear_probe: Values | None

    def __repr__(self) -> str:
        return f"FloatFigures({self.shown()})"

    def shown(self) -> str:
        """Return the means in words, and of how many queries they are."""
        found = self.to_dict()
        names = [name for name in ("float_cosine_map", "linear_probe_map") if found[name] is not None]
        means = ", ".join(f"{name} {found[name]:.4f}" for name in names)
        return f"{means}; {found['queries_ranked']} of {found['queries']} queries"

    def to_dict(self) -> dict[str, Any]:
        """Return the means and the counts by name, ready for JSON."""
        probe = None if self.linear_probe is None else float(self.linear_probe.mean())
        return {
            "float_cosine_map": float(self.float_cosine.mean()),
            "linear_probe_map": probe,
            "queries": self.n_query,
            "queries_ranked": len(self.queries),
            "training_images": self.n_train,
        }


def float_figures(query: FeaturePart, database: FeaturePart, train: FeaturePart) -> FloatFigures:
    """Return what float features give: rankings by their cosine, and by that of a linear probe's answers.

    Args:
        query, database: of the parts that are evaluated, at least one image each.
        train: of the images that the probe is made from; none where there are none.

    Returns:
        The figures. Deterministic: a sample of queries, where there are more than `MOST_PAIRS` pairs, has a fixed seed.
    """
    n_query, most = len(query.features), max(FEWEST_QUERIES, MOST_PAIRS // len(database.features))
    chosen = np.arange(n_query)
    if n_query > most:
        chosen = np.sort(np.random.default_rng(0).choice(n_query, most, replace=False))
    asked = query.features[chosen]
    rankings = [(asked, database.features)]
    if train.labels.any():
        probe = linear_probe(train)
        rankings.append((probe(asked), probe(database.features)))
    found = [
        cosine_average_precision(queries, query.labels[chosen], items, database.labels) for queries, items in rankings
    ]
    return FloatFigures(
        queries=chosen,
        n_query=n_query,
        n_train=len(train.features),
        float_cosine=found[0],
        linear_probe=found[1] if len(found) > 1 else None,
    )


class LinearProbe(NamedTuple):
    """A linear classifier, float64.

    Attributes:
        mean: `(feature_dim,)`, of the training images.
        weights: `(feature_dim, n_classes)`.
        shares: `(n_classes,)`, of the training images that have each label.
    """

    mean: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]

    def __call__(self, features: FloatRows) -> FloatRows:
        """Return the answers (features − mean) · weights + shares, float32 `(n, n_classes)`, block by block."""
        answers = np.empty((len(features), self.weights.shape[1]), np.float32)
        for start in range(0, len(features), ROWS_PER_BLOCK):
            block = slice(start, start + ROWS_PER_BLOCK)
            answers[block] = (features[block] - self.mean) @ self.weights + self.shares
        return answers


def linear_probe(train: FeaturePart) -> LinearProbe:
    """Return the ridge regression of labels, 0 or 1, regularized as Ridge-ECH is by default.

    Deterministic: a closed form, so that it has no epochs and no seed.
    """
    centered = train.features.astype(np.float64)
    mean = centered.mean(axis=0)
    centered -= mean
    shares = train.labels.mean(axis=0)
    if not centered.any():  # one image, or images that the backbone does not tell apart
        return LinearProbe(mean, np.zeros((len(mean), len(shares))), shares)
    weights = ridge_map(centered, train.labels - shares, RidgeOptions().regularization)
    return LinearProbe(mean, weights, shares)


@dataclass(frozen=True, kw_only=True, repr=False)
class Reference:
    """The float features beside the codes that were made of them, on the same queries.

    Attributes:
        figures: what the features give.
        method, n_bits: of the codes.
        images_per_class: the median of training images over the classes that have any; None without.
        code_map: mean tie-aware average precision of the codes, for the queries that were ranked.
        asymmetric_map: the same with the real outputs of the queries; None where it was not asked for.
    """

    figures: FloatFigures
    method: str
    n_bits: int
    images_per_class: float | None
    code_map: float
    asymmetric_map: float | None

    def __repr__(self) -> str:
        codes = f"{self.method}'s codes of {self.n_bits} bits: tie_aware_map {self.code_map:.4f}"
        return f"Reference({self.figures.shown()}; {codes})"

    @classmethod
    def of(cls, figures: FloatFigures, report: Report, train: FeaturePart, method: str) -> "Reference":
        """Return what features give beside a report of codes of the same queries."""
        known = [name for name in _OF_CODES if name in report.per_query]
        means = {name: float(report.per_query[name][figures.queries].mean()) for name in known}
        return cls(
            figures=figures,
            method=method,
            n_bits=report.n_bits,
            images_per_class=images_per_class(train.labels),
            code_map=means["tie_aware_map"],
            asymmetric_map=means.get("asymmetric_tie_aware_map"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, the shares that codes keep of them, the advice and what each means; ready for JSON."""
        values = self.figures.to_dict()
        whole, probe = values["float_cosine_map"], values["linear_probe_map"]
        shares = {
            "kept_share": share_of(self.code_map, whole),
            "asymmetric_kept_share": share_of(self.asymmetric_map, whole),
            "probe_kept_share": share_of(self.code_map, probe),
            "asymmetric_probe_kept_share": share_of(self.asymmetric_map, probe),
        }
        return {**values, **shares, "advice": self.advice(), "conventions": dict(MEANINGS)}

    def advice(self) -> list[str]:
        """Return what helps where the codes keep little of what their features know; empty where they keep enough."""
        whole = float(self.figures.float_cosine.mean())
        kept, asymmetric = share_of(self.code_map, whole), share_of(self.asymmetric_map, whole)
        if kept is None:
            return []
        helps = advice_of(
            kept,
            method=self.method,
            n_bits=self.n_bits,
            images=self.images_per_class,
            asymmetric=f", which keeps {asymmetric:.0%}" if asymmetric is not None and asymmetric > kept else None,
        )
        said = (
            f"the codes keep {kept:.0%} of the mAP of their float features by cosine ({self.code_map:.3f} of "
            f"{whole:.3f})"
        )
        return [f"{said}; {helps}"] if helps else []


_OF_CODES = ("tie_aware_map", "asymmetric_tie_aware_map")
