"""A chart of dots: values of several names on one axis, beside levels that all of them are held against."""

from collections.abc import Mapping, Sequence
from html import escape

from nearbit.report.charts import nice_ticks
from nearbit.report.svg import MUTED, drawing, text


def dot_chart(rows: Mapping[str, Mapping[str, float]], levels: Mapping[str, float], *, x_label: str) -> str:
    """Return a chart of values along one axis: a row of dots a name, and dashed lines for levels.

    Args:
        rows: name to {what: value from 0 to 1}; of the whats, the same in each row, the first is drawn full.
        levels: values by name that go through all rows, named above.
        x_label: what lies along the bottom.
    """
    every = [value for values in rows.values() for value in values.values()] + list(levels.values())
    ticks = nice_ticks(min(every), max(every))
    low, high = ticks[0], ticks[-1]
    left, right, top, gap = 56.0, 376.0, 20.0 + 15 * len(levels), 26.0
    bottom = top + gap * len(rows) + 6

    def across(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    parts = [_tick(across(tick), top, bottom, f"{tick:.2f}") for tick in ticks]
    for number, (name, value) in enumerate(levels.items()):
        at, up = across(value), 14 + 15 * number
        look = 'stroke="var(--muted)" stroke-dasharray="4 3" stroke-width="1.5"'
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{up + 4}" y2="{bottom:.1f}" {look}/>')
        parts.append(text(round(at, 1), up, f"{name} {value:.3f}", fill=MUTED, size=11))
    for number, (name, values) in enumerate(rows.items()):
        y = top + gap * (number + 0.5) + 3
        parts.append(text(left - 10, y + 4, name, anchor="end", size=13))
        parts += [_dot(across(value), y, name, what, value, full=not place) for place, (what, value) in _placed(values)]
    whats = list(dict.fromkeys(what for values in rows.values() for what in values))
    parts.append(text((left + right) / 2, bottom + 36, f"{x_label}; {_legend(whats)}", fill=MUTED))
    return drawing(400, bottom + 46, parts, f"{x_label} of {', '.join([*rows, *levels])}")


def _placed(values: Mapping[str, float]) -> list[tuple[int, tuple[str, float]]]:
    """Return the values with their places, the last first, so that the full dot of the first lies above."""
    return list(enumerate(values.items()))[::-1]


def _legend(whats: Sequence[str]) -> str:
    return ", ".join(f"{'○' if place else '●'} {what}" for place, what in enumerate(whats))


def _dot(x: float, y: float, name: str, what: str, value: float, *, full: bool) -> str:
    title = f"<title>{escape(f'{name}, {what}: {value:.4f}')}</title>"
    fill = "var(--one)" if full else "var(--paper)"
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}" stroke="var(--one)" stroke-width="2">{title}</circle>'
    )


def _tick(x: float, top: float, bottom: float, words: str) -> str:
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" stroke="var(--rule)"/>'
    return line + text(round(x, 1), bottom + 17, words, fill=MUTED, size=11)
