"""The state of an index, told by the name of a collection that holds nothing, and the one writer of the moment."""

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import final

from nearbit.errors import IndexFileError
from nearbit.index.homes.milvus.client import Server
from nearbit.index.storage.change_log import State

PATIENCE = 10.0
"""Seconds that a writer waits for another one that is at work."""

STALE = 30.0
"""Seconds after which a writer that gives no sign of life is taken for dead; one that waits sees it through."""

BEAT = 5.0
"""Seconds between the signs of life of a writer."""

LOOK_AGAIN = 0.05

_FORM = r"_STATE_(\d+)_(\d+)_(\d+)_(\d+)_(\d+)(?:_BY_([0-9a-f]+)_(\d+))?"


Clocks = tuple[float, float]


def clocks() -> Clocks:
    """Return the time in seconds by two clocks: one may stand still while a machine sleeps, the other may be set."""
    return time.monotonic(), time.time()


@final
@dataclass(frozen=True)
class Mark:
    """The state of an index, as a name tells it.

    Attributes:
        revision: of the last addition that is seen; rows of later ones are passed over.
        last_id: the highest id that was ever used.
        items: how many there are.
        since: the server's time of the last write: who reads must see as far.
        token: drawn with each state.
        owner: the writer that works on it; "" for nobody.
        beat: raised as long as that writer lives.
    """

    revision: int
    last_id: int
    items: int
    since: int
    token: int
    owner: str = ""
    beat: int = 0

    def name_of(self, index: str) -> str:
        """Return the name that tells it. Names of indexes have no capitals: it is of no other index."""
        held = f"_BY_{self.owner}_{self.beat}" if self.owner else ""
        return f"{index}_STATE_{self.revision}_{self.last_id}_{self.items}_{self.since}_{self.token}{held}"

    @property
    def moment(self) -> tuple[int, int]:
        """What tells an earlier state from a later one."""
        return self.revision, self.since

    @property
    def state(self) -> State:
        """What every change of an item replaces."""
        return State(self.revision, self.token)


def first_mark(index_id: str) -> Mark:
    """Return the state of a new index: the same to whoever makes the index of this number."""
    return Mark(1, 0, 0, 0, int(index_id[:12], 16))


def marks_in(names: list[str], index: str) -> list[Mark]:
    """Return the states that names tell of an index, the present one last: of two first ones, the one that is held."""
    marks = []
    for name in names:
        found = re.fullmatch(re.escape(index) + _FORM, name)
        if found is not None:
            revision, last_id, items, since, token = (int(text) for text in found.groups()[:5])
            marks.append(Mark(revision, last_id, items, since, token, found[6] or "", int(found[7] or 0)))
    return sorted(marks, key=lambda mark: (mark.moment, mark.owner != "", mark.beat, mark.token, mark.owner))


@final
class Turn:
    """The time in which one writer has an index to itself.

    Attributes:
        mark: the state, whose owner this writer is.
        is_changed: whether there may be rows that the state does not tell of, of this writer or of one that died.
    """

    def __init__(self, server: Server, index: str, mark: Mark, *, is_changed: bool, since: Clocks) -> None:
        """Take the state of an index that was just taken, and when the server was asked for it."""
        self.mark, self.is_changed = mark, is_changed
        self._server, self._index, self._sure_at = server, index, since
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._beats = threading.Thread(target=self._live, daemon=True)
        self._beats.start()

    def keep(self, mark: Mark) -> None:
        """Let what was written be seen, at once and for all: another state, with a token of its own.

        Raises:
            IndexFileError: where the turn was lost.
        """
        token = secrets.randbits(62)
        self._become(lambda held: replace(mark, token=token, owner=held.owner, beat=held.beat))
        self.is_changed = False

    def make_sure(self) -> None:
        """Ask the server whether it is still this writer's turn, where that was not sure a moment ago.

        Each request that changes rows comes after it: a program that was suspended or cut off for long writes nothing.

        Raises:
            IndexFileError: where the turn was lost.
        """
        ages = [now - then for now, then in zip(clocks(), self._sure_at, strict=True)]
        if not all(0 <= age < STALE / 3 for age in ages):  # the rest is for the request itself
            self.renew()

    def mend(self, repaired: Callable[["Turn"], Mark]) -> None:
        """Take away rows that the state does not tell of, where there may be any.

        Raises:
            IndexFileError: where the turn was lost; nothing is taken away then, since it may be of the next writer.
        """
        if self.is_changed:
            self.renew()
            self.keep(repaired(self))

    def renew(self) -> None:
        """Give a sign of life; raise `IndexFileError` where the turn was lost."""
        self._become(lambda held: replace(held, beat=held.beat + 1))

    def end(self) -> None:
        """Give the index back."""
        self._over.set()
        self._beats.join()
        if self.mark.owner:
            self._become(lambda held: replace(held, owner="", beat=0))

    def abandon(self) -> None:
        """Leave the index as it is, to whoever takes over."""
        self._over.set()
        self._beats.join()

    def _live(self) -> None:
        while not self._over.wait(BEAT):
            with suppress(IndexFileError):  # who writes next in this turn finds out
                self.renew()

    def _become(self, following: Callable[[Mark], Mark]) -> None:
        """Let the state be followed by another: the one held by then, whichever thread of this turn came before."""
        with self._guard:
            mark, asked = following(self.mark), clocks()
            if not self._server.rename(self.mark.name_of(self._index), mark.name_of(self._index)):
                raise IndexFileError(
                    f"another program took over writing to {self._server.address}, since this one gave no sign of life "
                    f"for {STALE:.0f} s; nothing was kept: do it again"
                )
            self.mark, self._sure_at = mark, asked


