"""The served index: kept open, opened again when its file is replaced, and its items as ready pieces of JSON."""

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes
from nearbit.errors import IndexFileError, InputError
from nearbit.index import Home, Item, Place, open_index
from nearbit.index.storage.change_log import State
from nearbit.service.contract.answers import ItemAnswer
from nearbit.service.http.errors import ApiError
from nearbit.service.http.json_answers import id_facts, ready_json
from nearbit.service.images.originals import Originals
from nearbit.service.info import TrainedOn
from nearbit.service.monitoring import log

LOOK_SECONDS = 0.1
"""How often it is looked whether the file was replaced, and whether items changed."""

GONE_SECONDS = 5.0
"""How long the open index goes on serving where its file is gone, or what took its place is no index."""

TRIES = 3
"""So often something is read again where an item that it names has just been removed."""

KEPT_ITEMS = 50_000
"""Items whose JSON is kept."""

API = "/api/v1"

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Rendered:
    """An item, ready to be sent: its code, and its JSON object without the first brace."""

    code: Codes
    json: bytes


@dataclass(eq=False)
class _Opened:
    """One open index file, and who uses it; what is kept of its items belongs to one state of them."""

    index: Home
    users: int = 0
    is_old: bool = False
    state: State | None = None
    rendered: dict[int, Rendered] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)


