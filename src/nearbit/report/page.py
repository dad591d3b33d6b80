"""The parts of a self-contained HTML page: no script, no font and no picture from elsewhere."""

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO

from PIL import Image

STYLE = """
:root {
  --paper: #fbfcfd; --ink: #1d2733; --muted: #5a6877; --rule: #dbe3ea; --card: #ffffff; --box: #f4f7fa;
  --one: #0b6bcb; --two: #b8480a; --three: #2c7a3f; --four: #7a3fb0; --hit: #1a7f45; --miss: #c62f2f; --bit: #51606f;
  --s1: #0072b2; --s2: #d55e00; --s3: #009e73; --s4: #b8528a; --s5: #b58500; --s6: #4aa8e0;
  --s7: #1d2733; --s8: #858585;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #10161d; --ink: #e8edf3; --muted: #9fb0c0; --rule: #2b3743; --card: #17202a; --box: #1b2530;
    --one: #6cb6ff; --two: #ff9d66; --three: #6fd08c; --four: #c79bf2; --hit: #5fd28f; --miss: #ff8080; --bit: #8ea0b2;
    --s1: #4da3e0; --s2: #ff8a4a; --s3: #2fc79a; --s4: #e39ac4; --s5: #f0b93a; --s6: #a5dcfa;
    --s7: #e8edf3; --s8: #a0a0a0;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 40px 22px 80px; }
h1 { font-size: 2.1rem; margin: 0 0 6px; letter-spacing: -0.02em; }
h2 { font-size: 1.4rem; margin: 52px 0 6px; }
h3 { font-size: 1.05rem; margin: 26px 0 8px; }
p { max-width: 74ch; margin: 8px 0; }
.lead, .note { color: var(--muted); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 14px 0; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 16px 6px 0; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { font-weight: 600; color: var(--muted); font-size: 0.85rem; }
th:first-child, td:first-child { text-align: left; }
.best { font-weight: 700; }
table th.word, table td.word { text-align: left; }
table.dense th { white-space: normal; vertical-align: bottom; }
table.wide { font-size: 0.82rem; }
table.wide th, table.wide td { padding-right: 9px; }
td.long { white-space: normal; min-width: 26ch; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 18px 22px; margin: 14px 0; }
.maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px; margin: 12px 0; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 12px 0 0; padding: 0; list-style: none; }
.legend { font-size: 0.9rem; }
.legend svg { vertical-align: middle; margin-right: 6px; }
summary { cursor: pointer; color: var(--muted); margin: 10px 0; }
.beside { display: flex; flex-wrap: wrap; gap: 12px 56px; align-items: flex-start; }
.row { display: grid; grid-template-columns: 104px 1fr; gap: 14px; padding: 12px 0; }
.row { border-bottom: 1px solid var(--rule); }
.found { display: grid; grid-template-columns: repeat(8, 1fr); gap: 8px; }
@media (max-width: 900px) { .found { grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); } }
@media (max-width: 520px) {
  .row { grid-template-columns: 64px 1fr; gap: 8px; }
  .found { grid-template-columns: repeat(4, 1fr); gap: 6px; }
}
figure { margin: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 6px; }
figure.hit { border-bottom: 3px solid var(--hit); }
figure.miss { border-bottom: 3px solid var(--miss); }
figure img { display: block; width: 100%; aspect-ratio: 1; border-radius: 4px; image-rendering: pixelated; }
figcaption { font-size: 0.72rem; line-height: 1.35; color: var(--muted); margin-top: 4px; overflow-wrap: anywhere; }
.photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 10px; margin: 10px 0; }
.photos img { aspect-ratio: 4 / 3; object-fit: cover; image-rendering: auto; }
figcaption b { color: var(--ink); }
.bits { display: block; width: 100%; height: 7px; margin-top: 5px; background: var(--rule); border-radius: 2px; }
pre { background: var(--box); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 16px; overflow-x: auto; }
code { font: 0.92em ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
svg { max-width: 100%; height: auto; }
svg text { font-family: system-ui, -apple-system, "Segoe UI", sans-serif; }
svg.bits { height: 7px; }
.key span { display: inline-block; width: 12px; height: 12px; border-radius: 3px; }
.key span { margin: 0 5px 0 14px; vertical-align: -1px; }
.key span:first-child { margin-left: 0; }
"""


POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, body: Sequence[str]) -> str:
    """Return a whole HTML page; `title` is text, `body` is HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], best: Sequence[bool]) -> str:
    """Return a table of texts; rows marked as best are bold."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    lines = []
    for row, bold in zip(rows, best, strict=True):
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        lines.append(f'<tr class="best">{cells}</tr>' if bold else f"<tr>{cells}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def picture(image: Image.Image, description: str) -> str:
    """Return an image as an HTML element that holds its own bytes."""
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(description)}" loading="lazy">'


def photograph(image: Image.Image, description: str, side: int) -> str:
    """Return an image in RGB, no side longer than `side` pixels, as an HTML element that holds its own bytes."""
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{escape(description)}" loading="lazy">'
