"""Annotations in the form of MS COCO: images, categories, and annotations that join the two."""

from pathlib import Path
from typing import Any

from nearbit.datasets.formats.format import FOR_FOLDERS, Format
from nearbit.datasets.formats.labels_file import Places
from nearbit.datasets.listing import ListedImage, Listing
from nearbit.errors import DataError
from nearbit.json_text import read_json
from nearbit.names import escaped
from nearbit.reading import ReadingOptions

_MEMBERS = frozenset(
    {"images", "annotations", "categories", "id", "file_name", "name", "supercategory", "image_id", "category_id"}
)
"""What is read; outlines, which are most of such a file, would take ten times the memory of the rest."""


def list_coco(file: Path, options: ReadingOptions) -> Listing:
    """List the images of a COCO annotations file; the labels of an image are the categories of its annotations.

    Args:
        file: JSON with "images" (id, file_name), "categories" (id, name; supercategory becomes the parent) and
            "annotations" (image_id, category_id).
        options: `images` is the folder that file names are relative to.

    Raises:
        DataError: the file is not such JSON, or an annotation names an unknown image or category.
    """
    table = _load(file)
    categories = _by_id(file, table, "categories", "name")
    names = _by_id(file, table, "images", "file_name")
    labels = _labels_by_image(file, table, set(names), categories)
    order = sorted(categories)
    classes = tuple(categories[number] for number in order)
    if len(set(classes)) != len(classes):
        raise DataError(f"{file}: two categories have the same name")
    places = Places(file, options.images)
    items, seen = [], dict[str, str]()
    for number, path in names.items():
        key = places.find(path, str(file))
        before = seen.get(key or path)
        if before is not None:
            raise DataError(
                f"{file}: two images have the same file_name: {escaped(before)[:80]!r} and {escaped(path)[:80]!r}"
            )
        seen[key or path] = path
        if key is not None:
            items.append(ListedImage(key, tuple(categories[label] for label in order if label in labels[number])))
    return Listing(
        _name(file), places.root, tuple(items), classes, _parents(table), tuple(places.problems),
        read_as=f"the COCO annotations {file.name}",
    )  # fmt: skip


def _load(file: Path) -> dict[str, Any]:
    table = read_json(file, "the annotations file", DataError, any_text=True, members=_MEMBERS)
    lists = ("images", "annotations", "categories")
    if not isinstance(table, dict) or not all(isinstance(table.get(key), list) for key in lists):
        raise DataError(f"{file}: expected COCO annotations, an object with the lists {', '.join(lists)}")
    return table


def _by_id(file: Path, table: dict[str, Any], key: str, value: str) -> dict[int, str]:
    """Return the text `value` of each entry of a list by its id."""
    found: dict[int, str] = {}
    for place, entry in enumerate(table[key]):
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), int) or not isinstance(entry.get(value), str):
            raise DataError(f'{file}: {key}[{place}] must have a whole number "id" and a text "{value}"')
        if entry["id"] in found:
            raise DataError(f"{file}: {key}[{place}] has the id {entry['id']}, which an earlier one has too")
        found[entry["id"]] = entry[value]
    return found


def _labels_by_image(
    file: Path, table: dict[str, Any], images: set[int], categories: dict[int, str]
) -> dict[int, set[int]]:
    labels: dict[int, set[int]] = {image: set() for image in images}
    for place, entry in enumerate(table["annotations"]):
        pair = entry if isinstance(entry, dict) else {}
        image, category = pair.get("image_id"), pair.get("category_id")
        if not (isinstance(image, int) and isinstance(category, int) and image in images and category in categories):
            came = f"image_id {image!r} and category_id {category!r}"
            raise DataError(f"{file}: annotations[{place}] has {came}; both must be ids of the file")
        labels[image].add(category)
    return labels


def _parents(table: dict[str, Any]) -> dict[str, str] | None:
    parents = {entry["name"]: entry.get("supercategory") for entry in table["categories"]}
    return parents if parents and all(isinstance(parent, str) for parent in parents.values()) else None


def _name(file: Path) -> str:
    return file.resolve().parent.name if file.stem == "annotations" else file.stem


COCO = Format(name="COCO annotations", read=list_coco, endings=(".json",), refuses=FOR_FOLDERS)
