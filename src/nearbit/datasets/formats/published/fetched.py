"""A data set that is known by its name and lies in the cache as it was published."""

from collections.abc import Callable
from pathlib import Path

from nearbit.datasets.assemble import assemble
from nearbit.datasets.dataset import Dataset
from nearbit.datasets.download import from_cache
from nearbit.datasets.formats.format import KnownDataset
from nearbit.datasets.listing import Listing
from nearbit.reading import ReadingOptions


def fetched(name: str, read: Callable[[Path, ReadingOptions], Listing]) -> KnownDataset:
    """Return the entry of a data set: `read` lists its folder in the cache, which is fetched where that is allowed."""

    def load(options: ReadingOptions) -> Dataset:
        listing = read(from_cache(name, options), options)
        return assemble(listing, options, keep_unlabelled=False)

    return KnownDataset(name=name, load=load, takes=("download",))
