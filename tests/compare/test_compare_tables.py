import csv
import re
from io import StringIO

import pytest
from cell_files import FLIPS, Scene, write_comparison_folder, write_done, write_failed

from nearbit.compare.findings import find
from nearbit.compare.folder import Cell, read_folder
from nearbit.compare.rendering import csv_text, latex_text, markdown_text, text_lines
from nearbit.compare.statistics import Spread, data_notes
from nearbit.compare.tables import Table, TableEntry, p_text, quality_table, spread_text, tables_of

ODD = 'a_b & 50% of {x} | "y" <z> \\ #1 $2 ^3 ~4 *5*'
AWKWARD = Table(
    name="odd",
    title="Odd",
    header=("name", "value"),
    rows=((TableEntry(ODD), TableEntry("1 ± 2", best=True)), (TableEntry("b"), TableEntry("0", near=True))),
    notes=("50% of all",),
    words=1,
)


@pytest.fixture
def folder(tmp_path):
    """A comparison of four methods at 12 and 16 bits in which some cells failed or are missing."""
    skip = [f"crh-linear-16-seed{seed}" for seed in range(3)] + ["shc-linear-16-seed1", "csq-linear-12-seed2"]
    write_comparison_folder(tmp_path, skip=skip)
    for seed in range(3):
        write_failed(
            tmp_path, Cell(method="crh", head="linear", n_bits=16, seed=seed), "no such table\nfor 16 bits of it"
        )
    write_failed(tmp_path, Cell(method="csq", head="linear", n_bits=12, seed=2), "loss is not a number")
    return tmp_path


def texts(table):
    """Return the texts of a table by the first two fields of each row."""
    return {tuple(entry.text for entry in row[:2]): [entry.text for entry in row[2:]] for row in table.rows}


def test_the_main_table_says_means_counts_failures_and_what_is_missing(folder):
    findings = find(read_folder(folder))
    found = texts(quality_table(findings))
    assert list(found)[:-2] == [("crh", "linear"), ("shc", "linear"), ("csq", "linear"), ("itq", "-")]
    values = [result.figure("tie_aware_map") for result in findings.columns[0].groups[findings.rows[0]].results]
    assert found["crh", "linear"][0].startswith(f"{sum(values) / 3:.4f} ± ")
    assert found["crh", "linear"][0].endswith(" (3)")
    assert found["crh", "linear"][3] == "failed: no such table for 16 bits of it (3 of 3)"
    assert found["csq", "linear"][0].endswith(" (2 of 3)")
    assert found["shc", "linear"][3].endswith(" (2 of 3)")
    notes = quality_table(findings).notes
    assert "1 of 24 runs are not run yet." in notes
    assert "4 of 24 runs have failed." in notes


def test_the_main_table_has_precision_and_recall_beside_each_length(folder):
    findings = find(read_folder(folder))
    table = quality_table(findings)
    assert table.header == ("method", "head", "12 bits", "P@10", "R@100", "16 bits", "P@10", "R@100")
    for row, line in zip(findings.rows, table.rows[:-2], strict=True):
        for number, column in enumerate(findings.columns):
            for place, name in enumerate(("precision_at_10", "recall_at_100"), start=3 + 3 * number):
                values = [one.figure(name) for one in column.groups[row].results if one.status == "done"]
                assert line[place].text == (f"{sum(values) / len(values):.4f}" if values else "-")
    assert any(note.startswith("P@10 and R@100: mean precision among the first 10") for note in table.notes)


def test_precision_and_recall_that_no_cell_has_are_left_out(tmp_path):
    table = quality_table(find(write_comparison_folder(tmp_path, scene=Scene(n_database=60), bits=(12,))))
    assert table.header == ("method", "head", "12 bits", "P@10")


