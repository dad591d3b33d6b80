"""Items as rows of the collection, and what of them a filter compares."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nearbit.codes import Codes, n_bytes
from nearbit.errors import InputError
from nearbit.index.homes.milvus.client import Row
from nearbit.index.results import Ids, Item
from nearbit.index.storage.damage import Damage
from nearbit.index.storage.rows import EMPTY, Fields, labels_of, metadata_of

FIELDS = ("id", "code", "source", "metadata")
"""What `item_of` reads."""

MOST_BYTES = 65_536
"""Of a JSON field of Milvus."""

MOST_TOKENS = 4_096
"""Elements of an array of Milvus."""

HIDDEN = 2**63 - 2
"""A revision that no state comes to."""


def row_of(item_id: int, code: bytes, fields: Fields, revision: int) -> Row:
    """Return an item as a row."""
    path, labels_text, metadata, digest = fields
    labels = labels_of(labels_text)
    values = {} if metadata == EMPTY[2] else metadata_of(metadata, item_id)
    return {
        "id": item_id,
        "code": code,
        "source": _json_of({"path": path, "labels": labels, "digest": digest}),
        "metadata": metadata,
        "tokens": tokens_of(path, labels, digest, values),
        "revision": revision,
    }


def rows_of(ids: Ids, codes: Codes, fields: Sequence[Fields] | None, revision: int) -> Iterator[Row]:
    """Yield items as rows."""
    for position, item_id in enumerate(ids.tolist()):
        yield row_of(item_id, codes[position].tobytes(), EMPTY if fields is None else fields[position], revision)


def marker(n_bits: int) -> Row:
    """Return a row that is no item: the server's time of writing it is later than that of all changes before."""
    return row_of(-1, bytes(n_bytes(n_bits)), EMPTY, HIDDEN)


def check_sizes(fields: Sequence[Fields] | None) -> None:
    """Raise `InputError` where Milvus has no room for what comes with an item."""
    for position, own in enumerate(fields or ()):
        if sum(len(text) for text in own if text is not None) < MOST_TOKENS:  # each letter takes six bytes at most
            continue
        row = row_of(position, b"", own, 0)
        if max(len(row["source"].encode()), len(row["metadata"].encode())) > MOST_BYTES:
            raise InputError(
                f"metadata[{position}] takes more than Milvus holds of an item ({MOST_BYTES:,} bytes of JSON for "
                "path, labels and digest, and as much for the rest): leave some of it out"
            )
        if len(row["tokens"]) > MOST_TOKENS:
            raise InputError(
                f"metadata[{position}] has more labels and keys than Milvus holds of an item ({MOST_TOKENS:,}): leave "
                "some out"
            )


def item_of(row: Row, n_bits: int) -> Item:
    """Return the item of a row of `FIELDS`; raise `Damage` where a field holds what no item has."""
    item_id, source, metadata = int(row["id"]), row["source"], row["metadata"]
    labels = source.get("labels") if isinstance(source, dict) else None
    if not isinstance(labels, list) or not isinstance(metadata, dict):
        raise Damage(f"item {item_id} holds no JSON as nearbit writes it")
    return Item(
        id=item_id,
        code=code_of(row, n_bits),
        path=source.get("path"),
        labels=tuple(labels),
        digest=source.get("digest"),
        metadata=metadata,
    )


def code_of(row: Row, n_bits: int) -> Codes:
    """Return the code of a row: uint8 `(ceil(n_bits / 8),)`."""
    code: Any = row["code"]
    data = code[0] if isinstance(code, list) else code
    if not isinstance(data, bytes) or len(data) != n_bytes(n_bits):
        raise Damage(f"the code of item {row['id']} has not {n_bits} bits")
    return np.frombuffer(data, np.uint8).copy()


def codes_of(rows: Sequence[Row], n_bits: int) -> Codes:
    """Return the codes of rows: uint8 `(n, ceil(n_bits / 8))`."""
    if not rows:
        return np.empty((0, n_bytes(n_bits)), np.uint8)
    return np.stack([code_of(row, n_bits) for row in rows])


def tokens_of(path: Any, labels: Sequence[Any], digest: Any, values: Mapping[str, Any]) -> list[str]:
    """Return what filters compare of an item: a token for each label, and for each value under a key."""
    found = {token("label", "", label) for label in labels}
    found |= {token("path", "", path), token("digest", "", digest)}
    found |= {token("key", key, value) for key, value in values.items() if not isinstance(value, dict | list)}
    return sorted(found)


def token(kind: str, key: str, value: Any) -> str:
    """Return 128 bits, in hexadecimal, that stand for a value: the same for numbers of the same value alone."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = _json_of([kind, key, value])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _json_of(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
