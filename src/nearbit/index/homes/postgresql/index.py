"""An open index in PostgreSQL."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, check_codes
from nearbit.errors import IndexFileError, InputError
from nearbit.index import arguments
from nearbit.index.any_index import AnyIndex
from nearbit.index.changes import NewItems
from nearbit.index.engine.weighted.weights import check_weights
from nearbit.index.homes.address import Address
from nearbit.index.homes.postgresql import reading, writing
from nearbit.index.homes.postgresql.connections import Connection, Connections
from nearbit.index.homes.postgresql.filters import Condition, condition_of, drop, keep, kept_keys
from nearbit.index.homes.postgresql.maintenance import compacted, described
from nearbit.index.homes.postgresql.pruning import Known
from nearbit.index.homes.postgresql.schema import Tables, lock_of
from nearbit.index.homes.postgresql.searching import Search, plain_queries, weighted_queries
from nearbit.index.homes.postgresql.verify import problems
from nearbit.index.live.snapshot import PADDED, Snapshot, snapshot_of
from nearbit.index.offers import ALL, Offer
from nearbit.index.results import Hits, Ids, Item, Results
from nearbit.index.storage.change_log import State
from nearbit.index.storage.damage import Damage
from nearbit.index.storage.outputs import reordered
from nearbit.keywords import suggesting

ITEMS_PER_PAGE = 1000
Result = TypeVar("Result")


@final
class PostgresIndex(AnyIndex):
    """An index whose items lie in tables of PostgreSQL; see `nearbit.index.homes.Home` for its calls.

    One transaction of the server is behind each call: what it wrote is durable when it returns (as far as the server's
    `synchronous_commit` is on), all or nothing, and a search sees one state. One writer at a time: others wait for it,
    ten seconds at most. A lost connection is opened again, and what was not acknowledged is done again or refused.
    """

    def __init__(self, address: Address, facts: Mapping[str, str], *, read_only: bool, ef_search: int | None) -> None:
        """Take the address of an index and its recorded facts, as `opening` read and checked them."""
        self.address: str = str(address)
        self.n_bits: int = int(facts["n_bits"])
        self.model_id: str | None = facts.get("model_id")
        self.outputs: str | None = facts.get("outputs")
        self.folder: Path = (address.folder or Path(facts["folder"])).absolute()
        self.offers: frozenset[Offer] = ALL if ef_search is None else frozenset({"outputs", "filters"})
        self._facts = dict(facts)
        self._read_only = read_only
        self._tables = Tables(address.name, self.n_bits)
        self._search = Search(self._tables, ef_search)
        self._known = Known(self._tables)
        self._connections = Connections(address, lock_of(address.name))

    def __repr__(self) -> str:
        n_items = "closed" if self._connections.is_closed else f"{len(self)} items"
        return f"PostgresIndex({self.address!r}: {n_items}, {self.n_bits} bits)"

    def __len__(self) -> int:
        """Return the number of items."""
        return self._read(lambda connection: writing.Counts.read(connection, self._tables).items)

    @suggesting
    def add(
        self,
        codes: npt.ArrayLike,
        *,
        ids: npt.ArrayLike | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        outputs: npt.ArrayLike | None = None,
        replace: bool = False,
    ) -> Ids:
        """Add items in one transaction, by COPY; see `Index.add`."""
        new = NewItems.checked(
            codes, self.n_bits, ids=ids, metadata=metadata, outputs=outputs, kind=self.outputs, replace=replace
        )
        return self._write(lambda connection: writing.insert(connection, self._tables, new, self._known))

    @suggesting
    def update(self, ids: npt.ArrayLike, *, metadata: Sequence[Mapping[str, Any]]) -> None:
        """Give items new metadata in one transaction; see `Index.update`."""
        wanted = arguments.check_ids(ids)
        fields = arguments.check_metadata(metadata, len(wanted), "ids")
        arguments.check_new_ids(wanted, len(wanted))
        self._write(lambda connection: writing.update(connection, self._tables, wanted, fields))

    @suggesting
    def remove(self, ids: npt.ArrayLike, *, missing_ok: bool = False) -> int:
        """Remove items in one transaction; see `Index.remove`."""
        wanted = np.unique(arguments.check_ids(ids))
        return self._write(
            lambda connection: writing.remove(connection, self._tables, wanted, self._known, missing_ok=missing_ok)
        )

    @suggesting
    def search(
        self,
        codes: npt.ArrayLike,
        *,
        k: int | None = 10,
        radius: float | None = None,
        where: Mapping[str, Any] | None = None,
        outputs: npt.ArrayLike | None = None,
        rerank: int | None = None,
        weights: npt.ArrayLike | None = None,
    ) -> Results:
        """Return the nearest items of each query, ranked by distance (or weighted distance), then by id.

        See `Index.search`. With `search=hnsw` in the address it is approximate where there is neither a filter nor a
        search by radius alone.
        """
        checked = check_codes(codes, self.n_bits)
        condition = None if where is None else condition_of(where)
        if weights is not None:
            limit, far = arguments.check_weighted(k, radius, outputs, rerank)
            weighted = check_weights(weights, checked, self.n_bits)
            if "weights" not in self.offers:
                raise InputError("an approximate search takes no weights: leave search=hnsw out of the address")
            hits, most = self._nearest(weighted_queries(checked, weighted, far), limit, condition, None)
            reals = weighted.in_reals(hits.queries, np.asarray(hits.weighted))
            return Results(Hits(hits.offsets, hits.ids, hits.distances, reals), most, self)
        limit, within = arguments.check_limits(k, radius)
        real, first = arguments.check_rerank(outputs, rerank, self.outputs, len(checked), self.n_bits)
        wanted = None if limit is None else max(limit, first)
        ordered = None if real is None else (real, limit, first)
        hits, most = self._nearest(plain_queries(checked, self.n_bits, within), wanted, condition, ordered)
        return Results(Hits(hits.offsets, hits.ids, hits.distances), _room(limit, most), self)

    def items(self, ids: npt.ArrayLike) -> list[Item]:
        """Return the items of these ids, in the order asked; raise `InputError` where one is not there."""
        wanted = arguments.check_ids(ids)
        return self._read(lambda connection: reading.items_of(connection, self._tables, wanted))

    def kept_outputs(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return the outputs kept of these items; see `Index.kept_outputs`."""
        wanted, kind = arguments.check_ids(ids), self.outputs
        if kind is None:
            raise InputError(f"{self.address} keeps no outputs: build it with outputs to have them")
        found, kept = self._read(lambda connection: reading.outputs_of(connection, self._tables, wanted, kind))
        arguments.refuse_absent(np.unique(wanted), found, "kept_outputs() takes ids that add or search returned")
        rows = np.searchsorted(found, wanted)
        return kept.rows[rows].astype(np.float32) * kept.scales[rows, None]

    def __iter__(self) -> Iterator[Item]:
        """Yield every item by id, page by page; items written meanwhile may or may not come."""
        last = -1
        while page := self.items_after(last, ITEMS_PER_PAGE):
            yield from page
            last = page[-1].id

    def items_after(self, last: int, n: int) -> list[Item]:
        """Return the next `n` items with an id above `last`, by id; -1 for the first ones."""
        return self._read(lambda connection: reading.items_after(connection, self._tables, last, n))

    def state(self) -> State:
        """Return what every change of an item replaces."""
        return self._read(lambda connection: reading.state(connection, self._tables))

    def codes(self) -> tuple[Ids, Codes]:
        """Return all ids, ascending, and their codes."""
        return self._read(lambda connection: reading.all_codes(connection, self._tables))

    def _snapshot(self) -> Snapshot:
        return snapshot_of(*self.codes(), self.n_bits)

    def matching(self, where: Mapping[str, Any]) -> Ids:
        """Return the ids of the items that meet every key of `where`, ascending."""
        condition = condition_of(where)
        return self._read(lambda connection: reading.matching_ids(connection, self._tables, condition))

    def filters(self) -> list[str]:
        """Return the keys that `create_filter` was called for, sorted."""
        return self._read(lambda connection: kept_keys(connection, self._tables))

    def create_filter(self, key: str) -> None:
        """Let the server keep an index by a key; see `Index.create_filter`."""
        arguments.check_text(key, "the key of a filter")
        self._write(lambda connection: keep(connection, self._tables, key))

    def drop_filter(self, key: str) -> None:
        """Take away what `create_filter` made; raise `InputError` where there is none by this key."""
        self._write(lambda connection: drop(connection, self._tables, key))

    def labels(self) -> dict[str, int]:
        """Return how many items have each label, sorted by label."""
        return self._read(lambda connection: reading.label_counts(connection, self._tables))

    def paths(self) -> list[tuple[str, int, str | None]]:
        """Return (path, id, digest) of each item that has a path, by id."""
        return self._read(lambda connection: reading.paths(connection, self._tables))

    def entries(self) -> dict[str, tuple[int, str | None]]:
        """Return (id, digest) of each path; where several items share a path, those of the highest id."""
        return {path: (item_id, digest) for path, item_id, digest in self.paths()}

    def stats(self) -> dict[str, Any]:
        """Return facts ready for JSON."""
        found = self._read(
            lambda connection: described(connection, self._tables, self._facts, self._known, self._search.ef_search)
        )
        return {"path": self.address, **found}

    def last_id(self) -> int:
        """Return the highest id that was ever used, 0 where none was."""
        return self._read(lambda connection: reading.last_id(connection, self._tables))

    def never_assign(self, last_id: int) -> None:
        """Let assigned ids follow this one, too."""
        self._write(lambda connection: reading.raise_last_id(connection, self._tables, last_id))

    def notes(self) -> dict[str, str]:
        """Return what `set_notes` kept."""
        return self._read(lambda connection: reading.notes(connection, self._tables))

    def set_notes(self, notes: Mapping[str, str]) -> None:
        """Keep texts by name beside the items, durably; a note of the same name is replaced."""
        checked = arguments.check_notes(notes)
        self._write(lambda connection: reading.put_notes(connection, self._tables, checked))

    def writing(self) -> AbstractContextManager[None]:
        """Stay the only writer for several calls of this thread."""
        self._check_writable()
        return self._connections.exclusive()

    def compact(self, *, vacuum: bool = False) -> None:
        """Choose pivots anew, and let the server take stock of its tables (VACUUM, ANALYZE); only to be fast.

        Args:
            vacuum: also write the tables anew, without the room that removed items left; nothing can be read meanwhile.
        """
        has_graph = self._search.ef_search is not None
        self._write(lambda connection: compacted(connection, self._tables, has_graph=has_graph))
        for table in (self._tables.items, self._tables.codes, self._tables.pivots):
            self._connections.plainly(f"VACUUM ({'FULL, ' if vacuum else ''}ANALYZE) {table}")

    def verify(self) -> list[str]:
        """Return what is wrong with the tables or with the search, in words; an empty list where all is well."""
        return self._read(lambda connection: list(problems(connection, self._tables, self._known)))

    def is_in_place(self) -> bool:
        """Return whether the tables are still those that were opened; not where others took their name."""
        sql = f"SELECT value FROM {self._tables.meta} WHERE key = 'index_id'"
        row: Any = self._read(lambda connection: connection.execute(sql).fetchone())
        return row is not None and row[0] == self._facts["index_id"]

    def close(self) -> None:
        """Close the connections; a second call does nothing, any other call on a closed index is an error."""
        self._connections.close()

    def _nearest(
        self,
        queries: list[Any],
        k: int | None,
        condition: Condition | None,
        ordered: tuple[npt.NDArray[np.float32], int | None, int] | None,
    ) -> tuple[Hits, int | None]:
        """Return the nearest items, all from one state, and `k` as far as there is room for it.

        Args:
            queries: the queries.
            k: how many are found by distance.
            condition: what they must meet.
            ordered: outputs of the queries, how many items each keeps, and how many are ordered by outputs alone.
        """

        if len(queries) == 1 and condition is None and ordered is None and (k is None or k <= PADDED):
            alone = self._connections.alone(
                self._told(
                    lambda connection: self._search.nearest_to_one(connection, queries[0], k, self._known.latest)
                )
            )
            if alone is not None:
                return alone, k

        def found(connection: Connection) -> tuple[Hits, int | None]:
            counts = writing.Counts.read(connection, self._tables)
            most = _room(k, counts.items)
            if condition is not None:
                hits = self._search.among(connection, queries, most, condition)
            else:
                hits = self._search.nearest(connection, queries, most, self._known(connection, counts.pivots))
            if ordered is not None:
                kept = reading.outputs_of(connection, self._tables, hits.ids, str(self.outputs))
                hits = reordered(hits, ordered[0], *kept, k=ordered[1], rerank=ordered[2])
            return hits, most

        return self._read(found)

    def _read(self, work: Callable[[Connection], Result]) -> Result:
        with_damage = self._told(work)
        return self._connections.reading(with_damage)

    def _write(self, work: Callable[[Connection], Result]) -> Result:
        self._check_writable()
        return self._connections.writing(self._told(work))

    def _told(self, work: Callable[[Connection], Result]) -> Callable[[Connection], Result]:
        """Return work whose findings of damage name the index."""

        def done(connection: Connection) -> Result:
            try:
                return work(connection)
            except Damage as error:
                raise IndexFileError(
                    f"the index {self.address} is damaged: {error}; restore it from a backup or copy it there again "
                    "(nearbit index verify INDEX lists what is wrong)"
                ) from error

        return done

    def _check_writable(self) -> None:
        if self._read_only:
            raise IndexFileError(
                f"the index {self.address} was opened read-only; open_index without read_only can write"
            )


def _room(k: int | None, n_items: int | None) -> int | None:
    """Return `k`, or the number of items where `k` is beyond it and `PADDED`."""
    return k if k is None or n_items is None or k <= PADDED else min(k, max(1, n_items))
