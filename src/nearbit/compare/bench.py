"""One process's place of work in a comparison: the data set and its features once, then one cell after another."""

import json
import platform
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, final

import numpy as np
import torch

from nearbit.compare.folder import Cell, CellResult, read_cell, write_failure
from nearbit.compare.peak_memory import forget_peak, peak_mb
from nearbit.compare.specs import Spec, parse_spec
from nearbit.datasets import Dataset, Split, other_protocol
from nearbit.encoding.feature_cache import FeatureStore
from nearbit.encoding.versions import library_versions
from nearbit.errors import BundleError, DataError, NearbitError
from nearbit.evaluation import Evaluation, evaluate
from nearbit.files.locking import locked
from nearbit.files.writing import write_json, write_whole
from nearbit.methods import Baseline
from nearbit.model.bundle import Model
from nearbit.model.manifest import TRAINED, read_manifest, regime_of, tuning_figures
from nearbit.progress import Progress, silent
from nearbit.training import NO_CALLBACKS, AnyRun, TrainOptions, TwoStepRun, plan
from nearbit.training.checkpoint_folder import checkpoints_of, lock_of, remove_own
from nearbit.training.runs.baseline import useful_options
from nearbit.training.runs.two_step import context_on

Outcome = Literal["done", "kept", "failed"]

