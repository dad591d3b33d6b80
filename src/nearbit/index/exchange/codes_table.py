"""The columns in which codes lie in Parquet and Arrow files, and what such a file says of itself.

| column | type |
|---|---|
| id | int64 |
| code | binary of ceil(n_bits / 8) bytes: bit 1 stands for +1, the first bit is the highest of the first byte |
| path, digest | text, or null |
| labels | list of texts |
| metadata | text: JSON of the rest, or null |
| outputs | list of n_bits float32, where they are kept |

Under `nearbit` the schema says, as JSON: format, version, n_bits, model_id and how outputs are kept.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, check_codes, check_n_bits, n_bytes
from nearbit.errors import InputError
from nearbit.files.arrow import arrow_library
from nearbit.index.exchange.items import Exchanged, length_of
from nearbit.index.results import Ids
from nearbit.json_text import parse_json

KEY, SHARD_KEY = b"nearbit", b"nearbit.shard"
FORMAT, VERSION = "nearbit-codes", 1
PURPOSE = "a Parquet or Arrow file"


@final
@dataclass(frozen=True, kw_only=True)
class CodesAbout:
    """What a file of codes says of itself.

    Attributes:
        n_bits: code length in bits.
        model_id: the model that made the codes, where it is known.
        outputs: "float32" where there is a column of outputs as they were computed, "int8" or "float16" where they are
            those that an index keeps so, None where there is none.
    """

    n_bits: int
    model_id: str | None = None
    outputs: str | None = None

    def to_json(self) -> bytes:
        """Return what stands under `nearbit` in the schema."""
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, sort_keys=True).encode()


@dataclass(frozen=True, eq=False, kw_only=True)
class CodesRows:
    """Rows of a table of codes, one entry an item in each; see the columns above."""

    ids: Ids
    codes: Codes
    paths: Sequence[str | None]
    labels: Sequence[Sequence[str]]
    metadata: Sequence[str | None]
    digests: Sequence[str | None]
    outputs: npt.NDArray[np.float32] | None = None


def schema_of(about: CodesAbout, shard: bytes | None = None) -> Any:
    """Return the schema of a file of codes; `shard` is what else it says, of the shard that it was made from."""
    pa = arrow_library(PURPOSE).pa
    fields = [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("code", pa.binary(n_bytes(about.n_bits)), nullable=False),
        pa.field("path", pa.string()),
        pa.field("labels", pa.list_(pa.string())),
        pa.field("metadata", pa.string()),
        pa.field("digest", pa.string()),
    ]
    if about.outputs is not None:
        fields.append(pa.field("outputs", pa.list_(pa.float32(), about.n_bits)))
    return pa.schema(fields, metadata={KEY: about.to_json()} | ({} if shard is None else {SHARD_KEY: shard}))


def table_of(rows: CodesRows, schema: Any) -> Any:
    """Return rows as a table of Arrow of this schema."""
    pa = arrow_library(PURPOSE).pa
    codes = np.ascontiguousarray(rows.codes)
    columns = [
        pa.array(np.ascontiguousarray(rows.ids, np.int64)),
        pa.FixedSizeBinaryArray.from_buffers(schema.field("code").type, len(codes), [None, pa.py_buffer(codes)]),
        pa.array(rows.paths, pa.string()),
        pa.array([list(one) for one in rows.labels], pa.list_(pa.string())),
        pa.array(rows.metadata, pa.string()),
        pa.array(rows.digests, pa.string()),
    ]
    if rows.outputs is not None:
        flat = pa.array(np.ascontiguousarray(rows.outputs, np.float32).reshape(-1))
        columns.append(pa.FixedSizeListArray.from_arrays(flat, type=schema.field("outputs").type))
    return pa.Table.from_arrays(columns, schema=schema)


def about_of(schema: Any, name: str) -> CodesAbout | None:
    """Return what a file says of itself; None where it is of another program.

    Raises:
        InputError: it says something that cannot be, or it is of a newer version.
    """
    text = (schema.metadata or {}).get(KEY)
    if text is None:
        return None
    said = parse_json(text, f"what {name} says under 'nearbit'", InputError)
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise InputError(f"{name} says under 'nearbit' that it is {said!r}, which is no file of codes")
    if said.get("version") != VERSION:
        raise InputError(
            f"{name} has the version {said.get('version')!r} of files of codes; this nearbit reads {VERSION}: update it"
        )
    model_id, outputs = said.get("model_id"), said.get("outputs")
    if not isinstance(model_id, str | None) or outputs not in (None, "float32", "int8", "float16"):
        raise InputError(f"{name} names a model or outputs that cannot be: {said!r}")
    return CodesAbout(n_bits=check_n_bits(said.get("n_bits", 0)), model_id=model_id, outputs=outputs)


def items_of(table: Any, name: str, n_bits: int | None) -> Exchanged:
    """Return the items of a table of codes, of ours or of another program with the same names of columns.

    Args:
        table: of Arrow; needs the column code; the others are taken where they are there.
        name: of the file, for messages.
        n_bits: code length in bits; None for what the table says.

    Raises:
        InputError: a column of another type, codes of another length, or no code length.
    """
    about, names = about_of(table.schema, name), set(table.column_names)
    if "code" not in names:
        raise InputError(f"{name} has no column 'code' but {', '.join(table.column_names) or 'none at all'}")
    length = length_of(None if about is None else about.n_bits, n_bits, name)
    codes = check_codes(_codes(table.column("code"), length, name), length, name=f"the codes of {name}")
    ids = _ids(table.column("id"), name) if "id" in names else None
    outputs = _outputs(table.column("outputs"), length, name) if "outputs" in names else None
    keeps = about.outputs if about is not None and about.outputs != "float32" else None
    model_id = None if about is None else about.model_id
    return Exchanged(ids, codes, length, _metadata(table, name), model_id, outputs, keeps)


def _codes(column: Any, n_bits: int, name: str) -> Codes:
    pa = arrow_library(PURPOSE).pa
    kinds = (pa.types.is_fixed_size_binary, pa.types.is_binary, pa.types.is_large_binary)
    if not any(is_kind(column.type) for is_kind in kinds) or column.null_count:
        raise InputError(f"{name}: code must be bytes in every row, not {column.type} with {column.null_count} nulls")
    width = n_bytes(n_bits)
    if pa.types.is_fixed_size_binary(column.type):
        content, widths = b"".join(_bytes_of(chunk) for chunk in column.chunks), {column.type.byte_width}
    else:
        parts = column.to_pylist()
        content, widths = b"".join(parts), {len(part) for part in parts}
    if widths - {width}:
        raise InputError(f"{name} holds codes of {(widths - {width}).pop()} bytes; of {n_bits} bits they have {width}")
    return np.frombuffer(content, np.uint8).reshape(-1, width)


def _bytes_of(chunk: Any) -> bytes:
    width = chunk.type.byte_width
    return bytes(chunk.buffers()[1][chunk.offset * width : (chunk.offset + len(chunk)) * width])


def _ids(column: Any, name: str) -> Ids:
    pa = arrow_library(PURPOSE).pa
    if not pa.types.is_integer(column.type) or column.null_count:
        raise InputError(f"{name}: id must be a whole number in every row, not {column.type}")
    ids: Ids = column.cast(pa.int64()).to_numpy()
    return ids


def _outputs(column: Any, n_bits: int, name: str) -> npt.NDArray[np.float32]:
    pa = arrow_library(PURPOSE).pa
    kinds = (pa.types.is_fixed_size_list, pa.types.is_list, pa.types.is_large_list)
    if not any(is_kind(column.type) for is_kind in kinds) or column.null_count:
        raise InputError(f"{name}: outputs must be lists of {n_bits} numbers, not {column.type}")
    lists = column.combine_chunks()
    lengths = set(lists.value_lengths().unique().to_pylist())
    if lengths - {n_bits}:
        raise InputError(f"{name}: outputs must be lists of {n_bits} numbers, not of {min(lengths - {n_bits})}")
    flat = lists.flatten()
    if flat.null_count:
        raise InputError(f"{name}: outputs must be numbers; {flat.null_count} of them are null")
    outputs: npt.NDArray[np.float32] = flat.cast(pa.float32()).to_numpy(zero_copy_only=False).reshape(-1, n_bits)
    return outputs


def _metadata(table: Any, name: str) -> list[dict[str, Any]] | None:
    """Return the mapping of each item that `Index.add` takes; None where there is no column for it."""
    names = [one for one in ("path", "labels", "digest", "metadata") if one in table.column_names]
    if not names:
        return None
    columns = {one: table.column(one).to_pylist() for one in names}
    rows = []
    for row in range(len(table)):
        given = {one: columns[one][row] for one in names if one != "metadata" and columns[one][row] is not None}
        rest = columns["metadata"][row] if "metadata" in columns else None
        rows.append(_mapping(rest, f"{name}: the metadata of row {row}") | given)
    return rows


def _mapping(text: Any, what: str) -> dict[str, Any]:
    if text is None:
        return {}
    value = parse_json(text, what, InputError) if isinstance(text, str) else text
    if not isinstance(value, dict):
        raise InputError(f"{what} must be a JSON object, not {type(value).__name__}")
    return value
