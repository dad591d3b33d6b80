"""The papers' choice of an epoch, the best on the queries themselves: written down beside ours, without a say."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import binarize
from nearbit.datasets import Dataset, Split
from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import InputError
from nearbit.metrics import tie_aware_average_precision
from nearbit.training.inputs.batches import Positions

PARTS = ("query", "database")


@final
class PublishedSelection:
    """Measures what queries find in the database, at each look at validation.

    Attributes:
        labels: bool `(n, n_classes)` of each of `PARTS`.
        n_bits: length of the codes.
    """

    def __init__(self, dataset: Dataset, split: Split, n_bits: int) -> None:
        self.labels: dict[str, npt.NDArray[np.bool_]] = {
            part: dataset.labels[rows] for part, rows in zip(PARTS, (split.query, split.database), strict=True)
        }
        self.n_bits = n_bits
        missing = [part for part, labels in self.labels.items() if not labels.any()]
        if missing:
            are_unseen = "unseen" in split.recipe and all(len(self.labels[part]) for part in missing)
            why = (
                f"all {' and '.join(missing)} images of this split are of unseen classes, which training does not know:"
                if are_unseen
                else f"the split has no {' and no '.join(missing)} images with labels: make a split with such, or"
            )
            raise InputError(
                f"published_selection measures queries in a database at each look at validation, and {why} leave it "
                "out (--no-published-selection)"
            )

    def figures(self, outputs: Callable[[str, Positions], FloatRows], *, writes: bool = True) -> dict[str, float]:
        """Return the "query_map" of an epoch: the tie-aware mAP of all queries over the whole database.

        Args:
            outputs: gives outputs float `(n, n_bits)` of images of one of `PARTS`, by position; several processes make
                them together.
            writes: whether this process keeps records; others have no use for the figure, and get none.
        """
        codes = {part: binarize(outputs(part, np.arange(len(labels)))) for part, labels in self.labels.items()}
        if not writes:
            return {}
        query, database = ((codes[part], self.labels[part]) for part in PARTS)
        return {"query_map": float(tie_aware_average_precision(*query, *database, self.n_bits).mean())}


def published_choice(history: Sequence[Mapping[str, Any]], selected_epoch: int) -> dict[str, Any] | None:
    """Return the epoch that is best on the queries, its mAP on them, and that of the selected epoch; None without any.

    Args:
        history: of a training: of each epoch its "epoch", and its "query_map" where it was measured.
        selected_epoch: the epoch whose weights are kept.
    """
    measured = {entry["epoch"]: float(entry["query_map"]) for entry in history if "query_map" in entry}
    if not measured:
        return None
    best = max(measured, key=lambda epoch: measured[epoch])
    return {"epoch": best, "query_map": measured[best], "query_map_of_selected": measured.get(selected_epoch)}
