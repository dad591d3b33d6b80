"""Making and opening indexes in Milvus."""

import time

from nearbit.errors import IndexFileError, InputError
from nearbit.index.homes.address import Address
from nearbit.index.homes.milvus.client import Server
from nearbit.index.homes.milvus.index import MilvusIndex
from nearbit.index.homes.milvus.schema import (
    MOST_BITS,
    Way,
    create_collection,
    create_state,
    facts_of,
    loaded,
    read_facts,
)
from nearbit.index.homes.milvus.state import LOOK_AGAIN, first_mark, marks_in
from nearbit.index.homes.recorded import check_model, check_same

MAKING_SECONDS = 5.0
"""How long another program may take from the collection of a new index to its state; after it, half one is finished."""


def create(address: Address, n_bits: int, *, model_id: str | None, outputs: str | None, exist_ok: bool) -> MilvusIndex:
    """Make an index and open it; see `nearbit.index.create_index`. Half a one is finished."""
    if n_bits > MOST_BITS:
        raise InputError(f"an index in Milvus holds codes of at most {MOST_BITS} bits, not {n_bits}")
    if outputs is not None:
        raise InputError("an index in Milvus keeps no outputs: leave outputs out, or make it in a file or PostgreSQL")
    way = Way.of(address)
    new = facts_of(address, n_bits, model_id, way)
    server = Server(address)
    try:
        is_whole = _has_state(server)
        found = read_facts(server, address.name)
        if found is not None:
            is_whole = is_whole or _gets_state(server)
            check_same(address, found, new, exist_ok=exist_ok or not is_whole)
        else:
            create_collection(server, address.name, new, way.shards)
        facts = found or new
        if not is_whole and not _has_state(server):
            create_state(server, first_mark(facts["index_id"]).name_of(address.name))
        loaded(server, address.name, facts)
        return MilvusIndex(server, facts, read_only=False, way=_checked(address, facts, way))
    except BaseException:
        server.close()
        raise


def open_(address: Address, *, model_id: str | None, read_only: bool) -> MilvusIndex:
    """Open an index; see `nearbit.index.open_index`."""
    way = Way.of(address)
    server = Server(address)
    try:
        facts = read_facts(server, address.name)
        if facts is None:
            raise IndexFileError(
                f"{address} does not exist; name an index, or make one (nearbit index copy, in Python create_index)"
            )
        if not _has_state(server):
            raise IndexFileError(
                f"{address} is half an index: no collection tells its state; make it again (create_index), which "
                "finishes it, or restore it from a backup"
            )
        check_model(address, facts, model_id)
        loaded(server, address.name, facts)
        return MilvusIndex(server, facts, read_only=read_only, way=_checked(address, facts, way))
    except BaseException:
        server.close()
        raise


def exists(address: Address) -> bool:
    """Return whether there is an index at the address; raise `IndexFileError` where the server cannot be asked."""
    server = Server(address)
    try:
        return _has_state(server)
    finally:
        server.close()


def _has_state(server: Server) -> bool:
    return bool(marks_in(server.collections(), server.address.name))


def _gets_state(server: Server) -> bool:
    """Return whether an index without a state gets one: who makes it just now is given the time to finish."""
    end = time.monotonic() + MAKING_SECONDS
    while not _has_state(server):
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_AGAIN)
    return True


def _checked(address: Address, facts: dict[str, str], way: Way) -> Way:
    """Return how an index is searched, of what lists it has."""
    nlist = int(facts.get("nlist", "0"))
    if way.nprobe is not None and not nlist:
        raise InputError(
            f"{address}: the index has no lists to search approximately (BIN_FLAT): leave search=ivf out, or copy it "
            "to one that is made with search=ivf"
        )
    return Way(nlist, way.nprobe)
