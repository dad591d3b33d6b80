"""From words to outputs of a model whose backbone is the image part of a model of images and text."""

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from nearbit.codes import Codes, binarize
from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import InputError
from nearbit.model.text_part import text_checkpoint, why_no_text
from nearbit.networks.heads import HashNetwork, Head, apply_head
from nearbit.networks.text import TextTower, load_text_tower

_LOADED: "weakref.WeakKeyDictionary[HashNetwork, dict[tuple[str, ...], TextEncoder]]" = weakref.WeakKeyDictionary()
"""The text parts that were loaded for networks that are in use, by what names them."""


@final
class TextEncoder:
    """The text part beside a model: from words to outputs and codes that its images are searched by.

    The head is given the features of a text as those of an image. Features of texts and of images lie apart, each
    around a mean of their own (the modality gap): what the head makes of that distance is the same for all texts, and
    little, since the gap is nearly orthogonal to what images differ in. With `prompts`, texts about pictures such as
    those that are searched, it is taken out: a text t is given to the head as t - p + m, p the mean of the features of
    the prompts, and m that of the images which the head was made with. Prompts about other things do harm.
    """

    def __init__(self, head: Head, n_bits: int, tower: TextTower, prompts: Sequence[str] = ()) -> None:
        self._head, self._n_bits, self._tower = head, n_bits, tower
        self._shift: FloatRows | None = None
        if prompts:
            self._shift = self._head.feature_mean.cpu().numpy() - tower.features(prompts).mean(axis=0)

    def outputs(self, texts: Sequence[str]) -> FloatRows:
        """Return the outputs of texts: float32 `(n, n_bits)`, in order.

        Raises:
            InputError: no texts, an empty one, or one that is longer than the text part takes.
        """
        features = self._tower.features(texts)
        return apply_head(self._head, features if self._shift is None else features + self._shift, self._n_bits)

    def encode(self, texts: Sequence[str]) -> Codes:
        """Return the codes of texts: uint8 `(n, ceil(n_bits / 8))`; see `outputs`, which say more."""
        return binarize(self.outputs(texts))


def text_encoder(
    network: HashNetwork,
    n_bits: int,
    record: dict[str, Any],
    weights: str | Path | None = None,
    prompts: Sequence[str] = (),
) -> TextEncoder:
    """Return what turns words into outputs of a model.

    Args:
        network: of the model; its backbone is the frozen image part of a model of images and text.
        n_bits: of its codes.
        record: of how it was trained.
        weights: where its text part lies; None for where the model says. See `text_checkpoint`.
        prompts: texts about pictures such as those that are searched; see `TextEncoder`.

    Raises:
        InputError: the model takes no words, or names a folder alone.
        DataError: the checkpoint is no model of images and text, is not whole, or its image part is another one.
        MissingExtraError: transformers, or the hub's client, is not installed.
    """
    backbone = network.backbone
    spec = {"name": backbone.spec.name, "config": backbone.spec.config}
    why_not = why_no_text({"backbone": spec, "record": record})
    if why_not:
        raise InputError(f"the model takes no words: {why_not}")
    place = text_checkpoint(backbone.spec.source, weights)
    return TextEncoder(network.head, n_bits, load_text_tower(place, backbone.module), prompts)


def text_outputs(
    network: HashNetwork,
    n_bits: int,
    record: dict[str, Any],
    texts: Sequence[str],
    weights: str | Path | None,
    prompts: Sequence[str],
) -> FloatRows:
    """Return the outputs of texts, with a text part that is loaded once a model; see `Model.outputs_of_text`."""
    encoders, key = _LOADED.setdefault(network, {}), (str(weights), *prompts)
    if key not in encoders:
        encoders[key] = text_encoder(network, n_bits, record, weights, prompts)
    return encoders[key].outputs(texts)
