"""A block of queries that rank the database by distance: what figures are computed from, each quantity once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nearbit.metrics.conventions import Convention, expected_by, found_average_precision, ordered_by
from nearbit.metrics.counting.comparison import Comparison, Counts, OrderedSums, Values
from nearbit.metrics.graded import Grades, graded_histograms, trimmed_grades
from nearbit.metrics.precision import expected_hits
from nearbit.metrics.tie_aware import at_most_k, bounds_from, expected_average_precision, whole_eighths


@dataclass(frozen=True, eq=False)
class Block:
    """A block of queries that rank the database by distance: what figures are computed from, each quantity once.

    Attributes:
        comparison: of queries and database.
        queries: which queries.
        limits: how many ranks each of the sums in `ordered` counts, int64 `(n_limits,)`.
        ranks: at which precision and recall are wanted: those of the curve and of the figures.
        harmonic: the harmonic numbers up to the size of the database.
        grades: of a hierarchy of classes, or None.
        in_order: whether figures of ties in database order are wanted: they need more than the histograms.
        by_shared: whether relevant items are wanted by how many labels they share.
    """

    comparison: Comparison
    queries: range
    limits: Counts
    ranks: Counts
    harmonic: Values
    grades: Grades | None = None
    in_order: bool = True
    by_shared: bool = True

    @cached_property
    def ordered(self) -> OrderedSums:
        """The rankings with ties in database order, summed up within each limit."""
        return self.comparison.ordered(self.queries, self.limits, graded=self.by_shared)

    @cached_property
    def histograms(self) -> tuple[Counts, Counts]:
        """All and the relevant items at each distance, int64 `(n_query, n_bits + 1)` each."""
        if self.in_order:
            return self.ordered.items, self.ordered.relevant
        return self.comparison.histograms(self.queries)

    @cached_property
    def near(self) -> tuple[Counts, Counts]:
        """The histograms up to the last distance of a relevant item, and a little further.

        What lies beyond adds 0 to the figures of relevant items; see `whole_eighths`.
        """
        width = whole_eighths(self.histograms[1])
        return self.histograms[0][:, :width], self.histograms[1][:, :width]

    @cached_property
    def hits(self) -> Values:
        """The expected relevant items within each of `ranks`, float64 `(n_query, n_ranks)`."""
        return expected_hits(*self.near, self.ranks)

    @cached_property
    def total(self) -> Counts:
        """The relevant items of each query, at least 1."""
        return np.asarray(np.maximum(self.near[1].sum(axis=1), 1))

    def hits_at(self, k: int) -> Values:
        """Return the expected relevant items within one of `ranks`."""
        return self.hits[:, int(np.flatnonzero(self.ranks == k)[0])]

    def tie_aware(self, k: int | None = None) -> Values:
        """Return tie-aware average precision, within k ranks divided by the relevant items, at most k."""
        values = expected_average_precision(*self.near, self.harmonic, k)
        return values if k is None else at_most_k(values, self.near[1], k)

    def in_database_order(self, k: int | None = None) -> Values:
        """Return average precision with ties in database order within one of the limits (None for all ranks)."""
        return found_average_precision(self.ordered)[:, self._column(k)]

    def by_convention(self, convention: Convention, k: int | None = None) -> Values:
        """Return average precision within one of the limits by a convention; NaN for a query that it drops."""
        limit = self.comparison.n_database if k is None else k
        if convention.ties == "expected":
            return expected_by(convention, *self.histograms, limit, self.harmonic)
        return ordered_by(convention, self.ordered, limit, self._column(k))

    @cached_property
    def bounds(self) -> tuple[Values, Values]:
        """The lowest and the highest average precision that some order of ties gives."""
        return bounds_from(*self.near, self.harmonic)

    @cached_property
    def by_labels(self) -> Counts:
        """Items of each distance and grade, the number of shared labels: int64 `(n_query, n_bits + 1, n_grades)`."""
        items, relevant = self.near
        if not self.comparison.relevance.shared:
            return np.stack([items - relevant, relevant], axis=2)
        if not self.in_order:
            return graded_histograms(self.comparison, self.queries, None)
        counts = self.ordered.graded[:, : items.shape[1]]
        counts[:, :, 0] = items - relevant
        return trimmed_grades(counts)

    @cached_property
    def by_levels(self) -> Counts:
        """Items of each distance and grade of the hierarchy, in the same form."""
        return graded_histograms(self.comparison, self.queries, self.grades)

    def up_to(self, k: int) -> int:
        """Return k, or the size of the database where that is smaller."""
        return min(k, self.comparison.n_database)

    def _column(self, k: int | None) -> int:
        return int(np.flatnonzero(self.limits == (self.comparison.n_database if k is None else k))[0])
