"""Models on the Hugging Face hub: `hf:ORG/NAME` fetched through the hub's own client.

Only the files of a model are fetched, and none is run: a folder from the hub is checked like any other.
"""

import hashlib
import re
from pathlib import Path

from nearbit.files.hub import PREFIX, parsed, snapshot
from nearbit.given import path_of

_SNAPSHOT = re.compile(r"models--(?P<repository>.+)/snapshots/(?P<revision>[0-9a-f]{40})")
CARD = "README.md"
_MARK = "<!-- written by nearbit, and untouched while the SHA-256 of what stands above is "
"""Begins the last line of a card that nearbit wrote."""
MODEL_FILES = (
    "bundle.json", "weights.safetensors", "network.onnx", "split.json", "seen.json", "similarity.npy", "centers.npy",
    "tie_break.npy", "codebook.npy", "assignment.npy",
)  # fmt: skip
"""What of a repository is fetched, with the card, and replaced: whatever else lies there is no part of a model."""


def marked(card: str) -> str:
    """Return a card with a last line by which `is_untouched` knows it."""
    return f"{card}{_MARK}{hashlib.sha256(card.encode()).hexdigest()} -->\n"


def is_untouched(card: str) -> bool:
    """Tell whether a card is as nearbit wrote it: then nothing in it is anybody's own words."""
    text, mark, _ = card.rpartition(_MARK)
    return bool(mark) and card == marked(text)


def is_address(source: str | Path) -> bool:
    """Return whether a model is named by its place on the hub and not by a folder."""
    return str(source).startswith(PREFIX)


def model_folder(source: str | Path, *, fetch: bool = True) -> Path:
    """Return the folder of a model: the one named, or for `hf:ORG/NAME` the hub's, which is fetched once.

    Args:
        source: a folder, or `hf:ORG/NAME`, with `@REVISION` (a branch, tag or commit) behind it where it is not the
            newest that is wanted.
        fetch: whether what is not here yet may be fetched.

    Raises:
        InputError: an address of another form.
        BundleError: no such repository, none that may be read, no connection, or nothing here and `fetch` is False.
        MissingExtraError: huggingface_hub is not installed.
    """
    if not is_address(source):
        return path_of("path", source)
    address = parsed(str(source), "a model")
    files = (*MODEL_FILES, CARD)
    return snapshot(address, files, f"the model {source}", get=f"nearbit inspect {source}", fetch=fetch)


def address_of(folder: Path) -> str | None:
    """Return `hf:ORG/NAME@COMMIT` for a folder that was fetched from the hub; None for any other."""
    found = _SNAPSHOT.search(folder.absolute().as_posix())
    if found is None or found["repository"].count("--") != 1:
        return None
    return f"{PREFIX}{found['repository'].replace('--', '/')}@{found['revision']}"
