"""`compare`: methods x heads x lengths x seeds on one data set, resumable, one file a run."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from nearbit.compare.bench import Bench, Outcome, Work, machine_facts, same_json
from nearbit.compare.folder import (
    DESCRIPTION,
    FORMAT,
    VERSION,
    Cell,
    ComparisonFolder,
    cells_of,
    read_about,
    read_cell,
    read_folder,
    write_failure,
)
from nearbit.compare.references import references_of
from nearbit.compare.soundness import sound
from nearbit.compare.specs import parse_spec, refuse_other_names
from nearbit.compare.statistics import data_notes
from nearbit.compare.time_left import TimeLeft, seconds_of
from nearbit.compare.workers import Told, run_cells, tune_backbones
from nearbit.datasets import Dataset, Split, other_protocol
from nearbit.encoding.versions import library_versions
from nearbit.errors import DataError, InputError
from nearbit.files.locking import locked
from nearbit.files.writing import write_json
from nearbit.given import check_choice, check_number
from nearbit.names import counted
from nearbit.networks import HEADS
from nearbit.progress import Progress, silent
from nearbit.progress import about as about_words
from nearbit.threads import n_threads
from nearbit.training.context import RunContext

LOCK = "comparison.lock"
"""Of a folder: held while its description is read and written again."""
GRID = ("methods", "bits", "heads", "seeds")
MERGED = (*GRID, "baselines", "commands", "also")
"""What an older comparison in the same folder had besides, beside its splits."""
EACH_SEEDS = ("sizes", "hash", "hashes", "unseen", "notes")
"""Of the splits: what seeds need not have in common."""
STAGE = "Comparing"
"""What `progress` is told after each run."""
MOST_PROCESSES = 4
"""Without being asked, no more processes than this: each holds the data set and the features."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is compared.

    Attributes:
        methods: names of methods and baselines, also with options ("crh:margin=0.3").
        bits: code lengths.
        heads: "linear", "hidden", "auto"; see `TrainOptions.head`.
        seeds: each decides the split, the centers and the training of its runs.
    """

    methods: tuple[str, ...] = ("crh", "shc", "mds", "csq")
    bits: tuple[int, ...] = (16, 32, 64)
    heads: tuple[str, ...] = ("auto",)
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        for name in GRID:
            values = getattr(self, name)
            if not values:
                raise InputError(f"a comparison needs at least one of its {name}, and none is named")
            if name == "methods" and (other := next((one for one in values if not isinstance(one, str)), None)):
                raise InputError(
                    f"a comparison takes the names of methods, and {type(other).__name__} "
                    f"{getattr(other, 'name', other)!r} is none: declare it as an entry point of the group "
                    "nearbit.methods (docs/methods/contract.md), and give its name"
                )
            if len(set(values)) < len(values):
                raise InputError(f"the {name} of a comparison must differ, and {values} names one twice")
        meant: dict[str, str] = {}
        for spec in self.methods:
            other = meant.setdefault(parse_spec(spec).meaning, spec)
            if other != spec:
                raise InputError(f"the methods of a comparison must differ, and {other} and {spec} are the same")
        for head in self.heads:
            check_choice("a head", head, ("auto", *HEADS))
        for name, least in (("bits", 1), ("seeds", 0)):
            numbers = tuple(check_number(name, value, at_least=least, whole=True) for value in getattr(self, name))
            object.__setattr__(self, name, numbers)


def compare(
    work: Work,
    grid: Grid,
    *,
    command: str = "",
    processes: int | None = None,
    progress: Progress = silent,
    say: Any = lambda line: None,
    warn: Any = lambda line: None,
    after_seed: Callable[[int], None] = lambda seed: None,
) -> ComparisonFolder:
    """Run every cell of a grid that is not done yet, and return the comparison as its folder then has it.

    Features of a frozen backbone are computed first, once for all cells. A cell is one thread of one process, so its
    result does not depend on how many run at once; on a GPU one process runs all of them. A folder that holds a
    comparison already is gone on with: cells that are done stay, cells that failed are tried again, and new methods,
    lengths, heads and seeds come beside the old ones.

    Args:
        work: the data set, its splits, the options of training and the folder.
        grid: what is compared.
        command: what made the comparison, for its report.
        processes: how many at once; None for as many as there are cores, at most 4, and 1 on a GPU.
        progress: called as features are computed, and after each cell.
        say: called with a line about each cell, with about how long the others will take.
        warn: called, before any cell is run, with what a reader of the results ought to know, as of small sets.
        after_seed: called with each seed but the last once all of its cells are over; cells are run seed by seed, so
            that tables of the first seeds hold every method.

    Raises:
        InputError: the folder holds a comparison of other data, splits or options; or fewer than 1 process.
        DataError: the split cannot be made.
    """
    if processes is not None:
        processes = check_number("processes", processes, at_least=1, whole=True)
    dataset = work.load()
    if dataset.problems:
        first = dataset.problems[0]
        unread = counted(len(dataset.problems), "image cannot be read and is", "images cannot be read and are")
        say(f"{unread} left out; the first: {first.path}: {first.reason}")
    splits = {seed: work.split(dataset, seed) for seed in grid.seeds}
    others = [other_protocol(dataset, split, name) for split in splits.values() for name in work.also]
    for split in (*splits.values(), *others):
        _check_can_compare(dataset, split)
    context = RunContext(dataset, splits[grid.seeds[0]], replace(work.options, seed=grid.seeds[0]), work.cache)
    about = _begun(work.folder, _about(dataset, splits, grid, context, command) | {"also": list(work.also)})
    _compute_features(context, [*splits.values(), *others], progress)
    references = references_of(context, dataset, splits, about["references"], progress)
    if references != about["references"]:
        about["references"] = references
        _write_references(work.folder, {str(seed): references.get(str(seed)) for seed in grid.seeds})
    for line in data_notes(about):
        warn(line)
    cells = sorted(_asked(about, grid), key=lambda cell: (cell.seed, cell.n_bits))
    if processes is None:
        processes = min(MOST_PROCESSES, n_threads()) if context.device.type == "cpu" else 1
    told = _teller(work.folder, cells, processes, progress, say, after_seed)
    work = work if context.device.type == "cpu" else replace(work, threads=None)
    if work.options.regime == "two-step" and work.cache is not None:
        cells = _tune(work, dataset, cells, processes, progress, say, told)
    if processes == 1:
        _run_here(work, dataset, cells, told)
    else:
        run_cells(work, cells, processes, told)
    return read_folder(work.folder)


def _check_can_compare(dataset: Dataset, split: Split) -> None:
    """Raise `DataError` where nothing could be measured, before anything is trained."""
    if not dataset.labels.any():
        raise DataError(
            f"{dataset.name}: no image has a label, so there is nothing to compare by: the labels say which images a "
            "query should find; give each image one (a folder a class, or a labels file)"
        )
    for part in ("query", "database"):
        if not len(split.rows(part)):
            why = "".join(f" ({note})" for note in split.notes if note.startswith("no image is left"))
            raise DataError(
                f"{dataset.name}: no image is in {part}, so there is nothing to compare by{why}: give {part} a size "
                f"(--{part}), or more images of each class"
            )


def _teller(
    folder: Path, cells: Sequence[Cell], processes: int, progress: Progress, say: Any, after_seed: Callable[[int], None]
) -> Told:
    """Return what is called as each cell is over: it counts, says how long the others will take, and ends seeds."""
    time_left = TimeLeft(cells, _known_seconds(folder, cells), processes)
    open_cells = Counter(cell.seed for cell in cells)

    def told(cell: Cell, outcome: Outcome, line: str) -> None:
        open_cells[cell.seed] -= 1
        done = len(cells) - open_cells.total()
        time_left.ended(cell, seconds_of(read_cell(folder, cell).facts) if outcome == "done" else None)
        seconds = time_left.seconds() if done < len(cells) else None
        left = "" if seconds is None else f"; {about_words(seconds)} left"
        say(f"{done}/{len(cells)} {cell.name}: {outcome}, {line}{left}")
        progress(STAGE, done, len(cells))
        if not open_cells[cell.seed] and done < len(cells):
            after_seed(cell.seed)

    return told


def _known_seconds(folder: Path, cells: Sequence[Cell]) -> dict[Cell, float]:
    """Return how long cells took that are done, as far as their files can be read and say so."""
    known = {}
    for cell in cells:
        try:
            result = read_cell(folder, cell)
        except DataError:
            continue  # it will be run again
        seconds = seconds_of(result.facts) if result.status == "done" else None
        if seconds is not None:
            known[cell] = seconds
    return known


def _run_here(work: Work, dataset: Dataset, cells: Sequence[Cell], told: Any) -> None:
    with _own_threads():
        bench = Bench(work, dataset)
        for cell in cells:
            told(cell, *bench.run(cell))


def _tune(
    work: Work, dataset: Dataset, cells: Sequence[Cell], processes: int, progress: Progress, say: Any, told: Told
) -> list[Cell]:
    """Fine-tune the backbones that the cells of each seed share; return the cells that can be run.

    Of a seed whose backbone cannot be tuned those fail that need it; results that stand are kept.
    """
    seeds = [tuple(group) for _, group in groupby(cells, key=lambda cell: cell.seed)]
    failed: list[Cell] = []

    def tuned(of_seed: tuple[Cell, ...], outcome: Outcome, line: str) -> None:
        say(f"seed {of_seed[0].seed}: {line}")
        for cell, _ in bench.needing(of_seed) if outcome == "failed" else ():
            failed.append(cell)
            write_failure(work.folder, cell, line)
            told(cell, outcome, line)

    with _own_threads():
        bench = Bench(work, dataset)
        if processes == 1:
            for of_seed in seeds:
                tuned(of_seed, *bench.tune(of_seed, progress))
        else:
            tune_backbones(work, seeds, processes, tuned)
    return [cell for cell in cells if cell not in failed]


@contextmanager
def _own_threads() -> Iterator[None]:
    """Let the block set torch's threads for itself."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _asked(about: dict[str, Any], grid: Grid) -> list[Cell]:
    """Return the cells of the grid; those of an older grid in the same folder stay as they are."""
    return cells_of(about | {name: list(getattr(grid, name)) for name in GRID})


