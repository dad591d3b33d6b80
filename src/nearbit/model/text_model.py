"""The model of an index that is searched by words; what takes none is refused before torch is loaded."""

from pathlib import Path
from typing import TYPE_CHECKING

from nearbit.errors import InputError
from nearbit.model.load import model_of_index
from nearbit.model.manifest import read_manifest
from nearbit.model.text_part import why_no_text

if TYPE_CHECKING:
    from nearbit.index import Home
    from nearbit.model.bundle import Model


def text_model(index: "Home", given: Path | None = None) -> "Model":
    """Return the model that made the codes of an index, if it takes words; it is refused before it is loaded.

    Args:
        index: an index.
        given: the model folder; None for the one that the index names.

    Raises:
        InputError: the model takes no words, or none is named.
        MissingExtraError: transformers is not installed.
        IndexFileError, BundleError: see `nearbit.model.load.model_of_index`.
    """
    folder = model_of_index(index, given)
    why_not = why_no_text(read_manifest(folder))
    if why_not:
        raise InputError(f"{folder} takes no words: {why_not}")
    from nearbit.model.bundle import load_model
    from nearbit.networks.external import transformers_library

    transformers_library("text", "a search by words")
    return load_model(folder)
