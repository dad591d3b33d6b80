"""The files of a comparison for people and programs, made from its cells: tables, statistics and the page."""

import json
from dataclasses import replace
from pathlib import Path

from nearbit.compare.findings import Findings, find
from nearbit.compare.folder import read_folder
from nearbit.compare.page import comparison_page
from nearbit.compare.rendering import csv_text, latex_text, markdown_text, text_lines
from nearbit.compare.soundness import sound
from nearbit.compare.statistics import data_notes
from nearbit.compare.tables import failure_table, quality_table, tables_of
from nearbit.files.writing import write_whole


def write_comparison(folder: str | Path, findings: Findings | None = None) -> list[Path]:
    """Write the tables, the statistics and the page of a comparison into its folder, finished or not.

    Args:
        folder: as `nearbit compare` fills it.
        findings: of this folder, where they are at hand: the tests in them take a while.

    Returns:
        the paths of `table.md`, `table.csv`, `table.tex`, `report.html` and `summary.json`. Each is replaced whole; the
        same cells give the same bytes.

    Raises:
        DataError: the folder holds no comparison, or a damaged one.
        OSError: a file cannot be written; it is named.
    """
    folder = Path(folder)
    comparison = read_folder(folder) if findings is None else findings.comparison
    with sound(folder):
        texts = _texts(findings or find(comparison))
    for name, text in texts.items():
        _write(folder / name, text)
    return [folder / name for name in texts]


def _texts(findings: Findings) -> dict[str, str]:
    tables = tables_of(findings)
    return {
        "table.md": markdown_text(tables),
        "table.csv": csv_text(findings.comparison),
        "table.tex": latex_text([table for table in tables if table.name != "differences"]),
        "report.html": comparison_page(findings),
        "summary.json": json.dumps(findings.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
    }


def summary_lines(folder: Path, findings: Findings | None = None) -> list[str]:
    """Return the main table of a comparison for a terminal, and which cells failed; of small sets `compare` warned.

    Raises:
        DataError: the folder holds no comparison, or a damaged one.
    """
    comparison = read_folder(folder) if findings is None else findings.comparison
    with sound(folder):
        findings = findings or find(comparison)
        failed = failure_table(findings)
        told = data_notes(comparison.about)
        table = quality_table(findings)
        table = replace(table, notes=tuple(note for note in table.notes if note not in told))
        return [*text_lines(table), *(["", *text_lines(failed)] if failed.rows else [])]


def _write(path: Path, text: str) -> None:
    """Write a text whole; bytes of a file name in it that are not UTF-8 come as "\\udcff", which JSON reads back."""
    content = text.encode("utf-8", "backslashreplace")
    write_whole(path, lambda aside: _fill(aside, content))


def _fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)
