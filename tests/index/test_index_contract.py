"""What the index in a file does beyond what `homes/test_homes_contract.py` asks of every home."""

import json

import numpy as np
import pytest

from nearbit.errors import IndexFileError
from nearbit.index import create_index

CODES = np.array([[0b10000000, 0], [0b11000000, 0], [0b11110000, 0b11110000], [0b10000000, 0]], np.uint8)


@pytest.fixture
def index(tmp_path):
    with create_index(tmp_path / "a.index", 12) as opened:
        yield opened


def test_every_page_of_items_comes(index, monkeypatch):
    monkeypatch.setattr("nearbit.index.index.ITEMS_PER_PAGE", 3)
    index.add(np.zeros((7, 2), np.uint8))
    assert [item.id for item in index] == list(range(1, 8))


def test_stats_are_ready_for_json(tmp_path):
    with create_index(tmp_path / "a.index", 12, model_id="m1") as index:
        index.add(CODES)
        stats = index.stats()
    assert json.loads(json.dumps(stats)) == stats
    assert (stats["items"], stats["distinct_codes"], stats["n_bits"], stats["model_id"]) == (4, 3, 12, "m1")
    assert stats["format_version"] == 3
    assert stats["file_bytes"] > 4096


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE items SET code = x'00' WHERE id = 2", "item 2: its code should have 2 bytes"),
        ("UPDATE items SET code = x'0001' WHERE id = 2", "item 2: the last 4 bits of its code should be 0"),
        ("UPDATE items SET id = 99 WHERE id = 2", "item 99: its id lies outside"),
        ("UPDATE items SET labels = '[' WHERE id = 2", "item 2: its labels or metadata are not JSON"),
    ],
)
def test_verify_names_what_is_wrong(index, statement, problem):
    index.add(CODES)
    with index._store.write() as connection:
        connection.execute(statement)
    assert [line for line in index.verify() if problem in line]


def test_a_code_of_another_width_in_the_file_is_an_error(index):
    index.add(CODES)
    with index._store.write() as connection:
        connection.execute("UPDATE items SET code = x'00' WHERE id = 2")
    with pytest.raises(IndexFileError, match="the code of item 2 should have 2 bytes"):
        index.search(CODES[:1])


def test_one_code_is_added_whatever_the_stride_of_its_row(tmp_path):
    code = np.array([45, 96], np.uint8)
    with create_index(tmp_path / "one.index", 12) as index:
        index.add(code[None])
        index.add(np.broadcast_to(code, (3, 2))[:1], metadata=[{"labels": ["a"]}])
        assert [item.code.tolist() for item in index] == [[45, 96], [45, 96]]
