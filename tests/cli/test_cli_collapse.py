"""Codes that collapse, and clusters that say little: told with figures and what to change, and only then."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_makers import random_model
from nearbit.grouping import cluster_advice
from nearbit.grouping.same_codes import collapse_lines, same_codes
from nearbit.index import create_index
from tiny_data import write_folder


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def index_of(codes, *, labels=("wren",), digests=None):
    """Return an index in memory of codes of 8 bits, whose items have these labels in turn."""
    index = create_index(None, n_bits=8)
    about = [
        {"path": f"{row}.png", "labels": [labels[row % len(labels)]] if labels else [], "digest": f"{row}"}
        for row in range(len(codes))
    ]
    for one, digest in zip(about, digests or [], strict=False):
        one["digest"] = digest
    index.add(np.array(codes, np.uint8)[:, None], metadata=about)
    return index


def test_items_that_share_a_code_are_counted():
    codes = [1, 1, 2, 3, 3, 3]
    with index_of(codes) as index:
        found = same_codes(index)
    sharing = [code for code in codes if codes.count(code) > 1]
    assert (found.n_items, found.n_codes, found.n_sharing) == (6, len(set(codes)), len(sharing))
    assert found.words == "3 distinct codes for 6 items (83% share theirs with others)"
    with create_index(None, n_bits=8) as empty:
        assert same_codes(empty).share == 0
        assert collapse_lines(empty, ()) == []


def test_codes_collapse_where_pictures_differ_and_the_model_does_not_know_their_labels():
    few = [row % 4 for row in range(40)]
    with index_of(few) as index:
        first, second = collapse_lines(index, ("robin", "tit"))
        assert first.startswith("codes collapse: 4 distinct codes for 40 items (100% share theirs with others), and 40")
        assert "tells 2 classes apart, and most labels of this index are none of them" in second
        assert "without labels: more bits" in collapse_lines(index, ())[1]
        assert collapse_lines(index, ("wren",)) == [], "equal codes within a class are what a model is trained for"
    with index_of(few, labels=()) as index:
        assert "this index has no labels" in collapse_lines(index, ("wren",))[1]
    with index_of(few, labels=("wren", "owl", "owl")) as index:
        assert collapse_lines(index, ("wren",)), "a third of the labels is known"
    with index_of(few, digests=[str(code) for code in few]) as index:
        assert collapse_lines(index, ()) == [], "as many codes as pictures"
    with index_of(range(40)) as index:
        assert collapse_lines(index, ()) == []
    with index_of(few[:19]) as index:
        assert collapse_lines(index, ()) == [], "too few to tell"


def test_codes_of_before_are_told_and_codes_that_are_not_fewer_pass():
    with index_of([row % 20 for row in range(40)]) as old, index_of([row % 4 for row in range(40)]) as new:
        assert "20 before (100%)" in collapse_lines(new, (), before=same_codes(old))[0]
        assert collapse_lines(new, (), before=same_codes(new)) == []


def test_index_and_reencode_warn_of_codes_that_collapse(nearbit, as_json):
    write_folder(Path("photos"))
    random_model(n_bits=20, seed=0).save("long.model")
    replace(random_model(n_bits=3, seed=1, split=False), classes=("x", "y", "z")).save("short.model")
    about = as_json("index", "add", "short.index", "photos", "--model", "short.model")
    assert about["warnings"][0].startswith("codes collapse: ")
    status, _, err = nearbit("index", "add", "a.index", "photos", "--model", "long.model")
    assert status == 0
    assert "collapse" not in err
    status, _, err = nearbit("index", "reencode", "a.index", "--model", "short.model", "--json")
    assert status == 0, err
    assert "nearbit: warning: codes collapse: " in err
    assert " before (" in err
    back = as_json("index", "reencode", "a.index", "--model", "long.model")
    assert back["warnings"] == []
    assert back["distinct_codes_before"] < back["distinct_codes"]


def test_clusters_that_say_little_are_told_what_to_change(nearbit):
    with index_of([0] * 30 + [255, 254, 240]) as index:
        (giant,) = cluster_advice(index.clusters(2))
        assert giant.startswith("one cluster holds 31 of 33 items, and 30 of them have one code")
    spread = [*np.random.default_rng(0).integers(0, 16, 60).tolist(), 255]
    with index_of(spread) as index:
        (giant,) = cluster_advice(index.clusters(2))
        assert "more clusters (-n 4) part it" in giant
    with index_of(range(40)) as index:
        assert cluster_advice(index.clusters(4)) == []
        (many,) = cluster_advice(index.clusters(30))
        alone = sum(len(index.clusters(30)[number]) == 1 for number in range(30))
        assert many.startswith(f"{alone} of 30 clusters hold one item: take fewer (-n 7)")
    with create_index("a.index", n_bits=8) as index:
        index.add(np.array([[0]] * 30 + [[255]], np.uint8))
    status, _, err = nearbit("clusters", "a.index", "-n", "2")
    assert status == 0
    assert "nearbit: note: one cluster holds 30 of 31 items" in err
