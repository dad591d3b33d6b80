"""Notebooks of the examples: run by the tests and the site, and as pages with what they print."""

import os
import tempfile
from pathlib import Path
from typing import Any

import nbformat

SECONDS = 600
"""A cell that takes longer ends with an error."""
LARGEST = 200_000
"""Characters of one output on a page."""


def read(path: Path) -> Any:
    """Return a notebook as nbformat has it."""
    return nbformat.read(path, as_version=4)


def executed(path: Path, folder: Path) -> Any:
    """Return a notebook with its outputs, run in a kernel of this Python with `folder` as its place.

    Raises:
        CellExecutionError: a cell failed; the message holds the cell and its traceback.
    """
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    notebook = read(path)
    with tempfile.TemporaryDirectory() as sockets:
        manager = AsyncKernelManager(transport="ipc", ip=str(Path(sockets) / "kernel"))
        resources = {"metadata": {"path": str(folder)}}
        client = NotebookClient(notebook, km=manager, timeout=SECONDS, resources=resources)
        client.execute(cleanup_kc=True, env=dict(os.environ))
    return notebook


def page_of(notebook: Any, name: str) -> str:
    """Return a notebook as Markdown: its words, its code, and the outputs that it has.

    Args:
        notebook: as `read` or `executed` returns it.
        name: its file, for who wants to run it.
    """
    parts: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        else:
            parts.append(f"```python\n{cell.source}\n```")
            parts += [_output(output) for output in cell.get("outputs", [])]
    parts.insert(1, f"*This page is the notebook `examples/notebooks/{name}`.*")
    return "\n\n".join(part for part in parts if part) + "\n"


def _output(output: Any) -> str:
    """Return one output: HTML as it is, text as a block; "" for what a page does not show."""
    data = output.get("data", {})
    if "text/html" in data and len(data["text/html"]) <= LARGEST:
        return f'<div class="output">\n{_one_block(data["text/html"])}\n</div>'
    text = output.get("text") if output.output_type == "stream" and output.name == "stdout" else data.get("text/plain")
    return f"```text\n{text.rstrip()}\n```" if text else ""


def _one_block(html: str) -> str:
    """Return HTML without the empty lines at which Markdown would end a block, and without styles of its own."""
    lines = [line for line in html.splitlines() if line.strip()]
    text = "\n".join(lines)
    while "<style" in text:
        before, _, rest = text.partition("<style")
        text = before + rest.partition("</style>")[2]
    return text
