"""`nearbit train --only`: one stage alone, written as an array."""

from pathlib import Path
from typing import TYPE_CHECKING

from nearbit.cli.console import emit
from nearbit.errors import InputError
from nearbit.progress import Progress

if TYPE_CHECKING:
    from nearbit.training import AnyRun


def write_stage(run: "AnyRun", only: str, output: Path, overwrite: bool, progress: Progress, as_json: bool) -> None:
    """Run one stage and write its array; there is no checkpoint, but a classifier's logits are kept in the cache."""
    import numpy as np

    from nearbit.files.writing import write_whole
    from nearbit.training import TrainingRun, TwoStepRun

    if isinstance(run, TwoStepRun):
        raise InputError(
            f"--only {only} is a stage of one step, and in two steps a backbone is tuned before: leave --only or "
            "--regime two-step out"
        )
    if not isinstance(run, TrainingRun):
        raise InputError(f"this method has no stage {only!r}: leave --only out")
    if only == "centers" and run.method.make_centers is None:
        raise InputError(f"{run.method.name} has no centers: leave --only out, or take a method with centers")
    if output.suffix != ".npy":
        raise InputError(f"--only writes an array: end -o in .npy, not {output.name!r}")
    is_main = run.context.processes.is_main
    if is_main and output.exists() and not overwrite:
        raise InputError(f"{output} is there already: choose another -o, or pass --overwrite to replace it")
    found = run.similarity(progress=progress) if only == "similarity" else run.centers(progress=progress).centers
    if found is None:
        raise InputError(f"{run.method.name} with these options finds no similarity: leave --only out")

    if not is_main:
        return

    def save(aside: Path) -> None:
        with open(aside, "wb") as file:
            np.save(file, found, allow_pickle=False)

    write_whole(output, save)
    shape = [int(size) for size in found.shape]
    emit({only: str(output), "shape": shape}, as_json=as_json, lines=[f"{output}: {only}, {shape[0]} x {shape[1]}"])
