"""A model of random weights and a few shards of small images, with a cache of their own."""

import pytest

from model_makers import random_model
from shard_makers import write_shards


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("NEARBIT_ENCODER", "torch")  # a network for ONNX Runtime takes seconds to make


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working directory, with `a.model` (12 bits) and `birds/`: four shards of 7 images, one of them a table."""
    monkeypatch.chdir(tmp_path)
    random_model().save("a.model")
    write_shards(tmp_path / "birds", parquet=(2,))
    return tmp_path
