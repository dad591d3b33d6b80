"""The index: codes with their paths, labels and metadata in one durable file, searched exactly."""

from nearbit.index.clustering import Clusters
from nearbit.index.grouping import Groups, Pairs
from nearbit.index.index import Index
from nearbit.index.opening import create_index, open_index
from nearbit.index.replacing import replace_index
from nearbit.index.results import Item, Results

__all__ = ["Clusters", "Groups", "Index", "Item", "Pairs", "Results", "create_index", "open_index", "replace_index"]
