"""From words to outputs of a model whose backbone is the image part of a model of images and text."""

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, final

import torch

from nearbit.codes import Codes, binarize
from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import InputError
from nearbit.model.text_part import text_checkpoint, why_no_text
from nearbit.networks.heads import apply_head
from nearbit.networks.text import TextTower, load_text_tower

if TYPE_CHECKING:
    from nearbit.model.bundle import Model

_LOADED: "weakref.WeakKeyDictionary[Model, dict[str, TextEncoder]]" = weakref.WeakKeyDictionary()
"""The text parts that were loaded for models that are in use, by what names them."""


@final
class TextEncoder:
    """The text part beside a model: from words to outputs and codes that its images are searched by.

    Features of texts and of images of such models lie apart, each around a mean of their own (the modality gap). The
    head was made around the mean m of image features, so a text t is given to it as t - p + m, with p the mean of the
    features of many prompts: what distinguishes a text from other texts stands in the place of what distinguishes an
    image from other images.
    """

    def __init__(self, model: "Model", tower: TextTower) -> None:
        self._head, self._n_bits, self.tower = model.network.head, model.n_bits, tower

    def outputs(self, texts: Sequence[str]) -> FloatRows:
        """Return the outputs of texts: float32 `(n, n_bits)`, in order.

        Raises:
            InputError: no texts, an empty one, or one that is longer than the text part takes.
        """
        device = next(self._head.parameters()).device
        moved = torch.from_numpy(self.tower.features(texts) - self.tower.mean).to(device) + self._head.feature_mean
        return apply_head(self._head, moved.cpu().numpy(), self._n_bits)

    def encode(self, texts: Sequence[str]) -> Codes:
        """Return the codes of texts: uint8 `(n, ceil(n_bits / 8))`; see `outputs`, which say more."""
        return binarize(self.outputs(texts))


def text_encoder(model: "Model", weights: str | Path | None = None, *, fetch: bool = False) -> TextEncoder:
    """Return what turns words into outputs of a model.

    Args:
        model: one whose backbone is the frozen image part of a model of images and text.
        weights: where its text part lies; None for where the model says. See `text_checkpoint`.
        fetch: whether what the model names may be fetched.

    Raises:
        InputError: the model takes no words, or names a folder alone.
        DataError: the checkpoint is no model of images and text, is not whole, or its image part is another one.
        MissingExtraError: transformers, or the hub's client, is not installed.
    """
    backbone = model.network.backbone
    spec = {"name": backbone.spec.name, "config": backbone.spec.config}
    why_not = why_no_text({"backbone": spec, "record": model.record})
    if why_not:
        raise InputError(f"the model takes no words: {why_not}")
    place = text_checkpoint(backbone.spec.source, weights, fetch=fetch)
    return TextEncoder(model, load_text_tower(place, backbone.module))


def text_outputs(model: "Model", texts: Sequence[str], weights: str | Path | None) -> FloatRows:
    """Return the outputs of texts, with a text part that is loaded once a model; see `Model.outputs_of_text`."""
    encoders, name = _LOADED.setdefault(model, {}), str(weights)
    if name not in encoders:
        encoders[name] = text_encoder(model, weights, fetch=True)
    return encoders[name].outputs(texts)
