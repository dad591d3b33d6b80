"""What a folder or a labels file lists, before any image is read, with its labels by the rule for names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nearbit.datasets.dataset import Problem
from nearbit.json_text import unstorable
from nearbit.names import escaped, label_name, same_but_for_case, spellings

NO_LABEL = "no label"
"""Why an image is left out of a data set whose images must have one; more may follow it."""


@dataclass(frozen=True)
class ListedImage:
    """One image as listed: its path below the root, the names of its labels, the part it was given ("" for none).

    `unlabelled` says why it has no label, where it has none.
    """

    key: str
    names: tuple[str, ...] = ()
    part: str = ""
    unlabelled: str = NO_LABEL


@dataclass(frozen=True)
class Listing:
    """What a folder or a labels file lists, before any image is read.

    Attributes:
        name: of the data set.
        root: the folder that the keys are relative to.
        items: in the order of the rows.
        classes: the names of all classes in their order; None sorts the names that occur.
        parents: the superclass of each class, where there is a hierarchy.
        problems: what was skipped so far.
        is_whole: whether these are all images of the root, as a folder or a labels file says it.
        read_as: in words, how folders or columns were understood.
        notes: what a person should know about that, one line each.
        class_level: the one that was asked for.
    """

    name: str
    root: Path
    items: tuple[ListedImage, ...]
    classes: tuple[str, ...] | None = None
    parents: Mapping[str, str] | None = None
    problems: tuple[Problem, ...] = ()
    is_whole: bool = True
    read_as: str = ""
    notes: tuple[str, ...] = ()
    class_level: str | int | None = None


def tidied(listing: Listing) -> Listing:
    """Return the listing with its labels as `label_name` keeps them.

    Blank names are none. An image with a label that neither JSON nor SQLite can hold becomes a problem. Names that are
    one class now, and those that differ in upper and lower case only, are noted.
    """
    refused = {item.key: _refusal(item) for item in listing.items if _refusal(item)}
    items = tuple(_tidied(item) for item in listing.items if item.key not in refused)
    raw = [name for item in listing.items for name in item.names] + list(listing.classes or ())
    kept = {name for item in items for name in item.names}
    return replace(
        listing,
        name=escaped(listing.name),
        items=items,
        classes=None if listing.classes is None else _names(listing.classes),
        parents=None if listing.parents is None else _parents(listing.parents),
        problems=(*listing.problems, *(Problem(escaped(key), reason) for key, reason in refused.items())),
        notes=(*listing.notes, *_notes(raw, kept)),
    )


def _refusal(item: ListedImage) -> str:
    for name in item.names:
        if reason := unstorable(name):
            return f"its label '{escaped(name)[:60]}' cannot be kept: {reason}"
    return ""


def _tidied(item: ListedImage) -> ListedImage:
    names = _names(item.names)
    if item.names and not names:
        return replace(item, names=(), unlabelled=f"{NO_LABEL}: its name is blank")
    return replace(item, names=names)


def _names(raw: Iterable[str]) -> tuple[str, ...]:
    tidy = (label_name(name) for name in raw if not unstorable(name))
    return tuple(dict.fromkeys(name for name in tidy if name))


def _parents(raw: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, parent in raw.items():
        found.setdefault(label_name(name), "" if unstorable(parent) else label_name(parent))
    return found


def _notes(raw: Iterable[str], kept: Iterable[str]) -> list[str]:
    several = spellings(name for name in set(raw) if not unstorable(name))
    notes = [
        f"the class {name!r} is written in {len(texts)} ways, read as one: {', '.join(map(ascii, sorted(texts)))}"
        for name, texts in sorted(several.items())
    ]
    return notes + [
        f"the classes {', '.join(map(repr, names))} differ in upper and lower case only: they are read as "
        f"{len(names)} classes"
        for names in same_but_for_case(sorted(kept))
    ]
