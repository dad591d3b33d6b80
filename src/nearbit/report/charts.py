"""Charts of many lines as SVG: told apart by colour and by the shape of their points, with bands of deviation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from nearbit.report.svg import MUTED, text

COLORS = 8
DASHES = ("", "6 4", "2 3")
SHAPES = ("circle", "square", "up", "diamond", "down", "plus", "cross", "bar")
WIDTH, HEIGHT = 340.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 330.0, 30.0, 214.0
RULE = 'stroke="var(--rule)"'


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a chart, or a piece of one: pieces of the same name and style are one line with gaps.

    Attributes:
        name: what it is, for the legend and for readers that do not see.
        style: a number ≥ 0; equal numbers look alike in every chart.
        points: (x, y), in order.
        deviations: of each y; 0 draws no band there.
        marked: the places of the points that get a mark with their value; None for all.
    """

    name: str
    style: int
    points: Sequence[tuple[float, float]]
    deviations: Sequence[float] = ()
    marked: Sequence[int] | None = None


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis: what it means, and the text of each tick by its place, of which the outermost are its ends."""

    label: str
    ticks: Mapping[float, str]

    def share(self, value: float) -> float:
        """Return where a value lies: 0 at the first tick, 1 at the last."""
        low, high = min(self.ticks), max(self.ticks)
        return 0.5 if low == high else (value - low) / (high - low)


def chart(title: str, lines: Sequence[Line], x: Axis, y: Axis, levels: Mapping[str, float] | None = None) -> str:
    """Return a chart of lines over two axes.

    Args:
        title: what stands above it.
        lines: what is drawn.
        x, y: the axes.
        levels: values of y by name, drawn as dashed lines from side to side with their names on them.
    """
    levels = levels or {}
    parts = [text(LEFT, 14, title, anchor="start", size=13), *_grid(x, y), *_levels(levels, y)]
    parts += [_band(line, x, y) for line in lines if any(line.deviations)]
    for line in lines:
        places = [_place(point, x, y) for point in line.points]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke-width="2" {_stroke(line.style)}/>')
        for place in range(len(line.points)) if line.marked is None else line.marked:
            said = f"{line.name}: {x.label} {_said(line.points[place][0], x)}, {y.label} {line.points[place][1]:.4f}"
            parts.append(_mark(*places[place], line.style, said))
    names = ", ".join(dict.fromkeys([*(line.name for line in lines), *levels]))
    label = f"{title}: {y.label} against {x.label}; lines: {names}"
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" width="{WIDTH:g}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def legend(styles: Mapping[str, int]) -> str:
    """Return an HTML list of names with the look of their lines."""
    items = [
        f'<li><svg width="34" height="14" viewBox="0 0 34 14" aria-hidden="true"><line x1="1" x2="33" y1="7" y2="7" '
        f'stroke-width="2" {_stroke(style)}/>{_mark(17, 7, style)}</svg>{escape(name)}</li>'
        for name, style in styles.items()
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'


def nice_ticks(low: float, high: float, *, steps: int = 5) -> list[float]:
    """Return about `steps` + 1 round numbers, of which the first is at most `low` and the last at least `high`.

    Example:
        >>> nice_ticks(0.61, 0.83)
        [0.6, 0.65, 0.7, 0.75, 0.8, 0.85]
    """
    rough = max(high - low, 1e-3) / steps
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 10) for place in range(first, max(last, first + 1) + 1)]


def _grid(x: Axis, y: Axis) -> list[str]:
    parts = []
    for value, words in y.ticks.items():
        down = BOTTOM - (BOTTOM - TOP) * y.share(value)
        parts.append(f'<line x1="{LEFT}" x2="{RIGHT}" y1="{down:.1f}" y2="{down:.1f}" {RULE}/>')
        parts.append(text(LEFT - 6, round(down + 4, 1), words, anchor="end", fill=MUTED, size=11))
    for value, words in x.ticks.items():
        across = LEFT + (RIGHT - LEFT) * x.share(value)
        parts.append(f'<line x1="{across:.1f}" x2="{across:.1f}" y1="{BOTTOM}" y2="{BOTTOM + 4}" {RULE}/>')
        parts.append(text(round(across, 1), BOTTOM + 17, words, fill=MUTED, size=11))
    middle = (TOP + BOTTOM) / 2
    up = f'<g transform="rotate(-90 14 {middle:g})">{text(14, middle, y.label, fill=MUTED, size=11)}</g>'
    return [*parts, text((LEFT + RIGHT) / 2, BOTTOM + 36, x.label, fill=MUTED, size=11), up]


def _levels(levels: Mapping[str, float], y: Axis) -> list[str]:
    """Return dashed lines with their names: the highest name above its line, the others below theirs, apart."""
    parts, lowest = [], TOP
    for value, name in sorted(((value, name) for name, value in levels.items()), reverse=True):
        down = BOTTOM - (BOTTOM - TOP) * y.share(value)
        said = f"<title>{escape(f'{name}: {y.label} {value:.4f}')}</title>"
        parts.append(
            f'<line class="level" x1="{LEFT}" x2="{RIGHT}" y1="{down:.1f}" y2="{down:.1f}" stroke="{MUTED}" '
            f'stroke-width="1.5" stroke-dasharray="7 4">{said}</line>'
        )
        words = down - 4 if len(parts) == 1 and down > TOP + 12 else max(down + 12, lowest + 12)
        lowest = words
        parts.append(text(RIGHT, round(words, 1), name, anchor="end", fill=MUTED, size=10))
    return parts


def _place(point: tuple[float, float], x: Axis, y: Axis) -> tuple[float, float]:
    return LEFT + (RIGHT - LEFT) * x.share(point[0]), BOTTOM - (BOTTOM - TOP) * y.share(point[1])


def _band(line: Line, x: Axis, y: Axis) -> str:
    pairs = list(zip(line.points, line.deviations, strict=True))
    upper = [_place((across, value + deviation), x, y) for (across, value), deviation in pairs]
    lower = [_place((across, value - deviation), x, y) for (across, value), deviation in reversed(pairs)]
    corners = " ".join(f"{across:.1f},{down:.1f}" for across, down in upper + lower)
    return f'<polygon points="{corners}" fill="{_color(line.style)}" fill-opacity="0.16" stroke="none"/>'


def _color(style: int) -> str:
    return f"var(--s{style % COLORS + 1})"


def _stroke(style: int) -> str:
    dash = DASHES[style // COLORS % len(DASHES)]
    return f'stroke="{_color(style)}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def _said(value: float, axis: Axis) -> str:
    return axis.ticks.get(value, f"{value:.4f}")


def _mark(x: float, y: float, style: int, words: str = "") -> str:
    """Return the mark of a point, with its words for those who point at it."""
    shape, title = SHAPES[style % len(SHAPES)], f"<title>{escape(words)}</title>" if words else ""
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_color(style)}">{title}</circle>'
    if shape in ("plus", "cross", "bar"):
        path = {"plus": "M-5 0h10M0 -5v10", "cross": "M-4 -4l8 8M-4 4l8 -8", "bar": "M0 -6v12"}[shape]
        look = f'fill="none" stroke-width="2.4" stroke="{_color(style)}"'
    else:
        path = {
            "square": "M-4 -4h8v8h-8z",
            "up": "M0 -5l5 9h-10z",
            "diamond": "M0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
            "down": "M0 5l5 -9h-10z",
        }[shape]
        look = f'fill="{_color(style)}"'
    return f'<path d="{path}" transform="translate({x:.1f} {y:.1f})" {look}>{title}</path>'
