"""Codes of uploaded images: one model, used by one thread that takes all that wait at once."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import final

import numpy as np
import numpy.typing as npt
from PIL import Image

from nearbit.errors import BundleError, NearbitError
from nearbit.model.load import Encoder
from nearbit.service.http.errors import ApiError, without
from nearbit.service.monitoring import log

FloatRows = npt.NDArray[np.float32]
ImageRequest = tuple[Image.Image, Future[FloatRows]]
BATCH = 16
WARMING_SIDE = 64
"""Sides of the blank image that is encoded before the model is said to be loaded."""


@final
class Encoding:
    """One model in one thread. Images that wait together are encoded together."""

    def __init__(
        self, load: Callable[[], Encoder] | None, why_not: str, waiting: int, hidden: Sequence[str] = ()
    ) -> None:
        """Take how the model is loaded, or why there is none, how many images may wait, and folders not to name."""
        self._load, self._why_not, self._hidden = load, why_not, hidden
        self._requests: queue.Queue[ImageRequest | None] = queue.Queue(waiting)
        self._has_ended = False
        self._model: Future[Encoder] = Future()
        self._thread = threading.Thread(target=self._run, name="encode", daemon=True)

    def start(self) -> None:
        """Load the model, in its thread."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End the thread after what it does now, and wait so long for that; images that wait are given up."""
        self._has_ended = True
        with contextlib.suppress(queue.Empty):
            while request := self._requests.get_nowait():
                request[1].cancel()
        with contextlib.suppress(queue.Full):  # what lies there wakes the thread as well
            self._requests.put_nowait(None)
        if self._thread.ident is not None:
            self._thread.join(seconds)

    @property
    def has_ended(self) -> bool:
        """Whether the thread has ended, or never began."""
        return not self._thread.is_alive()

    @property
    def is_settled(self) -> bool:
        """Whether the model is loaded, or it is known that there is none."""
        return self._model.done()

    async def model(self) -> Encoder:
        """Return the model, once it is loaded; raise `ApiError` (409) where there is none."""
        try:
            return await asyncio.shield(asyncio.wrap_future(self._model))
        except NearbitError as error:
            raise ApiError(
                409,
                f"images cannot be encoded: {without(str(error), self._hidden)}",
                "search by item (id) or by code, or start the service with --model FOLDER",
                code="no_model",
            ) from error

    async def outputs(self, image: Image.Image) -> FloatRows:
        """Return the outputs float32 `(n_bits,)` of an image; raise `ApiError` where too many wait."""
        done: Future[FloatRows] = Future()
        try:
            self._requests.put_nowait((image, done))
        except queue.Full:
            raise ApiError(
                503, "too many images wait for the model", "try again in a moment", headers={"Retry-After": "2"}
            ) from None
        return await asyncio.wrap_future(done)

    def _run(self) -> None:
        try:
            model = self._loaded()
            _warm(model)
        except Exception as error:  # noqa: BLE001 - every request that needs the model tells it
            words = f"the model cannot be loaded ({type(error).__name__}); the log of the service says more"
            fault = error if isinstance(error, NearbitError) else BundleError(words)
            log("no_model", reason=f"{type(error).__name__}: {error}")
            self._model.set_exception(fault)
            return
        self._model.set_result(model)
        while requests := self._waiting():
            _encode(model, requests)

    def _waiting(self) -> list[ImageRequest]:
        """Return what waits, at least one job and at most a batch; nothing at the end."""
        requests: list[ImageRequest] = []
        while not requests or (len(requests) < BATCH and not self._requests.empty()):
            if self._has_ended or (request := self._requests.get()) is None:
                self._has_ended = True
                break
            requests.append(request)
        return requests

    def _loaded(self) -> Encoder:
        if self._load is None:
            raise BundleError(self._why_not)
        return self._load()


def _warm(model: Encoder) -> None:
    """Encode a blank image, so that what loads on first use is loaded; uploads hear what the model takes instead."""
    with contextlib.suppress(NearbitError):
        model.outputs([Image.new("RGB", (WARMING_SIDE, WARMING_SIDE))])


def _encode(model: Encoder, requests: Sequence[ImageRequest]) -> None:
    """Encode images together and hand each its outputs; where that fails, each of them is told."""
    taken = [(image, done) for image, done in requests if done.set_running_or_notify_cancel()]
    if not taken:
        return
    try:
        rows = model.outputs([image for image, _ in taken])
        for row, (_, done) in zip(rows, taken, strict=True):
            done.set_result(row)
    except Exception as error:  # noqa: BLE001 - handed to those who asked
        for _, done in taken:
            if not done.done():
                done.set_exception(error)
