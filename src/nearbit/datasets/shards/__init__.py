"""Shards: files that hold many images each, with their labels: WebDataset tars and Parquet files."""

from nearbit.datasets.shards.read import ENDINGS, is_shard, read_shard
from nearbit.datasets.shards.sample import Passed, Sample

__all__ = ["ENDINGS", "Passed", "Sample", "is_shard", "read_shard"]