def _about(dataset: Dataset, splits: dict[int, Split], grid: Grid, context: RunContext, command: str) -> dict[str, Any]:
    options = context.recorded_options() | ({"batch_norm": "fixed"} if context.batch_norm == "fixed" else {})
    return {
        "format": FORMAT,
        "version": VERSION,
        **{name: list(values) for name, values in asdict(grid).items()},
        "baselines": [spec for spec in grid.methods if parse_spec(spec).has_own_head],
        "dataset": {
            "name": dataset.name,
            "images": len(dataset),
            "classes": dataset.n_classes,
            "labels_per_image": round(float(dataset.labels.sum(axis=1).mean()), 4),
            "fingerprint": dataset.fingerprint,
        },
        "split": _split_facts(splits),
        "regime": context.regime,
        **({} if context.regime == "scratch" else {"backbone_fingerprint": context.backbone.fingerprint()}),
        "train_options": {name: value for name, value in options.items() if name not in ("seed", "head")},
        "references": {},
        "command": command,
        "commands": [command] if command else [],
        "versions": library_versions(),
        "machine": machine_facts() | {"cores": n_threads()},
    }


def _split_facts(splits: dict[int, Split]) -> dict[str, Any]:
    """Return what is said of the splits; which classes are unseen is each seed's own, as its rows are."""
    first = next(iter(splits.values()))
    unseen = {str(seed): split.recipe["unseen"] for seed, split in splits.items() if "unseen" in split.recipe}
    return {
        "recipe": {name: value for name, value in first.recipe.items() if name not in ("seed", "unseen")},
        "sizes": first.sizes(),
        **_hash_facts({str(seed): split.hash for seed, split in splits.items()}),
        **({"unseen": unseen} if unseen else {}),
        **({"notes": list(first.notes)} if first.notes else {}),
    }


