"""Copy an index to another home, with its ids: from a file into a server, back, or to another server."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.errors import IndexFileError, InputError
from nearbit.files.writing import path_seen_from
from nearbit.index import Address, Home, Item, create_index, open_index
from nearbit.index.homes import Place, place_of
from nearbit.index.storage.change_log import State
from nearbit.indexing_places import is_relative
from nearbit.keywords import suggesting
from nearbit.model.hub import is_address as is_on_hub
from nearbit.progress import Progress, silent

ITEMS_A_CALL = 20_000
NOTE = "copy"
"""The note of an index that is a copy: of what, and whether it is whole."""
LEFT, OR = "; left ", " or "
"""What stands in the note of an unfinished copy before the state that it was left in, and the one that follows."""


@dataclass(frozen=True)
class Copied:
    """What copying did.

    Attributes:
        items: how many items the copy holds.
        copied: how many of them were written now; fewer where an interrupted copy was gone on with.
        address: how messages name the copy.
    """

    items: int
    copied: int
    address: str


@suggesting
def copy_index(source: str | Path | Address, target: str | Path | Address, *, progress: Progress = silent) -> Copied:
    """Copy all items of an index into a new one, with ids, metadata, outputs, notes and model.

    An interrupted copy is gone on with when it is asked for again, one transaction for each 20,000 items; so is one
    that is whole: nothing is written then. Relative paths lead to the same files: an index in a server takes the folder
    of the source for its own, where its address names none. A copy that others changed is refused.

    Args:
        source: what is copied.
        target: where to; made where it is missing. What is there must be an unfinished copy of the source, or empty.
        progress: called after each 20,000 items.

    Raises:
        InputError: both are one, or the target holds items of its own or was changed since it was copied.
        IndexFileError: one of them cannot be read or written, or the source was written to meanwhile.
    """
    with open_index(source, read_only=True) as original:
        place = place_of(target)
        place = place.at(original.folder) if isinstance(place, Address) else place
        if _is_same(place_of(source), place):
            raise InputError(f"{original.address} would be copied into itself: name another index")
        made = create_index(place, original.n_bits, model_id=original.model_id, outputs=original.outputs, exist_ok=True)
        with made as copy, copy.writing():
            before = original.state()
            mark = f"of {original.address} at {_said(before)}"
            last = _begun(original, copy, mark)
            copied = _copy_after(last, original, copy, mark, progress)
            if original.state() != before or len(copy) != len(original):
                raise IndexFileError(f"{original.address} was written to while it was copied: copy it again")
            _copy_the_rest(original, copy)
            if original.last_id() > copy.last_id():
                copy.never_assign(original.last_id())
            if copied:
                copy.compact()
            copy.set_notes({NOTE: f"whole {mark} as {_said(copy.state())}"})
            return Copied(len(copy), copied, str(place_of(target)))


def _is_same(source: Place, target: Place) -> bool:
    if isinstance(source, Path) and isinstance(target, Path):
        return target.exists() and source.samefile(target)
    if isinstance(source, Address) and isinstance(target, Address):
        return (source.url, source.name) == (target.url, target.name)
    return False


def _said(state: State) -> str:
    return f"{state.revision}-{state.token}"


def _ended(n_items: int, last: int) -> str:
    return f"{n_items} items up to {last}"


def _begun(original: Home, copy: Home, mark: str) -> int:
    """Return the highest id that an earlier run copied, -1 for none, and mark the copy as unfinished."""
    note = copy.notes().get(NOTE, "")
    is_whole, is_unfinished = f"{note} ".startswith(f"whole {mark} "), note.partition(LEFT)[0] == f"unfinished {mark}"
    ids, codes = copy.codes()
    if len(ids) and not (is_whole or is_unfinished):
        if not note.startswith("unfinished "):
            raise InputError(f"{copy.address} holds {len(ids)} items that are not of this copy: name another index")
        left = note.partition(LEFT)[2].split(OR)
        if left != [""] and not {_said(copy.state()), _ended(len(ids), int(ids[-1]))} & set(left):
            raise InputError(
                f"{copy.address} was changed since a copy of {original.address} was begun there, which would have to "
                "begin anew: name another index"
            )
        copy.remove(ids)  # of another state of the source: what was copied may have changed since
        ids = ids[:0]
    elif len(ids):
        known, known_codes = (part[: len(ids)] for part in original.codes())
        state = note.removeprefix(f"whole {mark}").removeprefix(" as ") if is_whole else ""
        is_same = np.array_equal(ids, known) and np.array_equal(codes, known_codes)
        if not is_same or state not in ("", _said(copy.state())):
            raise InputError(
                f"{copy.address} was changed since it was copied from {original.address}: name another index"
            )
    if not is_whole:
        copy.set_notes({NOTE: f"unfinished {mark}{LEFT}{_said(copy.state())}"})
    return int(ids[-1]) if len(ids) else -1


def _copy_after(last: int, original: Home, copy: Home, mark: str, progress: Progress) -> int:
    """Copy the items with an id above `last`; return how many.

    The note says at each moment which states the copy may be in unless others change it.
    """
    copied, total, n_items = 0, len(original), len(copy)
    while items := original.items_after(last, ITEMS_A_CALL):
        ids = [item.id for item in items]
        outputs = None if original.outputs is None else original.kept_outputs(ids)
        codes = np.stack([item.code for item in items])
        n_items += len(items)
        copy.set_notes({NOTE: f"unfinished {mark}{LEFT}{_said(copy.state())}{OR}{_ended(n_items, ids[-1])}"})
        copy.add(codes, ids=ids, metadata=_metadata(items, original, copy), outputs=outputs)
        copy.set_notes({NOTE: f"unfinished {mark}{LEFT}{_said(copy.state())}"})
        last, copied = ids[-1], copied + len(items)
        progress("Copying", copied, total)
    return copied


def _metadata(items: Sequence[Item], original: Home, copy: Home) -> list[dict[str, Any]]:
    return [
        {
            **item.metadata,
            "path": _seen_from(copy, original, item.path),
            "labels": list(item.labels),
            "digest": item.digest,
        }
        for item in items
    ]


def _seen_from(copy: Home, original: Home, path: str | None) -> str | None:
    """Return a path as it is seen from the folder of the copy."""
    if path is None or copy.folder == original.folder or not is_relative(path, original.folder):
        return path
    return path_seen_from(copy.folder, original.folder / path)


def _copy_the_rest(original: Home, copy: Home) -> None:
    """Copy the notes, and the filters by a key where the copy keeps some."""
    notes = {name: text for name, text in original.notes().items() if name != NOTE}
    if "model_path" in notes and not is_on_hub(notes["model_path"]) and copy.folder != original.folder:
        notes["model_path"] = path_seen_from(copy.folder, original.folder / notes["model_path"])
    copy.set_notes(notes)
    if "filters" in copy.offers:
        for key in original.filters():
            copy.create_filter(key)
