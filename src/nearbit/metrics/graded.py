"""Graded relevance: normalized discounted cumulative gain and hierarchical average precision, exact over ties."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.compiled import COUNTING
from nearbit.errors import InputError, did_you_mean
from nearbit.metrics.counting.comparison import PLAIN_GRADES, Comparison, Counts, Values, check_k, compare

HIGHEST_GRADE = 1000
"""The gain 2^grade of a higher one is no float64."""


@dataclass(frozen=True, eq=False)
class Grades:
    """How relevant an item of one class is to a query of another: grade 0 is not relevant.

    Attributes:
        table: int `(n_classes, n_classes)`, from 0 to 1000; query class in rows.

    Raises:
        InputError: another shape, type or range.
    """

    table: Counts

    def __post_init__(self) -> None:
        table = np.asarray(self.table)
        is_square = table.ndim == 2 and table.shape[0] == table.shape[1] and table.dtype.kind in "iu"
        if not is_square or not table.size or table.min() < 0 or table.max() > HIGHEST_GRADE:
            raise InputError(
                f"grades must be whole numbers from 0 to {HIGHEST_GRADE} of shape (n_classes, n_classes), not "
                f"{table.dtype} {table.shape}" + (f" from {table.min()} to {table.max()}" if table.size else "")
            )


def grades_of_hierarchy(parents: npt.ArrayLike, n_classes: int) -> Grades:
    """Return the number of levels that two classes share in a tree, the root not counted.

    Args:
        parents: int `(n_nodes,)`: the parent of each node, −1 for a root; the nodes 0 … n_classes − 1 are the classes.
        n_classes: number of classes.

    Raises:
        InputError: not such a list, or nodes in a circle.

    Example:
        >>> grades_of_hierarchy([3, 3, 4, 4, -1], 3).table.tolist()  # 0 and 1 lie below 3; 3 and 2 below the root 4
        [[2, 1, 0], [1, 2, 0], [0, 0, 1]]
    """
    nodes = np.asarray(parents)
    if nodes.ndim != 1 or nodes.dtype.kind != "i" or not 1 <= n_classes <= len(nodes):
        raise InputError(
            f"parents must be whole numbers (n_nodes,) with at least n_classes = {n_classes} of them, "
            f"not {nodes.dtype} {nodes.shape}"
        )
    if nodes.min() < -1 or nodes.max() >= len(nodes):
        raise InputError(f"parents must be node numbers from 0 to {len(nodes) - 1}, or -1 for a root")
    paths = [_path(nodes, node) for node in range(n_classes)]
    table = [[len(a & b) - (len(a & b) > 0) for b in paths] for a in paths]
    return Grades(np.array(table, np.int64))


def grades_of_tree(parents: Mapping[str, str], classes: Sequence[str]) -> Grades:
    """Return the number of levels that two classes share in a tree that is given by names.

    Args:
        parents: the parent of each node that has one, by name; a name that is nobody's child is a root.
        classes: the names of the classes, by class number.

    Raises:
        InputError: a class without a parent, or nodes in a circle.

    Example:
        >>> grades_of_tree({"wren": "bird", "robin": "bird", "fox": "mammal"}, ["wren", "fox"]).table.tolist()
        [[1, 0], [0, 1]]
    """
    others = [name for name in dict.fromkeys([*parents, *parents.values()]) if name not in set(classes)]
    numbers = {name: number for number, name in enumerate([*classes, *others])}
    missing = next((name for name in classes if name not in parents), None)
    if missing is not None:
        near = did_you_mean(missing, sorted(parents))
        raise InputError(f"the hierarchy does not give the class {missing!r} a parent: each class needs one.{near}")
    for name in classes:
        _check_no_circle(parents, name)
    return grades_of_hierarchy([numbers[parents[name]] if name in parents else -1 for name in numbers], len(classes))


def _check_no_circle(parents: Mapping[str, str], name: str) -> None:
    seen = {name}
    while name in parents:
        name = parents[name]
        if name in seen:
            raise InputError(f"the hierarchy goes in a circle through {name!r}: leave out one of its parents")
        seen.add(name)


def ndcg(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
    *,
    k: int | None = None,
    grades: Grades | None = None,
) -> Values:
    """Return the tie-aware normalized discounted cumulative gain (nDCG) of each query.

    The gain of an item of grade g is 2^g − 1, the discount of rank i is 1 / log2(i + 1); a tie adds its mean gain times
    the sum of its discounts, which is the exact expectation over orders of ties. It is divided by the value of the best
    ranking of the database; a query without relevant items has the value 0.

    Args:
        query_codes: uint8 `(n_query, ceil(n_bits / 8))`.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_codes: uint8 `(n_database, ceil(n_bits / 8))`.
        database_labels: labels of the database, in the form of `query_labels`.
        n_bits: code length in bits.
        k: how many ranks count; None for all.
        grades: grades between classes, for one label an item; None for the number of shared labels.

    Returns:
        float64 `(n_query,)`, each in [0, 1].

    Raises:
        InputError: as for `precision_at`; a class number that `grades` does not hold; grades with several labels.

    Paper: McSherry and Najork (ECIR 2008); for codes, He et al. (CVPR 2018). Differs from their code: none known.
    """
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    discounts = discount_sums(comparison.n_database if k is None else min(check_k(k), comparison.n_database))
    return comparison.per_query(lambda own, block: gain_ratio(graded_histograms(own, block, grades), discounts))


def discount_sums(k: int) -> Values:
    """Return the sums of the discounts 1 / log2(i + 1) of the first 0 … k ranks: float64 `(k + 1,)`."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])