@pytest.mark.parametrize(
    ("sizes", "dataset", "words"),
    [
        ({"query": 200, "train": 40}, {"classes": 8, "labels_per_image": 1.0}, []),
        ({"query": 49, "train": 40}, {"classes": 8, "labels_per_image": 1.0}, ["49 queries. .*by about ±0.10;"]),
        ({"query": 200, "train": 39}, {"classes": 8, "labels_per_image": 1.0}, ["4.9 training images a class"]),
        ({"query": 200, "train": 20}, {"classes": 8, "labels_per_image": 2.0}, []),
        ({}, {}, []),
    ],
)
def test_small_sets_are_told(sizes, dataset, words):
    notes = data_notes({"split": {"sizes": sizes}, "dataset": dataset})
    assert len(notes) == len(words)
    assert all(re.search(word, note) for word, note in zip(words, notes, strict=True))


def test_the_main_table_says_that_a_set_is_small(tmp_path):
    table = quality_table(find(write_comparison_folder(tmp_path, bits=(12,))))
    assert any(note.startswith("A small set: 40 queries") for note in table.notes)


def test_cells_that_were_never_run_are_missing(tmp_path):
    write_comparison_folder(tmp_path, bits=(12,), skip=[f"itq-12-seed{seed}" for seed in range(3)])
    table = quality_table(find(read_folder(tmp_path)))
    assert texts(table)["itq", "-"] == ["missing", "-", "-"]


def test_one_seed_has_no_deviation_and_the_table_says_what_p_covers(tmp_path):
    table = quality_table(find(write_comparison_folder(tmp_path, bits=(12,), seeds=(4,))))
    assert all(re.fullmatch(r"0\.\d{4} \(1\)", row[0]) for row in list(texts(table).values())[:-2])
    assert any("only queries were resampled" in note for note in table.notes)


def test_the_best_is_bold_and_what_is_near_it_has_a_mark(tmp_path):
    findings = find(write_comparison_folder(tmp_path))
    table = quality_table(findings)
    lines = list(zip(findings.rows, table.rows[:-2], strict=True))
    for number, column in enumerate(findings.columns):
        place = 2 + 3 * number
        assert [row for row, line in lines if line[place].best] == list(column.best)
        assert {row for row, line in lines if line[place].near} == column.near_best()
        assert not any(field.best or field.near for _, line in lines for field in line[place + 1 : place + 3])
    assert any(column.near_best() for column in findings.columns)
    assert any(note.startswith("†") for note in table.notes)


def test_a_row_that_cannot_be_compared_with_the_best_is_named(tmp_path):
    write_comparison_folder(tmp_path, bits=(12,), seeds=(0,))
    write_done(tmp_path, Cell(method="itq", head="-", n_bits=12, seed=0), flip=0.4, split_hash="another")
    table = quality_table(find(read_folder(tmp_path)))
    assert any(note.endswith("so not compared: itq at 12 bits.") for note in table.notes)


def test_further_tables_hold_the_figures_of_the_cells(folder):
    findings = find(read_folder(folder))
    tables = {table.name: table for table in tables_of(findings)}
    assert list(tables) == ["quality", "differences", "further", "choice", "health", "costs", "failures"]
    group = findings.columns[0].groups[findings.rows[0]]
    costs = {tuple(entry.text for entry in row[:3]): [entry.text for entry in row[3:]] for row in tables["costs"].rows}
    assert tables["costs"].header[3:] == ("features, s", "training, s", "evaluation, s", "peak memory, MB")
    assert costs["crh", "linear", "12"] == ["1.5", "3.0 ± 1.0", "0.2", "512"]
    assert ("crh", "linear", "16") not in costs
    least = tables["choice"].header.index("least center distance")
    assert tables["choice"].rows[0][least].text.startswith(f"{group.spread('certificate.min_distance').mean:.1f}")
    assert tables["choice"].header[least + 1] == "least distance, at most", "the bound is of no mean"
    assert "counts in the run that computed it" in markdown_text([tables["costs"]])
    codes = tables["health"].header.index("distinct codes")
    assert tables["health"].rows[0][codes].text.startswith(f"{group.spread('health.distinct_codes').mean:.0f}")
    assert [row[2].text for row in tables["failures"].rows] == [
        "no such table for 16 bits of it",
        "loss is not a number",
    ]


