"""The page of `nearbit demo`: tables, charts, and query images with their nearest neighbours."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np

from nearbit.codes import Codes, Signs, hamming_distances, pack, unpack
from nearbit.datasets import Dataset
from nearbit.model.bundle import Model
from nearbit.report.page import html_table, page, picture
from nearbit.report.svg import bit_strip, distance_map, line_chart

PICTURE = 96


@dataclass(frozen=True, kw_only=True)
class PageCell:
    """One trained model: method, bits and what was measured."""

    method: str
    n_bits: int
    tie_aware_map: float
    map_database_order: float
    distinct_codes: int
    n_database: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready data."""
        return asdict(self)


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


@dataclass(frozen=True, eq=False)
class Chapter:
    """What the page tells of one data set; `shown` is the model whose searches are pictured.

    `chance` is the share of database images that are relevant to a query, on average: the precision of a random order.
    """

    title: str
    words: str
    dataset: Dataset
    cells: tuple[PageCell, ...]
    shown: Model
    chance: float
    found: tuple[FoundImage, ...]


HEADER = ("method", "bits", "mAP@ALL, tie-aware", "mAP@ALL, database order", "distinct codes", "seconds")


def cell_row(cell: PageCell) -> tuple[str, ...]:
    """Return the texts of one row of the table, under `HEADER`."""
    return (
        cell.method,
        str(cell.n_bits),
        f"{cell.tie_aware_map:.4f}",
        f"{cell.map_database_order:.4f}",
        f"{cell.distinct_codes} of {cell.n_database}",
        f"{cell.seconds:.1f}",
    )


def demo_page(chapters: Sequence[Chapter]) -> str:
    """Return the whole page as HTML."""
    cells = [cell for chapter in chapters for cell in chapter.cells]
    seconds = sum(cell.seconds for cell in cells)
    body = [
        "<h1>nearbit demo</h1>",
        f'<p class="lead">Two data sets, two methods, {len(cells)} networks trained in {seconds:.0f} s, then '
        "indexed, searched and measured. "
        "A network turned each image into a short code of bits; images of the same meaning lie few bits apart.</p>",
        "<p>The tie-aware figure is the exact expectation over the order of items at equal distance. The figure "
        "beside it takes ties in database order, in the manner of most published tables. Both are measured on query "
        "images that training never saw; the epoch was chosen on separate validation images. One seed: differences of "
        "a point or two are noise.</p>",
    ]
    for chapter in chapters:
        body += _chapter(chapter)
    body += _next_steps()
    return page("nearbit demo", body)


def _chapter(chapter: Chapter) -> list[str]:
    best = {
        bits: max(cell.tie_aware_map for cell in chapter.cells if cell.n_bits == bits)
        for bits in {cell.n_bits for cell in chapter.cells}
    }
    rows = [cell_row(cell) for cell in chapter.cells]
    bold = [cell.tie_aware_map == best[cell.n_bits] for cell in chapter.cells]
    series: dict[str, dict[int, float]] = {}
    for cell in chapter.cells:
        series.setdefault(cell.method, {})[cell.n_bits] = cell.tie_aware_map
    model = chapter.shown
    packed = pack(model.centers.centers)
    order = _family_order(chapter.dataset)
    distances = hamming_distances(packed, packed, model.n_bits)[np.ix_(order, order)]
    names = [chapter.dataset.classes[place] for place in order]
    chart = ""
    if len(best) > 1:
        drawn = line_chart(series, x_label="bits", y_label="tie-aware mAP@ALL")
        chart = f"<div><h3>Quality by code length</h3>{drawn}</div>"
    return [
        f"<h2>{escape(chapter.title)}</h2>",
        f"<p>{escape(chapter.words)}</p>",
        html_table(HEADER, rows, bold),
        '<p class="note">Bold: the better method at this number of bits. Seconds: training alone. A random order of '
        f"the database would reach {chapter.chance:.2f}.</p>",
        f'<div class="beside">{chart}<div><h3>Distances between class centers, {escape(model.method)}, '
        f"{model.n_bits} bits</h3>{distance_map(distances, names, n_bits=model.n_bits)}</div></div>",
        f"<h3>Searches with {escape(model.method)} at {model.n_bits} bits</h3>",
        f'<p class="note">{_worst_words(chapter)}</p>',
        '<p class="note key">'
        '<span style="background:var(--hit)"></span>shares a label with the query'
        '<span style="background:var(--miss)"></span>does not, or a bit that differs'
        '<span style="background:var(--bit)"></span>a bit that is 1</p>',
        *[_search_row(chapter.dataset, model.n_bits, found) for found in chapter.found],
    ]


def _worst_words(chapter: Chapter) -> str:
    missed = sum(not neighbour.hit for found in chapter.found[-2:] for neighbour in found.neighbours)
    return "The last two queries are the ones that went worst." if missed else "No query went wrong."


def _family_order(dataset: Dataset) -> list[int]:
    """Return the classes ordered by family, then by name, where there are families."""
    parents = dataset.parents or ("",) * dataset.n_classes
    return sorted(range(dataset.n_classes), key=lambda place: (parents[place], place))


def _search_row(dataset: Dataset, n_bits: int, found: FoundImage) -> str:
    query = (
        f"<figure>{_thumbnail(dataset, found.row)}{bit_strip(found.signs)}"
        f"<figcaption><b>query</b><br>{escape(', '.join(dataset.label_names(found.row)))}</figcaption></figure>"
    )
    items = "".join(_neighbour(dataset, n_bits, found.signs, neighbour) for neighbour in found.neighbours)
    return f'<div class="row"><div>{query}</div><div class="found">{items}</div></div>'


def _neighbour(dataset: Dataset, n_bits: int, query: Signs, neighbour: Neighbour) -> str:
    signs = unpack(neighbour.code[None], n_bits)[0]
    bits = "1 bit" if neighbour.distance == 1 else f"{neighbour.distance} bits"
    return (
        f'<figure class="{"hit" if neighbour.hit else "miss"}">{_thumbnail(dataset, neighbour.row)}'
        f"{bit_strip(signs, query)}"
        f"<figcaption><b>{bits}</b><br>{escape(', '.join(dataset.label_names(neighbour.row)))}</figcaption></figure>"
    )


def _thumbnail(dataset: Dataset, row: int) -> str:
    image = dataset.source.read(row)
    image.thumbnail((PICTURE, PICTURE))
    return picture(image, f"{dataset.keys[row]}: {', '.join(dataset.label_names(row))}")


def _next_steps() -> list[str]:
    return [
        "<h2>With your own images</h2>",
        "<p>A folder with one folder a class is all that is needed:</p>",
        "<pre><code>nearbit train photos/ --method crh --bits 64 -o birds.model\n"
        "nearbit index add birds.index photos/ --model birds.model\n"
        "nearbit search birds.index query.jpg -k 10\n"
        "nearbit evaluate birds.model photos/</code></pre>",
    ]
