"""`nearbit serve`: search in an index for people and programs, on this machine unless asked otherwise."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearbit.cli.console import (
    echo,
    emit,
    index_argument,
    json_option,
    max_pixels_option,
    model_option,
    text_weights_option,
)
from nearbit.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from nearbit.index import Place

TOKEN_VARIABLE = "NEARBIT_TOKEN"


@click.command("serve", epilog="Example: nearbit serve birds.index --open")
@index_argument
@model_option(
    "Folder of the model that encodes uploaded images. [default: the one that the index names, if it is there]"
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address; another one than loopback needs a token."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any that is free.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"File with the token that every request must carry. [default: {TOKEN_VARIABLE} in the environment]",
)
@click.option("--allow-write", is_flag=True, help="Let requests add and remove items; needs a token.")
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    help="Name, or NAME:PORT, to be addressed as; repeatable.",
)
@click.option(
    "--images",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder that pictures may be shown from, beside that of INDEX; repeatable.",
)
@text_weights_option
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@max_pixels_option
@json_option
def command(
    index_path: "Place",
    model_path: Path | None,
    host: str,
    port: int,
    token_file: Path | None,
    allow_write: bool,
    allowed_hosts: tuple[str, ...],
    images: tuple[Path, ...],
    text_weights: str | None,
    workers: int,
    opens: bool,
    as_json: bool,
) -> None:
    """Serve a page to search in INDEX, and an HTTP API.

    Only this machine can reach it, unless --host names another address; then every request must carry a token.
    """
    _check_packages()
    from nearbit.service.serving import address, listen, serve
    from nearbit.service.settings import ServiceOptions

    options = ServiceOptions(
        index=index_path,
        model=model_path,
        host=host,
        port=port,
        token=_token(token_file),
        allow_write=allow_write,
        allowed_hosts=allowed_hosts,
        images=images,
        text_weights=text_weights,
        workers=workers,
    )
    with listen(options) as listening:
        url = address(options, listening)
        serve(options, listening, lambda: _announce(url, index_path, opens, as_json))


def _announce(url: str, index_path: "Place", opens: bool, as_json: bool) -> None:
    """Say where the service is, once it answers."""
    echo(f"nearbit serves {url} - stop with Ctrl-C")
    if as_json:
        emit({"url": url, "index": str(index_path), "process": os.getpid()}, as_json=True, lines=[])
        sys.stdout.flush()
    _warn_of_gone(index_path)
    if opens:
        import webbrowser

        webbrowser.open(url)


def _warn_of_gone(index_path: "Place") -> None:
    """Say how many of the files that the index names are gone, where some are."""
    from nearbit.cli.commands.index.images import HOW_TO_FIND
    from nearbit.index import open_index
    from nearbit.indexing_places import sample_files

    with open_index(index_path, read_only=True) as index:
        gone = sample_files(index)
    if gone.ids:
        echo(f"nearbit: warning: {gone.words}; {HOW_TO_FIND}")


def _token(file: Path | None) -> str | None:
    """Return the token that the file or the environment holds; None where neither is named."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    token = file.read_text(encoding="utf-8").strip()
    if not token:
        raise InputError(f"{file} is empty: write a token into it (openssl rand -hex 16 > {file})")
    return token


def _check_packages() -> None:
    """Raise where a package of the extra is missing."""
    from importlib.util import find_spec

    for package in ("starlette", "uvicorn", "python_multipart"):
        if find_spec(package) is None:
            raise MissingExtraError(package.replace("_", "-"), "serve", "nearbit serve")
