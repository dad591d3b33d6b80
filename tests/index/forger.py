"""Forges every array of a cache file in many ways and searches with each; told on standard output as JSON.

A program, since a search that leaves its bounds would end the process. Arguments: the kind of layout, the code length,
a folder.
"""

import contextlib
import json
import sys
from pathlib import Path

import numpy as np

from nearbit.codes import as_words
from nearbit.index.engine import parallel  # noqa: F401 - loaded, the kernels serve small indexes too
from nearbit.index.engine.structure import build_structure
from nearbit.index.live import cache as cache_module
from nearbit.index.live.cache import SearchCache
from nearbit.index.live.snapshot import MainSegment, Subset, fresh_snapshot
from nearbit.index.storage.change_log import State
from nearbit.index.storage.label_sets import LabelSets

N = 700
LABELS = ["[]", '["a"]', '["a","b"]']


def forgeries(array, rng):
    """Yield (name, array): extremes, random values, other orders, types and shapes."""
    wide = np.iinfo(array.dtype) if array.dtype.kind in "iu" else None
    values = [] if wide is None else [wide.max, wide.max - 15, wide.min, wide.min + 1, wide.max // 2, N, N - 1]
    for value in (one for one in values if one <= wide.max):
        yield f"all {value}", np.full_like(array, value)
        if array.size:
            for place in (0, array.size // 2, array.size - 1):
                one = array.copy()
                one.flat[place] = value
                yield f"{value} at {place}", one
    for round_ in range(6):
        mixed = array.copy().ravel()
        rng.shuffle(mixed)
        yield f"shuffled {round_}", mixed.reshape(array.shape)
    yield "reversed", np.ascontiguousarray(array[::-1])
    yield "longer", np.concatenate([array, array])
    yield "shorter", array[:-1]
    yield "empty", array[:0]
    yield "flat", array.reshape(-1)
    yield "deep", array.reshape(1, *array.shape)[:, :1]
    for kind in ("uint8", "int8", "uint16", "int32", "uint32", "int64", "uint64", "bool"):
        yield kind, array.astype(kind)


def texts():
    """Yield (name, array): what the list of label sets must not be."""
    for text in (
        "[]",
        "[1]",
        '{"a": 1}',
        '["x"]',
        '["[1]"]',
        '["[[]]"]',
        "[" * 90_000,
        '["' + "[" * 90_000 + '"]',
        "9" * 5000,
    ):
        yield text[:9], np.frombuffer(text.encode(), np.uint8)


def search(base, labels, n_bits):
    """Search as an index does, in every way that reads the arrays."""
    snapshot = fresh_snapshot(base, n_bits, labels)
    queries = as_words(snapshot.codes()[:: max(1, len(base.ids) // 9)])
    for k, radius in ((1, None), (25, None), (5000, None), (None, n_bits // 4), (None, n_bits)):
        snapshot.nearest(queries, k=snapshot.room(k), radius=radius)
    snapshot.nearest(queries, k=9, radius=None, only=Subset(np.arange(0, len(base.ids), 3), np.empty(0, np.intp)))
    gone = np.zeros(len(base.ids), np.bool_)
    gone[::2] = True
    base.structure.nearest(queries, k=7, radius=None, excluded=gone)
    snapshot.label_counts()
    snapshot.labelled(("a",))


def main(kind, n_bits, folder):
    """Forge one array after another; print how many there were, and which of them were taken."""
    rng = np.random.default_rng(7)
    words = as_words(np.packbits(rng.random((N, n_bits)) < 0.12, axis=1))
    structure = build_structure(words, n_bits, layout=kind)
    base = MainSegment(np.arange(N) * 3, words, rng.integers(0, 3, N, dtype=np.int32), structure, State(1, 2))
    cache = SearchCache(folder / "x.index", "x", n_bits)
    cache.save(base, LabelSets(LABELS))
    arrays, written = {}, cache_module._write
    cache_module._write = lambda path, about, them: arrays.update({"about": about, **them})
    with contextlib.suppress(OSError):  # nothing was written
        cache.save(base, LabelSets(LABELS))
    about = arrays.pop("about")
    assert cache.load() is not None
    forged, taken = 0, set()
    for name, array in arrays.items():
        others = forgeries(np.ascontiguousarray(array), rng)
        for _, false in (*others, *(texts() if name == "labels" else ())):
            if false.dtype == array.dtype and np.array_equal(false, array):
                continue
            written(cache.path, about, arrays | {name: false})
            loaded = cache.load()
            forged += 1
            if loaded is not None:
                taken.add(name)
                search(*loaded, n_bits)
    print(json.dumps({"forged": forged, "taken": sorted(taken)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
