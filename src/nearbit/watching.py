"""A folder that lives: the index follows what is added to it, moved in it and removed from it."""

import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from nearbit.datasets import Dataset, FileImages, Problem, load_images
from nearbit.datasets.scan import is_utf8, may_be_image, scan_folder
from nearbit.errors import DataError, IndexBusyError, IndexFileError, InputError, MissingExtraError
from nearbit.files.writing import behind_links, without_ups
from nearbit.index import Home, create_index, open_index
from nearbit.indexing import Indexed, index_dataset
from nearbit.progress import Progress, silent
from nearbit.reading import ReadingOptions

if TYPE_CHECKING:
    from nearbit.model.bundle import Model
    from nearbit.model.onnx import OnnxModel

SETTLE, EVERY = 2.0, 300.0
"""Seconds for which a file must stay as it is, and between two looks at the folder where nothing was heard of it."""
LONGEST = 30
"""Removals wait while files are being written, which may be moves under way, for so many times `SETTLE` at most."""
ROOT_SECONDS = 2.0
"""Between two looks whether the folder itself is there."""
WRITTEN = frozenset({"created", "modified", "moved", "deleted", "closed"})
"""Kinds of news that change what a folder holds; files that are read make others."""

Stamp = tuple[int, int, int, int]
"""Size, times of change of the content and of anything in nanoseconds, and number of a file."""


OF_INDEX = re.compile(
    r"$|-(wal|shm|journal|writer|search|thumbs|images|reencoding)(?![^-.\\/])|\.model(?![^-./\\])|\.errors\.jsonl$"
)
"""What follows the name of an index in those of the files and folders that belong to it."""


@dataclass(frozen=True)
class Round:
    """What one look at the folder did.

    Attributes:
        done: what indexing did; None where nothing had changed, or nothing could be done.
        items: of the index then.
        waiting: how many files are still being written, and wait for the next look.
        problems: what cannot be read and was not told before.
        trouble: why nothing could be done, where that was not told before; "" else.
        is_late: whether another look is needed soon, although nothing may be heard of the folder.
    """

    done: Indexed | None = None
    items: int = 0
    waiting: int = 0
    problems: tuple[Problem, ...] = ()
    trouble: str = ""
    is_late: bool = False


@final
class Settling:
    """Knows which files of a folder have stayed as they are for a while: they are complete, as far as one can tell."""

    def __init__(self, seconds: float, own: str) -> None:
        """Take for how long, and the place of the index, whose files are not looked at."""
        self._seconds, self._own = seconds, own
        self._seen: dict[str, tuple[Stamp, float]] = {}

    def look(self, root: Path) -> tuple[dict[str, Stamp], set[str]]:
        """Return the stamp of each file by its path below the root, and the paths of those not settled yet.

        Files are those that may be images, and of the root itself all: one may say what the labels are.
        """
        now, wall, seen = time.monotonic(), time.time(), {}
        for path in sorted({*scan_folder(root).paths, *self._beside(root)}):
            try:
                status = (root / path).stat()
            except OSError:  # gone in the meantime, or unreadable: reading it says so
                continue
            stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            before = self._seen.get(path)
            if before is not None and before[0] == stamp:
                seen[path] = before
            else:
                is_old = before is None and wall - status.st_mtime >= self._seconds
                seen[path] = (stamp, -math.inf if is_old else now)
        self._seen = seen
        unsettled = {path for path, (_, since) in seen.items() if now - since < self._seconds}
        return {path: stamp for path, (stamp, _) in seen.items()}, unsettled

    def _beside(self, root: Path) -> list[str]:
        """Return the names of the files in the root itself, but for those of the index."""
        return [
            file.name
            for file in root.iterdir()
            if not (file.name.startswith(".") or is_of_index(place_of(file), self._own, place_of(root)))
            if is_utf8(file.name) and file.is_file()
        ]


