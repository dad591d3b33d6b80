"""Looking after an index in Milvus: segments, notes, and facts about it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from nearbit.errors import IndexFileError
from nearbit.index.homes.milvus.client import SECONDS, Server
from nearbit.index.homes.milvus.schema import Way
from nearbit.index.homes.milvus.state import Mark
from nearbit.json_text import parse_json

FLUSH_SECONDS = 300.0

NOTES = "nearbit.notes"
"""The property of the collection that holds them."""


def compacted(server: Server, name: str) -> None:
    """Let the server write its segments, with the index of each, and join small ones."""
    server.call(lambda client: client.flush(name, timeout=FLUSH_SECONDS))
    server.call(lambda client: client.compact(name, timeout=SECONDS))


def notes_of(server: Server, name: str) -> dict[str, str]:
    """Return the owner's notes, by name."""
    found: Any = server.call(lambda client: client.describe_collection(name, timeout=SECONDS))
    text = found.get("properties", {}).get(NOTES)
    notes = {} if text is None else parse_json(text, f"the notes of {server.address}", IndexFileError)
    return dict(sorted(notes.items()))


def put_notes(server: Server, name: str, notes: Mapping[str, str], make_sure: Callable[[], None]) -> None:
    """Write notes, each in the place of the one of its name; `make_sure` raises where another program may write."""
    text = json.dumps(notes_of(server, name) | dict(notes), ensure_ascii=False)
    make_sure()
    server.call(lambda client: client.alter_collection_properties(name, {NOTES: text}, timeout=SECONDS))


def described(server: Server, facts: Mapping[str, str], mark: Mark, way: Way) -> dict[str, Any]:
    """Return facts about an index, ready for JSON."""
    exact: dict[str, Any] = {"plan": "scan", "approximate": False}
    lists = {"plan": "ivf", "approximate": True, "nprobe": way.nprobe}
    version = server.call(lambda client: str(client.get_server_version()))
    return {
        "items": mark.items,
        "distinct_codes": None,
        "n_bits": int(facts["n_bits"]),
        "file_bytes": None,
        "cache_bytes": None,
        "model_id": facts.get("model_id"),
        "outputs": None,
        "format_version": int(facts["nearbit_format"]),
        "created": facts.get("created"),
        "revision": mark.revision,
        "added_since_merge": 0,
        "removed_since_merge": 0,
        "search": {
            "engine": f"Milvus {version.removeprefix('v')}",
            **(exact if way.nprobe is None else lists),
            "index": "BIN_IVF_FLAT" if way.nlist else "BIN_FLAT",
            "nlist": way.nlist or None,
        },
    }