def test_the_table_of_differences_has_every_pair_with_its_interval(tmp_path):
    findings = find(write_comparison_folder(tmp_path, bits=(12,)))
    table = next(table for table in tables_of(findings) if table.name == "differences")
    assert len(table.rows) == len(FLIPS) * (len(FLIPS) - 1) // 2
    for row, item in zip(table.rows, findings.columns[0].pairs, strict=True):
        low, high = map(float, row[4].text.split(" to "))
        assert low - 1e-4 <= float(row[3].text) <= high + 1e-4
        assert row[3].best == (item.adjusted < 0.05)
        assert row[5].text == p_text(item.difference.p)


@pytest.mark.parametrize(
    ("deviation", "digits", "expected"),
    [
        (0.4, 0, "12 ± <1"),
        (0.5001, 0, "12 ± 1"),
        (0.04, 1, "12.0 ± <0.1"),
        (0.06, 1, "12.0 ± 0.1"),
        (0.0, 1, "12.0 ± 0.0"),
    ],
)
def test_a_deviation_that_rounds_to_0_is_not_said_to_be_none(deviation, digits, expected):
    assert spread_text(Spread(n=3, mean=12.0, deviation=deviation), digits) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.0004, "0.0004"), (0.0999, "0.0999"), (0.1, "0.10"), (1.0, "1.00")])
def test_p_has_the_decimals_that_matter(value, expected):
    assert p_text(value) == expected


def test_terminal_lines_are_aligned_and_marked():
    lines = text_lines(AWKWARD)
    assert lines[0] == "Odd"
    assert lines[3].endswith("1 ± 2 *")
    assert lines[4].endswith("0 †")
    assert len(lines[3]) == len(lines[4]) == len(ODD) + 2 + len("1 ± 2 *")
    assert lines[-1] == "50% of all"


def test_markdown_has_as_many_fields_in_each_row_whatever_they_hold():
    lines = [line for line in markdown_text([AWKWARD]).splitlines() if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [3, 3, 3, 3]
    assert "**1 ± 2**" in lines[2]
    assert "0 †" in lines[3]
    assert re.sub(r"\\(.)", r"\1", lines[2].split(" | **")[0].removeprefix("| ")) == ODD


def test_latex_escapes_what_has_a_meaning_there_and_closes_what_it_opens():
    text = latex_text([AWKWARD])
    row = next(line for line in text.splitlines() if line.startswith("a"))
    assert row.startswith(r"a\_b \& 50\% of \{x\} | ")
    assert len(re.findall(r"(?<!\\)&", row)) == 1
    assert r"\textbf{1 $\pm$ 2}" in row
    assert r"0$^{\dagger}$" in text
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert re.findall(r"\\begin\{(\w+)\}", text) == ["table", "tabular"]
    assert re.findall(r"\\end\{(\w+)\}", text) == ["tabular", "table"]
    assert r"\begin{tabular}{lr}" in text


def test_csv_has_a_line_a_cell_with_every_figure_exactly(folder):
    results = read_folder(folder).results
    lines = list(csv.DictReader(StringIO(csv_text(read_folder(folder)))))
    assert len(lines) == len(results) == 24
    for line, result in zip(lines, results, strict=True):
        assert (line["method"], line["status"]) == (result.cell.method, result.status)
        assert (int(line["n_bits"]), int(line["seed"])) == (result.cell.n_bits, result.cell.seed)
        if result.status == "done":
            assert float(line["report.tie_aware_map"]) == result.figure("tie_aware_map")
            assert line["health.distinct_codes"] == str(result.facts["health"]["distinct_codes"])
            assert line["split_hash"] == f"split{result.cell.seed}"
        else:
            assert line["report.tie_aware_map"] == line["split_hash"] == ""
            assert bool(line["error"]) == (result.status == "failed")
