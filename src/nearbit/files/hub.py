"""The Hugging Face hub, asked through its own client: addresses, and files that are fetched once.

Only the files that are named are fetched, and none is run.
"""

import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearbit.errors import BundleError, InputError, MissingExtraError

PREFIX = "hf:"
_NAME = r"[A-Za-z0-9][\w.\-]*"
ADDRESS = re.compile(rf"hf:(?P<repository>{_NAME}/{_NAME})(?:@(?P<revision>[\w./\-]+))?")
OFFLINE = "NEARBIT_OFFLINE"
"""The variable of the environment that says, if it is neither empty nor 0, that nothing is fetched from anywhere."""


def is_offline() -> bool:
    """Return whether nothing may be fetched: `--offline`, or `NEARBIT_OFFLINE`."""
    return os.environ.get(OFFLINE, "") not in ("", "0")


def parsed(address: str, what: str = "a repository") -> re.Match[str]:
    """Return the parts of an address: "repository", and "revision" or None; raise `InputError` for another form."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise InputError(f"{what} on the hub is named hf:ORG/NAME or hf:ORG/NAME@REVISION, not {address!r}")
    return found


def snapshot(address: re.Match[str], files: Sequence[str], purpose: str, *, get: str, fetch: bool = True) -> Path:
    """Return the folder of some files of a repository, each of which is fetched once.

    Args:
        address: as `parsed` returns it.
        files: names of files, with "*" for any letters.
        purpose: what needs them, for the message where the client is not installed.
        get: the command that fetches them, for the message where they are not here.
        fetch: whether what is not here yet may be fetched; nothing is where `is_offline`.

    Raises:
        BundleError: no such repository, none that may be read, no connection, or nothing here and nothing is fetched.
        MissingExtraError: huggingface_hub is not installed.
    """
    hub = client(purpose)
    with said(address[0], "fetched", get):
        return Path(
            hub.snapshot_download(
                address["repository"],
                revision=address["revision"],
                allow_patterns=[*files],
                local_files_only=is_offline() or not fetch,
            )
        )


def client(purpose: str) -> Any:
    """Return the client of the hub; raise `MissingExtraError` where it is not installed."""
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub", purpose) from error
    return HfApi(library_name="nearbit")


@contextmanager
def said(address: str, done: str, get: str = "") -> Iterator[None]:
    """Turn what the client raises into one line that says what to do; its bars are for terminals alone."""
    from huggingface_hub import errors
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hides = not (sys.stderr.isatty() or are_progress_bars_disabled())
    if hides:
        disable_progress_bars()
    log = logging.getLogger("huggingface_hub")  # its lines about each attempt say less than the one in the end
    level = log.level
    log.setLevel(logging.ERROR)
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
            f"{what}: it is not here yet, and the hub cannot be reached or is not asked; fetch it once ({get})"
        ) from error
    except (*transport, errors.HFValidationError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if not isinstance(error, errors.HfHubHTTPError) and isinstance(error, (transport[0], ConnectionError)):
            first = f"the hub cannot be reached ({first}); check the connection, and HF_ENDPOINT if it is set"
        raise BundleError(f"{what}: {first}") from error
    finally:
        log.setLevel(level)
        if hides:
            enable_progress_bars()
