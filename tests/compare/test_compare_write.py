import json
from html.parser import HTMLParser

import pytest
from cell_files import write_about, write_comparison_folder, write_done, write_failed

from nearbit.compare.folder import Cell
from nearbit.compare.write import summary_lines, write_comparison
from nearbit.errors import DataError

FILES = ["table.md", "table.csv", "table.tex", "report.html", "summary.json"]
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Reads a page: its tags, its text, what it refers to; notes tags that are not closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.words, self.links, self.badly_closed = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open[-1:] != [tag]:
            self.badly_closed.append(tag)
        else:
            self.open.pop()

    def handle_data(self, data):
        self.words.append(data)


def read_page(folder):
    page = Page()
    page.feed((folder / "report.html").read_text(encoding="utf-8"))
    return page


def titles(page):
    """Return the texts of the page that stand in it as they are."""
    return [words.strip() for words in page.words if words.strip()]


def test_a_comparison_becomes_tables_statistics_and_a_page(tmp_path):
    write_comparison_folder(tmp_path, heads=("linear", "hidden"))
    paths = write_comparison(tmp_path)
    assert [path.name for path in paths] == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES, "cells", "comparison.json"])
    page = read_page(tmp_path)
    assert page.open == []
    assert page.badly_closed == []
    wanted = ("Tie-aware mean average precision, precision and recall", "Quality by code length",
              "Precision and recall by radius", "Centers",
              "Health of the database codes", "Time and memory of a run", "How to reproduce")  # fmt: skip
    assert set(wanted) <= set(titles(page))
    assert "nearbit compare drawn --seeds 3 -o results/" in titles(page)
    labels = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg" and "aria-label" in attrs]
    assert sum("tie-aware mAP against bits" in label for label in labels) == 2
    assert sum("precision against recall" in label for label in labels) == 4
    assert all("crh, shc, csq, itq" in label for label in labels)


def test_the_page_needs_nothing_from_elsewhere(tmp_path):
    write_comparison_folder(tmp_path, bits=(12,))
    write_comparison(tmp_path)
    page = read_page(tmp_path)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object"}
    assert page.links
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")


def test_the_same_cells_give_the_same_bytes(tmp_path):
    write_comparison_folder(tmp_path, bits=(12,), seeds=(0, 1))
    first = [path.read_bytes() for path in write_comparison(tmp_path)]
    assert [path.read_bytes() for path in write_comparison(tmp_path)] == first


def test_a_comparison_of_which_nothing_has_run_is_written_too(tmp_path):
    write_about(tmp_path, methods=["crh", "itq"])
    write_comparison(tmp_path)
    assert "0 of 12 runs are done, 12 not run yet." in titles(read_page(tmp_path))
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["cells"] == {"done": 0, "failed": 0, "missing": 12}
    assert summary["differences"] == []
    assert summary_lines(tmp_path)[3].split() == ["crh", "linear", "missing", "missing"]


def test_a_comparison_can_be_written_after_every_cell(tmp_path):
    write_about(tmp_path, methods=["crh", "shc"], bits=(12,), seeds=(0, 1))
    for done, (method, seed) in enumerate([("crh", 0), ("shc", 1), ("shc", 0), ("crh", 1)], start=1):
        write_done(tmp_path, Cell(method=method, head="linear", n_bits=12, seed=seed))
        write_comparison(tmp_path)
        summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
        assert summary["cells"]["done"] == done
        shared = [item["seeds"] for item in summary["differences"]]
        assert shared == [[], [], [[0]], [[0, 1]]][done - 1]


def test_a_reason_is_shown_as_text_whatever_it_holds(tmp_path):
    write_about(tmp_path, methods=["crh"], bits=(12,), seeds=(0,))
    reason = '<script>alert(1)</script> & "more" | \udcff'
    write_failed(tmp_path, Cell(method="crh", head="linear", n_bits=12, seed=0), reason)
    write_comparison(tmp_path)
    (group,) = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["groups"]
    assert group["failures"] == [{"reason": reason.replace("\udcff", "\\udcff"), "cells": 1}]
    page = read_page(tmp_path)
    assert "script" not in {tag for tag, _ in page.tags}
    assert '<script>alert(1)</script> & "more" | \\udcff' in titles(page)
    assert any("alert(1)" in line for line in summary_lines(tmp_path))


def test_the_summary_has_all_statistics_and_no_value_of_a_single_query(tmp_path):
    comparison = write_comparison_folder(tmp_path)
    write_comparison(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert len(summary["groups"]) == 8
    assert [len(entry["behind"]) for entry in summary["best"]] == [3, 3]
    assert len(summary["differences"]) == 12
    assert set(summary["groups"][0]["figures"]["report.tie_aware_map"]) == {"n", "mean", "deviation"}
    assert summary["split_hashes"] == ["split0", "split1", "split2"]
    assert "tie_aware_map" in summary["conventions"]
    n_query = len(comparison.results[0].arrays()["average_precision"])
    assert all(len(found) < n_query for found in lists_in(summary))


def lists_in(value):
    """Yield every list within JSON data."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, list):
        yield value
    for other in inner:
        yield from lists_in(other)


def test_baselines_alone_have_one_chart_and_cells_without_centers_no_map(tmp_path):
    write_comparison_folder(tmp_path, methods=["itq"], bits=(12,), seeds=(0,))
    path = tmp_path / "cells" / "itq-12-seed0.npz"
    path.unlink()
    write_comparison(tmp_path)
    page = read_page(tmp_path)
    assert "Centers" not in titles(page)
    labels = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg" and "aria-label" in attrs]
    assert [label.partition(":")[0] for label in labels] == ["baselines", "baselines, 12 bits"]


def test_a_folder_without_a_comparison_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"comparison\.json cannot be read"):
        write_comparison(tmp_path)
