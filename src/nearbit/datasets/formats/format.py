"""What the table of formats holds: how a format is recognised, what reads it, and which options are for others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nearbit.datasets.dataset import Dataset
from nearbit.datasets.listing import Listing
from nearbit.reading import ReadingOptions

FOR_FOLDERS = {"class_level": "is for folders of images; leave it out for {path}"}
FOR_PUBLISHED = FOR_FOLDERS | {"images": "is for labels files and lists; leave it out for {path}"}
FOR_FILES = dict.fromkeys(
    ("images", "split_file", "class_level"), "is for folders and labels files; leave it out for {path}"
)
"""What is of no use to a file that lists images, to a set as it was published, and to data that are no image files."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One way that data sets lie on disk: an entry of `FORMATS`.

    A file is recognised by its ending. A folder is by `find`, which says what it knows, or, in a format without it,
    where it holds the file `annotations` or `labels` with that ending.

    Attributes:
        name: of the format, in words.
        read: called with the place that was recognised; returns a `Listing` where the images are files (which are then
            checked and given the parts of a split file), a whole `Dataset` where they are not.
        endings: of its files, in small letters, each with its dot.
        find: returns the place that a folder is read from, itself or inside it; None where it is none of this format.
        takes: "label_level", if that is for it.
        refuses: the reading options that would do nothing for it, and why; `{path}` stands for its place.
    """

    name: str
    read: Callable[[Path, ReadingOptions], Listing | Dataset]
    endings: tuple[str, ...] = ()
    find: Callable[[Path], Path | None] | None = None
    takes: tuple[str, ...] = ()
    refuses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class KnownDataset:
    """A data set that is asked for by its name: an entry of `KNOWN`.

    Attributes:
        name: as it is asked for.
        load: what reads it, from the package, the cache or the net.
        takes: those of "label_level" and "download" that are for it.
        refuses: as of a `Format`.
    """

    name: str
    load: Callable[[ReadingOptions], Dataset]
    takes: tuple[str, ...] = ()
    refuses: Mapping[str, str] = field(default_factory=lambda: FOR_FILES)
