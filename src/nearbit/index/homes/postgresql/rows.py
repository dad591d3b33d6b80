"""Codes and items as rows of the tables."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, n_bytes
from nearbit.index.results import Item
from nearbit.index.storage.damage import Damage
from nearbit.index.storage.rows import EMPTY, Fields, labels_of, metadata_of

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


def copied_rows(
    ids: npt.NDArray[np.int64],
    bits: Sequence[str],
    fields: Sequence[Fields] | None,
    scales: Sequence[float] | None,
    outputs: Sequence[bytes] | None,
) -> Iterator[tuple[Any, ...]]:
    """Yield what COPY takes for each new item, in the order of `COPIED`."""
    for row, item_id in enumerate(ids.tolist()):
        path, labels, metadata, digest = EMPTY if fields is None else fields[row]
        kept = (None, None) if scales is None or outputs is None else (scales[row], outputs[row])
        yield (item_id, bits[row], path, list(labels_of(labels)), metadata, digest, *kept)


def json_of(value: Any) -> str:
    """Return a value as JSON text."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
