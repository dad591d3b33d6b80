"""A picture of how a method's centers changed while the network trained. Needs matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nearbit.errors import InputError, MissingExtraError
from nearbit.files.writing import write_whole
from nearbit.report.plots import picture_format


def plot_center_history(history: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw, epoch by epoch, the centers that changed, their distances, and their correlation with a similarity.

    Args:
        history: of a model's record.
        path: the file to write; its ending names the format, such as .png or .svg.

    Returns:
        the path.

    Raises:
        InputError: the centers of that model never change, or it has none.
        MissingExtraError: matplotlib is not installed.
    """
    if history and not any("centers_changed" in epoch for epoch in history):
        raise InputError("the model has no centers, so there is no history of them to draw: leave --plot out")
    if not any("center_distance_min" in epoch for epoch in history):
        raise InputError("the centers of this model stay as they are, so there is no history of them to draw")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plots", "a plot of centers over epochs") from error
    panels = [("centers that changed", ("centers_changed",)), ("distance, bits", _DISTANCES)]
    if any(epoch.get("center_correlation") is not None for epoch in history):
        panels.append(("correlation with similarity", ("center_correlation",)))
    figure = Figure(figsize=(6, 2.2 * len(panels)), layout="constrained")
    for place, (label, names) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, place + 1)
        for name in names:
            points = [(epoch["epoch"], epoch[name]) for epoch in history if epoch.get(name) is not None]
            axes.plot(*zip(*points, strict=True), marker=".", label=name.rpartition("_")[2])
        axes.set(xlabel="epoch", ylabel=label)
        if len(names) > 1:
            axes.legend()
    form = picture_format(path)
    write_whole(path, lambda aside: figure.savefig(aside, format=form))
    return path


_DISTANCES = ("center_distance_min", "center_distance_mean")
