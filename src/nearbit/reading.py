"""How images with labels are read: every option once, for Python and for the command line.

It stands outside of `datasets`, and imports no NumPy, so that `nearbit --help` can show the options.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from nearbit.errors import InputError
from nearbit.files.writing import cache_folder
from nearbit.given import path_of
from nearbit.keywords import suggesting
from nearbit.progress import Progress, silent

ClassLevel = str | int
"""The folder that is the class: "first", "leaf" (the one that the image lies in), or its number from the top (1, 2)."""

LABEL_LEVELS = ("fine", "coarse", "both")
"""Which labels of CIFAR-100."""


def _help(line: str, choices: Sequence[str] = ()) -> dict[str, Any]:
    """Return what makes a field an option of the command line, too: its line of help there, and its choices."""
    return {"help": line, "choices": choices}


@suggesting
@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How a data set is read; `load_dataset` and `load_images` take each field as a keyword.

    Attributes:
        split_file: CSV with the columns path and split; None takes `split.csv` in the folder, if there is one. Of
            `load_dataset` alone.
        label_level: of CIFAR-100: "fine", "coarse" or "both".
        images: the folder that the paths of a labels file are relative to; None looks beside it and in `images` there.
        separator: between the labels in the column labels of a table, or in a label column that is named.
        path_column: the column of a table, or the entry of JSON Lines, that holds the path.
        label_column: the one that holds the label, or several with `separator` between; None takes label (one name,
            taken whole) or labels, whichever is there.
        image_column: the column of a Parquet file of images that holds their bytes (or structs of `bytes` and `path`).
        id_column: the one that holds their ids, whole numbers, where there is one.
        class_level: which folder on the path is the class: "first", "leaf" (the one that the image lies in), or its
            number from the top, from 1; None guesses, and `Dataset.read_as` and `notes` say what was understood.
        download: fetch a data set that is known by its name from its official page, where it is not in the cache yet.
        cache: the folder for data that can be made again; None takes `nearbit.files.writing.cache_folder()`.
        progress: called as ("reading images", done, total).
        max_pixels: width times height above which an image is skipped; None as for `open_image`.

    Raises:
        InputError: a class level that is none, or a separator without a character.
    """

    split_file: Path | None = field(
        default=None,
        metadata=_help("CSV with the columns path and split. [default: split.csv in the folder, if there is one]"),
    )
    label_level: str = field(default="fine", metadata=_help("Which labels of CIFAR-100.", LABEL_LEVELS))
    images: Path | None = field(default=None, metadata=_help("Folder of the images that a labels file names."))
    separator: str = field(default="|", metadata=_help("Between several labels in a CSV field."))
    path_column: str = field(default="path", metadata=_help("Column of a labels file that holds the path."))
    label_column: str | None = field(
        default=None, metadata=_help("Column of a labels file that holds the label. [default: label or labels]")
    )
    image_column: str = field(default="image", metadata=_help("Column of Parquet shards that holds the images."))
    id_column: str = field(default="id", metadata=_help("Column of Parquet shards that holds ids, if there is one."))
    class_level: ClassLevel | None = field(
        default=None,
        metadata=_help(
            "Which folder on the path is the class: first, leaf (the last one), or its number from the top. "
            "[default: guessed; nearbit data says how]"
        ),
    )
    download: bool = field(default=False, metadata=_help("Fetch a data set known by its name from its official page."))
    cache: Path | None = None
    progress: Progress = field(default=silent)
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        for name in ("split_file", "images", "cache"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, path_of(name, getattr(self, name)))
        if not isinstance(self.separator, str) or not self.separator:
            raise InputError(f"separator must be what stands between labels, such as '|', not {self.separator!r}")
        level = self.class_level
        whole = isinstance(level, int) and not isinstance(level, bool) and level >= 1
        if level is not None and level not in ("first", "leaf") and not whole:
            expected = "'first', 'leaf' or the number of a folder from 1 at the top"
            raise InputError(f"class_level must be {expected}, not {level!r}")

    @property
    def kept(self) -> Path:
        """The folder for data that can be made again: the one given, else the user's."""
        return self.cache or cache_folder()


class ReadingKeywords(TypedDict, total=False):
    """The fields of `ReadingOptions` for type checkers, as keywords of a function; a test holds the two together."""

    split_file: Path | None
    label_level: str
    images: Path | None
    separator: str
    path_column: str
    label_column: str | None
    image_column: str
    id_column: str
    class_level: ClassLevel | None
    download: bool
    cache: Path | None
    progress: Progress
    max_pixels: int | None
