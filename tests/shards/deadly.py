"""Work that kills its process over one shard, for processes that load little."""

import os

from nearbit.shards.job import Encoded


def deadly():
    return die_over_one


def die_over_one(shard):
    if shard.number == 1:
        os._exit(7)
    return Encoded(items=shard.number)
