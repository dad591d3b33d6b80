"""What changes an index: items as they were checked, and what each change does inside its transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, final

import numpy.typing as npt

from nearbit.codes import Codes, check_codes
from nearbit.errors import InputError
from nearbit.index import arguments
from nearbit.index.live.manager import SnapshotManager
from nearbit.index.results import Ids
from nearbit.index.storage import statements
from nearbit.index.storage.change_log import read_state, record_change, runs_of
from nearbit.index.storage.connecting import Connection
from nearbit.index.storage.label_sets import LabelSets
from nearbit.index.storage.loading import StoredItems, as_stored
from nearbit.index.storage.outputs import StoredOutputs
from nearbit.index.storage.rows import EMPTY, Fields
from nearbit.index.storage.schema import upgrade
from nearbit.index.storage.store import Store

Change = Callable[[Connection], Ids]
"""Changes items inside a transaction, and returns the ids of those that it touched."""

Now = Callable[[Ids, LabelSets | None], StoredItems]
"""Gives what an index holds of these ids after a change, with the numbers of their label sets where asked for."""


@final
@dataclass(frozen=True, eq=False)
class NewItems:
    """Items to add; see `Index.add`.

    Attributes:
        codes: uint8 `(n, ceil(n_bits / 8))`.
        fields: their columns beside id and code; None where all are empty.
        ids: int64 `(n,)`, all different; None for those after the highest that was ever used.
        outputs: as they are kept; None where the index keeps none.
        replace: whether they take the place of items of the same ids.
    """

    codes: Codes
    fields: list[Fields] | None
    ids: Ids | None
    outputs: StoredOutputs | None
    replace: bool

    @classmethod
    def checked(
        cls,
        codes: npt.ArrayLike,
        n_bits: int,
        *,
        ids: npt.ArrayLike | None,
        metadata: Sequence[Mapping[str, Any]] | None,
        outputs: npt.ArrayLike | None,
        kind: str | None,
        replace: bool,
    ) -> Self:
        """Return what a caller hands to an index of `n_bits` bits that keeps outputs as `kind`; see `Index.add`."""
        checked = check_codes(codes, n_bits)
        fields = None if metadata is None else arguments.check_metadata(metadata, len(checked), "codes")
        given = None if ids is None else arguments.check_new_ids(ids, len(checked))
        kept = arguments.check_kept_outputs(outputs, kind, len(checked), n_bits)
        if replace and given is None:
            raise InputError("replace=True needs ids: those of the items to replace")
        return cls(checked, fields, given, kept, replace)

    def insert(self, connection: Connection) -> Ids:
        """Write the items, and return their ids."""
        ids = statements.next_ids(connection, len(self.codes)) if self.ids is None else self.ids
        if self.ids is not None and not self.replace:
            arguments.refuse_present(statements.present_ids(connection, ids))
        if len(ids):
            statements.insert_items(connection, ids, self.codes, self.fields, replace=self.replace)
        if self.outputs is not None:
            statements.insert_outputs(connection, ids, self.outputs)
        return ids

    def stored(self, ids: Ids, labels: LabelSets | None) -> StoredItems:
        """Return the items, written under these ids, as if they had been read."""
        texts = [EMPTY[1]] * len(ids) if self.fields is None else [own[1] for own in self.fields]
        return as_stored(ids, self.codes, texts, labels)


def update(ids: Ids, fields: list[Fields]) -> Change:
    """Return what gives items other columns beside id and code; see `Index.update`."""

    def change(connection: Connection) -> Ids:
        arguments.refuse_absent(ids, statements.present_ids(connection, ids), "nothing was changed")
        statements.update_fields(connection, ids, fields)
        return ids

    return change


def remove(ids: Ids, *, missing_ok: bool) -> Change:
    """Return what removes items; see `Index.remove`."""

    def change(connection: Connection) -> Ids:
        present = statements.present_ids(connection, ids)
        if not missing_ok:
            arguments.refuse_absent(ids, present, "nothing was removed")
        if len(present):
            statements.delete_items(connection, present)
        return present

    return change


def made(store: Store, manager: SnapshotManager, change: Change, now: Now | None = None) -> Ids:
    """Make a change in one transaction and, once it is durable, take the snapshot along; return the ids it touched.

    Args:
        store: the open file.
        manager: keeps its snapshot.
        change: what changes inside the transaction.
        now: gives what the index then holds of the ids; None leaves it to the next search to read them.
    """
    with transaction(store) as connection:
        before = read_state(connection)
        ids = change(connection)
        after = record_change(connection, ids) if len(ids) else before
    if now is not None:
        manager.advance(before, after, runs_of(ids), lambda labels: now(ids, labels))
    return ids


@contextmanager
def transaction(store: Store) -> Iterator[Connection]:
    """Give a write transaction on a file of the present format."""
    with store.write() as connection:
        upgrade(connection)
        yield connection
