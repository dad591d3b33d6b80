"""Write the tables of figures in docs/metrics.md from `nearbit.metrics.FIGURES`; run it after a figure is added.

python tools/figures.py
"""

import re
from pathlib import Path

from nearbit.metrics import FIGURES, KINDS

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
PLACE = re.compile(r"<!-- figures: (\w+) -->\n.*?<!-- end -->", re.DOTALL)
BAR = r"\|"
"""A bar that does not end a field of a table."""


def table(group: str) -> str:
    """Return the lines of the table of one group of figures, or of their kinds."""
    if group == "kinds":
        named = {kind: ", ".join(f"`{one.name}`" for one in FIGURES if one.kind == kind) for kind in KINDS}
        rows = [f"| `{kind}` | {what} | {named[kind]} |" for kind, what in KINDS.items()]
        return "\n".join(["| asked for by | what they tell | figures |", "|---|---|---|", *rows])
    own = [figure for figure in FIGURES if figure.group == group]
    notes = {FIGURES[0].name: " (the primary figure)"}
    rows = [f"| `{one.name}`{notes.get(one.name, '')} | {one.means.replace('|', BAR)} |" for one in own]
    return "\n".join(["| figure | what it is |", "|---|---|", *rows])


def written(page: str) -> str:
    """Return a page with each table between its two marks written anew."""
    return PLACE.sub(lambda found: f"<!-- figures: {found[1]} -->\n{table(found[1])}\n<!-- end -->", page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
