"""Which folder on the path of an image is its class: what was asked for, or the best guess, said in words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nearbit.datasets.formats.parts import PART_NAMES
from nearbit.datasets.scan import Scan
from nearbit.reading import ClassLevel

LEAF = 0


@dataclass(frozen=True)
class FolderLayout:
    """How the folders on a path are read.

    Attributes:
        level: the number of the folder that is the class, from 1 at the top; `LEAF` for the last one.
        parts_at: the number of the folder that names the part; 0 where none does.
        homes: an image whose path begins with none of these has no class.
        read_as: in words, for people.
        notes: what else can be meant, and how to ask for it.
    """

    level: int
    parts_at: int = 0
    homes: tuple[str, ...] = ("",)
    read_as: str = ""
    notes: tuple[str, ...] = ()

    def label(self, path: str) -> str | None:
        """Return the name of the folder that is the class of a path, or None where there is none."""
        folders = path.split("/")[:-1]
        if not path.startswith(self.homes) or len(folders) < max(self.level, self.parts_at + 1, 1):
            return None
        return folders[self.level - 1]

    def part(self, path: str) -> str:
        """Return the part that the folders of a path name, "" for none."""
        folders = path.split("/")[:-1]
        named = self.parts_at and len(folders) >= self.parts_at and path.startswith(self.homes)
        return PART_NAMES.get(folders[self.parts_at - 1].lower(), "") if named else ""


def layout_of(found: Scan, level: ClassLevel | None) -> FolderLayout:
    """Return how the folders are read: by the level that was asked for, else by the best guess."""
    guess = _guess(found)
    if level is None:
        return guess
    number = {"first": 1, "leaf": LEAF}[level] if isinstance(level, str) else level
    parts_at = guess.parts_at if number == LEAF or number > guess.parts_at else 0
    which = {LEAF: "the last folder", 1: "the first folder"}.get(number, f"folder {number}")
    parts = f", and folder {parts_at} names the part" if parts_at else ""
    return FolderLayout(number, parts_at, read_as=f"{which} on the path is the class (--class-level {level}){parts}")


def _guess(found: Scan) -> FolderLayout:
    base = _wrapper(found.paths)
    homes = _part_folders(found, base)
    depth = base.count("/")
    if homes:
        return _by_parts(base, homes)
    if base:
        return FolderLayout(
            depth + 1,
            homes=(base,),
            read_as=f"the folders in {base} are the classes, for all of them lie in it (--class-level {depth + 1})",
            notes=(f"other reading: --class-level first makes {base.split('/')[0]!r} the one class",),
        )
    return FolderLayout(
        1, read_as="the first folder on the path is the class (--class-level first)", notes=_deeper(found.paths)
    )


def _by_parts(base: str, homes: Sequence[str]) -> FolderLayout:
    names = ", ".join(home.removeprefix(base) for home in homes)
    at = base.count("/") + 1
    several = len({PART_NAMES[_last(home)] for home in homes}) > 1
    what = "are the parts" if several else "is one part"
    inside = f" in {base}" if base else ""
    other = "makes those the classes" if not base else f"makes {base.split('/')[0]!r} the one class"
    return FolderLayout(
        at + 1,
        parts_at=at,
        homes=tuple(homes),
        read_as=f"{names}{inside} {what}, and the folders in {'them' if several else 'it'} are the classes "
        f"(--class-level {at + 1})",
        notes=(f"other reading: --class-level first {other}",),
    )


def _wrapper(paths: Sequence[str]) -> str:
    """Return the folder, with "/" at its end, that alone holds the class folders; "" where that is the root."""
    base = ""
    while True:
        inside = [path.removeprefix(base) for path in paths if path.startswith(base)]
        tops = {path.split("/")[0] for path in inside if "/" in path}
        if len(tops) > 1 or any(top.lower() in PART_NAMES for top in tops):
            return base
        if 2 * sum(path.count("/") > 1 for path in inside) <= len(inside):  # it ends in one folder: no class folders
            return ""
        base += f"{tops.pop()}/"


def _part_folders(found: Scan, base: str) -> list[str]:
    """Return the folders in `base` that are parts with class folders in them; none where the names mean something else.

    What decides is where most images lie: in class folders inside folders so named, not directly in those for training,
    nor in other folders beside them.
    """
    inside = [path.removeprefix(base) for path in found.paths if path.startswith(base)]
    tops = {path.split("/")[0] for path in inside if "/" in path}
    named = sorted(top for top in tops if top.lower() in PART_NAMES)
    learnt = [top for top in named if PART_NAMES[top.lower()] == "train"]
    if len(named) < 2 and not learnt and tops != set(named):
        return []
    counted = Counter((path.split("/")[0], path.count("/") > 1) for path in inside if "/" in path)
    nested = sum(counted[top, True] for top in learnt or named)
    flat = sum(counted[top, False] for top in learnt or named)
    beside = sum(number for (top, _), number in counted.items() if top not in named)
    return [f"{base}{top}/" for top in named] if nested > flat and nested > beside else []


def _deeper(paths: Iterable[str]) -> tuple[str, ...]:
    """Return a note where most images lie in folders inside the class folders."""
    labelled = [path.split("/")[:-1] for path in paths if "/" in path]
    if 2 * sum(len(folders) > 1 for folders in labelled) <= len(labelled):
        return ()
    first, last = len({folders[0] for folders in labelled}), len({folders[-1] for folders in labelled})
    return (
        "other reading: most images lie deeper; --class-level leaf makes the last folder the class "
        f"({last} instead of {first})",
    )


def _last(folder: str) -> str:
    return folder.rstrip("/").rsplit("/", 1)[-1].lower()
