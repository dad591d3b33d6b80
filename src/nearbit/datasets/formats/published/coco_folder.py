"""MS COCO as it is published: folders of pictures, and the annotations of each in `annotations`."""

from dataclasses import replace
from pathlib import Path

from nearbit.datasets.dataset import Problem
from nearbit.datasets.formats.coco import list_coco
from nearbit.datasets.formats.format import FOR_PUBLISHED, Format
from nearbit.datasets.formats.published.counts import short
from nearbit.datasets.formats.published.fetched import fetched
from nearbit.datasets.listing import Listing
from nearbit.errors import DataError
from nearbit.reading import ReadingOptions

_PARTS = {"train": "train", "val": "query"}
_OFFICIAL = {2014: {"train": 82_783, "query": 40_504}, 2017: {"train": 118_287, "query": 5_000}}


def find_coco(folder: Path) -> Path | None:
    """Return the folder if it holds pictures and annotations of training and validation of one year."""
    return folder if any(_is_whole(folder, year) for year in _OFFICIAL) else None


def _is_whole(folder: Path, year: int) -> bool:
    return all(_annotations(folder, part, year).is_file() and (folder / f"{part}{year}").is_dir() for part in _PARTS)


def _annotations(folder: Path, part: str, year: int) -> Path:
    return folder / "annotations" / f"instances_{part}{year}.json"


def list_coco_folder(folder: Path, options: ReadingOptions) -> Listing:
    """List the pictures of `trainYEAR` and `valYEAR` with the categories of their objects.

    The validation pictures are the queries: they are the ones with published labels that are not for training.

    Raises:
        DataError: annotations of both years, or annotations that cannot be read or name other categories.
    """
    years = [year for year in _OFFICIAL if _is_whole(folder, year)]
    if len(years) != 1:
        raise DataError(
            f"{folder}: expected annotations and pictures of one year, came {years}; both years share pictures: give "
            "each a folder of its own"
        )
    (year,) = years
    train, val = (_listed(folder, f"{part}{year}", _annotations(folder, part, year), options) for part in _PARTS)
    if train.classes != val.classes:
        raise DataError(f"{folder}: the annotations of train{year} and val{year} name other categories")
    items = tuple(
        replace(item, part=part)
        for listing, part in zip((train, val), _PARTS.values(), strict=True)
        for item in listing.items
    )
    return Listing(
        f"coco{year}",
        folder,
        items,
        classes=train.classes,
        parents=train.parents,
        problems=(*train.problems, *val.problems),
        read_as=f"the COCO annotations of train{year} and val{year}; val{year} are the queries",
        notes=short(items, _OFFICIAL[year]),
    )


def _listed(folder: Path, pictures: str, annotations: Path, options: ReadingOptions) -> Listing:
    """List the pictures of one folder, with its name before theirs."""
    found = list_coco(annotations, replace(options, images=folder / pictures))
    return replace(
        found,
        items=tuple(replace(item, key=f"{pictures}/{item.key}") for item in found.items),
        problems=tuple(Problem(f"{pictures}/{one.path}", one.reason) for one in found.problems),
    )


COCO_FOLDER = Format(
    name="MS COCO as it is published", read=list_coco_folder, find=find_coco,
    refuses=FOR_PUBLISHED,
)  # fmt: skip
COCO2014 = fetched("coco2014", list_coco_folder)
COCO2017 = fetched("coco2017", list_coco_folder)
