"""What can be said of an index: sizes, format, how it is searched."""

from typing import Any

from nearbit.index.live.snapshot import Snapshot
from nearbit.index.storage.connecting import Connection
from nearbit.index.storage.schema import Meta, read_meta
from nearbit.index.storage.store import Store


def describe(connection: Connection, store: Store, snapshot: Snapshot, meta: Meta) -> dict[str, Any]:
    """Return facts about an index, ready for JSON."""
    now = read_meta(connection, store.path)
    search = snapshot.main.structure.describe()
    distinct = None if snapshot.pending() else search["distinct_codes"]
    cache = store.path.with_name(f"{store.path.name}-search")
    return {
        "path": str(store.path),
        "items": len(snapshot),
        "distinct_codes": snapshot.n_distinct() if distinct is None else distinct,
        "n_bits": int(meta["n_bits"]),
        "file_bytes": store.file_bytes(),
        "cache_bytes": cache.stat().st_size if cache.exists() else None,
        "model_id": meta.get("model_id"),
        "outputs": meta.get("outputs"),
        "format_version": int(now["format_version"]),
        "created": meta.get("created"),
        "revision": snapshot.state.revision,
        "added_since_merge": len(snapshot.delta.ids),
        "removed_since_merge": snapshot.n_tombstones,
        "search": search,
    }
