"""A model folder published on the Hugging Face hub: checked, with its card, in one commit."""

import shutil
import tempfile
from pathlib import Path

from nearbit.errors import InputError
from nearbit.files.hub import ADDRESS, PREFIX, client, said
from nearbit.model.hub import CARD, MODEL_FILES, is_untouched
from nearbit.model.manifest import EXPORTED, check_files, checked_bytes, kind_of, read_manifest


def push_model(
    folder: str | Path,
    repository: str,
    *,
    private: bool = True,
    revision: str | None = None,
    message: str | None = None,
) -> str:
    """Publish a model folder with its card on the hub, in one commit; return the address that opens it.

    The hub's own token is used (`hf auth login`, or `HF_TOKEN`). A repository that is not there is made.

    Args:
        folder: what `nearbit train` or `nearbit export --onnx` wrote; every file is checked first. A `README.md` in it
            that somebody changed is taken for its card; otherwise a trained model's is written from its facts.
        repository: "ORG/NAME".
        private: whether a repository that is made now is only for those who are let in.
        revision: a branch that is there; None for the main one.
        message: of the commit.

    Returns:
        "hf:ORG/NAME@COMMIT".

    Raises:
        InputError: a name of another form.
        BundleError: no model, a damaged one, or the hub refuses or cannot be reached.
        MissingExtraError: huggingface_hub is not installed.
    """
    path, address = Path(folder), f"{PREFIX}{repository}"
    if ADDRESS.fullmatch(address) is None or "@" in repository:
        raise InputError(f"a repository is named ORG/NAME, not {repository!r}")
    hub = client("publishing a model")
    manifest = read_manifest(path)
    with tempfile.TemporaryDirectory() as aside:
        _gather(path, manifest["files"], Path(aside))
        with said(address, "published"):
            hub.create_repo(repository, private=private, exist_ok=True)
            done = hub.upload_folder(
                repo_id=repository,
                folder_path=aside,
                revision=revision,
                commit_message=message or f"nearbit model {manifest['model_id']}",
                delete_patterns=list(MODEL_FILES),
            )
    return f"{address}@{done.oid}"


def _gather(path: Path, files: dict[str, str], aside: Path) -> None:
    """Copy the files of a model and its card, and nothing else that lies in its folder; check each by its hash."""
    check_files(path, files, MODEL_FILES)
    for name in files:
        (aside / name).write_bytes(checked_bytes(path, files, name))
    shutil.copyfile(path / "bundle.json", aside / "bundle.json")
    card = _card(path)
    if card:
        (aside / CARD).write_text(card, encoding="utf-8")


def _card(path: Path) -> str:
    text = (path / CARD).read_text(encoding="utf-8") if (path / CARD).is_file() else ""
    if text and not is_untouched(text):
        return text
    if kind_of(path) == EXPORTED:
        return ""
    from nearbit.model.card import card_of_folder

    return card_of_folder(path)