@final
class Collection:
    """The index that is served. Thread-safe."""

    def __init__(self, path: Place, pictures: Originals, *, writable: bool) -> None:
        """Open the index.

        Raises:
            IndexFileError: it cannot be opened.
        """
        self.path = path
        self.pictures = pictures
        self._writable = writable
        self._trained: TrainedOn | None = None
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._held = threading.local()
        self._opened = self._open()
        self._looked = time.monotonic()
        self._away_since: float | None = None

    @contextmanager
    def use(self) -> Iterator[Home]:
        """Give the open index, which stays open as long as it is used.

        What the same thread asks of this collection meanwhile comes from that index, even where another file has taken
        its place: ids that a search found name items of the index that was searched.
        """
        with self._using() as opened:
            yield opened.index

    def know(self, trained: TrainedOn | None) -> None:
        """Take what pictures the model was trained on, to say so of items from now on."""
        with self._lock:
            self._trained = trained
            self._opened.rendered = {}

    def fresh(self) -> None:
        """Forget what was kept of items: they were changed here."""
        with self._lock:
            self._looked = 0.0

    def settled(self, work: Callable[[], Result]) -> Result:
        """Return what some work reads: anew where an item that it knew from before has just been removed."""
        for _ in range(TRIES):
            try:
                return work()
            except ApiError as error:
                if error.status != 404:
                    raise
                self.fresh()
        raise ApiError(
            503, "the index is being changed by others", "try again in a second", headers={"Retry-After": "1"}
        )

    def rendered(self, ids: Sequence[int]) -> list[Rendered]:
        """Return items ready to be sent, in the order asked; raise `ApiError` (404) where one is not there."""
        with self._using() as opened:
            kept = opened.rendered
            found = {item_id: kept[item_id] for item_id in ids if item_id in kept}
            missing = [item_id for item_id in ids if item_id not in found]
            if missing:
                for item in items_of(opened.index, missing):
                    found[item.id] = self._render(item, opened.index)
                self._keep(opened, kept, found)
            return [found[item_id] for item_id in ids]

    def _keep(self, opened: _Opened, kept: dict[int, Rendered], found: dict[int, Rendered]) -> None:
        """Keep items among those of the state that they were asked for in, which may be the present one no more."""
        with self._lock:
            if len(kept) <= KEPT_ITEMS:
                kept.update(found)
            elif opened.rendered is kept:  # others may be reading it: a new one takes its place
                opened.rendered = dict(found)

    def items(self, ids: Sequence[int]) -> list[Item]:
        """Return items by id, in the order asked; raise `ApiError` (404) where one is not there."""
        with self._using() as opened:
            return items_of(opened.index, ids)

    def render(self, items: Sequence[Item]) -> bytes:
        """Return items as a JSON list."""
        with self._using() as opened:
            return b"[" + b",".join(b"{" + self._render(item, opened.index).json for item in items) + b"]"

    def once(self, name: str, make: Callable[[Home], Any]) -> Any:
        """Return what `make(index)` gives for the present state of the items; it is made once for each state."""
        with self._using() as opened, self._making[name]:
            kept = opened.kept
            if name not in kept:
                kept[name] = make(opened.index)
            return kept[name]

    def labels(self) -> dict[str, int]:
        """Return how many items have each label."""
        counts: dict[str, int] = self.once("labels", lambda index: index.labels())
        return counts

    def ids(self) -> npt.NDArray[np.int64]:
        """Return the ids of all items, ascending."""
        numbers: npt.NDArray[np.int64] = self.once("ids", lambda index: index.codes()[0])
        return numbers

    def close(self) -> None:
        """Close the index."""
        with self._lock:
            self._opened.is_old = True
            if not self._opened.users:
                self._opened.index.close()

    @contextmanager
    def _using(self) -> Iterator[_Opened]:
        held: _Opened | None = getattr(self._held, "opened", None)
        if held is not None:
            yield held
            return
        with self._lock:
            self._look()
            opened = self._opened
            opened.users += 1
        self._held.opened = opened
        try:
            yield opened
        finally:
            self._held.opened = None
            with self._lock:
                opened.users -= 1
                if opened.is_old and not opened.users:
                    opened.index.close()

    def _look(self) -> None:
        """Open the file again where another one has taken its place, and forget what belongs to an older state.

        Raises:
            IndexFileError: the file has been gone for so long that what is open is not the index any more.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if self._opened.index.is_in_place() or self._replace():
            self._away_since = None
        else:
            self._refuse_if_gone(now)
        opened = self._opened
        state = opened.index.state()
        if state != opened.state:
            opened.state, opened.rendered, opened.kept = state, {}, {}

    def _refuse_if_gone(self, now: float) -> None:
        """Let the open file serve for a moment, in which another may be put in its place, and no longer."""
        self._away_since = now if self._away_since is None else self._away_since
        if now - self._away_since >= GONE_SECONDS:
            self._looked = 0.0  # the next request looks again
            raise IndexFileError(f"the index {self.path} is gone, or is no index any more; put an index there again")

    def _replace(self) -> bool:
        """Open what is at the path now; return whether that is an index."""
        try:
            new = self._open()
        except IndexFileError as error:  # not whole yet: the open file stays good, and the next look tries again
            if self._away_since is None:
                log("index_not_reopened", error=str(error))
            return False
        old, self._opened = self._opened, new
        old.is_old = True
        if not old.users:
            old.index.close()
        log("index_reopened", items=len(new.index))
        return True

    def _open(self) -> _Opened:
        return _Opened(open_index(self.path, read_only=not self._writable, outlives=True))

    def _render(self, item: Item, index: Home) -> Rendered:
        return Rendered(item.code, ready_json(self._facts_of(item, index))[1:])

    def _facts_of(self, item: Item, index: Home) -> ItemAnswer:
        """Return what is said of an item of an index, which another one may have replaced meanwhile."""
        has_file, is_gone = self.pictures.look(item)
        trained = self._trained
        is_seen = has_file or self.pictures.is_built_in(item)
        place = f"{API}/items/{item.id}"
        return {
            **id_facts(item.id),
            "code": item.code.tobytes().hex(),
            "labels": list(item.labels),
            "path": shown_path(item.path),
            "metadata": item.metadata,
            "digest": item.digest,
            "thumbnail": f"{place}/thumbnail{link_end(item)}" if is_seen else None,
            "has_original": has_file,
            "missing": not is_seen and is_gone,
            "trained_on": None if trained is None else trained.has(index.model_id, item.digest),
        }


def items_of(index: Home, ids: Sequence[int]) -> list[Item]:
    """Return items by id, in the order asked; raise `ApiError` (404) where one is not there."""
    try:
        return index.items(list(ids))
    except InputError as error:
        raise ApiError(404, str(error).partition(";")[0], "list items with GET /api/v1/items") from error


def version_of(item: Item) -> str | None:
    """Return what a link to an item's picture names, so that it changes with the picture; None without a digest."""
    return hashlib.sha256(item.digest.encode()).hexdigest()[:12] if item.digest else None


def link_end(item: Item) -> str:
    """Return how the link to an item's picture ends."""
    version = version_of(item)
    return "" if version is None else f"?v={version}"


def shown_path(path: str | None) -> str | None:
    """Return the path of an item as others may see it: below the index, else the name of the file alone."""
    if path is None:
        return None
    parts = path.replace("\\", "/").split("/")
    leads_out = parts[0] == "" or path[1:2] == ":" or ".." in parts
    return parts[-1] if leads_out else path


def where_of(labels: Sequence[str], metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the filter of a search; None for no filter."""
    where = dict(metadata)
    if labels:
        where["labels"] = list(labels)
    return where or None