def _hash_facts(hashes: dict[str, str]) -> dict[str, Any]:
    shared = set(hashes.values())
    return {"hashes": hashes} | ({"hash": shared.pop()} if len(shared) == 1 < len(hashes) else {})


def _begun(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Write what is asked for beside what the folder holds already, and return both.

    Another command may begin in the same folder: one after the other, so that neither loses what the other asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK):
        about = _described(folder, asked)
        write_json(folder / DESCRIPTION, about)
    (folder / "cells").mkdir(exist_ok=True)
    return about


def _write_references(folder: Path, found: dict[str, Any]) -> None:
    """Put what float features give at some seeds, None for nothing, into the description as others left it."""
    with locked(folder / LOCK):
        about = read_about(folder)
        references = about.get("references", {}) | found
        references = {seed: figures for seed, figures in references.items() if figures is not None}
        write_json(folder / DESCRIPTION, about | {"references": references})


def _described(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the description to write: the one asked for, with what an older one of the same data had besides."""
    if not (folder / DESCRIPTION).exists():
        if any(path.name != LOCK for path in folder.iterdir()):
            raise InputError(f"{folder} holds other things than a comparison: choose another -o, or empty it")
        return asked
    known = read_about(folder)
    with sound(folder):
        return _merged(folder, known, asked)


def _merged(folder: Path, known: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    for what in ("dataset", "split", "train_options"):
        old, new = known[what], asked[what]
        differing = [
            name for name in {**old, **new} if name not in EACH_SEEDS and not same_json(old.get(name), new.get(name))
        ]
        if what == "split" and _is_other_split(old, new):
            differing.append("hash")
        if differing:
            raise InputError(
                f"{folder} holds a comparison with another {what.replace('_', ' ')} ({', '.join(differing)}): "
                "choose another -o, or give what it was begun with"
            )
    _check_backbone(folder, known, asked)
    refuse_other_names(folder, known["methods"], asked["methods"])
    merged = {name: list(dict.fromkeys([*known.get(name, []), *asked[name]])) for name in MERGED}
    sorts = {name: sorted(merged[name]) for name in ("bits", "seeds")}
    split = _merged_split(known["split"], asked["split"])
    return asked | merged | sorts | {"split": split, "references": known.get("references", {})}


def _check_backbone(folder: Path, known: dict[str, Any], asked: dict[str, Any]) -> None:
    """Raise `InputError` where a backbone of the same name has other weights than the comparison was begun with."""
    before, now = known.get("backbone_fingerprint"), asked.get("backbone_fingerprint")
    if None not in (before, now) and before != now:
        raise InputError(
            f"{folder} holds a comparison with another backbone: {asked['train_options'].get('backbone')} has other "
            "weights now: choose another -o, or give the backbone it was begun with"
        )


def _is_other_split(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Tell whether a seed would have two splits, or some seeds one split together and others not."""
    hashes: dict[str, str] = old.get("hashes", {})
    if any(hashes.get(seed, found) != found for seed, found in new["hashes"].items()):
        return True
    shared = old.get("hash") or new.get("hash")
    return shared is not None and any(found != shared for found in (*hashes.values(), *new["hashes"].values()))


def _merged_split(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    unseen = old.get("unseen", {}) | new.get("unseen", {})
    hashes = _hash_facts(old.get("hashes", {}) | new["hashes"])
    return new | hashes | ({"unseen": unseen} if unseen else {})


def _compute_features(context: RunContext, splits: Sequence[Split], progress: Progress) -> None:
    """Put the frozen features of every image that any split uses into the cache."""
    if context.regime != "frozen" or context.cache is None:
        return
    rows = sorted({int(row) for split in splits for part in split.sizes() for row in split.rows(part)})
    context.cache_features(rows, progress)
