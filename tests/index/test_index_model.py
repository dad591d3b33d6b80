"""Random sequences of add, replace, remove, search and reopen, against a dictionary and brute force."""

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

few_ids = st.lists(st.integers(0, 12), unique=True, max_size=5)
seeds = st.integers(0, 2**16)


class IndexMachine(RuleBasedStateMachine):
    @initialize(n_bits=st.sampled_from([1, 3, 8, 12, 64, 65]))
    def start(self, n_bits):
        self.folder = Path(tempfile.mkdtemp())
        self.n_bits = n_bits
        self.items, self.labels, self.last = {}, {}, 0
        self.index = create_index(self.folder / "a.index", n_bits)
        self.reader = open_index(self.folder / "a.index", read_only=True)

    def codes(self, n, seed):
        return np.packbits(np.random.default_rng(seed).random((n, self.n_bits)) < 0.3, axis=1)

    def remember(self, ids, codes, label):
        for item_id, code in zip(ids, codes, strict=True):
            self.items[item_id], self.labels[item_id] = code, label
        self.last = max([self.last, *ids])

    @rule(n=st.integers(0, 4), seed=seeds, label=st.sampled_from("ab"))
    def add(self, n, seed, label):
        codes = self.codes(n, seed)
        ids = self.index.add(codes, metadata=[{"labels": [label]}] * n).tolist()
        assert ids == list(range(self.last + 1, self.last + 1 + n))
        self.remember(ids, codes, label)

    @rule(ids=few_ids, seed=seeds, label=st.sampled_from("ab"), replace=st.booleans())
    def add_given(self, ids, seed, label, replace):
        codes = self.codes(len(ids), seed)
        add = {"ids": ids, "metadata": [{"labels": [label]}] * len(ids), "replace": replace}
        if not replace and self.items.keys() & set(ids):
            with pytest.raises(InputError, match="already holds item"):
                self.index.add(codes, **add)
            return
        self.index.add(codes, **add)
        self.remember(ids, codes, label)

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

    @rule(seed=seeds, label=st.sampled_from("abc"))
    def search_label(self, seed, label):
        queries = self.codes(1, seed)
        items = {item_id: code for item_id, code in self.items.items() if self.labels[item_id] == label}
        found = self.index.search(queries, k=5, where={"labels": label}).pairs(0)
        assert found == oracles.top_k(queries[0], items, self.n_bits, 5)

    @rule()
    def reopen(self):
        self.index.close()
        self.index = open_index(self.folder / "a.index")
        assert self.index.verify() == []

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
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
