"""Checkpoints of the transformers library on the hub: which of their files are fetched, and by which command."""

import re
from importlib.util import find_spec
from pathlib import Path

from nearbit.errors import BundleError
from nearbit.files.hub import snapshot

HUB_FILES = (
    "config.json", "preprocessor_config.json", "model.safetensors", "model.safetensors.index.json",
    "model-*-of-*.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
    "merges.txt", "vocab.txt", "spiece.model",
)  # fmt: skip
"""What of a repository on the hub is fetched."""
PROJECTED = "projected"
"""What the configuration of a backbone says whose features lie in the space of such a model."""


def fetched_before(address: re.Match[str]) -> Path | None:
    """Return the folder of a backbone that a commit names, where all of it is here; None else, or without the client.

    What a commit names never changes, so that nobody need be asked for it again.
    """
    if find_spec("huggingface_hub") is None or not re.fullmatch("[0-9a-f]{40}", address["revision"] or ""):
        return None
    try:
        folder = snapshot(address, HUB_FILES, "a backbone", get="", fetch=False)
    except BundleError:
        return None
    return folder if all((folder / name).is_file() for name in HUB_FILES[:3]) else None


def download_command(address: re.Match[str], folder: str | None = None) -> str:
    """Return the hub's own command that fetches a backbone: to where it is looked for, or to a folder."""
    revision = f" --revision {address['revision']}" if address["revision"] else ""
    to = f" --local-dir {folder}" if folder else ""
    return f"hf download {address['repository']} {' '.join(HUB_FILES[:3])}{revision}{to}"
