"""Searches by words: the text part beside the model, loaded by the first of them."""

import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
import numpy.typing as npt

from nearbit.errors import NearbitError
from nearbit.model.manifest import read_manifest
from nearbit.model.text_part import text_checkpoint, why_no_text
from nearbit.service.http.errors import ApiError

if TYPE_CHECKING:
    from nearbit.model.bundle import Model


@final
class Words:
    """What turns words into outputs for a service. Thread-safe."""

    def __init__(self, folder: Path | None, weights: str | None) -> None:
        """Take the folder of the model, None where none is at hand, and where its text part lies, if that is said."""
        self._folder, self._weights = folder, weights
        self._lock = threading.Lock()
        self._model: Model | None = None
        self._why_not = self._missing()

    @property
    def are_taken(self) -> bool:
        """Whether the model takes words, and its text part is at hand."""
        return self._why_not is None

    def outputs(self, text: str) -> "tuple[Model, npt.NDArray[np.float32]]":
        """Return the model and the outputs float32 `(n_bits,)` of a text; raise `ApiError` (409) where none is taken.

        Raises:
            NearbitError: the text part cannot be used, or the text is empty or too long.
        """
        if self._why_not is not None or self._folder is None:
            raise ApiError(
                409,
                f"words cannot be searched by: {self._why_not}",
                "search by an image, by item (id) or by code",
                code="no_text",
            )
        with self._lock:
            if self._model is None:
                from nearbit.model.bundle import load_model

                self._model = load_model(self._folder)
            return self._model, self._model.outputs_of_text([text], weights=self._weights)[0]

    def _missing(self) -> str | None:
        """Return why no words are taken, without loading anything; None where they are."""
        if self._folder is None:
            return "no model is at hand that made these codes"
        try:
            about = read_manifest(self._folder)
            why_not = why_no_text(about)
            if why_not:
                return why_not
            if find_spec("transformers") is None:
                return "the package transformers is not installed (extra text)"
            place = text_checkpoint(str(about["backbone"].get("source")), self._weights)
        except NearbitError as error:
            return str(error)
        return None if (place / "config.json").is_file() else f"there is no checkpoint at {place.name}"
