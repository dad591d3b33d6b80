"""Folders of images: one folder a class, or such folders inside train, validation and test, or no classes at all."""

from dataclasses import replace
from pathlib import Path

from nearbit.datasets.dataset import Problem
from nearbit.datasets.formats.class_level import LEAF, FolderLayout, layout_of
from nearbit.datasets.formats.format import FOR_FOLDERS, Format
from nearbit.datasets.formats.list_names import unread_lists
from nearbit.datasets.images import common_root
from nearbit.datasets.listing import NO_LABEL, ListedImage, Listing
from nearbit.datasets.scan import Scan, scan_folder
from nearbit.errors import DataError
from nearbit.files.writing import without_ups
from nearbit.names import counted
from nearbit.reading import ReadingOptions


def list_folder(root: Path, options: ReadingOptions) -> Listing:
    """List the images of a folder, labelled by a folder on their path; those that have no such folder have no label.

    Which folder that is says `class_level`. None guesses: the first one; where all class folders lie in one folder,
    those; where most images lie in class folders inside folders that bear the names of parts (train, val, test and so
    on), these give the parts, whatever lies beside them. The listing says what was understood.

    Raises:
        DataError: the folder is not there or holds no file that may be an image.
    """
    found = scan_folder(root)
    if not found.paths:
        first = [f" ({problem.path!r}: {problem.reason})" for problem in found.problems[:1]]
        expected = "images, in one folder a class where they have classes, or a labels file"
        unread = "".join(f"; {note}" for note in unread_lists(root))
        raise DataError(f"{root}: no images in it{''.join(first)}; expected {expected}{unread}")
    layout = layout_of(found, options.class_level)
    items = tuple(_item(path, layout) for path in found.paths)
    if len({item.part for item in items if item.part and item.names}) < 2:  # one part alone divides nothing
        items = tuple(replace(item, part="") for item in items)
    problems = [*found.problems, *(Problem(path, NO_IMAGE, is_class=True) for path in _empty(found, layout))]
    return Listing(
        root.resolve().name or "images",
        root,
        items,
        problems=tuple(problems),
        read_as=layout.read_as if any(item.names for item in items) else "images without labels",
        notes=layout.notes if any(item.names for item in items) else (),
        class_level=options.class_level,
    )


NO_IMAGE = "a class without an image: dropped"


def list_files(files: list[Path]) -> Listing:
    """List single image files, without labels, in the order given; the root is the deepest folder that holds all."""
    absolute = [without_ups(file.absolute()) for file in files]
    root = common_root(absolute)
    keys = list(dict.fromkeys(file.relative_to(root).as_posix() for file in absolute))
    twice = len(files) - len(keys)
    notes = (f"{counted(twice, 'image', 'images')} given again, and passed over",) if twice else ()
    return Listing(root.name or "images", root, tuple(ListedImage(key) for key in keys), notes=notes, is_whole=False)


def _item(path: str, layout: FolderLayout) -> ListedImage:
    label = layout.label(path)
    if label is not None:
        return ListedImage(path, (label,), layout.part(path))
    beside = "" if path.startswith(layout.homes) else f": it lies beside {', '.join(layout.homes)}"
    return ListedImage(path, (), layout.part(path), NO_LABEL + beside)


def _empty(found: Scan, layout: FolderLayout) -> list[str]:
    """Return the folders that would be classes and hold no image; with parts, a class may be in some of them only."""
    if layout.parts_at or layout.level == LEAF:
        return []
    full = {"/".join(path.split("/")[: layout.level]) for path in found.paths}
    at_level = [folder for folder in found.folders if folder.count("/") == layout.level - 1]
    return [folder for folder in at_level if folder.startswith(layout.homes) and folder not in full]


FOLDER = Format(
    name="folders of images",
    read=list_folder,
    find=lambda folder: folder,
    refuses={
        "images": "goes with a labels file; {path} holds none",
        **dict.fromkeys(
            ("label_column", "path_column", "separator", "image_column", "id_column"),
            "is for labels files and shards; leave it out for {path}",
        ),
    },
)
ONE_IMAGE = Format(name="one image", read=lambda file, _: list_files([file]), refuses=FOR_FOLDERS)
"""What `load_images` takes any other file for; no entry of the table."""
