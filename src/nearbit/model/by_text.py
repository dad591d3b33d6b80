"""From words to outputs of a model whose backbone is the image part of a model of images and text."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch

from nearbit.codes import Codes, binarize
from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import InputError
from nearbit.files.hub import ADDRESS, PREFIX, parsed, snapshot
from nearbit.networks.external import HUB_FILES, PROJECTED, download_command
from nearbit.networks.heads import apply_head
from nearbit.networks.text import TextTower, load_text_tower

if TYPE_CHECKING:
    from nearbit.model.bundle import Model

GIVE = "give the checkpoint that the model was made with (--text-weights FOLDER, or text_weights=)"


def why_no_text(about: dict[str, Any]) -> str | None:
    """Return why a model takes no words, from what its manifest says; None where it does.

    Args:
        about: `bundle.json` of a trained model: "backbone" and "record" are looked at.
    """
    backbone = about.get("backbone")
    name, config = (backbone.get("name"), backbone.get("config")) if isinstance(backbone, dict) else (backbone, None)
    if not isinstance(config, dict) or config.get(PROJECTED) is not True:
        return (
            f"its backbone {name} is not the image part of a model of images and text, so that words have no place "
            "among its codes: make the index with such a one (--backbone hf:… of CLIP or SigLIP)"
        )
    record = about.get("record")
    if not isinstance(record, dict) or record.get("regime") != "frozen":
        return (
            "its image part was trained further with the codes, so that the words of its text part point elsewhere: "
            "train it with --regime frozen"
        )
    return None


def text_checkpoint(source: str, given: str | Path | None = None, *, fetch: bool = False) -> Path:
    """Return the folder of the checkpoint that holds the text part of a model.

    Args:
        source: where the image part came from, as the model says: ORG/NAME@COMMIT on the hub, or the name of a folder.
        given: a folder, or hf:ORG/NAME or hf:ORG/NAME@REVISION, which is fetched once.
        fetch: whether what the model alone names may be fetched; else it must be here, as it is where it was made.

    Raises:
        InputError: the model came from a folder, and none is given.
        BundleError: it is not here, or cannot be had.
        MissingExtraError: the hub's client is not installed.
    """
    if given is not None and not str(given).startswith(PREFIX):
        return Path(given).expanduser()
    address = ADDRESS.fullmatch(PREFIX + source) if given is None else parsed(str(given), "a checkpoint")
    if address is None:
        raise InputError(f"the text part of the model lies in the folder {source!r}, which only you can find: {GIVE}")
    get = download_command(address)
    return snapshot(address, HUB_FILES, f"the text part {address[0]}", get=get, fetch=fetch or given is not None)


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
