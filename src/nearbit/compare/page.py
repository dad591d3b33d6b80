"""The page of a comparison: tables, charts and maps in one HTML file that needs nothing else."""

import shlex
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nearbit.compare.charts import center_maps, curve_charts, length_charts
from nearbit.compare.findings import PRIMARY, Column, Findings
from nearbit.compare.rendering import NEAR
from nearbit.compare.tables import Table, TableEntry, spread_text, tables_of
from nearbit.report.page import page

WIDE = 8
"""Tables of more columns are written smaller."""
LONG = 40
"""Fields with more letters may be broken into lines."""

FOLDED = 30
"""Tables with more lines show them on demand; those of quality and of failed cells always show all."""

WORDS = {
    "differences": "Rows that differ in one thing: the method, or the head of one method; baselines, which have no "
    "head, are beside every row. The average precision of each query is compared with that of the same query.",
    "quality": "Every database item is ranked for every query by the number of bits that differ; a database item is "
    "relevant if it shares a label with the query. The figure is the exact expectation over the order of items at "
    "equal distance. Epochs were chosen on validation images, never on the queries.",
    "further": "The figures that other tables report. “Database order” takes items at equal distance in the order of "
    "the database, as most published tables do: codes with many ties make it arbitrary.",
    "choice": "What each run was chosen by, and its centers: the least distance of two classes, beside the largest "
    "that is possible for so many classes at this length.",
    "health": "Few distinct codes mean many ties; bits that never change, or change together, carry less than their "
    "share.",
    "failures": "Every other figure leaves these runs out.",
}

LENGTHS = "Bands: one sample deviation over seeds. Dashed: what the frozen features give without any code, if known."


def comparison_page(findings: Findings) -> str:
    """Return the whole page as HTML."""
    about = findings.comparison.about
    tables = {table.name: table for table in tables_of(findings)}
    name = str(about.get("dataset", {}).get("name", "a data set"))
    quality = tables.pop("quality")
    differences, failures = tables.pop("differences", None), tables.pop("failures", None)
    body = [
        f"<h1>Comparison on {escape(name)}</h1>",
        f'<p class="lead">{escape(_progress(findings))}</p>',
        _facts(findings),
        *_section(quality, _verdicts(findings.columns)),
        *_drawing("Quality by code length", LENGTHS, length_charts(findings)),
        *([] if differences is None else _section(differences)),
        *_drawing(
            "Precision and recall by radius",
            "Each point of a line is a radius, from 0 bits on the left to all bits on the right; means over queries "
            "and seeds. A query with no item within a radius counts with precision 0 there.",
            curve_charts(findings),
        ),
        *_drawing(
            "Centers",
            "Distances between the centers of classes, like classes beside each other: dark is near. First seed of "
            "each method. The order is that of the similarity of classes where a method used one.",
            center_maps(findings),
        ),
        *[part for table in tables.values() for part in _section(table)],
        *([] if failures is None else _section(failures)),
        *_reproduce(about),
    ]
    return page(f"nearbit: comparison on {name}", [part for part in body if part])


def table_html(table: Table) -> str:
    """Return a table with its notes; the best of a column is bold, what is not significantly below it has a mark."""
    word, head = ' class="word"', range(len(table.header))
    cells = "".join(
        f'<th scope="col"{word if place < table.words else ""}>{escape(table.header[place])}</th>' for place in head
    )
    rows = "".join(
        f"<tr>{''.join(_cell(entry, place < table.words) for place, entry in enumerate(row))}</tr>"
        for row in table.rows
    )
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    body = f"<thead><tr>{cells}</tr></thead><tbody>{rows}</tbody>"
    kinds = "dense wide" if len(table.header) > WIDE else "dense"
    return f'<div class="scroll"><table class="{kinds}">{body}</table></div>{notes}'


