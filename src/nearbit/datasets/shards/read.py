"""A shard is recognised by the ending of its name, and read image by image."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from nearbit.datasets.shards.sample import Passed, Sample, unique
from nearbit.datasets.shards.table import read_table
from nearbit.errors import DataError
from nearbit.files.addresses import FilePlace
from nearbit.reading import ReadingOptions

ENDINGS = (".tar", ".parquet")


def is_shard(name: str) -> bool:
    """Say whether a file of this name is taken for a shard."""
    return PurePosixPath(name).suffix.lower() in ENDINGS


def read_shard(place: FilePlace, options: ReadingOptions, passed: Passed) -> Iterator[Sample]:
    """Yield the images of a shard, in its order; the same shard gives the same samples.

    Args:
        place: where it lies.
        options: how columns and labels are called.
        passed: counts what was passed over.

    Raises:
        DataError: it cannot be reached, or not be read as what its ending says: from then on, nothing more comes.
        MissingExtraError: a Parquet file, without pyarrow.
    """
    with place.opened() as file:
        if place.name.lower().endswith(".tar"):
            from nearbit.datasets.shards.tar import read_tar  # the library of tars is not loaded by who reads none

            samples = read_tar(file, place.name, options, passed)
        else:
            samples = read_table(file, place, options, passed)
        try:
            yield from unique(samples)
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
        except OSError as error:
            raise DataError(f"{place}: cannot be read: {error.strerror or error}") from error
