"""Folders of comparisons with cells of real figures: codes drawn around centers, evaluated as any others are."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from nearbit.centers.certificate import certify
from nearbit.codes import pack
from nearbit.compare.folder import FORMAT, VERSION, Cell, read_cell, read_folder, write_failure
from nearbit.compare.statistics import groups_of
from nearbit.methods import BASELINES
from nearbit.metrics import evaluate_codes, tie_aware_average_precision
from nearbit.metrics.health import health_of


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Sizes of the data that cells are evaluated on; the labels, and so the split, follow from the seed of a cell."""

    n_classes: int = 4
    n_query: int = 40
    n_database: int = 160
    same_split: bool = False

    def split_seed(self, cell):
        """Return the seed of the split: one for all cells, or that of the cell."""
        return 0 if self.same_split else cell.seed


def codes_of(cell, scene, *, flip):
    """Return signs of centers, queries and database, and the labels of the latter two, with the class similarity."""
    labels = np.random.default_rng([7, scene.split_seed(cell)]).integers(
        0, scene.n_classes, scene.n_query + scene.n_database
    )
    rng = np.random.default_rng([sum(map(ord, cell.name)), cell.seed])
    families = np.arange(scene.n_classes) % 2
    centers = rng.choice([-1, 1], (scene.n_classes, cell.n_bits)).astype(np.int8)
    centers[0] = 1
    centers[1] = -1
    shared = cell.n_bits // 3
    centers[:, :shared] = centers[families, :shared]
    noisy = centers[labels] * np.where(rng.random((len(labels), cell.n_bits)) < flip, -1, 1).astype(np.int8)
    similarity = np.where(families[:, None] == families, 0.6, 0.1) + 0.4 * np.eye(scene.n_classes)
    return centers, noisy[: scene.n_query], noisy[scene.n_query :], labels, similarity


def facts_of(cell, scene, *, flip):
    """Return the facts and the arrays of a cell that is done."""
    centers, queries, database, labels, similarity = codes_of(cell, scene, flip=flip)
    arguments = (pack(queries), labels[: scene.n_query], pack(database), labels[scene.n_query :])
    report = evaluate_codes(*arguments, n_bits=cell.n_bits)
    scores = tie_aware_average_precision(*arguments, cell.n_bits)
    facts = {
        "report": report.to_dict(),
        "health": health_of(pack(database), cell.n_bits, centers=pack(centers)).to_dict(),
        "certificate": certify(centers).to_dict(),
        "split_hash": f"split{scene.split_seed(cell)}",
        "validation_map": float(scores[::2].mean()),
        "selected_epoch": 3 + cell.seed,
        "head": "linear" if cell.head == "auto" else cell.head,
        "seconds": {"features": 1.5, "similarity": None, "training": 2.0 + cell.seed, "evaluation": 0.25},
        "peak_mb": 512.5,
        "versions": {"numpy": "2"},
    }
    arrays = {"average_precision": scores.astype(np.float32), "centers": centers}
    return facts, arrays | ({"similarity": similarity} if cell.method == "shc" else {})


def write_done(folder, cell, *, scene=None, flip=0.2, same_as=None, **changed):
    """Write a cell that is done; `same_as` gives it the codes of another cell, `changed` replaces facts."""
    facts, arrays = facts_of(same_as or cell, scene or Scene(), flip=flip)
    write_cell(folder, cell, {"status": "done", **facts, **changed}, arrays)


def write_failed(folder, cell, error):
    """Write a cell that failed."""
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    write_failure(folder, cell, error)


def write_cell(folder, cell, facts, arrays):
    """Write the files of a cell."""
    path = folder / "cells" / f"{cell.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cell": asdict(cell), **facts}), encoding="utf-8")
    if arrays is not None:
        np.savez(path.with_suffix(".npz"), **arrays)


def write_about(folder, *, methods, bits=(12, 16), heads=("linear",), seeds=(0, 1, 2), **more):
    """Write `comparison.json`."""
    about = {
        "format": FORMAT,
        "version": VERSION,
        "methods": list(methods),
        "bits": list(bits),
        "heads": list(heads),
        "seeds": list(seeds),
        "baselines": [method for method in methods if method in BASELINES],
        "dataset": {"name": "drawn", "images": 200, "classes": 4, "labels_per_image": 1.0},
        "split": {"protocol": "rest", "sizes": {"train": 100, "query": 40, "database": 160}},
        "train_options": {"epochs": 3},
        "command": "nearbit compare drawn --seeds 3 -o results/",
        "versions": {"nearbit": "0", "numpy": "2"},
        "machine": {"processor": "one", "cores": 2},
        **more,
    }
    (folder / "comparison.json").write_text(json.dumps(about), encoding="utf-8")


FLIPS = {"crh": 0.2, "shc": 0.22, "csq": 0.33, "itq": 0.38}


def write_comparison_folder(folder, *, scene=None, skip=(), **about):
    """Write a whole comparison of four methods, without the cells named in `skip`, and return it as it is read."""
    write_about(folder, **({"methods": list(FLIPS)} | about))
    for result in read_folder(folder).results:
        cell = result.cell
        if cell.name not in skip:
            write_done(folder, cell, scene=scene, flip=FLIPS[cell.method] + (0.03 if cell.head == "hidden" else 0))
    return read_folder(folder)


def group_of(folder, method, *, n_bits=12, seeds=(0, 1, 2), head="linear"):
    """Return the group of the cells of a method in a folder."""
    cells = [Cell(method=method, head=head, n_bits=n_bits, seed=seed) for seed in seeds]
    (group,) = groups_of([read_cell(folder, cell) for cell in cells])
    return group
