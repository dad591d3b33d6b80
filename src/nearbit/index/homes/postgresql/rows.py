"""Codes and items as rows of the tables."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, n_bytes
from nearbit.index.results import Item
from nearbit.index.storage.damage import Damage
from nearbit.index.storage.rows import EMPTY, Fields, labels_of, metadata_of

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", "\v": "\\v"})

COLUMNS = "id, code::text, path, labels, metadata::text, digest"
"""What `item_of` reads."""

COPIED = "id, code, path, labels, metadata, digest, scale, outputs"


def bits_of(codes: Codes, n_bits: int) -> list[str]:
    """Return codes as PostgreSQL writes them: a text of 0 and 1 each, the first bit first."""
    if not len(codes):
        return []
    digits = np.unpackbits(codes, axis=1, count=n_bits) + ord("0")
    texts: list[bytes] = np.ascontiguousarray(digits).view(f"S{n_bits}").ravel().tolist()
    return [text.decode("ascii") for text in texts]


def codes_of(texts: Sequence[Any], n_bits: int) -> Codes:
    """Return the codes of texts of 0 and 1: uint8 `(n, ceil(n_bits / 8))`; raise `Damage` for one of another length."""
    if not len(texts):
        return np.empty((0, n_bytes(n_bits)), np.uint8)
    if any(len(text) != n_bits for text in texts):
        raise Damage(f"a code in it has not {n_bits} bits")
    digits = np.frombuffer("".join(texts).encode("ascii"), np.uint8).reshape(-1, n_bits) - ord("0")
    return np.packbits(digits, axis=1)


def item_of(row: tuple[Any, ...], n_bits: int) -> Item:
    """Return the item of a row of `COLUMNS`."""
    item_id, code, path, labels, metadata, digest = row
    return Item(
        id=item_id,
        code=codes_of([code], n_bits)[0],
        path=path,
        labels=tuple(labels),
        digest=digest,
        metadata={} if metadata == EMPTY[2] else metadata_of(metadata, item_id),
    )


def copied_lines(
    ids: npt.NDArray[np.int64],
    bits: Sequence[str],
    fields: Sequence[Fields] | None,
    scales: Sequence[float] | None,
    outputs: Sequence[bytes] | None,
) -> Iterator[str]:
    """Yield what COPY takes for each new item, in the order of `COPIED`: a line of text."""
    for row, item_id in enumerate(ids.tolist()):
        path, labels, metadata, digest = EMPTY if fields is None else fields[row]
        kept = ("", "") if scales is None or outputs is None else (repr(scales[row]), f"\\x{outputs[row].hex()}")
        yield copied_line(
            (str(item_id), bits[row], path, _array_of(labels), metadata, digest, *(one or None for one in kept))
        )


def copied_line(columns: Sequence[str | None]) -> str:
    """Return a row as a line of COPY's text."""
    return "\t".join("\\N" if column is None else column.translate(_ESCAPES) for column in columns) + "\n"


@lru_cache(maxsize=100_000)
def _array_of(labels: str) -> str:
    """Return labels, a JSON list of texts, as PostgreSQL writes an array of them."""
    quoted = (label.replace("\\", "\\\\").replace('"', '\\"') for label in labels_of(labels))
    return "{" + ",".join(f'"{label}"' for label in quoted) + "}"


def json_of(value: Any) -> str:
    """Return a value as JSON text."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
