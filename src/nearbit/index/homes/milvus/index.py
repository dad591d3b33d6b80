"""An open index in Milvus."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, check_codes
from nearbit.errors import IndexFileError, InputError
from nearbit.index import arguments
from nearbit.index.any_index import AnyIndex
from nearbit.index.changes import NewItems
from nearbit.index.homes.milvus.client import Server
from nearbit.index.homes.milvus.filters import between, condition_of, visible
from nearbit.index.homes.milvus.maintenance import compacted, described, notes_of, put_notes
from nearbit.index.homes.milvus.reading import Rows
from nearbit.index.homes.milvus.rows import check_sizes
from nearbit.index.homes.milvus.schema import Way, read_facts
from nearbit.index.homes.milvus.searching import Wanted, nearest
from nearbit.index.homes.milvus.state import Ledger, Mark, Turn
from nearbit.index.homes.milvus.verify import problems
from nearbit.index.homes.milvus.writing import Writer
from nearbit.index.homes.recorded import room
from nearbit.index.live.snapshot import Snapshot, snapshot_of
from nearbit.index.offers import Offer
from nearbit.index.results import Hits, Ids, Item, Results
from nearbit.index.storage.change_log import State
from nearbit.index.storage.damage import Damage
from nearbit.keywords import suggesting

ITEMS_PER_PAGE = 1_000
TRIES = 3
"""So often something is read again that was changed between the first request and the last."""

Result = TypeVar("Result")


@final
class MilvusIndex(AnyIndex):
    """An index whose items lie in a collection of Milvus; see `nearbit.index.homes.Home` for its calls.

    What `add` wrote is seen whole when it returns, by everyone, and not before. `update`, `remove` and items that
    replace others are seen request by request (10,000 items each): a call that was cut short has changed some of them,
    and doing it again changes the rest. One writer at a time: others wait for it, ten seconds at most; one that gives
    no sign of life for 30 seconds is taken for dead, and what it left is taken away.
    """

    def __init__(self, server: Server, facts: Mapping[str, str], *, read_only: bool, way: Way) -> None:
        """Take the server and the recorded facts of an index, as `opening` read and checked them."""
        self.address: str = str(server.address)
        self.n_bits: int = int(facts["n_bits"])
        self.model_id: str | None = facts.get("model_id")
        self.outputs: str | None = None
        self.folder: Path = (server.address.folder or Path(facts["folder"])).absolute()
        self.offers: frozenset[Offer] = frozenset()
        self._facts, self._read_only, self._way = dict(facts), read_only, way
        self._server, self._name = server, server.address.name
        self._ledger = Ledger(server, self._name)
        self._writer = Writer(server, self._name, self.n_bits)

    def __repr__(self) -> str:
        n_items = "closed" if self._server.is_closed else f"{len(self)} items"
        return f"MilvusIndex({self.address!r}: {n_items}, {self.n_bits} bits)"

    def __len__(self) -> int:
        """Return the number of items."""
        return self._ledger.read().items

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
        """Add items, all of them or none (those that replace others request by request); see `Index.add`."""
        new = NewItems.checked(
            codes, self.n_bits, ids=ids, metadata=metadata, outputs=outputs, kind=None, replace=replace
        )
        self._writer.check(new)
        return self._write(lambda turn: self._writer.insert(turn, new))

    @suggesting
    def update(self, ids: npt.ArrayLike, *, metadata: Sequence[Mapping[str, Any]]) -> None:
        """Give items new metadata, request by request; see `Index.update`."""
        wanted = arguments.check_ids(ids)
        fields = arguments.check_metadata(metadata, len(wanted), "ids")
        arguments.check_new_ids(wanted, len(wanted))
        check_sizes(fields)
        self._write(lambda turn: self._writer.update(turn, wanted, fields))

    @suggesting
    def remove(self, ids: npt.ArrayLike, *, missing_ok: bool = False) -> int:
        """Remove items, request by request; see `Index.remove`."""
        wanted = np.unique(arguments.check_ids(ids))
        return self._write(lambda turn: self._writer.remove(turn, wanted, missing_ok=missing_ok))

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
        """Return the nearest items of each query, ranked by distance, then by id; see `Index.search`.

        With `search=ivf` in the address it is approximate.

        Raises:
            InputError: also for `outputs` and `weights`, which an index in Milvus cannot rank by.
        """
        checked = check_codes(codes, self.n_bits)
        condition = "" if where is None else condition_of(where)
        if weights is not None:
            raise InputError("an index in Milvus takes no weights: search a copy in a file or in PostgreSQL")
        limit, within = arguments.check_limits(k, radius)
        arguments.check_rerank(outputs, rerank, None, len(checked), self.n_bits)
        reach = self.n_bits if within is None else min(within, self.n_bits)
        queries = [code.tobytes() for code in checked]

        def found(mark: Mark) -> tuple[Hits, int | None]:
            most = room(limit, mark.items)
            hits = nearest(self._asking(mark, condition), queries, Wanted(most, reach), mark.items, mark.last_id)
            return hits, most

        hits, most = self._read(found)
        return Results(hits, most, self)

    def items(self, ids: npt.ArrayLike) -> list[Item]:
        """Return the items of these ids, in the order asked; raise `InputError` where one is not there."""
        wanted = arguments.check_ids(ids)
        return self._read(lambda mark: self._rows(mark).items(wanted))

    def kept_outputs(self, ids: npt.ArrayLike) -> NoReturn:
        """Raise `InputError`: an index in Milvus keeps no outputs."""
        raise InputError(f"{self.address} keeps no outputs: an index in Milvus cannot; build it in a file to have them")

    def __iter__(self) -> Iterator[Item]:
        """Yield every item by id, page by page; items written meanwhile may or may not come."""
        last = -1
        while page := self.items_after(last, ITEMS_PER_PAGE):
            yield from page
            last = page[-1].id

    def items_after(self, last: int, n: int) -> list[Item]:
        """Return the next `n` items with an id above `last`, by id; -1 for the first ones."""
        return self._read(lambda mark: self._rows(mark).after(last, n))

    def state(self) -> State:
        """Return what every change of an item replaces."""
        return self._ledger.read().state

    def codes(self) -> tuple[Ids, Codes]:
        """Return all ids, ascending, and their codes."""
        return self._read(lambda mark: self._rows(mark).codes())

    def _snapshot(self) -> Snapshot:
        return snapshot_of(*self.codes(), self.n_bits)

    def matching(self, where: Mapping[str, Any]) -> Ids:
        """Return the ids of the items that meet every key of `where`, ascending."""
        condition = condition_of(where)
        return self._read(lambda mark: self._rows(mark).matching(condition))

    def filters(self) -> list[str]:
        """Return an empty list: an index in Milvus keeps no filters."""
        self._ledger.read()
        return []

    def create_filter(self, key: str) -> None:
        """Raise `InputError`: an index in Milvus keeps no filters, `where` looks at every item."""
        arguments.check_text(key, "the key of a filter")
        raise InputError(f"{self.address} keeps no filters: where looks at every item, and finds by {key!r} as it is")

    def drop_filter(self, key: str) -> None:
        """Raise `InputError`: there is none."""
        raise InputError(f"{self.address} keeps no filters, and so none by {key!r}")

    def labels(self) -> dict[str, int]:
        """Return how many items have each label, sorted by label; all items are read."""

        def counted(mark: Mark) -> dict[str, int]:
            counts: dict[str, int] = {}
            for _, source in self._rows(mark).sources():
                labels: Any = source["labels"]
                for label in set(labels):
                    counts[label] = counts.get(label, 0) + 1
            return dict(sorted(counts.items()))

        return self._read(counted)

    def paths(self) -> list[tuple[str, int, str | None]]:
        """Return (path, id, digest) of each item that has a path, by id; all items are read."""

        def read(mark: Mark) -> list[Any]:
            return [
                (source["path"], item_id, source["digest"])
                for item_id, source in self._rows(mark).sources()
                if source["path"] is not None
            ]

        return self._read(read)

    def entries(self) -> dict[str, tuple[int, str | None]]:
        """Return (id, digest) of each path; where several items share a path, those of the highest id."""
        return {path: (item_id, digest) for path, item_id, digest in self.paths()}

    def stats(self) -> dict[str, Any]:
        """Return facts ready for JSON."""
        return {"path": self.address, **described(self._server, self._facts, self._ledger.read(), self._way)}

    def last_id(self) -> int:
        """Return the highest id that was ever used, 0 where none was."""
        return self._read(lambda mark: mark.last_id)

    def never_assign(self, last_id: int) -> None:
        """Let assigned ids follow this one, too."""
        self._write(lambda turn: self._writer.raise_last_id(turn, last_id))

    def notes(self) -> dict[str, str]:
        """Return what `set_notes` kept."""
        return notes_of(self._server, self._name)

    def set_notes(self, notes: Mapping[str, str]) -> None:
        """Keep texts by name beside the items, durably; a note of the same name is replaced."""
        checked = arguments.check_notes(notes)
        self._write(lambda turn: put_notes(self._server, self._name, checked, turn.make_sure))

    def writing(self) -> AbstractContextManager[None]:
        """Stay the only writer for several calls of this thread."""
        self._check_writable()
        return self._held()

    def compact(self, *, vacuum: bool = False) -> None:
        """Let the server write what is in memory as segments with an index, and join small ones; only to be fast.

        Args:
            vacuum: changes nothing here: Milvus gives back the room of removed items by itself.
        """
        self._write(lambda _: compacted(self._server, self._name))

    def verify(self) -> list[str]:
        """Return what is wrong with the rows or with the search, in words; an empty list where all is well."""
        return self._read(
            lambda mark: list(problems(self._server, self._rows(mark), mark, self._asking(mark, ""), self.n_bits))
        )

    def is_in_place(self) -> bool:
        """Return whether the collection is still the one that was opened; not where another one took its name."""
        facts = read_facts(self._server, self._name)
        return facts is not None and facts["index_id"] == self._facts["index_id"]

    def close(self) -> None:
        """Close the connection; a second call does nothing, any other call on a closed index is an error."""
        self._server.close()

    def _asking(self, mark: Mark, condition: str) -> Callable[..., list[list[tuple[int, int]]]]:
        """Return what asks Milvus for the nearest among the items of a state that meet a condition."""
        lists = {} if not self._way.nlist else {"nprobe": min(self._way.nprobe or self._way.nlist, self._way.nlist)}

        def ask(codes: Sequence[bytes], limit: int, ids: tuple[int, int] | None) -> list[list[tuple[int, int]]]:
            seen = visible(mark, condition, "" if ids is None else between(*ids))
            return self._server.search(self._name, list(codes), limit, seen, mark.since, lists)

        return ask

    def _read(self, work: Callable[[Mark], Result]) -> Result:
        """Return what some work reads of one state: again where it was changed meanwhile, a few times."""
        for _ in range(TRIES):
            mark = self._ledger.read()
            try:
                result = work(mark)
            except Damage as error:
                raise IndexFileError(
                    f"the index {self.address} is damaged: {error}; restore it from a backup or copy it there again "
                    "(nearbit index verify INDEX lists what is wrong)"
                ) from error
            if self._ledger.read().state == mark.state:
                break
        return result

    def _write(self, work: Callable[[Turn], Result]) -> Result:
        self._check_writable()
        with self._ledger.turn(self._writer.repaired) as turn:
            return work(turn)

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._ledger.turn(self._writer.repaired):
            yield

    def _rows(self, mark: Mark) -> Rows:
        return Rows(self._server, self._name, self.n_bits, mark)

    def _check_writable(self) -> None:
        if self._read_only:
            raise IndexFileError(
                f"the index {self.address} was opened read-only; open_index without read_only can write"
            )
