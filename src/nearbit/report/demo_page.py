"""The page of `nearbit demo`: tables, charts, and query images with their nearest neighbours."""

from collections.abc import Sequence
from html import escape

import numpy as np

from nearbit.codes import Signs, hamming_distances, pack, unpack
from nearbit.datasets import Dataset
from nearbit.report.demo_parts import Centers, Chapter, FloatFigure, FoundImage, Neighbour, PageCell
from nearbit.report.demo_readings import reading_of_centers, readings
from nearbit.report.dots import dot_chart
from nearbit.report.page import html_table, page, picture
from nearbit.report.plots import leaf_order
from nearbit.report.svg import bit_strip, distance_map, line_chart, similarity_map

PICTURE = 96
AT_ONCE = (
    "nearbit index photos/",
    "nearbit search photos.index query.jpg -k 10",
    "nearbit serve photos.index",
)
"""What to type for images of one's own that nobody labelled, as README has it."""

WITH_LABELS = (
    "nearbit train photos/ --bits 64 -o birds.model",
    "nearbit evaluate birds.model photos/",
    "nearbit index reencode photos.index --model birds.model",
)
"""What to type where there is one folder a class, as README has it."""

HEADER = ("method", "bits", "mAP", "asymmetric", "database order", "distinct codes", "seconds")


def cell_row(cell: PageCell) -> tuple[str, ...]:
    """Return the texts of one row of the table, under `HEADER`."""
    return (
        cell.method,
        str(cell.n_bits),
        f"{cell.tie_aware_map:.4f}",
        "-" if cell.asymmetric_map is None else f"{cell.asymmetric_map:.4f}",
        f"{cell.map_database_order:.4f}",
        f"{cell.distinct_codes} of {cell.n_database}",
        f"{cell.seconds:.1f}",
    )


def float_row(figure: FloatFigure) -> tuple[str, ...]:
    """Return the texts of what floats give, under `HEADER`: the bits are those of the floats."""
    return (figure.name, str(32 * figure.width), f"{figure.tie_aware_map:.4f}", "-", "-", "-", "-")


def demo_page(chapters: Sequence[Chapter], *, seed: int) -> str:
    """Return the whole page as HTML."""
    cells = [cell for chapter in chapters for cell in chapter.cells]
    seconds, methods = sum(cell.seconds for cell in cells), {cell.method for cell in cells}
    body = [
        "<h1>nearbit demo</h1>",
        f'<p class="lead">{len(chapters)} chapters, {len(methods)} methods, {len(cells)} networks trained in '
        f"{seconds:.0f} s, then indexed, searched and measured. "
        "A network turned each image into a short code of bits; images of the same meaning lie few bits apart.</p>",
        "<p><b>mAP</b> is mean average precision over the whole database, tie-aware: the exact expectation over the "
        "order of items at equal distance. <b>Asymmetric</b> ranks the same codes by the query's real outputs. "
        "<b>Database order</b> takes ties as they come, in the manner of most published tables. All are measured on "
        "query images that training never saw; the epoch was chosen on separate validation images.</p>",
        f"<p><b>One seed ({seed})</b> decided the split and the weights: what it says of two methods a point or two "
        "apart may be otherwise with the next. <code>nearbit demo --seed 1 -o another</code> shows another, "
        "<code>nearbit compare</code> tests over seeds.</p>",
    ]
    for chapter in chapters:
        body += _chapter(chapter)
    body += _next_steps()
    return page("nearbit demo", body)


