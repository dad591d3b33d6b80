"""Plots of an evaluation: precision and recall by radius and by rank, and each class. Needs matplotlib."""

from pathlib import Path
from typing import Any

from nearbit.errors import MissingExtraError
from nearbit.metrics import Report

CLASSES_SHOWN = 100


def write_plots(report: Report, folder: Path) -> list[Path]:
    """Write `curve.png`, `ranks.png` and `classes.png` into a folder, which is made where it is missing.

    Args:
        report: what `evaluate_codes` returned.
        folder: where the files go; files of those names are replaced.

    Returns:
        the paths of the files.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure_class = _figure_class()
    folder.mkdir(parents=True, exist_ok=True)
    return [plot(report, folder, figure_class) for plot in (_curve, _ranks, _classes)]


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plots", "a plot of an evaluation") from error
    return Figure


def _curve(report: Report, folder: Path, figure_class: Any) -> Path:
    figure = figure_class(figsize=(5, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(report.curve_by_radius["recall"], report.curve_by_radius["precision"], marker=".")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title(f"within each radius, {report.n_bits} bits, mAP {report.tie_aware_map:.4f}")
    return _save(figure, folder / "curve.png")


def _ranks(report: Report, folder: Path, figure_class: Any) -> Path:
    figure = figure_class(figsize=(5, 4), layout="constrained")
    axes = figure.add_subplot()
    curve = report.curve_by_rank
    for what in ("precision", "recall"):
        axes.plot(curve["at"], curve[what], marker=".", label=what)
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="rank", ylabel="expected, mean over queries")
    axes.set_title(f"at each rank, {report.n_bits} bits, {report.n_database} items")
    axes.legend()
    return _save(figure, folder / "ranks.png")


def _classes(report: Report, folder: Path, figure_class: Any) -> Path:
    worst = sorted(report.per_class.items(), key=lambda item: (item[1], item[0]))[:CLASSES_SHOWN]
    figure = figure_class(figsize=(max(4, 0.16 * len(worst)), 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.bar([name for name, _ in worst], [value for _, value in worst])
    axes.tick_params(axis="x", rotation=90, labelsize=7)
    axes.set(ylim=(0, 1.02), xlabel="class number, worst first", ylabel="tie-aware mAP of its queries")
    return _save(figure, folder / "classes.png")


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=150)
    return path
