"""Whether a model takes words, and where its text part lies; torch is not loaded."""

from pathlib import Path
from typing import Any

from nearbit.errors import InputError
from nearbit.files.checkpoints import HUB_FILES, PROJECTED
from nearbit.files.hub import ADDRESS, PREFIX, parsed, snapshot
from nearbit.model.manifest import EXPORTED

GIVE = "give the checkpoint that the model was made with (--text-weights FOLDER, or text_weights=)"


def why_no_text(about: dict[str, Any]) -> str | None:
    """Return why a model takes no words, from what its manifest says; None where it does.

    Args:
        about: `bundle.json`: "kind", "backbone" and "record" are looked at.
    """
    if about.get("kind") == EXPORTED:
        return "it is a network exported for ONNX Runtime: give the model folder that it was exported from (--model)"
    backbone = about.get("backbone")
    name, config = (backbone.get("name"), backbone.get("config")) if isinstance(backbone, dict) else (backbone, None)
    if not isinstance(config, dict) or config.get(PROJECTED) is not True:
        return (
            f"its backbone {name} is not the image part of a model of images and text, so that words have no place "
            "among its codes: make the index with such a one (--backbone hf:… of CLIP or SigLIP)"
        )
    record = about.get("record")
    if not isinstance(record, dict) or record.get("regime") != "frozen" or "tuning" in record:
        return (
            "its image part was trained further, before the codes or with them, so that the words of its text part "
            "point elsewhere: train it with --regime frozen"
        )
    return None


def text_checkpoint(source: str, given: str | Path | None = None) -> Path:
    """Return the folder of the checkpoint that holds the text part of a model.

    What the model alone names is not fetched, since a stranger's model must not make this machine ask for something
    elsewhere; where the model was made, it is here.

    Args:
        source: where the image part came from, as the model says: ORG/NAME@COMMIT on the hub, or the name of a folder.
        given: a folder, or hf:ORG/NAME or hf:ORG/NAME@REVISION, which is fetched once.

    Raises:
        InputError: the model came from a folder, and none is given; or an address of another form.
        BundleError: it is not here, or cannot be had.
        MissingExtraError: the hub's client is not installed.
    """
    if given is not None and not str(given).startswith(PREFIX):
        return Path(given).expanduser()
    address = ADDRESS.fullmatch(PREFIX + source) if given is None else parsed(str(given), "a checkpoint")
    if address is None:
        raise InputError(f"the text part of the model lies in the folder {source!r}, which only you can find: {GIVE}")
    get = f"--text-weights {address[0]}"
    return snapshot(address, HUB_FILES, f"the text part {address[0]}", get=get, fetch=given is not None)
