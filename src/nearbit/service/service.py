"""Everything that requests share, in one object; and the threads that do the work."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, final

import numpy as np

from nearbit.codes import n_bytes
from nearbit.errors import BundleError, DataError, NearbitError
from nearbit.index import Home, Place, open_index
from nearbit.index.storage.open_file import real_path
from nearbit.model.load import Encoder, load_encoder, may_have_made, model_at_hand, model_of_index
from nearbit.service.collection import Collection
from nearbit.service.encoder import Encoding
from nearbit.service.http.errors import ApiError, api_error_of
from nearbit.service.images.originals import Originals
from nearbit.service.images.thumbnails import Thumbnails
from nearbit.service.info import TrainedOn, trained_on
from nearbit.service.monitoring import Counters, log
from nearbit.service.search import Searcher, Seconds
from nearbit.service.settings import ServiceOptions
from nearbit.service.words import Words
from nearbit.threads import n_threads

if TYPE_CHECKING:
    from nearbit.model.bundle import Model

LATER = {"Retry-After": "2"}

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

DECODERS = 2
"""Threads that decode uploads, and as many that make thumbnails: neither waits for the other."""
STOP_SECONDS = 1.0
"""How long the end of a service waits for threads; it then goes on without them."""


@final
class Service:
    """The parts of a running service.

    Attributes:
        options: what it was told.
        counters: what it has answered.
        own: beside it lies what belongs to the index: its file, else its name in the folder of its images.
        collection: the index.
        searcher: searches in it.
        thumbnails: small pictures of its items.
        encoding: the model of uploads.
        words: what searches by words need.
        model_folder: where the model lies; None where none is at hand.
        is_warm: whether the first search, which loads the index, is done.
        has_ended: whether all threads have ended, after `stop`.
    """

    def __init__(self, options: ServiceOptions) -> None:
        """Open the index; the model is loaded by `start`.

        Raises:
            IndexFileError: the index cannot be opened, or the given model did not make its codes.
            BundleError: the given model folder is none.
        """
        self.options = options
        self.counters = Counters()
        self.own = own = _own(options.index)
        pictures = Originals(own, options.images)
        self.collection = Collection(options.index, pictures, writable=options.allow_write)
        self.searcher = Searcher(self.collection)
        self.thumbnails = Thumbnails(own, pictures, options.limits.thumbnail_bytes)
        with self.collection.use() as index:
            given = options.model
            self.model_folder = model_at_hand(index) if given is None else model_of_index(index, given)
        folder = self.model_folder
        load = None if folder is None else lambda: load_encoder(folder)
        beside = options.index.parent if isinstance(options.index, Path) else options.index
        places = (beside, own.absolute().parent, folder.parent if folder is not None else None)
        self._hidden = tuple(str(place) for place in places if place is not None and str(place) != ".")
        why_not = "no model is at hand that made these codes"
        self.encoding = Encoding(load, why_not, options.limits.waiting_images, self._hidden)
        self.words = Words(folder, options.text_weights)
        self.is_warm = False
        self.has_ended = False
        self._searches = ThreadPoolExecutor(max(2, n_threads()), thread_name_prefix="search")
        self._decodes = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self._pictures = ThreadPoolExecutor(DECODERS, thread_name_prefix="picture")
        self._changes = ThreadPoolExecutor(1, thread_name_prefix="change")
        self._under_way: set[Future[Any]] = set()

    def start(self) -> None:
        """Begin to load the model and the index."""
        self.encoding.start()
        self._begun(self._searches, self._warm)

    def stop(self) -> None:
        """End the threads and close the files; what takes longer than `STOP_SECONDS` ends with the process."""
        for pool in (self._changes, self._searches, self._decodes, self._pictures):
            pool.shutdown(wait=False, cancel_futures=True)
        self.encoding.stop(STOP_SECONDS)
        left = wait(list(self._under_way), STOP_SECONDS).not_done
        if left:
            log("threads_left", count=len(left))
            return
        self.thumbnails.close()
        self.collection.close()
        self.has_ended = self.encoding.has_ended

    @property
    def is_ready(self) -> bool:
        """Whether requests are answered at full speed: the index is loaded, and the model if there is one."""
        return self.is_warm and self.encoding.is_settled

    def api_error(self, error: NearbitError) -> ApiError:
        """Return how an error of the library is answered, without the names of folders here."""
        return api_error_of(error, self._hidden)

    def model_of(self, index: Home) -> Path | None:
        """Return the folder of the model, if it made the codes of this index, which may have been replaced."""
        return None if self.model_folder is None else model_at_hand(index, self.model_folder)

    def check_model(self, model: "Encoder | Model") -> None:
        """Raise `ApiError` (409) where the index, which may have been replaced, holds codes of another model."""
        with self.collection.use() as index:
            is_of_model = may_have_made(index, model.n_bits, model.model_id)
        if not is_of_model:
            raise ApiError(
                409,
                "the index was built with another model than the one that encodes images here",
                "start the service again with the model of the index (--model FOLDER)",
                code="other_model",
            )

    def of_model(
        self,
        model: "Encoder | Model",
        work: Callable[Arguments, Value],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Value:
        """Do work with what a model made, before an index of this model; raise `ApiError` (409) where it is of another.

        The index may have been replaced while an image was encoded, or waited. What is checked is what `work` uses.
        """
        with self.collection.use():
            self.check_model(model)
            return work(*arguments, **options)

    async def searching(
        self, work: Callable[Arguments, Value], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> Value:
        """Run work that reads the index, in a thread."""
        return await asyncio.wrap_future(self._begun(self._searches, work, *arguments, **options))

    async def changing(
        self, work: Callable[Arguments, Value], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> Value:
        """Run work that changes the index, in turn: a writer that waits for another program keeps no search waiting."""
        return await asyncio.wrap_future(self._begun(self._changes, work, *arguments, **options))

    async def picturing(
        self, work: Callable[Arguments, Value], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> Value:
        """Run work on pictures of items, in one of a few threads: each may need much memory."""
        return await asyncio.wrap_future(self._begun(self._pictures, work, *arguments, **options))

    async def decoding(
        self, work: Callable[Arguments, Value], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> Value:
        """Run work on an upload, in threads of their own; raise `ApiError` where it takes longer than `decode_seconds`.

        Its thread is then busy until the work ends; no more than `DECODERS` can be, and only uploads wait for them.
        """
        job = self._begun(self._decodes, work, *arguments, **options)
        future, seconds = asyncio.wrap_future(job), self.options.limits.decode_seconds
        future.add_done_callback(_looked_at)
        try:
            await asyncio.wait({future}, timeout=seconds)
            if future.done():
                return future.result()
        finally:
            was_waiting = job.cancel()
        if was_waiting:
            raise ApiError(503, "too many images are being decoded", "try again in a moment", headers=LATER)
        words = f"the image was not decoded within {seconds:g} s"
        raise ApiError(422, words, "send a smaller one, or save it anew", code="too_slow")

    def _begun(
        self,
        pool: ThreadPoolExecutor,
        work: Callable[Arguments, Value],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> "Future[Value]":
        job = pool.submit(work, *arguments, **options)
        self._under_way.add(job)
        job.add_done_callback(self._under_way.discard)
        return job

    def count(self, spent: Seconds) -> None:
        """Count the steps of a search."""
        for stage, seconds in vars(spent).items():
            if seconds:
                self.counters.count_stage(stage, seconds)

    def _trained_on(self) -> TrainedOn | None:
        """Return the pictures that the model was trained on; None where it does not say, which the log then tells."""
        try:
            return None if self.model_folder is None else trained_on(self.model_folder)
        except (BundleError, DataError) as error:
            log("split_not_read", error=str(error))
            return None

    def _warm(self) -> None:
        try:
            with self.collection.use() as index:
                index.search(np.zeros((1, n_bytes(index.n_bits)), np.uint8), k=1)
                first = [item.id for item in index.items_after(-1, 1)]
            self.collection.know(self._trained_on())
            self.collection.rendered(first)  # reads the pictures of a built-in data set
        except Exception as error:  # noqa: BLE001 - the index may be damaged: each search says so again
            log("index_not_loaded", error=str(error))
        else:
            self.is_warm = True


def _looked_at(future: "asyncio.Future[Any]") -> None:
    """Take the error of work that nobody waits for any more."""
    if not future.cancelled():
        future.exception()


def _own(place: Place) -> Path:
    """Return the real path of an index's file, whatever name leads to it; for one in a server, a path in its folder."""
    if isinstance(place, Path):
        return real_path(place)
    with open_index(place, read_only=True) as index:
        return index.folder / place.name