_WAITING = "Waiting for another command at the same run"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every process of a comparison needs; it can be sent to another process.

    Attributes:
        load: returns the data set.
        split: returns the split of a data set for a seed.
        options: of every training; its seed and head are each cell's own.
        folder: where the comparison lies.
        cache: a folder that keeps features by content, or None.
        keep_models: whether models are kept, in `models/`.
        also: protocols of seen and unseen classes on which each model is measured too, beside that of its split.
        threads: of torch in each process, or None to leave them.
    """

    load: Callable[[], Dataset]
    split: Callable[[Dataset, int], Split]
    options: TrainOptions
    folder: Path
    cache: Path | None
    keep_models: bool = False
    also: tuple[str, ...] = ()
    threads: int | None = 1


@final
class Bench:
    """Runs cells; holds the data set, the split of the last seed, and features that were read once."""

    def __init__(self, work: Work, dataset: Dataset | None = None) -> None:
        if work.threads is not None:
            torch.set_num_threads(work.threads)
        self.work = work
        self.dataset = work.load() if dataset is None else dataset
        self.feature_store = None if work.cache is None else FeatureStore(work.cache)
        self._split: tuple[int, Split] | None = None

    def run(self, cell: Cell, progress: Progress = silent) -> tuple[Outcome, str]:
        """Run a cell unless it is done already, write its files, and return what became of it with a line for people.

        What goes wrong is written as the cell's error, so that other cells go on; an interrupt is passed on. Where
        another command in this folder is at the same cell, it is waited for, and what it found is kept.
        """
        with self._alone(cell.name, progress):
            outcome, line = _tried(lambda: self._run(cell, progress))
            if outcome == "failed":
                write_failure(self.work.folder, cell, line)
        return outcome, line

    def tune(self, cells: Sequence[Cell], progress: Progress = silent) -> tuple[Outcome, str]:
        """Fine-tune the backbone that cells of one seed share, and compute its features: they find both in the cache.

        Cells that stand, and those that cannot be run, need none.
        """
        with self._alone(_tuning(cells[0].seed), progress):
            return _tried(lambda: self._tune(cells, progress))

    def needing(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, TwoStepRun]]:
        """Yield those of some cells that are to be trained on a backbone that is fine-tuned first, with their runs."""
        for cell in cells:
            try:
                run = self._planned(cell)
            except Exception:  # noqa: BLE001 - it will say so itself, where it is run
                continue
            if isinstance(run, TwoStepRun) and self._standing(cell, run.key()) is None:
                yield cell, run

    def _tune(self, cells: Sequence[Cell], progress: Progress) -> tuple[Outcome, str]:
        cell, run = next(self.needing(cells), (None, None))
        if cell is None or run is None:
            return "kept", "no run needs its backbone"
        checkpoint = self._checkpoints(_tuning(cell.seed))
        checkpoint.mkdir(exist_ok=True)
        with checkpoints_of(run.tuning.key()):
            backbone, _ = run.tuning.trained(checkpoint, progress, NO_CALLBACKS)
            remove_own(checkpoint)
        split = run.context.split
        rows = sorted({int(row) for part in split.sizes() for row in split.rows(part)})
        context_on(backbone, run.context).cache_features(rows, progress)
        return "done", "its backbone is fine-tuned"

    def split(self, seed: int) -> Split:
        """Return the split of a seed; the last one is kept."""
        if self._split is None or self._split[0] != seed:
            self._split = (seed, self.work.split(self.dataset, seed))
        return self._split[1]

    def _run(self, cell: Cell, progress: Progress) -> tuple[Outcome, str]:
        forget_peak()
        run = self._planned(cell)
        known = self._standing(cell, run.key())
        if known is not None:
            return "kept", f"mAP {known.figure('tie_aware_map'):.4f}"
        self._drop_another(cell, run.key())
        checkpoint = self._checkpoints(cell.name)
        checkpoint.mkdir(exist_ok=True)
        with checkpoints_of(run.key()):
            model = run.train(checkpoint, progress)
            found = self._write(cell, model, run.key(), progress)
            remove_own(checkpoint)
        return "done", f"mAP {found:.4f}"

    def _planned(self, cell: Cell) -> AnyRun:
        spec, split = parse_spec(cell.method), self.split(cell.seed)
        options = options_for(spec, self.work.options, cell)
        return plan(
            self.dataset, split, method=spec.method, n_bits=cell.n_bits, options=options,
            method_options=spec.values or None, cache=self.feature_store,
        )  # fmt: skip

    def _standing(self, cell: Cell, key: str) -> CellResult | None:
        """Return what was found by this very run before; None where a file of it is missing, damaged or of another."""
        try:
            known = read_cell(self.work.folder, cell)
            if known.status != "done" or known.facts.get("key") != key:
                return None
            if not set(self.work.also) <= set(known.facts.get("also", {})):
                return None
            known.arrays()
            if self.work.keep_models:
                described = read_manifest(self._model_path(cell), TRAINED)
                return known if described["record"].get("run_key") == key else None
        except (DataError, BundleError):
            return None
        return known

    def _drop_another(self, cell: Cell, key: str) -> None:
        """Remove what was found by another run under the name of this cell: should this one fail, it must not stand."""
        try:
            is_another = read_cell(self.work.folder, cell).facts.get("key") != key
        except DataError:
            is_another = True
        if is_another:
            self._path(cell, "json").unlink(missing_ok=True)

    def _write(self, cell: Cell, model: Model, key: str, progress: Progress) -> float:
        """Evaluate a model and write the cell's files, the JSON file last; return the mAP."""
        began = time.monotonic()
        found = evaluate(
            model,
            self.dataset,
            device=self.work.options.device,
            cache=self.feature_store,
            each_query=True,
            reference=False,  # it is one for all cells of a seed
            progress=progress,
        )
        also = {name: self._also(model, self.split(cell.seed), name) for name in self.work.also}
        seconds = model.record["seconds"] | {"evaluation": round(time.monotonic() - began, 3)}
        if self.work.keep_models:
            model.save(self._model_path(cell))
        arrays = {"average_precision": found.average_precision, "centers": model.centers.centers}
        if model.similarity is not None:
            arrays["similarity"] = model.similarity
        self._path(cell, "json").unlink(missing_ok=True)  # it must never stand beside the arrays of another run
        write_whole(self._path(cell, "npz"), lambda aside: _save_arrays(aside, arrays))
        facts = (
            _facts(model, found)
            | ({"also": also} if also else {})
            | {"key": key, "seconds": seconds, "peak_mb": peak_mb()}
        )
        write_json(self._path(cell, "json"), cell.named() | {"status": "done"} | facts)
        return float(found.report.tie_aware_map)

    def _also(self, model: Model, split: Split, protocol: str) -> dict[str, Any]:
        """Return the figures of a model under another protocol with the same training images."""
        other = other_protocol(self.dataset, split, protocol)
        found = evaluate(
            model, self.dataset, other, device=self.work.options.device, cache=self.feature_store, reference=False
        )
        return {"split_hash": found.split_hash, **found.report.to_dict()}

    @contextmanager
    def _alone(self, name: str, progress: Progress) -> Iterator[None]:
        """Keep other commands in this folder from a cell or a tuning; who comes meanwhile waits."""
        folder = self._checkpoints(name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock_of(folder), lambda begins: progress(_WAITING, 0 if begins else 1, 1)):
            yield

    def _checkpoints(self, name: str) -> Path:
        return self.work.folder / "checkpoints" / name

    def _path(self, cell: Cell, ending: str) -> Path:
        return self.work.folder / "cells" / f"{cell.name}.{ending}"

    def _model_path(self, cell: Cell) -> Path:
        return self.work.folder / "models" / f"{cell.name}.model"