@final
class Follower:
    """Makes an index the mirror of a folder, look by look; keeps what tells whether anything has changed since.

    Files that are still being written are left alone until they have stayed as they are for a while. Items are not
    removed meanwhile: a file that is moved may be at neither place yet.
    """

    def __init__(
        self,
        index: Path,
        folder: Path,
        encoder: "Callable[[], Model | OnnxModel]",
        *,
        options: ReadingOptions,
        keep_outputs: str | None = None,
        device: str = "auto",
        settle: float = SETTLE,
    ) -> None:
        """Take the index, which is made where it is missing, and what returns the model of its codes as it is now."""
        self.index, self.folder, self.settle = index, folder, settle
        self._encoder, self._options, self._device, self._outputs = encoder, options, device, keep_outputs
        self._settling = Settling(settle, place_of(behind_links(index)))
        self._known: Any = None
        self._told: set[tuple[str, str]] = set()
        self._trouble = ""
        self._writing_since: float | None = None

    def look(self, progress: Progress = silent) -> Round:
        """Bring the index up to date with the folder as it is now.

        Raises:
            IndexFileError: the index cannot be written, twice in a row.
            BundleError, InputError: the model of the index cannot be had, or cannot encode these images.
        """
        try:
            found = self._look(progress)
        except (DataError, IndexBusyError) as error:
            return self._in_trouble(str(error))
        except IndexFileError as error:  # it may have been replaced just then
            if self._trouble == str(error):
                raise
            return self._in_trouble(str(error))
        self._trouble = ""
        return found

    def _in_trouble(self, said: str) -> Round:
        is_new, self._trouble, self._known = said != self._trouble, said, None
        return Round(trouble=said if is_new else "", is_late=True)

    def _look(self, progress: Progress) -> Round:
        if not self.folder.is_dir():
            raise DataError(f"{self.folder} is gone: nothing is removed, and it is waited for")
        try:
            stamps, unsettled = self._settling.look(self.folder)
        except OSError as error:
            why = error.strerror or error
            raise DataError(
                f"{self.folder} cannot be listed ({why}): nothing is removed, and it is waited for"
            ) from error
        if self._known is not None and not unsettled and self._known == (stamps, self._state()):
            return Round()
        if any("/" not in path and not may_be_image(path) for path in unsettled) and self._waits():
            return Round(waiting=len(unsettled), is_late=True)  # it may say what labels are
        options = replace(self._options, progress=progress)
        try:
            dataset = self._settled(load_images(self.folder, options), stamps, unsettled)
        except DataError:
            if unsettled:  # they are all that there is
                return Round(waiting=len(unsettled), is_late=True)
            raise
        model = self._encoder()
        with self._opened(model) as index:
            done = index_dataset(
                index, model, dataset, sync=True, device=self._device, cache=options.kept, progress=progress
            )
            items, state = len(index), index.state()
        self._known = None if unsettled else (stamps, state)
        problems = tuple(
            one for one in (*dataset.problems, *done.problems) if one.path != "." and one.path not in unsettled
        )
        return Round(done, items, len(unsettled), self._untold(problems), is_late=bool(unsettled))

    def _opened(self, model: "Model | OnnxModel") -> Home:
        return create_index(self.index, model.n_bits, model_id=model.model_id, outputs=self._outputs, exist_ok=True)

    def _state(self) -> Any:
        with open_index(self.index, read_only=True) as index:
            return index.state()

    def _waits(self) -> bool:
        """Return whether what is being written is waited for, which may be for so long at most."""
        now = time.monotonic()
        self._writing_since = now if self._writing_since is None else self._writing_since
        return now - self._writing_since < LONGEST * self.settle

    def _settled(self, dataset: Dataset, stamps: dict[str, Stamp], unsettled: set[str]) -> Dataset:
        """Return the data set without what is still being written, or came after the look; nothing is absent then."""
        waiting = {key for key in dataset.keys if key in unsettled or key not in stamps}
        if not waiting and not unsettled:
            self._writing_since = None
            return dataset
        unknown = self._waits()
        rows = [row for row, key in enumerate(dataset.keys) if key not in waiting]
        source = dataset.source
        problems = (*dataset.problems, *(Problem(key, "is being written") for key in sorted(waiting)))
        return replace(
            dataset,
            source=source.of_rows(rows) if isinstance(source, FileImages) else source,
            keys=tuple(dataset.keys[row] for row in rows),
            labels=dataset.labels[rows],
            digests=tuple(dataset.digests[row] for row in rows),
            given_parts=None,
            problems=(*problems, Problem(".", "files are being written")) if unknown else problems,
        )

    def _untold(self, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        """Return the problems that were not told before; what is solved is forgotten, to be told if it comes again."""
        now = {(one.path, one.reason) for one in problems}
        new = tuple(one for one in problems if (one.path, one.reason) not in self._told)
        self._told = now
        return new


def follow(
    follower: Follower,
    told: Callable[[Round], None],
    *,
    every: float = EVERY,
    polls: bool = False,
    progress: Progress = silent,
) -> None:
    """Bring the index up to date, and again whenever the folder changes, until an exception ends it.

    It may be ended at any moment, also by `kill -9`: what was done is durable, and the next start does the rest.

    Args:
        follower: what looks.
        told: called after every look.
        every: seconds between two looks where nothing is heard of the folder.
        polls: hear nothing of the folder, as on a drive of another machine, but look every so often.
        progress: of the first look.

    Raises:
        MissingExtraError: watchdog is not installed (without `polls`).
        InputError: the system lets no more folders be watched.
    """
    while True:
        root = _identity(follower.folder)
        news = threading.Event()
        listening = nullcontext() if polls or root is None else listen(follower.folder, follower.index, news)
        with listening:  # before the first look, so that nothing falls between them
            while root is not None and _identity(follower.folder) == root:
                began = time.monotonic()
                found = follower.look(progress)
                progress = silent
                told(found)
                time.sleep(min(time.monotonic() - began, LONGEST * follower.settle))  # half of the time is for others
                _wait(news, follower, root, min(follower.settle, every) if found.is_late else every)
        if root is None:
            told(follower.look())
            time.sleep(ROOT_SECONDS)


def _wait(news: threading.Event, follower: Follower, root: tuple[int, int], seconds: float) -> None:
    """Wait for news of the folder, and then until it is quiet, or for so many seconds."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not news.wait(min(left, ROOT_SECONDS)):
        if _identity(follower.folder) != root:
            return
    for _ in range(5):
        if not news.is_set():
            return
        news.clear()
        news.wait(follower.settle / 4)


@contextmanager
def listen(folder: Path, index: Path, news: threading.Event) -> Iterator[None]:
    """Set `news` whenever something below a folder is written, moved or removed, but for the files of the index."""
    try:
        from watchdog.events import FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer
    except ImportError as error:
        raise MissingExtraError("watchdog", "watch", "watching a folder") from error
    own, root = place_of(behind_links(index)), place_of(folder)

    class Hears(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            paths = [place_of(Path(os.fsdecode(path))) for path in (event.src_path, event.dest_path) if path]
            is_of_others = event.is_directory and event.event_type == "modified"  # what changed in it is told as well
            if (
                event.event_type in WRITTEN
                and not is_of_others
                and not all(is_of_index(path, own, root) for path in paths)
            ):
                news.set()

    observer = Observer()
    try:
        observer.schedule(Hears(), os.fspath(folder), recursive=True)
        observer.start()
    except OSError as error:
        raise InputError(
            f"the system does not let {folder} be watched ({error.strerror or error}): allow more "
            "(sysctl fs.inotify.max_user_watches), or look at it every so often (--poll)"
        ) from error
    try:
        yield
    finally:
        observer.stop()
        observer.join()


def place_of(path: Path) -> str:
    """Return a path from the root of the file system, in the one form in which places are compared."""
    return os.path.normcase(os.path.normpath(without_ups(path.absolute())))


def is_of_index(place: str, index: str, root: str) -> bool:
    """Return whether a place below the root is that of an index, or of what belongs to it and lies beside it."""
    return place.startswith(index) and not root.startswith(index) and OF_INDEX.match(place, len(index)) is not None


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
