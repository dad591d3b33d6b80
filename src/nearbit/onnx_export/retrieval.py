"""What the bits that an 8-bit network changes cost: mean average precision on the split that the model records."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nearbit.datasets import Dataset
from nearbit.evaluation import search_split
from nearbit.model.bundle import Model
from nearbit.model.onnx import OnnxModel
from nearbit.onnx_export.sample import fits
from nearbit.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Tie-aware mean average precision of the same queries and database, encoded by two networks.

    Attributes:
        before: by the source.
        after: by the exported network, queries and database.
        n_query, n_database: images.
        not_measured: why there are no figures (they are None then), else None.
    """

    before: float | None = None
    after: float | None = None
    n_query: int = 0
    n_database: int = 0
    not_measured: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the figures for people."""
        if self.before is None or self.after is None:
            return [f"mean average precision was not measured: {self.not_measured}"]
        return [
            f"tie-aware mAP of {self.n_query} queries among {self.n_database} images: {self.before:.4f} before, "
            f"{self.after:.4f} after"
        ]


def compare_retrieval(
    model: Model, exported: OnnxModel, dataset: Dataset, cache: str | Path | None, progress: Progress
) -> Retrieval:
    """Encode the query and the database images by both networks and compare mean average precision.

    It is not measured, and the result says why, where the model records no split, or one of other images, or one
    without query or database images.
    """
    split = model.split
    if split is None:
        return Retrieval(not_measured="the model records no split")
    reason = fits(split, dataset)
    if reason is not None:
        return Retrieval(not_measured=reason)
    if not len(split.query) or not len(split.database):
        return Retrieval(not_measured="the split that the model records has no query or no database images")
    before, after = (
        search_split(
            one, dataset, split, cache=None if cache is None else one.row_cache(cache), progress=progress
        ).report.tie_aware_map
        for one in (model, exported)
    )
    return Retrieval(before=before, after=after, n_query=len(split.query), n_database=len(split.database))
