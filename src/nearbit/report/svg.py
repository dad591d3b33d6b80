"""Small drawings as SVG text: a line chart, a map of distances, the bits of a code, and the flow of the data."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

INK, MUTED = "var(--ink)", "var(--muted)"
SERIES = ("var(--one)", "var(--two)", "var(--three)", "var(--four)")


def text(x: float, y: float, words: str, *, anchor: str = "middle", fill: str = INK, size: int = 12) -> str:
    """Return one line of text at a place."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}" font-size="{size}">{escape(words)}</text>'


def line_chart(series: Mapping[str, Mapping[int, float]], *, x_label: str, y_label: str) -> str:
    """Return a chart of values against code lengths, one line a series, each named at its end.

    Args:
        series: name to {n_bits: value from 0 to 1}; the same lengths in each.
        x_label: what lies along the bottom.
        y_label: what the height means.
    """
    lengths = sorted({length for values in series.values() for length in values})
    every = [value for values in series.values() for value in values.values()]
    low = max(0.0, np.floor(min(every) * 10 - 0.5) / 10)
    left, right, top, bottom = 56.0, 330.0, 26.0, 210.0
    step = (right - left) / max(1, len(lengths) - 1)
    across = {length: left + step * place for place, length in enumerate(lengths)}

    def down(value: float) -> float:
        return float(bottom - (bottom - top) * (value - low) / (1 - low))

    parts = [text(left - 44, top - 10, y_label, anchor="start", fill=MUTED)]
    for tick in np.linspace(low, 1.0, 5):
        height = down(float(tick))
        parts.append(f'<line x1="{left}" x2="{right}" y1="{height:.1f}" y2="{height:.1f}" stroke="var(--rule)"/>')
        parts.append(text(left - 8, height + 4, f"{tick:.2f}", anchor="end", fill=MUTED, size=11))
    parts += [text(across[length], bottom + 18, str(length), fill=MUTED) for length in lengths]
    parts.append(text((left + right) / 2, bottom + 36, x_label, fill=MUTED))
    ends = _spread({name: down(values[max(values)]) for name, values in series.items()})
    for (name, values), color in zip(series.items(), SERIES, strict=False):
        points = [(across[length], down(value)) for length, value in sorted(values.items())]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}"/>' for x, y in points]
        parts.append(text(right + 10, ends[name] + 4, name, anchor="start", fill=color, size=13))
    return drawing(400, 256, parts, f"{y_label} against {x_label}")


def _spread(heights: Mapping[str, float], gap: float = 16.0) -> dict[str, float]:
    """Return the heights of labels moved apart so that none covers another."""
    placed: dict[str, float] = {}
    last = -gap
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        last = max(height, last + gap)
        placed[name] = last
    return placed


def distance_map(distances: npt.NDArray[np.int32], names: Sequence[str], *, n_bits: int) -> str:
    """Return a table of squares that shows the distances between class centers; dark is near.

    Args:
        distances: int32 `(n, n)`, in bits.
        names: the name of each row.
        n_bits: the largest possible distance.
    """
    strengths = 1 - 1.6 * distances / n_bits
    texts = [[str(distance) for distance in row] for row in distances.tolist()]
    return _square_map(strengths, texts, names, "distances between class centers, in bits", " bits")


def similarity_map(similarity: npt.NDArray[np.float64], names: Sequence[str]) -> str:
    """Return a table of squares that shows how alike classes are; dark is alike.

    A similarity is as dark as the distance of two centers whose product it is in `distance_map`.

    Args:
        similarity: `(n, n)`, -1 to 1.
        names: the name of each row.
    """
    texts = [[_tenths(value) for value in row] for row in similarity.tolist()]
    return _square_map(0.2 + 0.8 * similarity, texts, names, "similarity of the classes, -1 to 1", "")


def _tenths(value: float) -> str:
    """Return a value from -1 to 1 in tenths, short: ".8", "-.3", "1", "0"."""
    return f"{round(value, 1) + 0.0:.1f}".replace("0.", ".").replace(".0", "") or "0"


def _square_map(
    strengths: npt.NDArray[np.float64], texts: Sequence[Sequence[str]], names: Sequence[str], label: str, unit: str
) -> str:
    """Return a table of squares, the stronger (0 to 1) the darker, each with its text but for the diagonal."""
    longest = max(map(len, names))
    size, left, top = 22, 24 + 6.5 * longest, 24 + 5.25 * longest
    parts = []
    for row, name in enumerate(names):
        parts.append(text(left - 6, top + size * row + 15, name, anchor="end", size=11))
        x, y = left + size * row + 14, top - 6
        turned = f'text-anchor="start" font-size="11" fill="{INK}" transform="rotate(-55 {x:g} {y:g})"'
        parts.append(f'<text x="{x:g}" y="{y:g}" {turned}>{escape(name)}</text>')
        for column, other in enumerate(names):
            strength = float(np.clip(strengths[row, column], 0.06, 1)) if row != column else 1.0
            title = f"<title>{escape(name)} and {escape(other)}: {texts[row][column]}{unit}</title>"
            parts.append(
                f'<rect x="{left + size * column:g}" y="{top + size * row:g}" width="{size - 2}" height="{size - 2}" '
                f'rx="2" fill="var(--one)" fill-opacity="{strength:.2f}">{title}</rect>'
            )
            if row != column:
                place = (left + size * column + size / 2 - 1, top + size * row + 15)
                parts.append(text(*place, texts[row][column], size=10))
    side = size * len(names)
    return drawing(left + side + 40, top + side + 8, parts, label)


def bit_strip(signs: npt.NDArray[np.int8], reference: npt.NDArray[np.int8] | None = None) -> str:
    """Return the bits of a code as a strip: filled for +1; bits that differ from `reference` stand out in colour."""
    cells = [f"M{place} 0h1v1h-1z" for place, sign in enumerate(signs) if sign > 0]
    parts = [f'<path d="{"".join(cells)}" fill="var(--bit)"/>'] if cells else []
    if reference is not None:
        differing = [f"M{place} 0h1v1h-1z" for place in np.flatnonzero(signs != reference)]
        if differing:
            parts.append(f'<path d="{"".join(differing)}" fill="var(--miss)"/>')
    inner = "".join(parts)
    return f'<svg class="bits" viewBox="0 0 {len(signs)} 1" preserveAspectRatio="none" aria-hidden="true">{inner}</svg>'


def drawing(width: float, height: float, parts: Sequence[str], label: str) -> str:
    """Return a whole picture of some parts, with words for readers that do not see."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )
