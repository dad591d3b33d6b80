"""`nb.search`: from an image to the nearest items of an index in one call."""

import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearbit.codes import binarize
from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import InputError
from nearbit.index import Address, Home, Results, open_index
from nearbit.keywords import suggesting
from nearbit.model.load import load_for_queries, model_of_index
from nearbit.model.text_model import text_model

if TYPE_CHECKING:
    from nearbit.encoding.inputs import GivenImage
    from nearbit.model.bundle import Model
    from nearbit.model.onnx import OnnxModel


@suggesting
def search(
    index: str | Path | Address | Home,
    images: "GivenImage | Sequence[GivenImage] | None" = None,
    *,
    text: str | Sequence[str] | None = None,
    k: int | None = 10,
    radius: float | None = None,
    where: Mapping[str, Any] | None = None,
    asymmetric: bool = False,
    model: "str | Path | Model | OnnxModel | None" = None,
    text_weights: str | Path | None = None,
    device: str = "auto",
) -> Results:
    """Return the items of an index nearest to images, or to words, as `nearbit search` does.

    Args:
        index: an index, or the path of its file or its address, which is opened to read for as long as the results are
            there. Keep an index open for many searches.
        images: a path, a PIL image or an array of pixels; or a list of them.
        text: in the place of images words, such as "a red bird on snow", or a list of them; for an index whose model
            takes words (`Model.outputs_of_text`). Items are then ranked by outputs, as with `asymmetric`.
        k: the most items of an image; None (with a radius) for all within it.
        radius: the largest distance, in bits; with `asymmetric` the largest weighted distance.
        where: only items that meet every key; see `Index.search`.
        asymmetric: whether items are ranked by the outputs of the images and not by their codes.
        model: what encodes the images: a model, its folder or `hf:ORG/NAME`; None for the one that the index names.
        text_weights: where the text part of the model lies; see `Model.outputs_of_text`.
        device: "auto", "cpu", "cuda", … .

    Returns:
        Results with the ids and distances, and with paths, labels and thumbnails in a notebook.

    Raises:
        InputError: no images and no text, an image of another form, a model that takes no words, or an index that
            names no model where none is given.
        ImageError: an image cannot be read.
        IndexFileError, BundleError: the index or the model cannot be read, or the index holds codes of another model.

    Example:
        results = nb.search("birds.index", "query.jpg", k=5)
        results.to_pandas()
    """
    if isinstance(index, str | Path | Address):
        opened = open_index(index, read_only=True)
        try:
            found = search(
                opened,
                images,
                text=text,
                k=k,
                radius=radius,
                where=where,
                asymmetric=asymmetric,
                model=model,
                text_weights=text_weights,
                device=device,
            )
        except BaseException:
            opened.close()
            raise
        weakref.finalize(found, opened.close)
        return found
    if (images is None) == (text is None):
        raise InputError(f"expected images or a text, came {'neither' if text is None else 'both'}")
    if text is not None:
        outputs = _of_text(index, [text] if isinstance(text, str) else list(text), model, text_weights)
        return index.search(binarize(outputs), k=k, radius=radius, where=where, weights=outputs)
    given: list[Any] = list(images) if isinstance(images, list | tuple) else [images]
    if not given:
        raise InputError("expected at least one image, came an empty list")
    outputs = _encoder(index, model, device).outputs(given, device=device)
    codes = binarize(outputs)
    if asymmetric:
        return index.search(codes, k=k, radius=radius, where=where, weights=outputs)
    kept = None if index.outputs is None else outputs
    return index.search(codes, k=k, radius=radius, where=where, outputs=kept)


def _encoder(index: Home, model: "str | Path | Model | OnnxModel | None", device: str) -> "Model | OnnxModel":
    """Return what encodes for an index; refuse a model whose codes it does not hold."""
    if model is None or isinstance(model, str | Path):
        return load_for_queries(model_of_index(index, None if model is None else Path(model)), device=device)
    return _checked(index, model)


def _of_text(
    index: Home, texts: list[str], model: "str | Path | Model | OnnxModel | None", weights: str | Path | None
) -> FloatRows:
    """Return the outputs of texts, by the model of an index."""
    if model is None or isinstance(model, str | Path):
        return text_model(index, None if model is None else Path(model)).outputs_of_text(texts, weights=weights)
    given = _checked(index, model)
    if not hasattr(given, "outputs_of_text"):
        raise InputError("an exported network takes no words: give the model that it was exported from")
    return given.outputs_of_text(texts, weights=weights)


def _checked(index: Home, model: "Model | OnnxModel") -> "Model | OnnxModel":
    if model.n_bits != index.n_bits or index.model_id not in (None, model.model_id):
        raise InputError(
            f"{index.address} holds codes of another model than the one given: give the model that made them"
        )
    return model
