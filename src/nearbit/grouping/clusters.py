"""The clusters of an index as a person sees them: size, labels, a typical picture and others near it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nearbit.index import Clusters, Home, Item

EXAMPLES = 8
"""Items of a cluster that are named beside the typical one, unless told otherwise."""
NAMED_LABELS = 3
MOST_SHARE = 0.5
"""A cluster of more than this share of all items is a giant, and clusters of one item above it are too many."""
FEW_ITEMS = 20
"""Of fewer items nothing is said."""


@dataclass(frozen=True, kw_only=True)
class ClusterTold:
    """One cluster.

    Attributes:
        number: from 1, by size.
        size: how many items.
        mean_distance: of its items to its center, in bits.
        labels: its most frequent labels, with how many items have each: at most three.
        typical: the item nearest to the center.
        examples: the next nearest ones.
    """

    number: int
    size: int
    mean_distance: float
    labels: Mapping[str, int]
    typical: Item
    examples: tuple[Item, ...]

    @property
    def name(self) -> str:
        """What most of it is: its most frequent label with its share; "" without labels."""
        if not self.labels:
            return ""
        label, count = next(iter(self.labels.items()))
        return f"{label} ({count / self.size:.0%})"

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready data."""
        return {
            "number": self.number,
            "size": self.size,
            "mean_distance": self.mean_distance,
            "labels": dict(self.labels),
            "typical": _named(self.typical),
            "examples": [_named(item) for item in self.examples],
        }


def label_counts(index: Home, found: Clusters) -> list[dict[str, int]]:
    """Return the most frequent labels of each cluster, at most three, with how many of its items have each."""
    labels = {item.id: item.labels for item in index}
    told = []
    for number in range(len(found)):
        counts = Counter(label for item_id in found[number].tolist() for label in set(labels.get(item_id, ())))
        told.append(dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:NAMED_LABELS]))
    return told


def told_clusters(index: Home, found: Clusters, *, examples: int = EXAMPLES) -> list[ClusterTold]:
    """Return what there is to tell of each cluster of an index.

    Args:
        index: an open index.
        found: what its `clusters` returned.
        examples: how many items are named beside the typical one.

    Raises:
        InputError: an item was removed since.
    """
    told = []
    for number, counts in enumerate(label_counts(index, found)):
        start, stop = int(found.offsets[number]), int(found.offsets[number + 1])
        ids = found.ids[start:stop]
        typical, *others = index.items(ids[: 1 + examples])
        told.append(
            ClusterTold(
                number=number + 1, size=stop - start, mean_distance=float(found.distances[start:stop].mean()),
                labels=counts, typical=typical, examples=tuple(others),
            )
        )  # fmt: skip
    return told


def _named(item: Item) -> dict[str, Any]:
    return {"id": item.id, "id_text": str(item.id), "path": item.path, "labels": list(item.labels)}


def cluster_advice(found: Clusters) -> list[str]:
    """Return what is poor about clusters and what to change: one that holds most items, or too many of one item."""
    sizes = np.diff(found.offsets)
    n_items, n_clusters = len(found.ids), len(found)
    if n_items < FEW_ITEMS or n_clusters < 2:
        return []
    lines, alone = [], int((sizes == 1).sum())
    if sizes[0] > MOST_SHARE * n_items:
        n_equal = int((found.distances[: sizes[0]] == 0).sum())
        lines.append(
            f"one cluster holds {sizes[0]} of {n_items} items, and "
            + (
                f"{n_equal} of them have one code, which no number parts: codes of more bits, or of a model that knows "
                "these images, do (nearbit inspect says how healthy codes are)"
                if n_equal > MOST_SHARE * sizes[0]
                else f"its codes lie {found.distances[: sizes[0]].mean():.1f} bits from its center: more clusters "
                f"(-n {2 * n_clusters}) part it; what lies within a radius joins by nearbit duplicates --radius"
            )
        )
    if alone > MOST_SHARE * n_clusters:
        lines.append(
            f"{alone} of {n_clusters} clusters hold one item: take fewer (-n {max(2, n_clusters // 4)}); near copies "
            "alone are found by nearbit duplicates, with --radius 1 to 8"
        )
    return lines