def gain_ratio(counts: Counts, discounts: Values) -> Values:
    """Return nDCG from counts of items by distance and grade.

    Args:
        counts: int64 `(n_query, n_bits + 1, n_grades)`.
        discounts: `discount_sums(k)`.

    Returns:
        float64 `(n_query,)`.
    """
    by_grade = np.stack([counts[:, :, grade].sum(axis=1) for grade in range(counts.shape[2])], axis=1)[:, ::-1]
    gain = np.asarray(2.0 ** np.arange(counts.shape[2]) - 1, dtype=np.float64)
    items, gains = counts[:, :, 0].copy(), np.zeros(counts.shape[:2])
    for grade in range(1, counts.shape[2]):
        items += counts[:, :, grade]
        gains += gain[grade] * counts[:, :, grade]
    reached = _gain(items, gains / np.maximum(items, 1), discounts)
    best = _gain(by_grade, np.broadcast_to(gain[::-1], by_grade.shape), discounts)
    return np.asarray(np.divide(reached, best, out=np.zeros(len(best)), where=best > 0), dtype=np.float64)


def hierarchical_average_precision(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
    *,
    k: int = 2500,
    grades: Grades | None = None,
) -> Values:
    """Return the average hierarchical precision (AHP) at `k` of each query; its mean is mAHP.

    Hierarchical precision at rank i is the sum of grades of the first i items over the largest such sum; AHP is
    its mean over i = 1 … k (k at most the size of the database). Exact expectation over orders of ties: inside a tie,
    the sum grows evenly. A query without relevant items has the value 0. Arguments and errors are those of `ndcg`.

    Returns:
        float64 `(n_query,)`, each in [0, 1].

    Paper: Barz and Denzler, "Hierarchy-based image embeddings for semantic image retrieval" (WACV 2019). Differs from
    the authors' code: ties are averaged; the mean over ranks stands for their integral by trapezoids.
    """
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    ranks = min(check_k(k), comparison.n_database)
    return comparison.per_query(lambda own, block: hierarchical_from(graded_histograms(own, block, grades), ranks))


def hierarchical_from(counts: Counts, k: int) -> Values:
    """Return AHP at `k` from counts of items by distance and grade, int64 `(n_query, n_bits + 1, n_grades)`."""
    ranks = np.arange(1, k + 1)
    return np.array([_hierarchical(row, ranks) for row in counts])


