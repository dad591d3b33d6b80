"""The drawings of a comparison: quality against length, precision against recall, and maps of center distances."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

import numpy as np
import numpy.typing as npt

from nearbit.centers.semantic.loss import check_similarity
from nearbit.compare.findings import PRIMARY, Findings
from nearbit.compare.folder import CellResult
from nearbit.compare.statistics import Group, Row, Spread
from nearbit.errors import DataError
from nearbit.metrics.cosine import WITHOUT_CODES
from nearbit.report.charts import Axis, Line, chart, legend, nice_ticks
from nearbit.report.maps import matrix_picture, ramp_picture
from nearbit.report.page import picture
from nearbit.report.plots import leaf_order

Matrix = npt.NDArray[np.float64]

UNIT = Axis(label="", ticks={place / 5: f"{place / 5:.1f}" for place in range(6)})
MARKS = 8
"""About how many radii of a curve get a mark."""


def heads_of(findings: Findings) -> dict[str, list[Row]]:
    """Return the rows of each head; baselines, which have none, are beside the rows of every head."""
    heads = [head for head in dict.fromkeys(row.head for row in findings.rows) if head != "-"]
    return {head: [row for row in findings.rows if row.head in (head, "-")] for head in heads or ["-"]}


def styles_of(findings: Findings) -> dict[str, int]:
    """Return the look of each method, the same in every chart."""
    return {method: place for place, method in enumerate(dict.fromkeys(row.method for row in findings.rows))}


def length_charts(findings: Findings) -> str:
    """Return a chart a head: mean tie-aware mAP against bits, with bands of one sample deviation.

    What the float features give without codes is a dashed line, the same at every length.
    """
    styles = styles_of(findings)
    lengths = sorted(column.n_bits for column in findings.columns)
    spreads = {
        (group.row, group.n_bits): spread
        for group in findings.groups()
        if (spread := group.spread(PRIMARY)) is not None
    }
    if not spreads:
        return ""
    levels = {WITHOUT_CODES[name]: spread.mean for name, spread in findings.without_codes().items()}
    ends = [spread.mean + sign * (spread.deviation or 0) for spread in spreads.values() for sign in (-1, 1)]
    ends += levels.values()
    ticks = {value: f"{value:g}" for value in nice_ticks(min(ends), max(ends))}
    x = Axis(label="bits", ticks={place: str(n_bits) for place, n_bits in enumerate(lengths)})
    panels = []
    for head, rows in heads_of(findings).items():
        lines = [
            line
            for row in rows
            for line in _pieces([spreads.get((row, n_bits)) for n_bits in lengths], row.method, styles[row.method])
        ]
        if lines:
            panels.append(chart(_title(head), lines, x, Axis(label="tie-aware mAP", ticks=ticks), levels))
    return legend(styles) + f'<div class="panels">{"".join(panels)}</div>'


def curve_charts(findings: Findings) -> str:
    """Return a chart for each head and length: precision against recall within every radius, means over seeds."""
    styles, panels = styles_of(findings), []
    x, y = Axis(label="recall", ticks=UNIT.ticks), Axis(label="precision", ticks=UNIT.ticks)
    for head, rows in heads_of(findings).items():
        for column in findings.columns:
            lines = [line for row in rows for line in _curve(column.groups[row], styles[row.method])]
            if lines:
                panels.append(chart(f"{_title(head)}, {column.n_bits} bits", lines, x, y))
    return legend(styles) + f'<div class="panels">{"".join(panels)}</div>' if panels else ""


def center_maps(findings: Findings) -> str:
    """Return, for each length, maps of the distances between centers of the first seed that is done, with a scale.

    Where a method followed a similarity of classes, all maps have its order; else each has that of its own distances.
    """
    parts = []
    for column in findings.columns:
        found = [(row, arrays) for row in findings.rows if (arrays := _arrays(column.groups[row])) is not None]
        distances = {row: _distances(arrays["centers"]) for row, arrays in found}
        if not distances:
            continue
        similarity = next((arrays["similarity"] for _, arrays in found if "similarity" in arrays), None)
        largest = max(float(matrix.max()) for matrix in distances.values())
        figures = "".join(_figures(distances, similarity, max(largest, 1.0)))
        parts.append(f"<h3>{column.n_bits} bits</h3>{_scale(largest)}<div class='maps'>{figures}</div>")
    return "".join(parts)


def _title(head: str) -> str:
    return "baselines" if head == "-" else f"{head} head"


def _pieces(spreads: Sequence[Spread | None], name: str, style: int) -> Iterator[Line]:
    """Yield the line of a row over the lengths, in pieces where a length has no cell."""
    for has, piece in groupby(enumerate(spreads), key=lambda item: item[1] is not None):
        known = [(place, spread) for place, spread in piece if spread is not None]
        if has:
            points = [(float(place), spread.mean) for place, spread in known]
            yield Line(name=name, style=style, points=points, deviations=[item.deviation or 0.0 for _, item in known])


def _curve(group: Group, style: int) -> Iterator[Line]:
    curves = [result.facts.get("report", {}).get("curve_by_radius") for result in group.of_status("done")]
    known = [curve for curve in curves if curve]
    if not known:
        return
    recall, precision = (np.mean([curve[name] for curve in known], axis=0) for name in ("recall", "precision"))
    points = [(float(across), float(up)) for across, up in zip(recall, precision, strict=True)]
    step = max(1, (len(points) - 1) // MARKS)
    yield Line(name=group.row.method, style=style, points=points, marked=range(0, len(points), step))


def _arrays(group: Group) -> dict[str, npt.NDArray[np.generic]] | None:
    """Return the arrays of the first cell that is done and has at least two centers."""
    for result in group.of_status("done"):
        arrays = _readable(result)
        if len(arrays.get("centers", ())) > 1:
            return arrays
    return None


def _readable(result: CellResult) -> dict[str, npt.NDArray[np.generic]]:
    """Return the arrays of a cell; none where their file is gone or damaged, which the notes of the tests say."""
    try:
        return result.arrays()
    except DataError:
        return {}


def _distances(centers: npt.NDArray[np.generic]) -> Matrix:
    signs = centers.astype(np.float32)
    return np.asarray((signs.shape[1] - signs @ signs.T) / 2, np.float64)


def _figures(distances: dict[Row, Matrix], similarity: npt.NDArray[np.generic] | None, largest: float) -> Iterator[str]:
    shared = None if similarity is None else check_similarity(similarity)[0]
    if shared is not None:
        order = _order(-shared)
        ordered = shared[np.ix_(order, order)]
        apart = ordered[~np.eye(len(ordered), dtype=bool)]
        low, high = float(apart.min()), float(max(apart.max(), apart.min() + 1e-9))
        image = matrix_picture(ordered, low=low, high=high)
        yield _figure(picture(image, "similarity of classes"), "similarity", f"{low:.3g} dark, {high:.3g} light")
    for row, matrix in distances.items():
        order = _order(-shared) if shared is not None and len(shared) == len(matrix) else _order(matrix)
        apart = matrix[~np.eye(len(matrix), dtype=bool)]
        words = f"least {apart.min():.0f}, mean {apart.mean():.1f} bits"
        image = matrix_picture(matrix[np.ix_(order, order)], low=0.0, high=largest)
        yield _figure(picture(image, f"distances between the centers of {row.name}: {words}"), row.name, words)


def _order(distances: Matrix) -> Sequence[int]:
    return [int(place) for place in leaf_order(distances)] if len(distances) > 2 else range(len(distances))


def _figure(image: str, name: str, words: str) -> str:
    return f"<figure>{image}<figcaption><b>{escape(name)}</b><br>{escape(words)}</figcaption></figure>"


def _scale(largest: float) -> str:
    strip = picture(ramp_picture(), "dark is near, light is far")
    strip = strip.replace("<img ", '<img style="width:140px;height:10px;vertical-align:middle" ')
    return f'<p class="note">0 bits {strip} {largest:.0f} bits</p>'
