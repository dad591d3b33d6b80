"""One image of a shard with what lies beside it, and the rules for names and labels that all shards share."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from nearbit.errors import DataError
from nearbit.json_text import unstorable
from nearbit.names import escaped, label_name

Passed = Counter[str]
"""How many members or columns of each kind were passed over: no images, and nothing that is known."""

_ELSEWHERE = re.compile(r"[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*:/")
"""How a drive or an address begins."""

LARGEST_IMAGE = 2**28
"""Bytes of one image above which it is not read."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image of a shard.

    Attributes:
        key: its name in the shard, unique there.
        path: how it is named outside of the shard.
        row: its number in the shard, from 0; also those with a problem have one.
        image: the bytes of the image file; empty where there is a problem.
        labels: names of its labels.
        metadata: what else is said of it, as JSON holds it.
        id: the number that the shard gives it, where it gives numbers.
        start: where in the shard the bytes of the image begin; -1 where they do not lie there as they are.
        problem: why it has to be skipped; "" for a good one.
    """

    key: str
    path: str
    row: int
    image: bytes = b""
    labels: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    id: int | None = None
    start: int = -1
    problem: str = ""


def plain_name(name: str) -> str:
    """Return a name of a member or a path without parts that mean nothing; it stays below the folder.

    Raises:
        DataError: it leads out of the folder, or can be kept neither in JSON nor in an index.
    """
    reason = unstorable(name)
    if reason:
        raise DataError(f"its name {escaped(name)[:80]!r} cannot be kept: {reason}")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if (
        name.startswith(("/", "\\"))
        or ".." in name.replace("\\", "/").split("/")
        or _ELSEWHERE.match(name)
        or not parts
    ):
        raise DataError("its name leads out of the shard: names must be relative, without '..' and without a scheme")
    return "/".join(parts)


def label_names(found: Any, separator: str | None = None) -> tuple[str, ...]:
    """Return the names of labels: of a text, a whole number, or a list of them; None is no label.

    Args:
        found: as the shard has it.
        separator: what stands between several names in one text; None takes a text whole.

    Raises:
        DataError: a label of another kind, or one that cannot be kept.
    """
    if isinstance(found, str) and separator is not None:
        found = found.split(separator)
    names = found if isinstance(found, list | tuple) else [] if found is None else [found]
    return tuple(dict.fromkeys(name for name in map(_label_name, names) if name))


def _label_name(found: Any) -> str:
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise DataError(f"a label must be a text or a whole number, not {type(found).__name__}")
    reason = unstorable(str(found))
    if reason:
        raise DataError(f"its label '{escaped(str(found))[:60]}' cannot be kept: {reason}")
    return label_name(str(found))


def labels_in(row: dict[str, Any], label_column: str | None, separator: str) -> tuple[str, ...]:
    """Take the labels out of what is said of an image, and return their names: by the rule for labels files.

    Under `label` a text is one name, under `labels` and under a name that was asked for it is several.

    Raises:
        DataError: both are there, or see `label_names`.
    """
    if label_column is not None:
        return label_names(row.pop(label_column, None), separator)
    if row.get("label") is not None and row.get("labels") is not None:
        raise DataError("expected 'label' or 'labels', came both; another one is named by --label-column")
    one, several = row.pop("label", None), row.pop("labels", None)
    return label_names(one) if one is not None else label_names(several, separator)


def unique(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Yield samples, of which one whose key or id came before in the shard has a problem."""
    keys: set[str] = set()
    ids: set[int] = set()
    for sample in samples:
        twice = f"its name {sample.key!r} came before in this shard" if sample.key in keys else ""
        twice = twice or (f"its id {sample.id} came before in this shard" if sample.id in ids else "")
        keys.add(sample.key)
        if sample.id is not None:
            ids.add(sample.id)
        yield replace(sample, problem=twice, image=b"") if twice and not sample.problem else sample
