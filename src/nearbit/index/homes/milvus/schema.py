"""The collection of an index: how it is made, and whether one that is found is ours and whole."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, final

from pymilvus import DataType, MilvusClient
from pymilvus.client.types import LoadState

from nearbit.codes import n_bytes
from nearbit.errors import IndexFileError, InputError
from nearbit.index.homes.address import Address
from nearbit.index.homes.milvus.client import SECONDS, Server
from nearbit.index.homes.milvus.rows import MOST_TOKENS
from nearbit.json_text import parse_json

FORMAT = 1
MOST_BITS = 262_144
"""Of a binary vector of Milvus."""

MOST_LISTS, MOST_SHARDS = 65_536, 16
LOAD_SECONDS = 120.0

_TYPES = {
    "id": DataType.INT64,
    "code": DataType.BINARY_VECTOR,
    "source": DataType.JSON,
    "metadata": DataType.JSON,
    "tokens": DataType.ARRAY,
    "revision": DataType.INT64,
}


@final
@dataclass(frozen=True)
class Way:
    """How an index is searched, as its address says.

    Attributes:
        nlist: of how many lists a new index is made (BIN_IVF_FLAT); 0 for none (BIN_FLAT).
        nprobe: how many of them an approximate search looks at; None for an exact one.
        shards: over how many channels the writes to a new index are spread.
    """

    nlist: int = 0
    nprobe: int | None = None
    shards: int = 1

    @classmethod
    def of(cls, address: Address) -> Self:
        """Return what an address asks for; raise `InputError` for what there is not."""
        shards = whole_option(address, "shards", 1, MOST_SHARDS)
        asked = address.options.get("search", "exact")
        if asked not in ("exact", "ivf"):
            raise InputError(f"search={asked!r} is no way to search: expected exact, or ivf, which is approximate")
        if asked == "exact":
            for name in ("nlist", "nprobe"):
                if name in address.options:
                    raise InputError(f"{name} goes with search=ivf: an exact search has nothing to set")
            return cls(shards=shards)
        nlist = whole_option(address, "nlist", 1024, MOST_LISTS)
        return cls(nlist, whole_option(address, "nprobe", min(16, nlist), MOST_LISTS), shards)


def whole_option(address: Address, name: str, default: int, most: int) -> int:
    """Return a number that an address names; raise `InputError` for one that is none or too large."""
    text = address.options.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise InputError(f"{name} must be a whole number from 1 to {most}, not {text!r}")
    return int(text)


def facts_of(address: Address, n_bits: int, model_id: str | None, way: Way) -> dict[str, str]:
    """Return what is recorded of a new index."""
    facts = {
        "nearbit_format": str(FORMAT),
        "n_bits": str(n_bits),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "index_id": uuid.uuid4().hex,
        "folder": str((address.folder or Path.cwd()).absolute()),
        "nlist": str(way.nlist),
    }
    return facts if model_id is None else facts | {"model_id": model_id}


def create_collection(server: Server, name: str, facts: Mapping[str, str], shards: int) -> None:
    """Make the collection of an index; the facts are its description."""
    schema = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=False, description=json.dumps(facts, ensure_ascii=False)
    )
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("code", DataType.BINARY_VECTOR, dim=8 * n_bytes(int(facts["n_bits"])))
    schema.add_field("source", DataType.JSON)
    schema.add_field("metadata", DataType.JSON)
    schema.add_field("tokens", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=MOST_TOKENS, max_length=32)
    schema.add_field("revision", DataType.INT64)
    server.call(
        lambda client: client.create_collection(
            name, schema=schema, num_shards=shards, consistency_level="Strong", timeout=SECONDS
        )
    )


def create_state(server: Server, name: str) -> None:
    """Make the collection that holds nothing, and tells by its name."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("code", DataType.BINARY_VECTOR, dim=8)
    server.call(lambda client: client.create_collection(name, schema=schema, num_shards=1, timeout=SECONDS))


def loaded(server: Server, name: str, facts: Mapping[str, str]) -> None:
    """Tell the server to make what finds codes, where that is missing, and to load the collection; reads wait."""
    nlist = int(facts.get("nlist", "0"))

    def work(client: MilvusClient) -> None:
        if not client.list_indexes(name, field_name="code"):
            params = client.prepare_index_params()
            kind: dict[str, Any] = {"index_type": "BIN_FLAT"}
            if nlist:
                kind = {"index_type": "BIN_IVF_FLAT", "params": {"nlist": nlist}}
            params.add_index("code", metric_type="HAMMING", **kind)
            client.create_index(name, params, timeout=LOAD_SECONDS, sync=False)
        if client.get_load_state(name, timeout=SECONDS)["state"] == LoadState.NotLoad:
            client.load_collection(name, timeout=LOAD_SECONDS, _async=True)

    server.call(work)


def read_facts(server: Server, name: str) -> dict[str, str] | None:
    """Return the recorded facts of an index after checking that this nearbit can read it; None where there is none.

    Raises:
        IndexFileError: a collection of another program, of a newer format, or with other fields.
    """
    if name not in server.collections():
        return None
    found: dict[str, Any] = server.call(lambda client: client.describe_collection(name, timeout=SECONDS))
    other = IndexFileError(
        f"{server.address}: the collection {name} is there and is of no index of nearbit: name another index "
        "(?index=NAME), or drop it"
    )
    try:
        facts: Any = parse_json(str(found["description"]), "its description", IndexFileError)
    except IndexFileError:
        raise other from None
    if not isinstance(facts, dict) or not str(facts.get("nearbit_format", "")).isdecimal():
        raise other
    if int(facts["nearbit_format"]) > FORMAT:
        raise IndexFileError(
            f"{server.address} has the format {facts['nearbit_format']}, made by a newer nearbit; this one reads up to "
            f"{FORMAT}: upgrade nearbit"
        )
    there = {field["name"]: field["type"] for field in found["fields"]}
    if not str(facts.get("n_bits", "")).isdecimal() or not facts.get("index_id") or there != _TYPES:
        raise IndexFileError(
            f"{server.address}: the collection {name} is not as nearbit made it; restore it from a backup, or drop it "
            "and copy the index there again"
        )
    return facts
