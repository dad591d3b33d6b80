"""Models on the Hugging Face hub: `hf:ORG/NAME` fetched through the hub's own client.

Only the files of a model are fetched, and none is run: a folder from the hub is checked like any other.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearbit.errors import BundleError, InputError, MissingExtraError

PREFIX = "hf:"
_NAME = r"[A-Za-z0-9][\w.\-]*"
ADDRESS = re.compile(rf"hf:(?P<repository>{_NAME}/{_NAME})(?:@(?P<revision>[\w./\-]+))?")
_SNAPSHOT = re.compile(r"models--(?P<repository>.+)/snapshots/(?P<revision>[0-9a-f]{40})")
CARD = "README.md"
MODEL_FILES = (
    "bundle.json", "weights.safetensors", "network.onnx", "split.json", "similarity.npy", "centers.npy",
    "tie_break.npy", "codebook.npy", "assignment.npy",
)  # fmt: skip
"""What of a repository is fetched, with the card, and replaced: whatever else lies there is no part of a model."""


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
        return Path(source)
    found = ADDRESS.fullmatch(str(source))
    if found is None:
        raise InputError(f"a model on the hub is named hf:ORG/NAME or hf:ORG/NAME@REVISION, not {str(source)!r}")
    hub = client(f"the model {source}")
    with said(str(source), "fetched"):
        return Path(
            hub.snapshot_download(
                found["repository"],
                revision=found["revision"],
                allow_patterns=[*MODEL_FILES, CARD],
                local_files_only=not fetch,
            )
        )


def address_of(folder: Path) -> str | None:
    """Return `hf:ORG/NAME@COMMIT` for a folder that was fetched from the hub; None for any other."""
    found = _SNAPSHOT.search(folder.absolute().as_posix())
    if found is None or found["repository"].count("--") != 1:
        return None
    return f"{PREFIX}{found['repository'].replace('--', '/')}@{found['revision']}"


def client(purpose: str) -> Any:
    """Return the client of the hub; raise `MissingExtraError` where it is not installed."""
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub", purpose) from error
    return HfApi(library_name="nearbit")


@contextmanager
def said(address: str, done: str) -> Iterator[None]:
    """Turn what the client raises into one line that says what to do; its bars are for terminals alone."""
    from huggingface_hub import errors
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hides = not (sys.stderr.isatty() or are_progress_bars_disabled())
    if hides:
        disable_progress_bars()
    transport: tuple[Any, ...] = errors.HfHubHTTPError.__bases__  # the base of the HTTP library's errors, and OSError
    what = f"{address} cannot be {done}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise BundleError(
            f"{what}: its owner lets readers in by request; ask on its page, then `hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise BundleError(
            f"{what}: the hub knows no such repository, or not for you; check the name, or log in (`hf auth login`)"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise BundleError(f"{what}: it has no such revision; leave @REVISION out for the newest") from error
    except errors.LocalEntryNotFoundError as error:
        raise BundleError(
            f"{what}: it is not here yet, and the hub cannot be reached or is not asked; fetch it once by naming it "
            f"(nearbit inspect {address})"
        ) from error
    except (*transport, errors.HFValidationError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BundleError(f"{what}: {first}") from error
    finally:
        if hides:
            enable_progress_bars()
