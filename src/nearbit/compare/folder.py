"""A comparison on disk: a folder with `comparison.json`, and in `cells/` a JSON file and an npz file for each run.

`comparison.json` says what is compared ("methods", "bits", "heads", "seeds" list every run that is wanted; "baselines"
are those of the methods that have no heads) and on what. `cells/NAME.json` holds every figure of one run, or why it
failed; `cells/NAME.npz` its arrays. Each is written whole or not at all, so a folder can be read while a comparison
runs.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nearbit.compare.soundness import sound
from nearbit.errors import DataError
from nearbit.files.arrays import UNREADABLE
from nearbit.files.writing import write_json
from nearbit.json_text import read_json

FORMAT, VERSION = "nearbit-comparison", 1
DESCRIPTION = "comparison.json"
MOST_CELLS = 1_000_000
"""More runs than anyone could wait for."""

Status = Literal["done", "failed", "missing"]


@dataclass(frozen=True, kw_only=True, order=True)
class Cell:
    """One run of a comparison: a method with a head, at a length in bits, with a seed.

    `method` is a name, or a name with options: see `nearbit.compare.specs`. `head` is "linear", "hidden" or "auto", as
    given to `TrainOptions`; baselines have "-".
    """

    method: str
    head: str
    n_bits: int
    seed: int

    @property
    def name(self) -> str:
        """The name of its files."""
        head = "" if self.head == "-" else f"-{self.head}"
        return f"{file_name(self.method)}{head}-{self.n_bits}-seed{self.seed}"

    def named(self) -> dict[str, Any]:
        """Return what the JSON of a cell begins with."""
        return {"method": self.method, "head_asked": self.head, "n_bits": self.n_bits, "seed": self.seed}


@dataclass(frozen=True, kw_only=True, eq=False)
class CellResult:
    """What became of a cell.

    Attributes:
        cell: which run.
        status: "done", "failed", or "missing" where it has not been run yet.
        facts: the JSON of a run that is done: "report" (see `Report.to_dict`), "health" (see `Health.to_dict`),
            "certificate", "split_hash", "validation_map", "selected_epoch", "head", "seconds" ({"features",
            "similarity", "training", "evaluation"}), "peak_mb", "key", "versions", "machine". Of one that failed:
            "error".
        arrays_path: its npz file: "average_precision" float32 `(n_query,)` (tie-aware, in the order of the split's
            queries), "centers" int8 `(n_classes, n_bits)`, and "similarity" float64 where the centers followed one.
    """

    cell: Cell
    status: Status
    facts: Mapping[str, Any]
    arrays_path: Path

    def figure(self, name: str) -> float | None:
        """Return a scalar of the report by name; None where it was not computed or the cell is not done."""
        value = self.facts.get("report", {}).get(name)
        return None if value is None else float(value)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Read the arrays of a cell that is done.

        Raises:
            DataError: their file is missing or damaged; it is named without its folder, since reports say so too.
        """
        try:
            with np.load(self.arrays_path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except UNREADABLE as error:
            raise DataError(
                f"cells/{self.arrays_path.name} cannot be read: repeat the comparison, which makes it anew"
            ) from error


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparisonFolder:
    """A comparison as its folder has it.

    Attributes:
        about: the JSON of `comparison.json`: "methods", "bits", "heads", "seeds", "dataset" ({"name", "images",
            "classes", "labels_per_image", "fingerprint"}), "split" ({"recipe", "sizes": {part: images} and "notes" of
            the first seed, "hashes": {seed: hash}}, also "unseen": {seed: classes} where some are, and "hash" where all
            seeds share one split), "references" ({seed: what float features give without codes}), "train_options",
            "command" (the last one), "commands" (all), "versions", "machine".
        results: one for each cell that is wanted, in the order of methods, heads, bits, seeds.
    """

    about: Mapping[str, Any]
    results: tuple[CellResult, ...]


def file_name(method: str) -> str:
    """Return a method as part of a file's name: as it is, or with a digest where it has options."""
    name, colon, options = method.partition(":")
    return name if not colon else f"{name}-{hashlib.sha256(options.encode()).hexdigest()[:8]}"


def cells_of(about: Mapping[str, Any]) -> list[Cell]:
    """Return every cell that is wanted; a baseline has one head, "-"."""
    without_head = about["baselines"]
    if math.prod(len(about[name]) for name in ("methods", "heads", "bits", "seeds")) > MOST_CELLS:
        raise DataError(f"{DESCRIPTION} asks for more than {MOST_CELLS} runs: restore the file")
    return [
        Cell(method=method, head=head, n_bits=n_bits, seed=seed)
        for method in about["methods"]
        for head, n_bits, seed in product(
            ["-"] if method in without_head else about["heads"], about["bits"], about["seeds"]
        )
    ]


def read_folder(folder: Path) -> ComparisonFolder:
    """Read a comparison, finished or not.

    Raises:
        DataError: the folder holds none, or one of a newer version, or a damaged file.
    """
    about = read_about(folder)
    with sound(folder):
        cells = cells_of(about)
        names = [cell.name for cell in cells]
    if any(Path(name).name != name for name in names):
        raise DataError(f"{folder / DESCRIPTION}: a method names another folder; restore the file")
    return ComparisonFolder(about=about, results=tuple(read_cell(folder, cell) for cell in cells))


def read_about(folder: Path) -> dict[str, Any]:
    """Return what `comparison.json` says, whatever became of the cells; see `read_folder` for what is raised."""
    about = _read(folder / DESCRIPTION, "restore it, or choose another folder")
    if about.get("format") != FORMAT:
        raise DataError(f"{folder / DESCRIPTION}: expected what `nearbit compare` wrote; it is something else")
    if not isinstance(about.get("version"), int) or about["version"] > VERSION:
        raise DataError(
            f"{folder / DESCRIPTION}: version {about.get('version')!r}; this nearbit reads up to {VERSION}: "
            "update nearbit"
        )
    return about


def read_cell(folder: Path, cell: Cell) -> CellResult:
    """Read what became of a cell."""
    path = folder / "cells" / f"{cell.name}.json"
    arrays_path = path.with_suffix(".npz")
    if not path.is_file():
        return CellResult(cell=cell, status="missing", facts={}, arrays_path=arrays_path)
    facts = _read(path, "delete it, or repeat the comparison, to run it again")
    if facts.get("status") not in ("done", "failed"):
        raise DataError(f"{path}: expected a run of `nearbit compare`; delete it to run it again")
    return CellResult(cell=cell, status=facts["status"], facts=facts, arrays_path=arrays_path)


def write_failure(folder: Path, cell: Cell, why: str) -> None:
    """Write that a cell failed, and why; not over a run that is done, which a later failure does not undo."""
    try:
        if read_cell(folder, cell).status == "done":
            return
    except DataError:  # a damaged file is replaced
        pass
    write_json(folder / "cells" / f"{cell.name}.json", cell.named() | {"status": "failed", "error": _printable(why)})


def _printable(text: str) -> str:
    """Return a text that JSON can hold: half of a surrogate pair comes as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _read(path: Path, remedy: str) -> dict[str, Any]:
    try:
        found = read_json(path, "the file", DataError, any_text=True)
    except DataError as error:
        raise DataError(f"{error}: {remedy}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected a JSON object; it is damaged: {remedy}")
    return found
