"""The cache of rows: what was added comes back, and what is damaged is computed again."""

import hashlib
import os

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from nearbit.encoding.feature_cache import FeatureCache
from nearbit.encoding.torch_backend import cache_key
from nearbit.files.writing import write_checked


def digests_of(*names):
    return [hashlib.sha256(name.encode()).hexdigest() for name in names]


A, B, C = digests_of("a", "b", "c")
ROWS = np.array([[1.5, -0.0, 3e-42], [4, 5, 6]], np.float32)


def test_rows_come_back_in_any_order_also_in_another_process(tmp_path):
    cache = FeatureCache(tmp_path, "key")
    assert cache.missing([A, B, A]) == [0, 1]
    cache.add([A, B], ROWS)
    for again in (cache, FeatureCache(tmp_path, "key")):
        assert again.missing([B, C, A, C]) == [1]
        back = again.gather([B, A, B])
        assert back.dtype == np.float32
        assert back.tobytes() == ROWS[[1, 0, 1]].tobytes()


def test_another_key_has_other_rows(tmp_path):
    FeatureCache(tmp_path, "key").add([A], ROWS[:1])
    assert FeatureCache(tmp_path, "other").missing([A]) == [0]


def test_nothing_is_written_before_something_is_added(tmp_path):
    FeatureCache(tmp_path / "new", "key")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("at", [0, 40, 60, -1])
def test_a_damaged_file_is_removed_and_its_rows_are_missing(tmp_path, at):
    cache = FeatureCache(tmp_path, "key")
    cache.add([A], ROWS[:1])
    cache.add([B], ROWS[1:])
    first, second = sorted(cache.folder.iterdir())
    content = bytearray(first.read_bytes())
    content[at] ^= 1
    first.write_bytes(content)
    again = FeatureCache(tmp_path, "key")
    assert len(again.missing([A, B])) == 1
    assert list(cache.folder.iterdir()) == [second]
    again.add([A, B], ROWS)
    assert FeatureCache(tmp_path, "key").gather([A, B]).tobytes() == ROWS.tobytes()


OTHERS = {
    "no tensors": b"[" * 100,
    "other names": save({"a": np.zeros(1, np.float32)}),
    "short digests": save({"digests": np.zeros((2, 3), np.uint8), "rows": np.zeros((2, 2), np.float32)}),
    "fewer rows": save({"digests": np.zeros((2, 32), np.uint8), "rows": np.zeros((1, 2), np.float32)}),
    "not finite": save({"digests": np.zeros((1, 32), np.uint8), "rows": np.full((1, 2), np.nan, np.float32)}),
    "no matrix": save({"digests": np.zeros((1, 32), np.uint8), "rows": np.zeros(1, np.float32)}),
}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_a_sound_file_that_holds_something_else_is_removed(tmp_path, content):
    cache = FeatureCache(tmp_path, "key")
    write_checked(cache.folder / "a.rows", content)
    again = FeatureCache(tmp_path, "key")
    assert again.missing([A]) == [0]
    assert list(cache.folder.iterdir()) == []


def test_what_dead_writers_left_is_removed_when_the_cache_is_opened(tmp_path):
    cache = FeatureCache(tmp_path, "key")
    cache.add([A], ROWS[:1])
    (file,) = cache.folder.iterdir()
    from nearbit.files.aside import _machine

    dead = cache.folder / f".x.rows.{_machine()}-{2**22 + 1}-01234567.tmp"
    alive = cache.folder / f".x.rows.{_machine()}-{os.getpid()}-01234567.tmp"
    dead.write_text("half")
    alive.write_text("half")
    FeatureCache(tmp_path, "key")
    assert set(cache.folder.iterdir()) == {file, alive}


def test_adding_the_same_rows_twice_is_one_file(tmp_path):
    for _ in range(2):
        cache = FeatureCache(tmp_path, "key")
        cache.add([A, B], ROWS)
    assert len(list(cache.folder.iterdir())) == 1


def test_rows_of_another_device_or_other_libraries_are_not_taken(monkeypatch):
    keys = {cache_key("weights", torch.device(name)) for name in ("cpu", "cuda", "cuda:1", "mps")}
    assert len(keys) == 3
    before = cache_key("weights", torch.device("cpu"))
    monkeypatch.setattr("nearbit.encoding.versions.library_versions", lambda names: {"nearbit": "0.1.0", "torch": "0"})
    assert cache_key("weights", torch.device("cpu")) != before
