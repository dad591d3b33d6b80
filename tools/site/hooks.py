"""What MkDocs calls while it builds the site: takes in pages from outside of docs/, and mends links on the way.

`make docs` builds it into site/. A broken link, an anchor that is not there, a page that the navigation has not, and
anything that a browser would fetch from elsewhere is an error.
"""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

from places import ROOT, code_page, github_slug, notebooks, relinked, taken_files
from reference import commands_page, python_pages

from notebooks import executed, page_of, read

FOREIGN = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//|<link\b[^>]*\bhref=["']?(?:https?:)?//"""
)
TAKEN = taken_files()
SOURCE_OF = {place: name for name, place in TAKEN.items() if name.endswith((".md", ".ipynb")) and name != "README.md"}
RUN = "NEARBIT_SITE_RUN"
"""With this set the notebooks are run, so that their pages show what they print; without, they show code alone."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set the anchors of headings to those of code hosts, and write out the navigation."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = github_slug
    config.nav = expanded(config.nav or [], sorted(own_pages(config)))
    return config


def own_pages(config: MkDocsConfig) -> set[str]:
    """Return the paths of all pages: those of docs/, those taken in, and those written here."""
    docs = Path(config.docs_dir)
    return (
        {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
        | set(written_pages())
        | set(notebook_pages(run=False))
    )


def written_pages() -> dict[str, str]:
    """Return path on the site to text of every page that is no file of docs/."""
    pages = {
        place: (ROOT / name).read_text(encoding="utf-8") for place, name in SOURCE_OF.items() if name.endswith(".md")
    }
    codes: dict[str, list[str]] = {}
    for path in sorted((ROOT / "examples").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        code = path.read_text(encoding="utf-8")
        codes.setdefault(code_page(name), []).append(f"## {path.name} {{#{path.stem}}}\n\n````python\n{code}````\n")
    for place, parts in codes.items():
        title = Path(place).stem.replace("_", " ").capitalize()
        pages[place] = f"# {title}\n\n" + "\n".join(parts)
    return {**pages, **python_pages(), "reference/commands.md": commands_page()}


def notebook_pages(*, run: bool) -> dict[str, str]:
    """Return path on the site to text of the page of each notebook, with its outputs where it is run."""
    pages: dict[str, str] = {}
    for path in notebooks():
        if run:
            with tempfile.TemporaryDirectory() as folder:
                notebook = executed(path, Path(folder))
        else:
            notebook = read(path)
        pages[TAKEN[path.relative_to(ROOT).as_posix()]] = page_of(notebook, path.name)
    return pages


def expanded(nav: list[Any], pages: list[str]) -> list[Any]:
    """Return the navigation with each `folder/*` replaced by the pages of that folder that are not named elsewhere."""
    named = set(_named(nav))
    return _expanded(nav, [page for page in pages if page not in named])


def _named(nav: list[Any]) -> list[str]:
    names: list[str] = []
    for entry in nav:
        values = list(entry.values()) if isinstance(entry, dict) else [entry]
        for value in values:
            names += _named(value) if isinstance(value, list) else [value]
    return names


def _expanded(nav: list[Any], free: list[str]) -> list[Any]:
    found: list[Any] = []
    for entry in nav:
        if isinstance(entry, str) and entry.endswith("/*"):
            found += [page for page in free if page.rpartition("/")[0] == entry[:-2]]
        elif isinstance(entry, dict):
            found.append({key: _expanded(value, free) if isinstance(value, list) else value
                          for key, value in entry.items()})  # fmt: skip
        else:
            found.append(entry)
    return found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files of docs/, and the data that pages link to."""
    for place, text in (written_pages() | notebook_pages(run=bool(os.environ.get(RUN)))).items():
        files.append(File.generated(config, place, content=text))
    for name, place in TAKEN.items():
        if name.endswith(".json"):
            files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Change links between files of the repository to links between pages of the site."""
    place = page.file.src_uri
    return relinked(markdown, SOURCE_OF.get(place, f"docs/{place}"), place, TAKEN)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that would have a browser fetch something from elsewhere."""
    found = FOREIGN.search(output)
    if found:
        raise PluginError(f"{page.file.src_uri} would fetch something from elsewhere: {found.group()!r}")
    return output