@final
class Ledger:
    """Reads the state of an index, and lets one writer after another have it: threads, processes, machines."""

    def __init__(self, server: Server, index: str) -> None:
        """Take the name of an index."""
        self._server, self._index = server, index
        self._threads = threading.RLock()
        self._turn: Turn | None = None

    def read(self) -> Mark:
        """Return the present state; raise `IndexFileError` where there is none any more."""
        for _ in range(3):
            marks = marks_in(self._server.collections(), self._index)
            if marks:
                return marks[-1]
            time.sleep(LOOK_AGAIN)
        raise IndexFileError(
            f"the index {self._server.address} is gone: no collection tells its state; restore it from a backup, or "
            "copy it there again"
        )

    @contextmanager
    def turn(self, repaired: Callable[[Turn], Mark]) -> Iterator[Turn]:
        """Give the index to one writer; within such a turn, the same thread goes on with it.

        Args:
            repaired: takes away what a writer that failed has left, and returns the state that follows.
        """
        if not self._threads.acquire(timeout=PATIENCE):
            raise self._busy()
        try:
            if self._turn is not None:
                with _mended(self._turn, repaired):
                    yield self._turn
                return
            turn = self._turn = self._taken()
            try:
                turn.mend(repaired)
                yield turn
            finally:
                self._turn = None
                _leave(turn, repaired)
        finally:
            self._threads.release()

    def _taken(self) -> Turn:
        last = self.read()
        began = changed = time.monotonic()
        while True:
            is_stale = time.monotonic() - changed >= STALE
            if not last.owner or is_stale:
                turn = self._take(last)
                if turn is not None:
                    return turn
            elif changed > began and time.monotonic() - began >= PATIENCE:
                raise self._busy()
            time.sleep(LOOK_AGAIN * (0.5 + secrets.randbelow(100) / 100))
            now = self.read()
            if now != last:
                last, changed = now, time.monotonic()

    def _take(self, last: Mark) -> Turn | None:
        """Return the turn that follows a state; None where another writer was faster.

        Two programs that made the index at once may have made two first states of it. Who took one and finds another
        one that is held, or that went on, gives it back: one alone goes on, and what it keeps is later than the other.
        """
        mine, asked = replace(last, owner=secrets.token_hex(8), beat=0), clocks()
        if not self._server.rename(last.name_of(self._index), mine.name_of(self._index)):
            return None
        marks = marks_in(self._server.collections(), self._index)
        others = [mark for mark in marks if mark.owner != mine.owner and mark.moment >= mine.moment]
        if any(mark.owner or mark.moment > mine.moment for mark in others):
            free = replace(mine, owner="", token=secrets.randbits(62))
            self._server.rename(mine.name_of(self._index), free.name_of(self._index))
            return None
        return Turn(self._server, self._index, mine, is_changed=bool(last.owner or others), since=asked)

    def _busy(self) -> IndexFileError:
        return IndexFileError(
            f"the index {self._server.address} cannot be used: another program is writing to it; nothing was changed: "
            "wait until it is done, then do it again"
        )


@contextmanager
def _mended(turn: Turn, repaired: Callable[[Turn], Mark]) -> Iterator[None]:
    """Take away what half a change within a turn has left; where that cannot be done, before the next change in it."""
    turn.mend(repaired)
    try:
        yield
    except BaseException:
        with suppress(IndexFileError):
            turn.mend(repaired)
        raise


def _leave(turn: Turn, repaired: Callable[[Turn], Mark]) -> None:
    """Take away what half a change has left, and give the index back; where that cannot be done, the next writer does.

    Nothing is raised then: what was kept is kept, and who does it again would do it twice.
    """
    try:
        with suppress(IndexFileError):
            turn.mend(repaired)
            turn.end()
    finally:
        turn.abandon()
