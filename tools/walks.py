"""python tools/walks.py [--names]: how many files and functions of the package each road enters.

The roads are `train`, `search` and `evaluate` on the command line and `POST /api/v1/search` (warm), on built-in images.
Counted with `sys.setprofile`: class bodies, modules, lambdas and comprehensions are left out, as are other processes.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGE = f"{Path(__file__).resolve().parent.parent / 'src' / 'nearbit'}/"
FUNCTION = 0x1
"""The flag of code that has local variables: of a function, not of a class body or a module."""

COMMANDS = {
    "train": ["train", "digits", "--bits", "32", "--epochs", "1", "-o", "walk.model"],
    "search": ["search", "a.index", "--id", "7"],
    "evaluate": ["evaluate", "a.model", "digits"],
}
POST = "POST /search"


def entered(call: Callable[[], Any], warm: Callable[[], Any] = lambda: None) -> set[tuple[str, str]]:
    """Return (file, function) of all that a call enters, in every thread that started since `warm` did."""
    found: set[tuple[str, str]] = set()

    def hook(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        is_function = event == "call" and code.co_flags & FUNCTION and not code.co_name.startswith("<")
        if is_function and code.co_filename.startswith(PACKAGE):
            found.add((code.co_filename.removeprefix(PACKAGE), code.co_qualname))

    threading.setprofile(hook)
    sys.setprofile(hook)
    try:
        warm()
        found.clear()
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return found


def posted() -> set[tuple[str, str]]:
    """Return what one warm search by the HTTP API enters."""
    import httpx

    from nearbit.service.app import make_app
    from nearbit.service.settings import ServiceOptions

    app = make_app(ServiceOptions(index=Path("a.index")))

    async def search() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answer = await client.post("/api/v1/search", json={"queries": [{"id": 7}], "k": 5})
        answer.raise_for_status()

    return entered(lambda: asyncio.run(search()), warm=lambda: asyncio.run(search()))


def walk(road: str) -> set[tuple[str, str]]:
    """Return what a road enters."""
    if road == POST:
        return posted()
    from nearbit.cli import main

    return entered(lambda: main.run(COMMANDS[road]))


def main() -> None:
    """Make what the roads need, and walk each in a process of its own."""
    with tempfile.TemporaryDirectory() as work:
        given = os.environ | {"NEARBIT_CACHE": f"{work}/cache", "NEARBIT_THREADS": "1"}
        nearbit = [sys.executable, "-m", "nearbit"]
        for command in (
            ["train", "digits", "--bits", "32", "--epochs", "1", "-o", "a.model"],
            ["index", "add", "a.index", "digits", "--model", "a.model"],
        ):
            subprocess.run([*nearbit, *command], cwd=work, env=given, check=True, capture_output=True)
        for road in ("train", "search", POST, "evaluate"):
            command = [sys.executable, __file__, "--road", road]
            done = subprocess.run(command, cwd=work, env=given, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            files = sorted({file for file, _ in found})
            named = [f"    {file}" for file in files] if "--names" in sys.argv else []
            sys.stdout.write("\n".join([f"{road:14} {len(files):4} files {len(found):5} functions", *named, ""]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--road"]:
        sys.stdout.write("\n" + json.dumps(sorted(walk(sys.argv[2]))) + "\n")
    else:
        main()
