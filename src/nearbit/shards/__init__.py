"""Encoding at scale: shards of images in, a Parquet file of codes for each out, by several processes or by Ray."""

from nearbit.shards.run import encode_shards

__all__ = ["encode_shards"]
