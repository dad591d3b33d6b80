"""Tables as text for a terminal, as Markdown and as LaTeX; cells as CSV."""

import csv
import re
from collections.abc import Mapping, Sequence
from io import StringIO

from nearbit.compare.findings import PRIMARY
from nearbit.compare.folder import CellResult, ComparisonFolder
from nearbit.compare.statistics import reason_of, scalars_of
from nearbit.compare.tables import Table, TableEntry
from nearbit.metrics.cosine import WITHOUT_CODES

BEST, NEAR = "*", "†"
LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "†": r"$^{\dagger}$",
    "≥": r"$\geq$",
    "…": r"\ldots{}",
}
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|])")


def text_lines(table: Table) -> list[str]:
    """Return a table for a terminal: aligned, with "*" where other formats are bold."""
    lines = [list(table.header), *([_marked(entry) for entry in row] for row in table.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.header))]
    body = [
        "  ".join(
            field.ljust(width) if column < table.words else field.rjust(width)
            for column, (field, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return [table.title, "", *body, "", *table.notes]


def markdown_text(tables: Sequence[Table]) -> str:
    """Return tables as one Markdown document."""
    return "\n".join(line for table in tables for line in [*_markdown_lines(table), ""])


def latex_text(tables: Sequence[Table]) -> str:
    """Return tables for a LaTeX document with the package booktabs."""
    first = ["% needs \\usepackage{booktabs}; made by nearbit compare", ""]
    return "\n".join([*first, *(line for table in tables for line in [*_latex_lines(table), ""])])


def csv_text(comparison: ComparisonFolder) -> str:
    """Return one line a cell with every number of it; a field is empty where a cell does not have it.

    Beside them stands what the float features give without codes at the cell's seed, where that is known.
    """
    results, references = comparison.results, comparison.about.get("references", {})
    scalars = [{**scalars_of(one.facts), **_beside(one, references)} for one in results]
    figures = list(dict.fromkeys(name for values in scalars for name in values))
    first = ["method", "head", "n_bits", "seed", "status", "error", "head_used", "split_hash"]
    names = [name for name in figures if name not in first]
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*first, *names])
    for result, values in zip(results, scalars, strict=True):
        cell, facts = result.cell, result.facts
        error = reason_of(result) if result.status == "failed" else ""
        said = [facts.get("head") or "", facts.get("split_hash") or ""]
        row = [cell.method, cell.head, cell.n_bits, cell.seed, result.status, error, *said]
        writer.writerow([*row, *(_number(values.get(name)) for name in names)])
    return out.getvalue()


def _beside(result: CellResult, references: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    """Return the figures without codes of a cell's seed, by name, and the share that its codes keep.

    There is no share where a sample of the queries was ranked: the codes have their figure of all of them.
    """
    known = references.get(str(result.cell.seed), {})
    found = {f"reference.{name}": float(value) for name in WITHOUT_CODES if (value := known.get(name)) is not None}
    whole, own = known.get("float_cosine_map"), scalars_of(result.facts).get(PRIMARY)
    if whole and own is not None and known.get("queries_ranked") == known.get("queries"):
        found["reference.kept_share"] = own / whole
    return found


def _number(value: float | None) -> str:
    """Return a number so that reading it gives the same one; whole numbers without a point."""
    if value is None:
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _marked(entry: TableEntry) -> str:
    return entry.text + (f" {BEST}" if entry.best else "") + (f" {NEAR}" if entry.near else "")


def _markdown_lines(table: Table) -> list[str]:
    rule = [":--" if column < table.words else "--:" for column in range(len(table.header))]
    rows = [[_markdown_entry(entry) for entry in row] for row in table.rows]
    header = [_escaped(name) for name in table.header]
    lines = [f"| {' | '.join(line)} |" for line in (header, rule, *rows)]
    return [f"## {table.title}", "", *lines, "", *(_escaped(note) + "  " for note in table.notes)]


def _markdown_entry(entry: TableEntry) -> str:
    text = _escaped(entry.text)
    return (f"**{text}**" if entry.best else text) + (f" {NEAR}" if entry.near else "")


def _escaped(text: str) -> str:
    return MARKDOWN.sub(r"\\\1", text)


def _latex_lines(table: Table) -> list[str]:
    shape = "l" * table.words + "r" * (len(table.header) - table.words)
    rows = [" & ".join(_latex_entry(entry) for entry in row) + r" \\" for row in table.rows]
    header = " & ".join(map(_latex, table.header)) + r" \\"
    return [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(table.title)}. {' '.join(map(_latex, table.notes))}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{shape}}}",
        r"\toprule",
        header,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _latex_entry(entry: TableEntry) -> str:
    text = _latex(entry.text)
    return (rf"\textbf{{{text}}}" if entry.best else text) + (LATEX[NEAR] if entry.near else "")


def _latex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in text)
