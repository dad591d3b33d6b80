"""Folders of images: one folder a class, or such folders inside train, validation and test, or no classes at all."""

from pathlib import Path

from nearbit.datasets.assemble import Item, Listing
from nearbit.datasets.dataset import Problem
from nearbit.datasets.images import common_root
from nearbit.datasets.parts import PART_NAMES
from nearbit.datasets.scan import Scan, scan_folder
from nearbit.errors import DataError


def list_folder(root: Path) -> Listing:
    """List the images of a folder, labelled by the first folder on their path; those in `root` itself have no label.

    Where `root` holds nothing but two or more folders that bear the names of parts (train, val, test and so on), the
    folders inside those are the classes, and the parts are given.

    Raises:
        DataError: the folder is not there or holds no file that may be an image.
    """
    found = scan_folder(root)
    if not found.paths:
        first = [f" ({problem.path!r}: {problem.reason})" for problem in found.problems[:1]]
        expected = "one folder a class with images in each, or a labels file"
        raise DataError(f"{root}: no images in it{''.join(first)}; expected {expected}")
    top = [folder for folder in found.folders if "/" not in folder]
    by_part = len(top) > 1 and all(name.lower() in PART_NAMES for name in top) and _is_two_deep(found)
    items = tuple(_item(path, by_part) for path in found.paths)
    empty = [] if by_part else [name for name in top if not any(path.startswith(name + "/") for path in found.paths)]
    problems = [*found.problems, *(Problem(name, "a class without an image: dropped", is_class=True) for name in empty)]
    return Listing(root.resolve().name or "images", root, items, problems=tuple(problems))


def list_files(files: list[Path]) -> Listing:
    """List single image files, without labels, in the order given; the root is the deepest folder that holds all."""
    absolute = [file.absolute() for file in files]
    root = common_root(absolute)
    keys = list(dict.fromkeys(file.relative_to(root).as_posix() for file in absolute))
    return Listing(root.name or "images", root, tuple(Item(key) for key in keys), is_whole=False)


def _is_two_deep(found: Scan) -> bool:
    return all(path.count("/") >= 2 for path in found.paths)


def _item(path: str, by_part: bool) -> Item:
    folders = path.split("/")[:-1]
    if by_part:
        return Item(path, (folders[1],), PART_NAMES[folders[0].lower()])
    return Item(path, tuple(folders[:1]))
