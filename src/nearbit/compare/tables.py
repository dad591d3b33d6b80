"""The tables of a comparison, as entries that every format can write: see `rendering`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nearbit.compare.findings import PRIMARY, SIGNIFICANT, Column, Findings, Tested
from nearbit.compare.statistics import Group, Row, Spread, data_notes
from nearbit.metrics import FIGURES
from nearbit.metrics.cosine import WITHOUT_CODES

NOTHING = "-"
REASON_LENGTH = 32

AT = (("P@10", "report.precision_at_10"), ("R@100", "report.recall_at_100"))
"""Beside the main figure in the main table: precision and recall at ranks, as means alone."""
FURTHER = tuple((figure.label, f"report.{figure.name}", 4) for figure in FIGURES if figure.is_compared)
CHOICE = (
    ("validation mAP", "validation_map", 4),
    ("selected epoch", "selected_epoch", 1),
    ("least center distance", "certificate.min_distance", 1),
    ("least distance, at most", "certificate.proven_upper_bound", 0),
    ("mean center distance", "certificate.mean_distance", 1),
    ("correlation with similarity", "certificate.correlation", 3),
)
HEALTH = (
    ("distinct codes", "health.distinct_codes", 0),
    ("in the 10 largest groups", "health.share_in_largest_groups", 3),
    ("constant bits", "health.constant_bits", 1),
    ("bit imbalance", "health.bit_imbalance", 3),
    ("bit correlation", "health.bit_correlation", 3),
    ("tied at result k", "health.tie_at_k", 0),
    ("distance to nearest center", "health.center_spread", 1),
)
COSTS = (
    ("features, s", "seconds.features", 1),
    ("similarity, s", "seconds.similarity", 1),
    ("training, s", "seconds.training", 1),
    ("evaluation, s", "seconds.evaluation", 1),
    ("peak memory, MB", "peak_mb", 0),
)


@dataclass(frozen=True)
class TableEntry:
    """One field of a table: its text, and whether it is the best of its column or not significantly below it."""

    text: str
    best: bool = False
    near: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table. The first `words` columns hold words, the others numbers; `notes` are sentences for below it."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[TableEntry, ...], ...]
    notes: tuple[str, ...] = ()
    words: int = 2


def tables_of(findings: Findings) -> list[Table]:
    """Return every table that has a row: quality, differences, further figures, choice and centers, health, costs."""
    per_seed = "Mean over seeds ± sample deviation; one number where all seeds agree, or one alone is done."
    costs = (
        f"{per_seed} What runs share, such as features and the similarity of classes, counts in the run that computed "
        "it; the others read it from the cache."
    )
    found = [
        quality_table(findings),
        difference_table(findings),
        also_table(findings),
        figures_table(findings, "further", "Further figures", FURTHER, per_seed),
        figures_table(findings, "choice", "Choice of the epoch, and centers", CHOICE, per_seed),
        figures_table(findings, "health", "Health of the database codes", HEALTH, per_seed),
        figures_table(findings, "costs", "Time and memory of a run", COSTS, costs),
        failure_table(findings),
    ]
    return [table for table in found if table.rows]


def quality_table(findings: Findings) -> Table:
    """Return the main table: a line for each method and head; the main figure, precision and recall of each length.

    Precision and recall are left out where no cell has them, as in a database of fewer items.
    """
    at = [(label, name) for label, name in AT if any(group.values(name) for group in findings.groups())]
    rows = [
        (TableEntry(row.method), TableEntry(row.head), *_quality_fields(findings, row, [name for _, name in at]))
        for row in findings.rows
    ]
    fields = [field for column in findings.columns for field in (f"{column.n_bits} bits", *(label for label, _ in at))]
    return Table(
        name="quality",
        title="Tie-aware mean average precision" + (", precision and recall" if at else ""),
        header=("method", "head", *fields),
        rows=(*rows, *_rows_without_codes(findings, len(at))),
        notes=tuple(_quality_notes(findings, [label for label, _ in at])),
    )


def _quality_fields(findings: Findings, row: Row, at: Sequence[str]) -> list[TableEntry]:
    """Return the fields of a row: of each length the main figure, and the means of the figures `at` ranks."""
    fields = []
    for column in findings.columns:
        spreads = [column.groups[row].spread(name) for name in at]
        means = [NOTHING if spread is None else f"{spread.mean:.4f}" for spread in spreads]
        fields += [quality_entry(column, row), *map(TableEntry, means)]
    return fields


def _rows_without_codes(findings: Findings, n_at: int) -> list[tuple[TableEntry, ...]]:
    """Return what float features give without codes, the same at every length; nothing where it is not known."""
    wanted = len(findings.comparison.about["seeds"])
    known = findings.without_codes()
    rows = []
    for name, words in WITHOUT_CODES.items():
        spread = known.get(name)
        text = NOTHING if spread is None else f"{spread_text(spread, 4)} ({_count(spread, wanted)})"
        of_a_length = [TableEntry(text), *[TableEntry(NOTHING)] * n_at]
        rows.append((TableEntry(words), TableEntry(NOTHING), *of_a_length * len(findings.columns)))
    return rows


def _count(spread: Spread, wanted: int) -> str:
    return str(spread.n) if spread.n == wanted else f"{spread.n} of {wanted}"


def quality_entry(column: Column, row: Row) -> TableEntry:
    """Return mean ± deviation (number of seeds), or in words why there is none."""
    group = column.groups[row]
    spread = group.spread(PRIMARY)
    if spread is None:
        return TableEntry(_absence(group))
    count = _count(spread, len(group.results))
    return TableEntry(f"{spread_text(spread, 4)} ({count})", row in column.best, row in column.near_best())


def difference_table(findings: Findings) -> Table:
    """Return the differences of rows that differ in one thing, with their intervals and p."""
    rows = [_difference_row(item) for column in findings.columns for item in column.pairs]
    return Table(
        name="differences",
        title="Paired differences of the tie-aware mean average precision",
        header=("first", "second", "bits", "first - second", "95 % interval", "p", "p, Holm", "seeds won", "resampled"),
        rows=tuple(rows),
        notes=(
            "p is two-sided, of a paired bootstrap; Holm's procedure covers the differences of one length. Seeds won: "
            "those at which the first is better. Bold (*): p below 0.05 after Holm's procedure.",
            *findings.notes(),
        ),
    )


def figures_table(
    findings: Findings, name: str, title: str, columns: Sequence[tuple[str, str, int]], note: str
) -> Table:
    """Return a table of figures, a line for each method, head and length; without columns that no cell has.

    Args:
        findings: what a comparison shows.
        name: of the table, for machines.
        title: of the table, for people.
        columns: heading, figure (see `figure_of`) and decimals of each.
        note: what stands below it.
    """
    groups = [group for group in findings.groups() if group.of_status("done")]
    kept = [column for column in columns if any(group.values(column[1]) for group in groups)]
    rows = [
        (
            TableEntry(group.row.method),
            TableEntry(group.row.head),
            TableEntry(str(group.n_bits)),
            *(TableEntry(_figure(group, figure, digits)) for _, figure, digits in kept),
        )
        for group in groups
    ]
    header = ("method", "head", "bits", *(heading for heading, _, _ in kept))
    return Table(name=name, title=title, header=header, rows=tuple(rows) if kept else (), notes=(note,))


def also_table(findings: Findings) -> Table:
    """Return the main figure under each other protocol on which the models were measured too."""
    protocols = findings.comparison.about.get("also", [])
    columns = [(name, f"also.{name}.{PRIMARY.removeprefix('report.')}", 4) for name in protocols]
    note = (
        "Tie-aware mean average precision of the same models with other queries and databases (queries@database); "
        "training and validation are those of the main table."
    )
    return figures_table(findings, "also", "Seen and unseen classes", columns, note)


def failure_table(findings: Findings) -> Table:
    """Return the cells that failed, with the reason of each."""
    rows = [
        (
            TableEntry(group.row.method),
            TableEntry(group.row.head),
            TableEntry(reason),
            TableEntry(str(group.n_bits)),
            TableEntry(f"{count} of {len(group.results)}"),
        )
        for group in findings.groups()
        for reason, count in group.failures()
    ]
    header = ("method", "head", "reason", "bits", "cells")
    return Table(name="failures", title="Failed cells", header=header, rows=tuple(rows), words=3)


def spread_text(spread: Spread, digits: int) -> str:
    """Return mean ± deviation, or the value alone where there is one only.

    A deviation that rounds to 0 and is none is said to be below the last decimal.

    Example:
        >>> spread_text(Spread(n=2, mean=0.6, deviation=0.1414), 2)
        '0.60 ± 0.14'
        >>> spread_text(Spread(n=2, mean=17.6, deviation=0.01), 1)
        '17.6 ± <0.1'
    """
    mean = f"{spread.mean:.{digits}f}"
    if spread.deviation is None:
        return mean
    deviation = f"{spread.deviation:.{digits}f}"
    if spread.deviation and not float(deviation):
        deviation = f"<{10**-digits:.{digits}f}"
    return f"{mean} ± {deviation}"


def p_text(value: float) -> str:
    """Return a p-value with four decimals; two from 0.1 on."""
    return f"{value:.4f}" if value < 0.1 else f"{value:.2f}"


def _figure(group: Group, figure: str, digits: int) -> str:
    spread = group.spread(figure)
    if spread is None:
        return NOTHING
    return spread_text(spread if spread.deviation else replace(spread, deviation=None), digits)


def _absence(group: Group) -> str:
    failures = group.failures()
    if not failures:
        return "missing"
    reason, count = failures[0]
    short = reason if len(reason) <= REASON_LENGTH else f"{reason[: REASON_LENGTH - 1]}…"
    return f"failed: {short} ({count} of {len(group.results)})"


def _difference_row(item: Tested) -> tuple[TableEntry, ...]:
    found = item.difference
    return (
        TableEntry(found.first.name),
        TableEntry(found.second.name),
        TableEntry(str(found.n_bits)),
        TableEntry(f"{found.difference:+.4f}", best=item.adjusted < SIGNIFICANT),
        TableEntry(f"{found.low:+.4f} to {found.high:+.4f}"),
        TableEntry(p_text(found.p)),
        TableEntry(p_text(item.adjusted)),
        TableEntry(f"{found.seeds_won} of {len(found.seeds)}"),
        TableEntry(found.resampled),
    )


def _quality_notes(findings: Findings, at: Sequence[str]) -> list[str]:
    notes = [
        "Mean over seeds ± sample deviation (number of seeds), on the query split. Bold (*): the best of its column.",
        *data_notes(findings.comparison.about),
    ]
    if at:
        notes.append(
            f"{' and '.join(at)}: mean precision among the first 10 and recall among the first 100, in expectation "
            "over the orders of ties; not among what is tested."
        )
    notes.append(_without_codes_note(findings))
    if any(column.near_best() for column in findings.columns):
        notes.append(
            "†: not significantly below the best of its column (paired bootstrap over seeds and queries, "
            f"p ≥ {SIGNIFICANT} after Holm's procedure)."
        )
    if any(item.difference.resampled == "queries" for column in findings.columns for item in column.behind):
        notes.append(
            "One seed: only queries were resampled, so that chance in training is not covered by any p or interval."
        )
    if chosen := _chosen(findings):
        notes.append(f"auto took {chosen}.")
    apart = [f"{row.name} at {column.n_bits} bits" for column in findings.columns for row in column.untested()]
    if apart:
        notes.append(f"No seed or split in common with the best of the column, so not compared: {'; '.join(apart)}.")
    counts = findings.counts()
    total = sum(counts.values())
    for status, words in (("missing", "not run yet"), ("failed", "failed")):
        if counts[status]:
            notes.append(f"{counts[status]} of {total} runs {'have ' if status == 'failed' else 'are '}{words}.")
    return notes


def _without_codes_note(findings: Findings) -> str:
    """Return what the rows without codes are, or why there is nothing in them."""
    regime = findings.comparison.about.get("regime")
    if without := findings.without_codes():
        before = ", and before it was fine-tuned" if regime == "fine-tuned" else ""
        return (
            f"{' and '.join(WITHOUT_CODES[name] for name in without)}: what the backbone's features give without any "
            f"code{before}, the same at every length; not among what is tested."
        )
    names = " and ".join(WITHOUT_CODES.values())
    if regime == "scratch":
        return f"{names}: nothing, since the networks were trained from scratch, and had no features before."
    return f"{names}: not measured yet; repeat the comparison to have them."


def _chosen(findings: Findings) -> str:
    """Return which methods "auto" took, and at which lengths and seeds how often; nothing where it was not compared."""
    cells = [result for result in findings.comparison.results if result.cell.method == "auto"]
    found: dict[str, Counter[int]] = {}
    for result in cells:
        if result.status == "done" and "chosen" in result.facts:
            found.setdefault(result.facts["chosen"], Counter())[result.cell.n_bits] += 1
    return "; ".join(
        f"{name} ({', '.join(f'{count} × {n_bits} bits' for n_bits, count in sorted(counts.items()))})"
        for name, counts in sorted(found.items())
    )
