"""The client of a server: one for each process that uses an open index, silent, and with limits of time."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, final
from urllib.parse import unquote, urlsplit

from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from nearbit.errors import IndexFileError, InputError
from nearbit.index.homes.address import Address
from nearbit.index.homes.milvus.faults import LOST, is_loading, plain_error

PORT = 19_530
SECONDS = 20.0
"""How long a call may take, tries again included, where a server is away or was restarted."""

LOADING_SECONDS = 60.0
"""How long a read waits until the server has loaded the collection; after a restart it takes about forty seconds."""

OURS = ("search", "nlist", "nprobe", "shards", "token", "secure")
"""The parameters of an address, beside `index` and `folder`."""

Result = TypeVar("Result")
Row = dict[str, Any]

for _name in ("pymilvus", "pymilvus.decorators"):
    # It logs each refusal with a traceback, also where that is an answer (a lost race); errors are raised as well.
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


def connect(address: Address) -> MilvusClient:
    """Return a new client; raise what pymilvus raises, and `InputError` for parameters that there are not."""
    unknown = sorted(set(address.options) - set(OURS))
    if unknown:
        raise InputError(f"{address}: a Milvus address has no {unknown[0]!r}; it takes {', '.join(OURS)}")
    parts = urlsplit(address.url)
    secure = address.options.get("secure", "false")
    if secure not in ("true", "false"):
        raise InputError(f"secure must be true or false, not {secure!r}")
    if not parts.hostname:
        raise InputError(f"{address} names no server: expected milvus://HOST:{PORT}/DATABASE?index=NAME")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    token = address.options.get("token") or os.environ.get("MILVUS_TOKEN", "")
    if parts.username is not None:
        token = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return MilvusClient(
        f"{'https' if secure == 'true' else 'http'}://{host}:{parts.port or PORT}",
        token=token,
        db_name=unquote(parts.path.strip("/")),
        timeout=SECONDS,
        dedicated=True,
    )


@final
class Server:
    """What an open index asks of its server. Thread-safe; a forked child has a client of its own."""

    def __init__(self, address: Address) -> None:
        """Take where the server is; it is asked when the first call comes."""
        self.address = address
        self.is_closed = False
        self._client: MilvusClient | None = None
        self._process = os.getpid()
        self._guard = threading.Lock()

    def call(self, work: Callable[[MilvusClient], Result]) -> Result:
        """Return what some work with the client gives, its errors in plain words."""
        try:
            return work(self.client())
        except (MilvusException, *LOST) as error:
            raise plain_error(self.address, error) from None
        except ValueError as error:
            if "closed channel" not in str(error):
                raise
            raise self._closed() from None

    def _when_loaded(self, work: Callable[[MilvusClient], Result]) -> Result:
        """Return what some work reads; a server that was just started, or was just told to load, is waited for."""
        end = time.monotonic() + LOADING_SECONDS

        def patient(client: MilvusClient) -> Result:
            while True:
                try:
                    return work(client)
                except MilvusException as error:
                    if not is_loading(error) or time.monotonic() > end:
                        raise
                    time.sleep(0.05)

        return self.call(patient)

    def client(self) -> MilvusClient:
        """Return the client; raise what pymilvus raises."""
        if self.is_closed:
            raise self._closed()
        with self._guard:
            if self._client is None or self._process != os.getpid():
                self._client, self._process = connect(self.address), os.getpid()
            return self._client

    def collections(self) -> list[str]:
        """Return the names of all collections of the database."""
        return self.call(lambda client: list(client.list_collections(timeout=SECONDS)))

    def rename(self, old: str, new: str) -> bool:
        """Rename a collection, if it still has its name; return whether this call did it.

        One caller alone renames `old`; where the answer was lost, the names tell. `new` must be of one caller alone.
        """
        try:
            self.client().rename_collection(old, new, timeout=SECONDS)
        except (MilvusException, *LOST) as error:
            names = self._names_after_all()
            if old in names:
                raise plain_error(self.address, error) from None
            return new in names
        return True

    def _names_after_all(self) -> list[str]:
        """Return the names of all collections after a renaming that failed, or whose answer was lost."""
        try:
            return self.collections()
        except IndexFileError:
            raise IndexFileError(
                f"the server of {self.address} was lost in the middle of a change, and is still away: see that it "
                "runs, then look whether the change is there before you make it again"
            ) from None

    def query(self, name: str, condition: str, fields: Sequence[str], since: int | None) -> list[Row]:
        """Return the fields of all rows that meet a condition, in any order.

        Args:
            name: the collection.
            condition: an expression of Milvus.
            fields: the names of fields.
            since: the server's time of the last write that must be seen; None for all that there are now.
        """
        return self._when_loaded(
            lambda client: list(
                client.query(name, filter=condition, output_fields=list(fields), timeout=SECONDS, **_seeing(since))
            )
        )

    def count(self, name: str, condition: str, since: int | None) -> int:
        """Return how many rows meet a condition."""
        return int(self.query(name, condition, ["count(*)"], since)[0]["count(*)"])

    def search(
        self, name: str, codes: list[bytes], limit: int, condition: str, since: int | None, params: dict[str, Any]
    ) -> list[list[tuple[int, int]]]:
        """Return (id, distance in bits) of what Milvus finds for each code."""
        asked = {"metric_type": "HAMMING", "params": params}
        found = self._when_loaded(
            lambda client: client.search(
                name, data=codes, limit=limit, filter=condition, search_params=asked, timeout=SECONDS, **_seeing(since)
            )
        )
        return [[(int(hit["id"]), round(hit["distance"])) for hit in hits] for hits in found]

    def insert(self, name: str, rows: list[Row]) -> int:
        """Write new rows; return the server's time of it. Where the connection is lost they may be there twice."""
        return self.call(
            lambda client: int(client._get_connection().insert_rows(name, rows, timeout=SECONDS).timestamp)
        )

    def upsert(self, name: str, rows: list[Row]) -> int:
        """Write rows in the place of those of the same id, all of one request at once; return the server's time."""
        return self.call(
            lambda client: int(client._get_connection().upsert_rows(name, rows, timeout=SECONDS).timestamp)
        )

    def delete(self, name: str, condition: str) -> None:
        """Delete the rows that meet a condition on ids, all of one request at once."""
        self.call(lambda client: client.delete(name, filter=condition, timeout=SECONDS))

    def close(self) -> None:
        """Close the client; a second call does nothing."""
        with self._guard:
            client, self._client, self.is_closed = self._client, None, True
        if client is not None and self._process == os.getpid():
            client.close()

    def _closed(self) -> IndexFileError:
        return IndexFileError(f"the index {self.address} is closed; open_index opens it again")


def _seeing(since: int | None) -> dict[str, Any]:
    if since is None:
        return {"consistency_level": "Strong"}
    return {"consistency_level": "Customized", "guarantee_timestamp": max(1, since)}