def _tuning(seed: int) -> str:
    """Return the name of the tuning of a seed among the checkpoints."""
    return f"tuning-seed{seed}"


def _tried(work: Callable[[], tuple[Outcome, str]]) -> tuple[Outcome, str]:
    """Return what became of some work: of what goes wrong, a line for people; an interrupt is passed on."""
    try:
        return work()
    except NearbitError as error:
        return "failed", str(error)
    except Exception as error:  # noqa: BLE001 - one failing cell must not end the others; it is written and shown
        traceback.print_exc()
        return "failed", f"{type(error).__name__}: {error}"


def options_for(spec: Spec, options: TrainOptions, cell: Cell) -> TrainOptions:
    """Return the options of a cell's training; what a baseline has no use for is left out."""
    seeded = replace(options, seed=cell.seed)
    if isinstance(spec.method, Baseline):
        return useful_options(spec.method, seeded)
    return seeded if spec.has_own_head else replace(seeded, head=cast(Any, cell.head))


def machine_facts() -> dict[str, Any]:
    """Return what kind of machine this is; nothing that names it."""
    return {"system": platform.system(), "processor": platform.machine(), "python": platform.python_version()}


def _facts(model: Model, found: Evaluation) -> dict[str, Any]:
    """Return everything that is said of a run that is done, but for its times."""
    record = model.record
    report = found.report.to_dict()
    changing = [epoch["center_correlation"] for epoch in record["history"] if "center_correlation" in epoch]
    return {
        "chosen": model.method,
        "head": model.head["kind"],
        "head_candidates": record["head_candidates"],
        "method_options": model.method_options,
        "regime": regime_of(record),
        **({"tuning": tuning_figures(record)} if "tuning" in record else {}),
        "schedule": record["schedule"],
        "selected_epoch": record["selected_epoch"],
        "validation_map": record["validation_map"],
        "certificate": record["certificate"],
        "center_correlation": changing[-1] if changing else None,
        "split_hash": found.split_hash,
        "dataset_fingerprint": record["dataset_fingerprint"],
        "queries_seen_in_training": found.queries_seen_in_training,
        "unread_images": len(found.problems),
        "report": report,
        "health": found.health.to_dict(),
        "versions": library_versions(),
        "threads": record["threads"],
        "device": record["device"],
        "machine": machine_facts(),
    }


def _save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)


def same_json(one: Any, other: Any) -> bool:
    """Tell whether two values are equal once they have been written as JSON."""
    return bool(json.loads(json.dumps(one)) == json.loads(json.dumps(other)))
