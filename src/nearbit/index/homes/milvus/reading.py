"""What is read of the rows beside a search, as of one state."""

from collections.abc import Iterator, Sequence
from typing import final

import numpy as np

from nearbit.codes import Codes
from nearbit.errors import InputError
from nearbit.index.homes.milvus.client import Row, Server
from nearbit.index.homes.milvus.filters import among, between, visible
from nearbit.index.homes.milvus.rows import FIELDS, codes_of, item_of
from nearbit.index.homes.milvus.state import Mark
from nearbit.index.results import Ids, Item
from nearbit.index.storage.damage import Damage

ROWS_PER_PAGE = 5_000


@final
class Rows:
    """The rows of an index that are seen in a state of it."""

    def __init__(self, server: Server, name: str, n_bits: int, mark: Mark) -> None:
        """Take where they are, and the state."""
        self._server, self._name, self._n_bits, self._mark = server, name, n_bits, mark

    def items(self, ids: Ids) -> list[Item]:
        """Return the items of these ids, in that order; raise `InputError` where one is not there."""
        found = {row["id"]: row for row in self.by_id(ids, FIELDS)}
        missing = next((item_id for item_id in ids.tolist() if item_id not in found), None)
        if missing is not None:
            raise InputError(f"the index holds no item {missing}; items() takes ids that add or search returned")
        return [item_of(found[item_id], self._n_bits) for item_id in ids.tolist()]

    def present(self, ids: Ids) -> Ids:
        """Return those of the ids that are there, ascending."""
        return np.array(sorted(row["id"] for row in self.by_id(ids, ["id"])), np.int64)

    def by_id(self, ids: Ids, fields: Sequence[str]) -> list[Row]:
        """Return the fields of those of the ids that are there, in any order."""
        wanted = np.unique(ids)
        pages = (wanted[begin : begin + ROWS_PER_PAGE] for begin in range(0, len(wanted), ROWS_PER_PAGE))
        return [row for page in pages for row in self._query(fields, among(page))]

    def after(self, last: int, n: int) -> list[Item]:
        """Return the next `n` items with an id above `last`, by id."""
        found: list[Item] = []
        for page in self.pages(FIELDS, after=last, at_once=max(1, min(n, ROWS_PER_PAGE))):
            found += [item_of(row, self._n_bits) for row in page[: n - len(found)]]
            if len(found) >= n:
                break
        return found

    def codes(self) -> tuple[Ids, Codes]:
        """Return all ids, ascending, and their codes."""
        ids, codes = [np.empty(0, np.int64)], [codes_of([], self._n_bits)]
        for page in self.pages(["id", "code"]):
            ids.append(np.array([row["id"] for row in page], np.int64))
            codes.append(codes_of(page, self._n_bits))
        return np.concatenate(ids), np.concatenate(codes)

    def matching(self, condition: str) -> Ids:
        """Return the ids of the items that meet a condition, ascending."""
        return np.array([row["id"] for page in self.pages(["id"], condition) for row in page], np.int64)

    def sources(self) -> Iterator[tuple[int, dict[str, object]]]:
        """Yield the id of each item, by id, and its path, labels and digest."""
        for page in self.pages(["id", "source"]):
            for row in page:
                if not isinstance(row["source"], dict):
                    raise Damage(f"item {row['id']} holds no JSON as nearbit writes it")
                yield row["id"], row["source"]

    def pages(
        self, fields: Sequence[str], condition: str = "", *, after: int = -1, at_once: int = ROWS_PER_PAGE
    ) -> Iterator[list[Row]]:
        """Yield the rows that meet a condition by id, about so many at once: no order of Milvus's is relied on."""
        low, last = after + 1, self._mark.last_id
        while low <= last:
            high, n_rows = self._end_of_page(low, condition, at_once)
            if n_rows:
                yield sorted(self._query(fields, condition, between(low, high)), key=lambda row: int(row["id"]))
            low = high + 1

    def _end_of_page(self, low: int, condition: str, at_once: int) -> tuple[int, int]:
        """Return the highest id of a page that begins at `low`, and how many rows it has, at most `at_once`."""
        high = self._mark.last_id
        while True:
            if high - low < at_once // 2:
                return high, at_once
            n_rows = self._server.count(self._name, self._seen(condition, between(low, high)), self._mark.since)
            if n_rows <= at_once:
                return high, n_rows
            high = low + max(at_once, (high - low + 1) * at_once // (n_rows + n_rows // 8)) - 1

    def _query(self, fields: Sequence[str], *more: str) -> list[Row]:
        return self._server.query(self._name, self._seen(*more), fields, self._mark.since)

    def _seen(self, *more: str) -> str:
        return visible(self._mark, *more)
