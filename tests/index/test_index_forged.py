"""A cache file that anyone may have made: whatever its arrays hold, a search stays in bounds or goes without it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nearbit.codes import as_words
from nearbit.errors import InputError
from nearbit.index import create_index, open_index
from nearbit.index.engine.structure import Structure, build_structure
from nearbit.index.live import manager
from nearbit.index.live.cache_header import FIXED, FORMAT_VERSION, HEAD, MAGIC, PAGE, digest_of

KINDS = {"plain": 64, "rings": 72, "table": 12}
HARMLESS = {
    "ids",
    "words",
    "sets",
    *(f"structure.{name}" for name in ("columns", "leaders", "rings", "spans", "does_prune")),
}
"""What may be taken with other values than ours: numbers that are compared, never used as a place or a row."""
FIRST = np.array([[0, 1]], np.uint8)
FORGER = Path(__file__).with_name("forger.py")


@pytest.mark.parametrize("kind", KINDS)
def test_no_forged_array_crashes_a_search(kind, tmp_path):
    """In a process of its own: reading out of bounds would end it."""
    done = subprocess.run(
        [sys.executable, str(FORGER), kind, str(KINDS[kind]), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["forged"] > 60
    assert set(told["taken"]) <= HARMLESS


def structure_of(layout):
    rng = np.random.default_rng(0)
    codes = np.packbits(rng.random((600, KINDS[layout])) < 0.15, axis=1)
    return build_structure(as_words(codes), KINDS[layout], layout=layout).arrays()


def swapped(array):
    changed = array.copy()
    changed[[0, -1]] = changed[[-1, 0]]
    return changed


@pytest.mark.parametrize(
    ("layout", "name", "forge", "wrong"),
    [
        ("table", "table", lambda a: np.full_like(a, 0xFFFFFFF0), "a table of the places of its codes"),
        ("table", "table", lambda a: np.roll(a, 1), "a table of the places of its codes"),
        ("table", "probes", lambda a: a + np.uint32(1), "probes that are all addresses"),
        ("table", "rows", lambda a: a + np.uint32(1), r"rows from 0 to 599"),
        ("rings", "rows", lambda a: np.zeros_like(a), "rows and places that lead to each other"),
        ("rings", "places", lambda a: a + np.uint32(600), r"places from 0 to \d+"),
        ("rings", "places", swapped, "rows and places that lead to each other"),
        (
            "rings",
            "offsets",
            lambda a: np.where(np.arange(len(a)) == 5, 2**31, a).astype(a.dtype),
            "offsets that ascend",
        ),
        ("rings", "offsets", lambda a: a.astype(np.int64), "offsets as uint32"),
        ("rings", "group_cells", lambda a: a - 1, "group_cells that ascend"),
        ("rings", "cell_starts", lambda a: a[::-1], "cell_starts that ascend"),
        ("rings", "masks", lambda a: np.zeros_like(a), "masks that put each bit into one part"),
        ("rings", "masks", lambda a: np.full_like(a, 2**64 - 1), "masks that put each bit into one part"),
        ("rings", "columns", lambda a: a | np.uint64(1 << 63), "columns whose bits beyond the code length are 0"),
        ("plain", "columns", lambda a: a[0], "needs columns as uint64"),
        ("plain", "does_prune", lambda a: a[:0], "one mark does_prune"),
        ("plain", "rows", lambda a: np.zeros(600, np.uint32), "for plain, not"),
        ("table", "leaders", lambda a: np.zeros((1, 3), np.uint64), "for table, not"),
    ],
)
def test_what_cannot_be_is_refused_by_name(layout, name, forge, wrong):
    whole = structure_of(layout)
    with pytest.raises(InputError, match=wrong):
        Structure.from_arrays(whole | {name: forge(whole.get(name))}, KINDS[layout])
    assert len(Structure.from_arrays(whole, KINDS[layout])) == 600


def test_rings_of_the_longest_codes_are_refused():
    short = build_structure(as_words(np.zeros((300, 1025), np.uint8)), 8200, layout="rings").arrays()
    with pytest.raises(InputError, match="at most 8192 bits for rings, not 8200"):
        Structure.from_arrays(short, 8200)


def with_header(path, change):
    """Write the header of a cache file anew, with a hash that is right."""
    data = path.read_bytes()
    _, _, length = FIXED.unpack_from(data)
    begin = -(-(HEAD + length) // PAGE) * PAGE
    text = change(json.loads(data[HEAD : HEAD + length]))
    fixed = FIXED.pack(MAGIC, FORMAT_VERSION, len(text))
    head = fixed + digest_of(fixed + text) + text
    path.write_bytes(head + bytes(-len(head) % PAGE) + data[begin:])


def of_entry(**facts):
    """Return a change of the first array of a header."""
    return lambda header: json.dumps(
        header | {"arrays": header["arrays"] | {"ids": header["arrays"]["ids"] | facts}}
    ).encode()


HEADERS = {
    "deep": lambda header: b"[" * 100_000,
    "no JSON": lambda header: b"{",
    "a list": lambda header: b"[1]",
    "nothing": lambda header: b"{}",
    "no arrays": lambda header: json.dumps(header | {"arrays": {}}).encode(),
    "arrays as a list": lambda header: json.dumps(header | {"arrays": [1]}).encode(),
    "a revision beyond 64 bits": lambda header: json.dumps(header | {"revision": 2**70}).encode(),
    "a token that is text": lambda header: json.dumps(header | {"token": "1"}).encode(),
    "a size below zero": lambda header: json.dumps(header | {"bytes": -1}).encode(),
    "a digit too many": lambda header: b'{"index_id": ' + b"9" * 5000 + b"}",
    "objects": of_entry(dtype="O"),
    "no type": of_entry(dtype=None),
    "a shape below zero": of_entry(shape=[-1]),
    "a shape beyond the file": of_entry(shape=[2**61]),
    "a shape of no number": of_entry(shape=["7"]),
    "no axes": of_entry(shape=[]),
    "many axes": of_entry(shape=[1] * 40),
    "a place below zero": of_entry(offset=-4096),
    "a place within a page": of_entry(offset=8),
    "a place beyond the file": of_entry(offset=2**40),
}


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(manager, "CACHED_ITEMS", 10)
    with create_index(tmp_path / "a.index", 16) as index:
        index.add(np.arange(80, dtype=np.uint8).reshape(40, 2), metadata=[{"labels": ["a"]}] * 40)
    assert (tmp_path / "a.index-search").exists()
    return tmp_path / "a.index"


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS)
def test_a_forged_header_counts_as_no_cache(change, path):
    beside = path.with_name("a.index-search")
    whole = beside.read_bytes()
    with_header(beside, change)
    with open_index(path) as index:
        assert index.search(FIRST, k=1).ids.tolist() == [[1]]
        assert index.verify() == []
    assert beside.read_bytes() == whole  # closing made it again


def test_what_is_no_file_keeps_nobody_waiting(path):
    beside = path.with_name("a.index-search")
    beside.unlink()
    os.mkfifo(beside)
    with open_index(path, read_only=True) as index:
        assert index.search(FIRST, k=1).ids.tolist() == [[1]]
