"""What an open index does wherever its items lie: it closes itself, and says what lies near what."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from nearbit.index import clustering, grouping
from nearbit.index.live.snapshot import Snapshot
from nearbit.keywords import suggesting


class AnyIndex(ABC):
    """A context manager; pairs, groups and clusters of an index are exact and deterministic, as its searches are."""

    @abstractmethod
    def close(self) -> None:
        """Close the index; a second call does nothing."""

    def __enter__(self) -> Self:
        """Return the index itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the index."""
        self.close()

    @abstractmethod
    def _snapshot(self) -> Snapshot:
        """Return all items of one state."""

    @suggesting
    def pairs(self, radius: int, *, most: int = grouping.MOST_PAIRS) -> grouping.Pairs:
        """Return all pairs of items at most `radius` bits apart, by distance, then by ids.

        Args:
            radius: in bits.
            most: how many there may be.

        Raises:
            InputError: the radius is no whole number of at least 0, or there are more than `most` pairs.
            IndexFileError: the index cannot be read.
        """
        return grouping.pairs(self._snapshot(), radius, most)

    @suggesting
    def groups(self, radius: int) -> grouping.Groups:
        """Return the groups of at least two items that pairs at most `radius` bits apart join, the largest first.

        They are connected components: a chain of near pairs is one group, and its ends may lie farther apart.

        Args:
            radius: in bits.

        Raises:
            InputError: the radius is no whole number of at least 0.
            IndexFileError: the index cannot be read.
        """
        return grouping.groups(self._snapshot(), radius)

    @suggesting
    def clusters(self, n: int | None = None) -> clustering.Clusters:
        """Return all items around the centers of clusters (k-majority), the same ones each time.

        Args:
            n: how many clusters; there are fewer where there are fewer distinct codes. None for the root of half the
                distinct codes, at most 100.

        Raises:
            InputError: `n` is no whole number from 1 to 65,535.
            IndexFileError: the index cannot be read.
        """
        return clustering.clusters(self._snapshot(), n)
