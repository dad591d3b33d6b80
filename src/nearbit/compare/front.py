"""`compare_methods`: a comparison from Python, in one call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from nearbit.compare.bench import Work
from nearbit.compare.findings import find
from nearbit.compare.folder import CellResult, ComparisonFolder, read_folder
from nearbit.compare.run import Grid, compare
from nearbit.compare.soundness import sound
from nearbit.compare.statistics import figure_of
from nearbit.compare.write import write_comparison
from nearbit.datasets import Dataset, Split, SplitSizes, load_dataset, make_split
from nearbit.errors import InputError, MissingExtraError
from nearbit.files.writing import cache_folder
from nearbit.given import path_of, plain
from nearbit.keywords import suggesting
from nearbit.metrics.cosine import WITHOUT_CODES
from nearbit.progress import Progress, silent
from nearbit.training.options import TrainOptions

SHOWN = ("tie_aware_map", "map_database_order", "asymmetric_tie_aware_map")
"""Figures in the table of a notebook."""


@dataclass(frozen=True, eq=False, repr=False)
class Compared:
    """What came of a comparison.

    Attributes:
        folder: where it lies, with `report.html`, `table.md` and the rest; the same call goes on with it.
        comparison: every run, as the folder has it.
    """

    folder: Path
    comparison: ComparisonFolder

    def __repr__(self) -> str:
        failed = len(self.failed)
        return f"Compared({len(self.comparison.results)} runs{f', {failed} failed' if failed else ''}; {self.folder})"

    @property
    def failed(self) -> dict[str, str]:
        """Why runs failed, by their names."""
        failed = (one for one in self.comparison.results if one.status == "failed")
        return {one.cell.name: str(one.facts.get("error")) for one in failed}

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each run, also one that failed or is missing.

        Each has method, head, bits, seed and status; `error` where it failed; every scalar figure of its report; the
        validation mAP, and the seconds of its training; and what features give without codes at its seed
        (`float_cosine_map`, `linear_probe_map`), where that is known.
        """
        references = self.comparison.about.get("references", {})
        return [_row(one, references.get(str(one.cell.seed), {})) for one in self.comparison.results]

    def to_pandas(self) -> Any:
        """Return `rows` as a pandas DataFrame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("pandas", "notebook", "a DataFrame of a comparison") from error
        return pandas.DataFrame(self.rows())

    def _repr_html_(self) -> str:
        """Return the first figures of every run as a table, all texts escaped."""
        named = ("method", "head", "bits", "seed", "status")
        head = "".join(f"<th>{name}</th>" for name in (*named, *SHOWN))
        body = "".join(f"<tr>{''.join(_cells(row, named))}</tr>" for row in self.rows())
        return f"<table><tr>{head}</tr>{body}</table><p>{escape(str(self.folder / 'report.html'))}</p>"


def _row(one: CellResult, reference: Mapping[str, Any]) -> dict[str, Any]:
    cell, facts = one.cell, one.facts
    row = {"method": cell.method, "head": cell.head, "bits": cell.n_bits, "seed": cell.seed, "status": one.status}
    if one.status == "failed":
        return {**row, "error": str(facts.get("error"))}
    more = {"validation_map": facts.get("validation_map"), "training_seconds": figure_of(facts, "seconds.training")}
    known = {name: reference.get(name) for name in WITHOUT_CODES}
    found = {name: value for name, value in (more | known).items() if value is not None}
    return {**row, **_scalars(facts.get("report", {})), **found}


def open_comparison(folder: str | Path) -> Compared:
    """Return a comparison that lies in a folder, finished or not: its runs as rows or as a DataFrame.

    Args:
        folder: as `compare_methods` or `nearbit compare` filled it; nothing in it is changed.

    Raises:
        DataError: the folder holds no comparison, one of a newer version, or a damaged file.

    Example:
        nb.open_comparison("results/").to_pandas().pivot_table("tie_aware_map", "method", "bits")
    """
    return Compared(Path(folder), read_folder(Path(folder)))


def _scalars(report: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in report.items() if isinstance(value, int | float)}


def _cells(row: dict[str, Any], named: Sequence[str]) -> list[str]:
    figures = ["" if row.get(name) is None else f"{row[name]:.4f}" for name in SHOWN]
    return [f"<td>{escape(text)}</td>" for text in (*(str(row[name]) for name in named), *figures)]


@suggesting
def compare_methods(
    dataset: Dataset | str | Path,
    methods: Sequence[str] = ("crh", "shc", "mds", "csq"),
    *,
    bits: Sequence[int] = (16, 32, 64),
    seeds: int | Sequence[int] = 3,
    heads: Sequence[str] = ("auto",),
    out: str | Path,
    protocol: str | None = None,
    also: Sequence[str] = (),
    sizes: SplitSizes | None = None,
    split: Split | None = None,
    options: TrainOptions | None = None,
    cache: str | Path | None = None,
    processes: int = 1,
    progress: Progress = silent,
) -> Compared:
    """Train methods at several lengths with several seeds, evaluate each, and write tables and a report.

    Each seed decides the split, the centers and the training of its runs. A folder that holds the comparison already is
    gone on with. A run that fails is in `failed`; the others go on.

    Args:
        dataset: images or features with labels, or what `load_dataset` takes.
        methods: names of methods and baselines, also with options ("crh:margin=0.3").
        bits: code lengths.
        seeds: how many, from 0 on, or which.
        heads: "auto", "linear", "hidden"; each is compared for itself.
        out: the folder of the comparison.
        protocol: as for `make_split`.
        also: protocols of seen and unseen classes on which each model is measured too, with `protocol="seen@seen"`.
        sizes: as for `make_split`.
        split: one split for all seeds, in the place of `protocol` and `sizes`.
        options: of every training; seed and head are each run's own.
        cache: a folder that keeps features by content; None for the usual one.
        processes: how many runs at once; with several, start a script behind `if __name__ == "__main__":`.
        progress: called as features are computed, and after each run.

    Raises:
        InputError: an unknown method or option, a split beside a protocol or sizes, or a folder of another comparison.
        DataError: the split cannot be made.
    """
    if split is not None and (protocol is not None or sizes is not None):
        raise InputError("give a split, or a protocol or sizes to make one by, not both")
    loaded = dataset if isinstance(dataset, Dataset) else load_dataset(dataset, progress=progress)
    seeds = plain(seeds)
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else _listed("seeds", seeds)
    work = Work(
        load=partial(_same, loaded),
        split=partial(_split, split, protocol, sizes),
        options=options or TrainOptions(),
        folder=path_of("out", out),
        cache=cache_folder() if cache is None else path_of("cache", cache),
        also=_listed("also", also),
    )
    listed = {"methods": methods, "bits": bits, "heads": heads}
    grid = Grid(seeds=chosen, **{name: _listed(name, values) for name, values in listed.items()})
    comparison = compare(work, grid, processes=processes, progress=progress, after_seed=partial(_so_far, work.folder))
    with sound(work.folder):
        write_comparison(work.folder, find(comparison))
    return Compared(work.folder, comparison)


def _listed(name: str, values: Any) -> tuple[Any, ...]:
    """Return several values as a tuple; raise `InputError` for a single one, and for a text, whose letters are many."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list: give [{values!r}]")
    return tuple(values)


def _so_far(folder: Path, seed: int) -> None:
    """Write the tables of what is there, once a seed is whole."""
    write_comparison(folder)


def _same(dataset: Dataset) -> Dataset:
    return dataset


def _split(split: Split | None, protocol: str | None, sizes: SplitSizes | None, dataset: Dataset, seed: int) -> Split:
    return split if split is not None else make_split(dataset, seed=seed, protocol=protocol, sizes=sizes)