def graded_histograms(comparison: Comparison, block: range, grades: Grades | None) -> Counts:
    """Return the number of items of each distance and grade: int64 `(len(block), n_bits + 1, n_grades)`."""
    asked = comparison.asked(block)
    table = np.empty((0, 0), np.int64)
    if not asked.shared:
        table = _table(comparison, grades)
    elif grades is not None:
        raise InputError(
            "a hierarchy of classes grades items with one label each, and these have several: leave it out, and the "
            "number of shared labels is the grade"
        )
    n_grades = 1 + (asked.most_shared if asked.shared else int(table.max(initial=1)))
    if COUNTING.serves(PLAIN_GRADES * len(block) * comparison.n_database):
        from nearbit.metrics.counting import kernels

        counts = np.zeros((len(block), comparison.n_bits + 1, n_grades), np.int64)
        kernels.graded_histograms(
            asked.queries, asked.database, asked.query_keys, asked.database_keys, asked.shared, table, counts
        )
    else:
        from nearbit.metrics.counting import plain

        counts = plain.graded_histograms(asked, comparison.n_bits, n_grades, table)
    return trimmed_grades(counts)


def trimmed_grades(counts: Counts) -> Counts:
    """Return counts of items by distance and grade up to the highest grade that occurs.

    Raises:
        InputError: it is too high.
    """
    highest = max(grade for grade in range(counts.shape[2]) if grade == 0 or counts[:, :, grade].any())
    if highest > HIGHEST_GRADE:
        raise InputError(f"items share up to {highest} labels, and graded figures hold for at most {HIGHEST_GRADE}")
    return counts[:, :, : highest + 1]


def _table(comparison: Comparison, grades: Grades | None) -> Counts:
    """Return the grades between class numbers; without grades an empty table, which stands for equality."""
    if grades is None:
        return np.empty((0, 0), np.int64)
    keys = comparison.relevance
    highest = int(max(keys.query_keys.max(), keys.database_keys.max()))
    if highest >= len(grades.table):
        raise InputError(f"grades are of {len(grades.table)} classes, and the labels hold class number {highest}")
    return np.ascontiguousarray(grades.table, dtype=np.int64)


def _gain(items: Counts, gain: Values, discounts: Values) -> Values:
    """Return the discounted gain of each query: ties of so many items, of a mean gain, cut where the discounts end."""
    stops = np.minimum(np.cumsum(items, axis=1), len(discounts) - 1)
    starts = np.concatenate([np.zeros((len(items), 1), np.int64), stops[:, :-1]], axis=1)
    return np.asarray((gain * (discounts[stops] - discounts[starts])).sum(axis=1), dtype=np.float64)


def _hierarchical(counts: Counts, ranks: Counts) -> float:
    """Return the mean over ranks of the expected sum of grades over the largest sum, for `(n_bits + 1, n_grades)`."""
    grade = np.arange(counts.shape[1], dtype=np.float64)
    by_grade = counts.sum(axis=0)[::-1]
    if not by_grade[grade[::-1] > 0].sum():
        return 0.0
    reached = _sums(counts.sum(axis=1), counts @ grade, ranks)
    return float((reached / _sums(by_grade, by_grade * grade[::-1], ranks)).mean())


def _sums(items: Counts, sums: Values, ranks: Counts) -> Values:
    """Return the sum of grades of the first items up to each rank: ties of so many items with such a sum of grades."""
    kept = items > 0
    ends, heights = np.cumsum(items[kept]), np.cumsum(sums[kept])
    return np.asarray(np.interp(ranks, np.append(0, ends), np.append(0.0, heights)), dtype=np.float64)


def _path(parents: Counts, node: int) -> set[int]:
    """Return a node and all nodes above it."""
    path: set[int] = set()
    while node >= 0:
        if node in path:
            raise InputError(f"parents go in a circle through node {node}")
        path.add(node)
        node = int(parents[node])
    return path
