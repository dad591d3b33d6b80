"""Plots of an evaluation (by radius, by rank, by class) and of the distances of centers. Needs matplotlib."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.centers.semantic.loss import check_centers, check_similarity
from nearbit.errors import InputError, MissingExtraError
from nearbit.files.writing import write_whole
from nearbit.metrics import Report

CLASSES_SHOWN = 100
FORMATS = ("png", "svg", "pdf")
LEAVES_TURNED = 1000
"""More leaves stay in the order of the tree as it grew: turning its branches takes n² steps."""


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
    figure_class = _figure_class("a plot of an evaluation")
    folder.mkdir(parents=True, exist_ok=True)
    return [plot(report, folder, figure_class) for plot in (_curve, _ranks, _classes)]


def centers_heat_map(
    centers: npt.ArrayLike, similarity: npt.ArrayLike | None, path: Path, *, form: str | None = None
) -> Path:
    """Write a picture of the distances of all pairs of centers, like classes beside each other.

    The order is that of the leaves of a tree (average linkage) of the similarity, or of the distances themselves where
    there is no similarity; two neighbors of the tree are turned so that alike leaves meet.

    Args:
        centers: `(n_classes, n_bits)` of -1 and +1.
        similarity: see `check_similarity`, or None.
        path: the file to write.
        form: "png", "svg" or "pdf"; by default the ending of the path says it.

    Returns:
        the path of the file.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: the centers are not signs, or the similarity does not fit them.
    """
    figure_class, written_as = _figure_class("a plot of centers"), form or picture_format(path)
    signs = check_centers(centers)
    floats = signs.astype(np.float32)
    distances = (signs.shape[1] - floats @ floats.T) / 2
    order = leaf_order(distances if similarity is None else -check_similarity(similarity, len(signs))[0])
    figure = figure_class(figsize=(6, 5), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(distances[np.ix_(order, order)], interpolation="nearest", cmap="viridis", vmin=0)
    figure.colorbar(image, label="distance in bits")
    by = "similarity" if similarity is not None else "distance"
    axes.set(xlabel=f"classes, ordered by {by}", ylabel=f"classes, ordered by {by}")
    axes.set_title(f"{len(signs)} centers of {signs.shape[1]} bits")
    write_whole(path, lambda aside: figure.savefig(aside, dpi=150, format=written_as))
    return path


def picture_format(path: Path) -> str:
    """Return the format that the ending of a path names; raise `InputError` for another than those of `FORMATS`."""
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise InputError(f"a picture must end in .{' or .'.join(FORMATS)}, not {path.name!r}")
    return form


def leaf_order(distances: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return an order of items in which near ones are beside each other: int64 `(n,)`, each item once.

    Args:
        distances: symmetric `(n, n)`, larger for what is further apart; any level, since the least becomes 0.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    matrix = np.asarray(distances, np.float64)
    pairs = matrix[np.triu_indices(len(matrix), k=1)]
    tree = linkage(pairs - pairs.min(), method="average", optimal_ordering=len(matrix) <= LEAVES_TURNED)
    return np.asarray(leaves_list(tree), np.int64)


def check_plots() -> None:
    """Raise `MissingExtraError` unless plots can be drawn, before any work is done for them."""
    _figure_class("a plot of an evaluation")


def _figure_class(purpose: str) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plots", purpose) from error
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
    axes.set(ylim=(0, 1.02), xlabel="class, worst first", ylabel="tie-aware mAP of its queries")
    return _save(figure, folder / "classes.png")


def _save(figure: Any, path: Path) -> Path:
    write_whole(path, lambda aside: figure.savefig(aside, dpi=150, format="png"))
    return path