def _cell(entry: TableEntry, word: bool) -> str:
    kinds = [("word", word), ("best", entry.best), ("long", len(entry.text) > LONG)]
    names = " ".join(name for name, holds in kinds if holds)
    start = f'<td class="{names}">' if names else "<td>"
    return f"{start}{escape(entry.text)}{f' {NEAR}' if entry.near else ''}</td>"


def _section(table: Table, before: str = "") -> list[str]:
    """Return a table under its title and words; a long one is folded."""
    words, drawn = WORDS.get(table.name), table_html(table)
    if len(table.rows) > FOLDED and table.name not in ("quality", "failures"):
        drawn = f"<details><summary>{len(table.rows)} lines</summary>{drawn}</details>"
    return [f"<h2>{escape(table.title)}</h2>", f"<p>{escape(words)}</p>" if words else "", before, drawn]


def _drawing(title: str, words: str, drawn: str) -> list[str]:
    return [f"<h2>{escape(title)}</h2>", f'<p class="note">{escape(words)}</p>', drawn] if drawn else []


def _progress(findings: Findings) -> str:
    counts = findings.counts()
    total = sum(counts.values())
    said = [f"{counts['done']} of {total} runs are done"]
    said += [f"{counts['failed']} failed"] if counts["failed"] else []
    said += [f"{counts['missing']} not run yet"] if counts["missing"] else []
    return ", ".join(said) + "."


def _verdicts(columns: Sequence[Column]) -> str:
    """Return one sentence a length: which row has the largest mean, and which are not significantly below it."""
    items = []
    for column in columns:
        if not column.best:
            continue
        spread = column.groups[column.best[0]].spread(PRIMARY)
        value = "" if spread is None else f" ({spread_text(spread, 4)})"
        near = [row.name for row in column.groups if row in column.near_best()]
        said = f"; not significantly below: {'; '.join(near)}" if near else ""
        names = " and ".join(row.name for row in column.best)
        items.append(f"<li>{column.n_bits} bits: <b>{escape(names)}</b>{escape(value + said)}</li>")
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _facts(findings: Findings) -> str:
    about = findings.comparison.about
    dataset, split = about.get("dataset", {}), about.get("split", {})
    done = [result for result in findings.comparison.results if result.status == "done"]
    hashes = sorted({str(result.facts.get("split_hash"))[:12] for result in done})
    facts = {
        "data": _words({name: value for name, value in dataset.items() if name != "name"}),
        "split": _words({name: value for name, value in split.items() if name not in ("sizes", "hashes")}),
        "parts": _words(split.get("sizes", {})),
        "split hashes": ", ".join(hashes),
        "seeds": _words(about.get("seeds", [])),
        "training": _words(about.get("train_options", {})),
        "versions": _words(about.get("versions", {})),
        "machine": _words(about.get("machine", {})),
    }
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="word long">{escape(said)}</td></tr>'
        for name, said in facts.items()
        if said
    )
    return f'<div class="scroll"><table>{rows}</table></div>'


def _words(value: Any) -> str:
    """Return a value of `comparison.json` for people."""
    if isinstance(value, Mapping):
        known = {name: _words(inner) for name, inner in value.items() if inner is not None}
        return ", ".join(f"{str(name).replace('_', ' ')} {inner}" for name, inner in known.items() if inner)
    if isinstance(value, list | tuple):
        return ", ".join(_words(inner) for inner in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _reproduce(about: Mapping[str, Any]) -> list[str]:
    command = about.get("command")
    commands = about.get("commands") or ([command] if command else [])
    if not commands:
        return []
    lines = [line if isinstance(line, str) else shlex.join(str(word) for word in line) for line in commands]
    said = "command below makes" if len(lines) == 1 else "commands below make"
    return [
        "<h2>How to reproduce</h2>",
        f"<p>The {said} the same cells; into the same folder only those are run that are not there yet. "
        "Every number of every cell is in <code>table.csv</code>, all statistics in <code>summary.json</code>.</p>",
        f"<pre><code>{escape(chr(10).join(lines))}</code></pre>",
    ]
