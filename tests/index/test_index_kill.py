"""kill -9 at random moments of adding, removing, merging and cache writing: nothing acknowledged is lost."""

import random
import subprocess
import sys
import time

import numpy as np
import pytest

from nearbit.index import create_index, open_index

N_BITS, BATCH = 64, 50

WRITER = """
import sys
import numpy as np
from nearbit.index import create_index
from nearbit.index.live import manager

manager.CACHED_ITEMS, manager.FEWEST_PENDING, manager.MERGED_AT_ONCE = 60, 60, 80

with create_index(sys.argv[1], 64, exist_ok=True) as index:
    print("ready", flush=True)
    while True:
        first = int(index.codes()[0].max(initial=0)) + 1
        ids = np.arange(first, first + 50)
        codes = np.array([i * 0x9E3779B97F4A7C15 % 2**64 for i in ids.tolist()], np.uint64)
        print("adding", first, flush=True)
        index.add(codes.view(np.uint8).reshape(-1, 8), ids=ids, metadata=[{"path": "p" * 100}] * 50)
        print("added", first, flush=True)
        if first % 3 == 0:
            print("removing", first, flush=True)
            index.remove(ids[:7])
            print("removed", first, flush=True)
        if first % 4 == 0:
            index.compact()
"""

ITEMS_LEFT = {"adding": (0, BATCH), "added": (BATCH,), "removing": (BATCH, BATCH - 7), "removed": (BATCH - 7,)}
"""How many items of a batch may be there, by the last line that its writer wrote about it."""


def codes_of(ids):
    numbers = np.array([item_id * 0x9E3779B97F4A7C15 % 2**64 for item_id in ids.tolist()], np.uint64)
    return numbers.view(np.uint8).reshape(-1, 8)


def lines_until_killed(path, seconds):
    """Run the writer, kill it `seconds` after it is ready, and return the (word, first id) lines that it wrote."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        time.sleep(seconds)
        writer.kill()
        lines = writer.stdout.readlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines if line.endswith("\n")]


def batches_after(path, allowed):
    """Check the file against the numbers of items that each batch may have, and return the numbers it has."""
    with open_index(path, read_only=True) as index:  # takes the cache file, if it is whole and of this index
        assert index.verify() == []
        ids, codes = index.codes()
    assert np.array_equal(codes, codes_of(ids))
    present, found = set(ids.tolist()), {}
    for first, counts in allowed.items():
        batch = present & set(range(first, first + BATCH))
        assert len(batch) in counts
        assert batch == set(range(first + BATCH - len(batch), first + BATCH))
        found[first] = (len(batch),)
    assert sum(count for (count,) in found.values()) == len(present)
    return found


def kill_rounds(path, rounds, longest):
    """Return how many batches were written over all the rounds, after checking the file in each."""
    generator = random.Random(0)
    batches = {}
    for _ in range(rounds):
        lines = lines_until_killed(path, generator.uniform(0.0, longest))
        batches = batches_after(path, batches | {first: ITEMS_LEFT[word] for word, first in lines})
    return len(batches)


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path):
    create_index(tmp_path / "a.index", N_BITS).close()
    assert kill_rounds(tmp_path / "a.index", 5, 0.1) >= 1


@pytest.mark.slow
def test_a_writer_killed_often_loses_nothing_it_acknowledged(tmp_path):
    create_index(tmp_path / "a.index", N_BITS).close()
    assert kill_rounds(tmp_path / "a.index", 200, 0.3) >= 100
    with open_index(tmp_path / "a.index") as index:
        index.add(codes_of(np.array([1])))
        index.compact()
    left = {file.name for file in tmp_path.iterdir()}
    assert left <= {"a.index", "a.index-search"}, "what killed writers left behind is taken away by the next one"
