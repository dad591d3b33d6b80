"""What `nearbit train` tells while it trains: where it goes on, how long it takes, the best epoch so far."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearbit.cli.console import Bars, echo
from nearbit.progress import Progress, about, silent

if TYPE_CHECKING:
    from nearbit.training import Callbacks

WORTH_SAYING = 10.0
"""Seconds of a training that are estimated aloud."""


@contextmanager
def printing_callbacks(tensorboard: Path | None, progress: Progress = silent) -> Iterator["Callbacks"]:
    """Tell people when training goes on from a checkpoint and how long it takes, and TensorBoard of every epoch.

    Bars say which epoch is the best so far by validation, the last of equals, which is kept.
    """
    from nearbit.training import Callbacks
    from nearbit.training.tensorboard import scalars_in

    gone_on: list[int] = []  # the epoch from which the training goes on whose first epoch comes next

    def resumed(stage: str, done: int, total: int) -> None:
        echo(f"{stage}: going on from epoch {done} of {total}")
        gone_on.append(done)

    def estimated(stage: str, seconds: float, epochs: int, steps: int) -> None:
        if seconds >= WORTH_SAYING:
            echo(f"{stage}: {about(seconds)} at most: {epochs} epochs of {steps} steps")

    best: dict[str, tuple[float, int]] = {}
    words: dict[str, str] = {}

    def epoch(name: str, figures: dict[str, Any]) -> None:
        if name not in words:
            words[name] = f"best since epoch {gone_on.pop()}" if gone_on else "best so far"
        score = figures.get("validation_map")
        if score is not None and (name not in best or score >= best[name][0]):
            best[name] = score, figures["epoch"]
        if isinstance(progress, Bars):
            progress.note = f"{words[name]}: mAP {best[name][0]:.4f}, epoch {best[name][1]}" if name in best else ""

    if tensorboard is None:
        yield Callbacks(resumed=resumed, estimated=estimated, epoch=epoch)
    else:
        with scalars_in(tensorboard) as scalars:

            def both(name: str, figures: dict[str, Any]) -> None:
                epoch(name, figures)
                scalars.epoch(name, figures)

            yield Callbacks(resumed=resumed, estimated=estimated, epoch=both)
    if isinstance(progress, Bars):
        progress.note = ""
