"""What every home of an index offers. `nearbit.index.Index`, the home of files, tells each method in full."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes
from nearbit.index.clustering import Clusters
from nearbit.index.grouping import MOST_PAIRS, Groups, Pairs
from nearbit.index.homes.address import Address
from nearbit.index.offers import Offer
from nearbit.index.results import Ids, Item, Results
from nearbit.index.storage.change_log import State


class Home(Protocol):
    """An open index, wherever it lies; a context manager that closes itself. Threads may share it.

    What `add`, `update` and `remove` wrote is durable when they return, and no other call sees half of it. Results are
    exact and ranked by distance, then by id, unless the address asks for another thing and the index says so.

    Errors, of every home: `InputError` for what the caller handed over, as the embedded index words it;
    `IndexFileError` for what cannot be read or written, with what to do; nothing is written then. Neither holds a
    password.
    """

    @property
    def n_bits(self) -> int:
        """Code length in bits, of every item."""
        ...

    @property
    def model_id(self) -> str | None:
        """The model that makes the codes, or None where it was not recorded."""
        ...

    @property
    def outputs(self) -> str | None:
        """How real-valued outputs are kept beside the codes: "int8", "float16" or None."""
        ...

    @property
    def address(self) -> str:
        """How messages and commands name the index; holds no password."""
        ...

    @property
    def folder(self) -> Path:
        """Absolute: from where the relative paths of the items are seen."""
        ...

    @property
    def offers(self) -> frozenset[Offer]:
        """What it can do of that which not every home can."""
        ...

    def __len__(self) -> int:
        """Return the number of items."""
        ...

    def add(
        self,
        codes: npt.ArrayLike,
        *,
        ids: npt.ArrayLike | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        outputs: npt.ArrayLike | None = None,
        replace: bool = False,
    ) -> Ids:
        """Add items, all of them or none; return their ids: given, or those after the highest that was ever used."""
        ...

    def update(self, ids: npt.ArrayLike, *, metadata: Sequence[Mapping[str, Any]]) -> None:
        """Give items new metadata, all of them or none; their ids and codes stay."""
        ...

    def remove(self, ids: npt.ArrayLike, *, missing_ok: bool = False) -> int:
        """Remove items, all of them or none; return how many. Their ids are never assigned again."""
        ...

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
        """Return the nearest items of each query, ranked by distance (or weighted distance), then by id."""
        ...

    def items(self, ids: npt.ArrayLike) -> list[Item]:
        """Return the items of these ids, in the order asked; raise `InputError` where one is not there."""
        ...

    def kept_outputs(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return the outputs kept of these items: float32 `(n, n_bits)`; `InputError` where none are kept."""
        ...

    def __iter__(self) -> Iterator[Item]:
        """Yield every item by id."""
        ...

    def items_after(self, last: int, n: int) -> list[Item]:
        """Return the next `n` items with an id above `last`, by id; -1 for the first ones."""
        ...

    def state(self) -> State:
        """Return what every change of an item replaces: what was read before may be kept."""
        ...

    def codes(self) -> tuple[Ids, Codes]:
        """Return all ids int64 `(n,)`, ascending, and their codes uint8 `(n, ceil(n_bits / 8))`."""
        ...

    def pairs(self, radius: int, *, most: int = MOST_PAIRS) -> Pairs:
        """Return all pairs of items within a radius; see `AnyIndex`, as for the next two."""
        ...

    def groups(self, radius: int) -> Groups:
        """Return the groups that such pairs join."""
        ...

    def clusters(self, n: int | None = None) -> Clusters:
        """Return all items around the centers of clusters."""
        ...

    def matching(self, where: Mapping[str, Any]) -> Ids:
        """Return the ids of the items that meet every key of `where`: int64 `(n,)`, ascending."""
        ...

    def filters(self) -> list[str]:
        """Return the keys that `create_filter` was called for, sorted."""
        ...

    def create_filter(self, key: str) -> None:
        """Let `where` find by a key without a scan; results are the same without."""
        ...

    def drop_filter(self, key: str) -> None:
        """Take away what `create_filter` made; raise `InputError` where there is none by this key."""
        ...

    def labels(self) -> dict[str, int]:
        """Return how many items have each label, sorted by label."""
        ...

    def paths(self) -> list[tuple[str, int, str | None]]:
        """Return (path, id, digest) of each item that has a path, by id."""
        ...

    def entries(self) -> dict[str, tuple[int, str | None]]:
        """Return (id, digest) of each path; where several items share a path, those of the highest id."""
        ...

    def stats(self) -> dict[str, Any]:
        """Return facts ready for JSON, under the names that the embedded index uses, None where there is none."""
        ...

    def last_id(self) -> int:
        """Return the highest id that was ever used, 0 where none was."""
        ...

    def never_assign(self, last_id: int) -> None:
        """Let assigned ids follow this one, too."""
        ...

    def notes(self) -> dict[str, str]:
        """Return what `set_notes` kept."""
        ...

    def set_notes(self, notes: Mapping[str, str]) -> None:
        """Keep texts by name beside the items, durably."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Stay the only writer for several calls."""
        ...

    def compact(self, *, vacuum: bool = False) -> None:
        """Do what makes searches fast after many changes."""
        ...

    def verify(self) -> list[str]:
        """Return what is wrong, in words; an empty list where all is well."""
        ...

    def is_in_place(self) -> bool:
        """Return whether what is open is still what lies at the address."""
        ...

    def close(self) -> None:
        """Close it; a second call does nothing, any other call on a closed index is an `IndexFileError`."""
        ...

    def __enter__(self) -> Self:
        """Return the index itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the index."""
        ...


class Opener(Protocol):
    """What a home's module has: three functions of these forms."""

    def create(
        self, address: Address, n_bits: int, *, model_id: str | None, outputs: str | None, exist_ok: bool
    ) -> Home:
        """Make an index and open it; see `nearbit.index.create_index`."""
        ...

    def open_(self, address: Address, *, model_id: str | None, read_only: bool) -> Home:
        """Open an index; never makes one; see `nearbit.index.open_index`."""
        ...

    def exists(self, address: Address) -> bool:
        """Return whether there is an index at the address; raise `IndexFileError` where the server cannot be asked."""
        ...
