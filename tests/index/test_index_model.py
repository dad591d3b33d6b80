"""Random sequences of writes, searches, merges, caches and reopenings, against a dictionary and brute force."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import oracles
from nearbit.errors import InputError
from nearbit.index import create_index, open_index
from nearbit.index.storage import store

few_ids = st.lists(st.integers(0, 9), unique=True, min_size=1, max_size=4)
seeds = st.integers(0, 2**16)


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch):
    """Make caches, merges (in a thread) and an overflowing log happen among a few items."""
    monkeypatch.setattr("nearbit.index.live.manager.CACHED_ITEMS", 3)
    monkeypatch.setattr("nearbit.index.live.manager.FEWEST_PENDING", 6)
    monkeypatch.setattr("nearbit.index.live.manager.MERGED_AT_ONCE", 8)
    monkeypatch.setattr("nearbit.index.storage.loading.ROWS_PER_FETCH", 3)
    monkeypatch.setattr("nearbit.index.storage.change_log.RUNS_PER_CHANGE", 3)
    monkeypatch.setattr("nearbit.index.storage.change_log.RUNS_IN_ALL", 20)
    monkeypatch.setattr("nearbit.index.engine.structure.PAIRS_PER_BLOCK", 5)
    monkeypatch.setattr("nearbit.index.live.filters.FEW_ITEMS", 2)
    connect = store.connect

    def unsynced(*arguments):
        connection = connect(*arguments)
        connection.execute("PRAGMA synchronous = OFF")  # nothing is killed here
        return connection

    monkeypatch.setattr(store, "connect", unsynced)


class IndexMachine(RuleBasedStateMachine):
    @initialize(n_bits=st.sampled_from([1, 3, 8, 12, 64, 65]), outputs=st.sampled_from([None, "int8"]))
    def start(self, n_bits, outputs):
        self.folder = Path(tempfile.mkdtemp())
        self.n_bits, self.outputs = n_bits, outputs
        self.items, self.labels, self.numbered, self.last = {}, {}, set(), 0
        self.index = create_index(self.folder / "a.index", n_bits, outputs=outputs)
        self.reader = open_index(self.folder / "a.index", read_only=True)

    def codes(self, n, seed):
        return np.packbits(np.random.default_rng(seed).random((n, self.n_bits)) < 0.3, axis=1)

    def kept(self, n):
        return None if self.outputs is None else np.ones((n, self.n_bits))

    def remember(self, ids, codes, label):
        for item_id, code in zip(ids, codes, strict=True):
            self.items[item_id], self.labels[item_id] = code, label
        self.numbered -= set(ids)
        self.last = max([self.last, *ids])

    @rule(n=st.integers(0, 4), seed=seeds, label=st.sampled_from("ab"))
    def add(self, n, seed, label):
        codes = self.codes(n, seed)
        metadata = [{"labels": [label], "n": 1}] * n
        ids = self.index.add(codes, metadata=metadata, outputs=self.kept(n)).tolist()
        assert ids == list(range(self.last + 1, self.last + 1 + n))
        self.remember(ids, codes, label)
        self.numbered |= set(ids)

    @rule(ids=few_ids, seed=seeds, label=st.sampled_from("ab"), replace=st.booleans())
    def add_given(self, ids, seed, label, replace):
        codes = self.codes(len(ids), seed)
        add = {"ids": ids, "metadata": [{"labels": [label]}] * len(ids), "replace": replace}
        add["outputs"] = self.kept(len(ids))
        if not replace and self.items.keys() & set(ids):
            with pytest.raises(InputError, match="already holds item"):
                self.index.add(codes, **add)
            return
        self.index.add(codes, **add)
        self.remember(ids, codes, label)

    @rule(ids=few_ids, label=st.sampled_from("abc"))
    def update(self, ids, label):
        present = [item_id for item_id in ids if item_id in self.items]
        self.index.update(present, metadata=[{"labels": [label], "n": 1}] * len(present))
        self.labels |= dict.fromkeys(present, label)
        self.numbered |= set(present)

    @rule(ids=few_ids)
    def remove(self, ids):
        present = self.items.keys() & set(ids)
        assert self.index.remove(ids, missing_ok=True) == len(present)
        for item_id in present:
            del self.items[item_id], self.labels[item_id]

    @rule(seed=seeds, k=st.one_of(st.none(), st.integers(1, 8)), radius=st.integers(0, 5), with_reader=st.booleans())
    def search(self, seed, k, radius, with_reader):
        queries = self.codes(2, seed)
        results = (self.reader if with_reader else self.index).search(queries, k=k, radius=radius)
        expected = [oracles.top_k(query, self.items, self.n_bits, k, radius) for query in queries]
        assert [results.pairs(query) for query in range(2)] == expected

    @rule(seed=seeds, label=st.sampled_from("abc"), with_reader=st.booleans(), with_number=st.booleans())
    def search_label(self, seed, label, with_reader, with_number):
        queries = self.codes(1, seed)
        ids = [i for i in self.items if self.labels[i] == label and (i in self.numbered or not with_number)]
        chosen = {item_id: self.items[item_id] for item_id in ids}
        where = {"labels": label, "n": 1} if with_number else {"labels": label}
        found = (self.reader if with_reader else self.index).search(queries, k=5, where=where).pairs(0)
        assert found == oracles.top_k(queries[0], chosen, self.n_bits, 5)

    @rule()
    def compact(self):
        self.index.compact()

    @rule(cache=st.booleans())
    def reopen(self, cache):
        self.index.close()
        self.index = open_index(self.folder / "a.index", cache=cache)
        assert self.index.verify() == []

    @rule(cache=st.booleans())
    def reopen_reader(self, cache):
        self.reader.close()
        self.reader = open_index(self.folder / "a.index", read_only=True, cache=cache)

    @invariant()
    def holds_what_was_added(self):
        if hasattr(self, "index"):
            ids, codes = self.index.codes()
            assert ids.tolist() == sorted(self.items)
            assert len(self.reader) == len(self.index) == len(self.items)
            assert [code.tobytes() for code in codes] == [
                self.items[item_id].tobytes() for item_id in sorted(self.items)
            ]

    def teardown(self):
        if hasattr(self, "index"):
            self.reader.close()
            self.index.close()
            shutil.rmtree(self.folder)


TestIndexMachine = IndexMachine.TestCase
TestIndexMachine.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("steps", [100, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_long_sequence_of_mostly_writes_stays_right(seed, steps):
    """The machine above, driven without its search for short sequences: tails, merges and caches grow old together."""
    rng, machine = np.random.default_rng(seed), IndexMachine()

    def ids():
        return rng.permutation(10)[: rng.integers(1, 5)].tolist()

    calls = {
        "add": lambda: {"n": int(rng.integers(1, 4)), "seed": int(rng.integers(99)), "label": rng.choice(["a", "b"])},
        "add_given": lambda: {"ids": ids(), "seed": int(rng.integers(99)), "label": "b", "replace": True},
        "update": lambda: {"ids": ids(), "label": rng.choice(["a", "b", "c"])},
        "remove": lambda: {"ids": [*ids(), machine.last, machine.last - 2 if machine.last > 1 else 0]},
        "search": lambda: {"seed": int(rng.integers(99)), "k": 5, "radius": 4, "with_reader": bool(rng.integers(2))},
        "search_label": lambda: {
            "seed": int(rng.integers(99)), "label": rng.choice(["a", "b", "c"]),
            "with_reader": bool(rng.integers(2)), "with_number": bool(rng.integers(2)),
        },
        "compact": dict,
        "reopen": lambda: {"cache": bool(rng.integers(2))},
        "reopen_reader": lambda: {"cache": bool(rng.integers(2))},
    }  # fmt: skip
    weights = np.array([6, 8, 4, 3, 6, 6, 1, 1, 1])
    machine.start(n_bits=[1, 12, 64, 65][seed], outputs=[None, "int8"][seed % 2])
    for name in rng.choice(list(calls), steps, p=weights / weights.sum()):
        getattr(machine, name)(**calls[name]())
        machine.holds_what_was_added()
    machine.teardown()
