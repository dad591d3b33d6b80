"""How an optional package is installed: a command that follows from how nearbit itself was installed."""

import json
import re
import shlex
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname


def install_hint(extra: str, package: str) -> str:
    """Return the command that installs an extra of this nearbit, or where it is not known how, the packages of it.

    Args:
        extra: a name in the table of optional dependencies, such as "serve".
        package: what is installed where nothing tells what the extra consists of.

    Example:
        >>> install_hint("serve", "starlette").startswith("pip install ")
        True
    """
    try:
        found = distribution("nearbit")
    except PackageNotFoundError:
        return _install(package)
    return hint_for(found, extra, package)


def hint_for(installed: Distribution, extra: str, package: str) -> str:
    """Return the command for a distribution, from what the installer noted about its origin (`direct_url.json`)."""
    noted = installed.read_text("direct_url.json")
    origin: dict[str, Any] = {} if noted is None else json.loads(noted)
    url = str(origin.get("url", ""))
    if url.startswith("file:"):
        place = Path(url2pathname(urlsplit(url).path))
        if place.exists():
            editable = bool(origin.get("dir_info", {}).get("editable"))
            return _install(f"{_seen(place)}[{extra}]", editable=editable)
    elif url:
        return _install(f"nearbit[{extra}] @ {_revision(url, origin)}")
    return _install(*(_packages(installed, extra) or [package]))


def _install(*wanted: str, editable: bool = False) -> str:
    return " ".join(["pip install", *(["-e"] if editable else []), *(shlex.quote(one) for one in wanted)])


def _seen(place: Path) -> str:
    """Return a path as it is written from where the user stands."""
    return "." if place.resolve() == Path.cwd() else str(place)


def _revision(url: str, origin: dict[str, Any]) -> str:
    """Return the address with the state of a repository and the folder in it, where it is one."""
    vcs = origin.get("vcs_info")
    at = f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url
    folder = origin.get("subdirectory")
    return f"{at}#subdirectory={folder}" if folder else at


def _packages(installed: Distribution, extra: str) -> list[str]:
    """Return what the extra requires, as its metadata has it."""
    asked = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""")
    parts = [line.partition(";") for line in installed.requires or []]
    return [name.strip() for name, _, marker in parts if asked.search(marker)]
