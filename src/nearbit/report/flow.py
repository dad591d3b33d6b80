"""The picture of how an image becomes a search result; `docs/flow.svg` is its output."""

from collections.abc import Sequence
from html import escape

BOXES = (
    ("images", "folder, CSV, COCO"),
    ("network", "backbone and head"),
    ("outputs", "one number a bit"),
    ("codes", "16 to 256 bits"),
    ("index", "one SQLite file"),
    ("results", "nearest first"),
)
WIDTH, GAP, TOP, HEIGHT = 128, 26, 50, 64

STYLE = """
  :root { --ink: #1d2733; --muted: #5d6b7a; --box: #f4f7fa; --edge: #b9c6d3; --one: #0b6bcb; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e8edf3; --muted: #9fb0c0; --box: #1b2530; --edge: #3c4c5c; --one: #6cb6ff; }
  }
  text { font-family: system-ui, -apple-system, 'Segoe UI', sans-serif; fill: var(--ink); text-anchor: middle; }
  .small { font-size: 12px; fill: var(--muted); }
  .name { font-size: 16px; font-weight: 600; }
  rect { fill: var(--box); stroke: var(--edge); }
  .method rect { stroke: var(--one); stroke-width: 2; }
  path { fill: none; stroke: var(--muted); stroke-width: 1.6; }
"""


def flow_svg() -> str:
    """Return the picture as a complete SVG file, readable on light and on dark."""
    total = len(BOXES) * WIDTH + (len(BOXES) - 1) * GAP + 20
    parts = [_box(_left(place), TOP, name, words) for place, (name, words) in enumerate(BOXES)]
    parts += [
        _arrow([(_left(place) + WIDTH + 3, TOP + 32), (_left(place + 1) - 4, TOP + 32)])
        for place in range(len(BOXES) - 1)
    ]
    method = _left(1)
    parts.append(
        f'<g class="method">{_box(method - 22, 164, "method", "centers and loss: CRH, CSQ", width=WIDTH + 44)}</g>'
    )
    parts.append(_arrow([(method + WIDTH / 2, 160), (method + WIDTH / 2, TOP + HEIGHT + 4)]))
    parts.append(_box(_left(4) - 10, 164, "evaluation", "tie-aware mAP", width=WIDTH + 20))
    parts.append(_arrow([(_left(3) + WIDTH / 2, TOP + HEIGHT + 2), (_left(3) + WIDTH / 2, 196), (_left(4) - 14, 196)]))
    split = (
        "images are split into train, validation, query and database, by content, and the split is saved with the model"
    )
    parts.append(f'<text class="small" x="{total / 2:g}" y="26">{escape(split)}</text>')
    body = "\n  ".join(parts)
    label = "From images through a network, outputs and codes to an index and its results"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} 244" role="img" aria-label="{label}">\n'
        f"  <style>{STYLE}</style>\n"
        '  <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8" /></marker></defs>\n'
        f"  {body}\n</svg>\n"
    )


def _left(place: int) -> int:
    return 10 + place * (WIDTH + GAP)


def _box(x: float, y: float, name: str, words: str, *, width: float = WIDTH) -> str:
    middle = x + width / 2
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{HEIGHT}" rx="10"/>'
        f'<text class="name" x="{middle:g}" y="{y + 28:g}">{escape(name)}</text>'
        f'<text class="small" x="{middle:g}" y="{y + 48:g}">{escape(words)}</text>'
    )


def _arrow(points: Sequence[tuple[float, float]]) -> str:
    path = "L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path d="M{path}" marker-end="url(#tip)"/>'