def _chapter(chapter: Chapter) -> list[str]:
    model = chapter.shown
    best = {
        bits: max(cell.tie_aware_map for cell in chapter.cells if cell.n_bits == bits)
        for bits in {cell.n_bits for cell in chapter.cells}
    }
    rows = [cell_row(cell) for cell in chapter.cells] + [float_row(figure) for figure in chapter.floats]
    several = len({cell.method for cell in chapter.cells}) > 1
    bold = [several and cell.tie_aware_map == best[cell.n_bits] for cell in chapter.cells]
    meaning = "Bold: the highest at this number of bits. " if several else ""
    return [
        f'<section id="{escape(chapter.name)}">',
        f"<h2>{escape(chapter.title)}</h2>",
        f"<p>{escape(chapter.words)}</p>",
        html_table(HEADER, rows, [*bold, *(False for _ in chapter.floats)]),
        f'<p class="note">{meaning}Seconds: training, a classifier before it included. A random order of '
        f"the database would reach {chapter.chance:.2f}.</p>",
        *[f"<p>{escape(words)}</p>" for words in [*readings(chapter), chapter.over_seeds] if words],
        *(_followed(chapter) if chapter.centers else [_charts(chapter, len(best))]),
        f"<h3>Searches with {escape(model.method)} at {model.n_bits} bits</h3>",
        f'<p class="note">{_worst_words(chapter)}</p>',
        '<p class="note key">'
        '<span style="background:var(--hit)"></span>shares a label with the query'
        '<span style="background:var(--miss)"></span>does not, or a bit that differs'
        '<span style="background:var(--bit)"></span>a bit that is 1</p>',
        *[_search_row(chapter.dataset, model.n_bits, found) for found in chapter.found],
        "</section>",
    ]


def _charts(chapter: Chapter, n_lengths: int) -> str:
    """Return quality by length, where there are several, beside the distances of the centers of the model shown."""
    model, series = chapter.shown, dict[str, dict[int, float]]()
    for cell in chapter.cells:
        series.setdefault(cell.method, {})[cell.n_bits] = cell.tie_aware_map
    packed = pack(model.centers.centers)
    order = _family_order(chapter.dataset)
    distances = hamming_distances(packed, packed, model.n_bits)[np.ix_(order, order)]
    names = [chapter.dataset.classes[place] for place in order]
    chart = ""
    if n_lengths > 1:
        chart = f"<div><h3>Quality by code length</h3>{line_chart(series, x_label='bits', y_label='mAP')}</div>"
    return (
        f'<div class="beside">{chart}<div><h3>Distances between class centers, {escape(model.method)}, '
        f"{model.n_bits} bits</h3>{distance_map(distances, names, n_bits=model.n_bits)}</div></div>"
    )


def _followed(chapter: Chapter) -> list[str]:
    """Return codes beside floats, and the centers of methods beside the similarity that the first of them followed."""
    dots = {
        cell.method: {"by signs": cell.tie_aware_map}
        | ({} if cell.asymmetric_map is None else {"by real outputs": cell.asymmetric_map})
        for cell in chapter.cells
    }
    levels = {figure.name: figure.tie_aware_map for figure in chapter.floats}
    similarity = chapter.centers[0].similarity
    order = leaf_order(-similarity)
    names = [chapter.dataset.classes[place] for place in order]
    drawn = similarity_map(similarity[np.ix_(order, order)], names)
    return [
        f'<h3>Codes beside floats</h3><div class="dots">{dot_chart(dots, levels, x_label="mAP")}</div>',
        "<h3>Centers beside the similarity of the classes</h3>",
        "<p>Each class has a center, the word that its codes are drawn to. SHC first asks a classifier what it takes "
        "training images for besides their class, and searches centers that are as alike as their classes, under a "
        "least distance. CSQ's centers are fixed before any image is seen. Classes stand in an order that brings like "
        "ones together; dark is alike, or near.</p>",
        f'<div class="panels"><div><h3>What a classifier confuses</h3>{drawn}</div>',
        *[_map_of(centers, order.tolist(), names) for centers in chapter.centers],
        "</div>",
        '<p class="note">SHC\'s centers were searched to follow this very similarity, so that they do says that the '
        "search works. Whether it helps is what the table says.</p>",
    ]


def _map_of(centers: Centers, order: list[int], names: list[str]) -> str:
    distances = centers.distances[np.ix_(order, order)]
    return (
        f"<div><h3>Centers of {escape(centers.method)}, distances in bits</h3>"
        f"{distance_map(distances, names, n_bits=centers.n_bits)}"
        f'<p class="note">{escape(reading_of_centers(centers))}</p></div>'
    )


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
        "<p>A folder of images can be searched at once, with a pretrained network and codes that nobody trained:</p>",
        _commands(AT_ONCE),
        "<p>With one folder a class, codes are trained, and the index moves over to them:</p>",
        _commands(WITH_LABELS),
    ]


def _commands(lines: Sequence[str]) -> str:
    return f"<pre><code>{escape(chr(10).join(lines))}</code></pre>"
