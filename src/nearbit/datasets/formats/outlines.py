"""The twelve kinds of shape and how each is drawn: as filled outlines or thick lines in units of its radius."""

import math
from collections.abc import Callable

from PIL import ImageDraw

Point = tuple[float, float]
Path = list[Point]

_LINE = 0.3
"""Thickness of lines, in radii."""


def _arc(radius: float, start: float, stop: float, center: Point = (0.0, 0.0), steps: int = 36) -> Path:
    """Return points along a circle between two angles in radians."""
    angles = [start + (stop - start) * step / steps for step in range(steps + 1)]
    return [(center[0] + radius * math.cos(angle), center[1] + radius * math.sin(angle)) for angle in angles]


def _regular(corners: int) -> Path:
    return [(math.cos(2 * math.pi * k / corners), math.sin(2 * math.pi * k / corners)) for k in range(corners)]


def _star(points: int, inner: float) -> Path:
    radii = [1.0, inner] * points
    return [(r * math.cos(math.pi * k / points), r * math.sin(math.pi * k / points)) for k, r in enumerate(radii)]


def _cross(arm: float = 0.32) -> Path:
    quarter = [(arm, -1.0), (arm, -arm), (1.0, -arm)]
    turns = [(1, 0), (0, 1), (-1, 0), (0, -1)]
    return [(x * c - y * s, x * s + y * c) for c, s in turns for x, y in [*quarter, (1.0, arm)][:3]]


def _crescent() -> Path:
    """Return the part of the unit circle outside a second circle shifted to the right."""
    outer = _arc(1.0, 0.9, 2 * math.pi - 0.9)
    tip = outer[-1]
    center = (0.62, 0.0)
    radius = math.dist(tip, center)
    angle = math.atan2(tip[1], tip[0] - center[0]) % (2 * math.pi)
    return [*outer, *_arc(radius, angle, 2 * math.pi - angle, center)]


def _spiral() -> Path:
    turns = [step / 60 * 2.1 * 2 * math.pi for step in range(61)]
    return [((0.08 + 0.92 * t / turns[-1]) * math.cos(t), (0.08 + 0.92 * t / turns[-1]) * math.sin(t)) for t in turns]


_FILLED: dict[str, Callable[[], list[Path]]] = {
    "disc": lambda: [_arc(0.9, 0, 2 * math.pi)],
    "crescent": lambda: [_crescent()],
    "triangle": lambda: [_regular(3)],
    "square": lambda: [_regular(4)],
    "chevron": lambda: [[(0.9, 0.0), (-0.35, 0.95), (-0.9, 0.5), (-0.1, 0.0), (-0.9, -0.5), (-0.35, -0.95)]],
    "star": lambda: [_star(5, 0.42)],
    "sparkle": lambda: [_star(4, 0.26)],
    "cross": lambda: [_cross()],
}
_LINES: dict[str, Callable[[], list[Path]]] = {
    "ring": lambda: [_arc(0.8, 0, 2 * math.pi + 0.3)],
    "zigzag": lambda: [[(-0.95, -0.35), (-0.48, 0.45), (0.0, -0.45), (0.48, 0.45), (0.95, -0.35)]],
    "spiral": lambda: [_spiral()],
    "arrow": lambda: [[(-0.95, 0.0), (0.85, 0.0)], [(0.2, -0.65), (0.85, 0.0), (0.2, 0.65)]],
}

FAMILIES = {
    "disc": "round", "ring": "round", "crescent": "round",
    "triangle": "polygon", "square": "polygon", "chevron": "polygon",
    "star": "star", "sparkle": "star", "cross": "star",
    "zigzag": "line", "spiral": "line", "arrow": "line",
}  # fmt: skip
"""The family of each kind."""

KINDS = tuple(FAMILIES)


def draw_shape(
    pen: ImageDraw.ImageDraw, kind: str, center: Point, radius: float, turn: float, color: tuple[int, int, int]
) -> None:
    """Draw one shape.

    Args:
        pen: draws on the image.
        kind: one of `KINDS`.
        center: in pixels.
        radius: of the circle around the shape, in pixels.
        turn: in radians.
        color: RGB, 0 to 255.
    """
    if kind in _FILLED:
        for outline in _FILLED[kind]():
            pen.polygon(_placed(outline, center, radius, turn), fill=color)
        return
    width = round(radius * _LINE)
    for line in _LINES[kind]():
        points = _placed(line, center, radius * (1 - _LINE / 2), turn)
        pen.line(points, fill=color, width=width, joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=color)


def _placed(points: Path, center: Point, radius: float, turn: float) -> Path:
    c, s = radius * math.cos(turn), radius * math.sin(turn)
    return [(center[0] + x * c - y * s, center[1] + x * s + y * c) for x, y in points]
