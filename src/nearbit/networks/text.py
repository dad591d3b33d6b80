"""The text part of a model of images and text: from words to features in the space of its image part."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import DataError, InputError
from nearbit.json_text import read_json
from nearbit.networks.external import SHARED, ImageTower, quiet, transformers_library

BATCH = 32
"""Texts that go through the network at once."""
FIXED_LENGTH = ("siglip",)
"""Types that were trained on texts filled up to one length, without a mask: they are asked in the same way."""


@final
class TextTower:
    """The text part of a model of images and text, on the CPU.

    Attributes:
        source: the folder it came from.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, source: str) -> None:
        """Take a model of `SHARED`, whose image part is not used, its tokenizer, and where both came from."""
        self._model: Any = model.eval()
        self._tokenizer, self.source = tokenizer, source

    @property
    def longest(self) -> int:
        """The most tokens of a text, with those at its ends."""
        return int(self._model.config.text_config.max_position_embeddings)

    def features(self, texts: Sequence[str]) -> FloatRows:
        """Return the features of texts: float32 `(n, feature_dim)`, of length 1.

        Raises:
            InputError: no texts, an empty one, or one of more tokens than the model takes (nothing is cut off).
        """
        checked = self._checked(texts)
        with torch.inference_mode():
            rows = [self._features(checked[start : start + BATCH]) for start in range(0, len(checked), BATCH)]
        return torch.cat(rows).numpy()

    def _features(self, texts: list[str]) -> Tensor:
        is_fixed = self._model.config.model_type in FIXED_LENGTH
        length = {"padding": "max_length", "max_length": self.longest} if is_fixed else {"padding": True}
        tokens = self._tokenizer(texts, return_tensors="pt", **length)
        found = self._model.get_text_features(**({"input_ids": tokens["input_ids"]} if is_fixed else tokens))
        return normalize(found if isinstance(found, Tensor) else found.pooler_output, dim=1).float()

    def _checked(self, texts: Sequence[str]) -> list[str]:
        if isinstance(texts, str) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise InputError("expected a list of texts, none of them empty, such as ['a red bird on snow']")
        counts = [len(row) for row in self._tokenizer(list(texts))["input_ids"]]
        for text, count in zip(texts, counts, strict=True):
            if count > self.longest:
                raise InputError(
                    f"a text of {count} tokens is longer than the {self.longest} that the model takes: shorten "
                    f"{text[:40]!r}…"
                )
        return list(texts)


def load_text_tower(folder: str | Path, image: nn.Module) -> TextTower:
    """Return the text part of a checkpoint whose image part is the one given, weight by weight.

    Only safetensors weights are read, and no code of the model's own is run.

    Args:
        folder: of the checkpoint, with its tokenizer.
        image: the backbone that made the codes: an `ImageTower`, on the CPU.

    Raises:
        MissingExtraError: transformers is not installed.
        DataError: no such checkpoint lies there, its text part is not whole, or its image part is another one.
    """
    place = Path(folder)
    _check_type(place)
    library = transformers_library("text", "a search by words")
    try:
        with quiet(library):
            model, report = library.AutoModel.from_pretrained(
                str(place), use_safetensors=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
            )
            tokenizer = library.AutoTokenizer.from_pretrained(str(place), trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, ImportError, TypeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"no text part could be loaded from {place}: {first}") from error
    missing = sorted(name for name in report["missing_keys"] if name.startswith("text_"))
    if missing:
        raise DataError(f"{place} holds not all weights of a text part: {len(missing)} are missing ({missing[0]}, …)")
    if not _are_equal(ImageTower(model), image):
        raise DataError(
            f"the image part of {place} is not the one that made the codes, so that its words would point elsewhere: "
            "give the checkpoint that the model was made with"
        )
    return TextTower(model, tokenizer, str(place))


def _check_type(folder: Path) -> None:
    config = read_json(folder / "config.json", "no text part could be loaded: its configuration", DataError)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in SHARED:
        raise DataError(
            f"{folder} holds a model of the type {json.dumps(kind)}, and a search by words takes one of images and "
            f"text: {', '.join(SHARED)}"
        )


def _are_equal(one: nn.Module, other: nn.Module) -> bool:
    """Return whether two modules have the same weights, value by value."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
