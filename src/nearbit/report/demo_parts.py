"""What the page of `nearbit demo` is made from: figures, centers and searches of each chapter."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, Signs
from nearbit.datasets import Dataset
from nearbit.model.bundle import Model


@dataclass(frozen=True, kw_only=True)
class PageCell:
    """One trained model: method, bits and what was measured; `asymmetric_map` ranks by the real outputs of queries."""

    method: str
    n_bits: int
    tie_aware_map: float
    asymmetric_map: float | None
    map_database_order: float
    distinct_codes: int
    n_database: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True)
class FloatFigure:
    """What rows of floats give without any code: what they are, how many an item has, and their tie-aware mAP."""

    name: str
    width: int
    tie_aware_map: float

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Centers:
    """The centers of a method beside a similarity of the classes.

    Attributes:
        method, n_bits: whose centers, and their length.
        distances: int32 `(n_classes, n_classes)`, in bits.
        similarity: float64 of the same shape, -1 to 1.
        correlation: of the products of centers and the similarity; None where all centers are equally far apart.
        min_distance: the least distance of two centers, in bits.
    """

    method: str
    n_bits: int
    distances: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float64]
    correlation: float | None
    min_distance: int

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON-ready data, without the matrices."""
        names = ("method", "n_bits", "correlation", "min_distance")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbour:
    """One item found: its row, its distance in bits, its code, and whether it shares a label with the query."""

    row: int
    distance: int
    code: Codes
    hit: bool


@dataclass(frozen=True, eq=False)
class FoundImage:
    """One query: its row, its signs int8 `(n_bits,)`, and its neighbours in rank order."""

    row: int
    signs: Signs
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chapter:
    """What the page tells of one data set.

    Attributes:
        name: of its files in the folder.
        title, words: what stands above the figures.
        dataset: the images.
        cells: one a model.
        floats: what the features give without codes; empty where a network was trained whole.
        centers: those that are drawn beside the similarity of the classes, or none.
        shown: the model whose searches are pictured.
        chance: the share of database images that are relevant to a query, on average: the precision of a random order.
        found: the searches.
    """

    name: str
    title: str
    words: str
    dataset: Dataset
    cells: tuple[PageCell, ...]
    floats: tuple[FloatFigure, ...]
    centers: tuple[Centers, ...]
    shown: Model
    chance: float
    found: tuple[FoundImage, ...]
