"""The index: codes with their paths, labels and metadata in a durable file or a server, searched exactly."""

from nearbit.index.clustering import Clusters
from nearbit.index.grouping import Groups, Pairs
from nearbit.index.homes import Address, Home, Place
from nearbit.index.index import Index
from nearbit.index.opening import create_index, open_index
from nearbit.index.replacing import replace_index
from nearbit.index.results import Item, Results

__all__ = [
    "Address",
    "Clusters",
    "Groups",
    "Home",
    "Index",
    "Item",
    "Pairs",
    "Place",
    "Results",
    "create_index",
    "open_index",
    "replace_index",
]
