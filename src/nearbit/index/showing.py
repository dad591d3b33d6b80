"""Results as a notebook shows them, and as a table of pandas."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nearbit.errors import MissingExtraError, NearbitError

QUERIES, PLACES = 5, 10
"""So many queries, and hits of each, are shown."""
SIDE = 96
"""Pixels of the longer side of a picture."""
LARGEST = 64_000_000
"""Pixels of an image beyond which no picture of it is made."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


class Source(Protocol):
    """The index that was searched."""

    @property
    def folder(self) -> Path:
        """From where the paths of items are seen."""
        ...

    def items(self, ids: npt.ArrayLike) -> Sequence[Any]:
        """Return the items of these ids."""
        ...


class Found(Protocol):
    """Results, as far as they are shown."""

    @property
    def hits(self) -> Any:
        """All hits, ragged."""
        ...

    @property
    def index(self) -> Source | None:
        """The index that was searched, where it is known."""
        ...

    def __len__(self) -> int:
        """Return the number of queries."""
        ...


def frame_of(results: Found) -> Any:
    """Return a pandas DataFrame with a row for each hit; see `Results.to_pandas`."""
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("pandas", "notebook", "a DataFrame of results") from error
    return pandas.DataFrame(columns_of(results))


def columns_of(results: Found) -> dict[str, Any]:
    """Return the columns of a table with a row for each hit, by name."""
    hits = results.hits
    ranks = np.arange(len(hits.ids)) - np.repeat(hits.offsets[:-1], hits.sizes) + 1
    columns = {"query": hits.queries, "rank": ranks, "id": hits.ids, "distance": hits.distances}
    if hits.weighted is not None:
        columns["weighted"] = hits.weighted
    if results.index is not None:
        ids, places = np.unique(hits.ids, return_inverse=True)
        items = results.index.items(ids)
        columns["path"] = [items[place].path for place in places]
        columns["labels"] = [items[place].labels for place in places]
    return columns


def html_of(results: Found) -> str:
    """Return the first hits of the first queries as HTML that loads nothing: all texts escaped, pictures in it."""
    rows = "".join(_row(results, query) for query in range(min(len(results), QUERIES)))
    more = f"<p>… and {len(results) - QUERIES} more queries</p>" if len(results) > QUERIES else ""
    return f"<table>{rows}</table>{more}"


def _row(results: Found, query: int) -> str:
    begin, end = results.hits.offsets[query], results.hits.offsets[query + 1]
    ids, distances = results.hits.ids[begin:end][:PLACES], results.hits.distances[begin:end][:PLACES]
    items, why = _items(results.index, ids)
    cells = "".join(
        _cell(results.index, item_id, distance, item)
        for item_id, distance, item in zip(ids.tolist(), distances.tolist(), items, strict=True)
    )
    hidden = f"<td>… {end - begin - PLACES} more</td>" if end - begin > PLACES else ""
    note = f"<td>{escape(why)}</td>" if why else ""
    return f"<tr><th>query {query}</th>{cells}{hidden}{note}</tr>"


def _items(index: Source | None, ids: npt.NDArray[np.int64]) -> tuple[Sequence[Any], str]:
    """Return the items, or why there are none: a cell of a notebook shows what can be shown."""
    none = [None] * len(ids)
    if index is None:
        return none, ""
    try:
        return index.items(ids), ""
    except NearbitError as error:
        return none, f"without paths and labels: {error}"


def _cell(index: Source | None, item_id: int, distance: int, item: Any) -> str:
    lines = [f"{item_id} at {distance}"]
    picture = ""
    if item is not None and index is not None:
        lines += [", ".join(item.labels), item.path or ""]
        picture = _picture(index.folder / item.path) if item.path else ""
    text = "<br>".join(escape(line) for line in lines if line)
    return f'<td style="vertical-align:top">{picture}{text}</td>'


def _picture(path: Path) -> str:
    """Return a small picture of a file as an element of HTML; "" where there is none that can be read."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > LARGEST:
                return ""
            image.draft("RGB", (SIDE, SIDE))
            small = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return ""  # the path beside it says which file has no picture
    small.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=80)
    data = base64.b64encode(content.getvalue()).decode("ascii")
    return f'<img alt="" src="data:image/jpeg;base64,{data}"><br>'
