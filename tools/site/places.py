"""Where a file of the repository lies on the site, and links between pages that follow it there.

Pages link as files do, so that they work in the repository: `../examples/README.md`, `indexes.md#durability`. On the
site the pages of docs/ lie at the top; a few others (the examples, CONTRIBUTING.md) are taken in, and links changed.
"""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TAKEN = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "README.md": "reference/commands.md",
    "docs/methods": "methods/README.md",
    "examples": "examples/README.md",
    "examples/README.md": "examples/README.md",
}
"""Pages and folders outside of docs/ that the site has, and where."""
CODE = ("src/", "tests/", "tools/", "benchmarks/")
"""Folders of code: a link into them is for those who read in the repository."""
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1\s*?$", re.MULTILINE | re.DOTALL)


def taken_files() -> dict[str, str]:
    """Return what the site has from outside of docs/: path in the repository to path on the site."""
    found = dict(TAKEN)
    for path in sorted((ROOT / "examples").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        found[name] = code_page(name)
        if path.parent.name != "examples":
            found[posixpath.dirname(name)] = code_page(name)
    for path in notebooks():
        name = path.relative_to(ROOT).as_posix()
        found[name] = name.removesuffix(".ipynb") + ".md"
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        name = path.relative_to(ROOT).as_posix()
        found[name] = name
    return found


def notebooks() -> list[Path]:
    """Return the notebooks of the examples."""
    return sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def code_page(name: str) -> str:
    """Return the page that shows a Python file of the examples; the files of one folder share a page."""
    folder = posixpath.dirname(name)
    return f"{folder}.md" if folder != "examples" else name.removesuffix(".py") + ".md"


def relinked(text: str, source: str, page: str, taken: dict[str, str]) -> str:
    """Return a page with its links to other files of the repository as links to their places on the site.

    Args:
        text: Markdown. Links inside of fenced code stay.
        source: the file's path in the repository, such as `docs/methods/crh.md`.
        page: its path on the site, such as `methods/crh.md`.
        taken: what `taken_files` returns.

    Of a link to source code, which the site does not have, the words stay. One to a file that is nowhere stays as it
    is, and the build of the site refuses it.
    """
    kept, parts, last = [], [], 0
    for fence in FENCE.finditer(text):
        kept.append(fence.group())
        parts.append(text[last : fence.start()])
        last = fence.end()
    parts.append(text[last:])
    changed = [LINK.sub(lambda link: _relinked(link, source, page, taken), part) for part in parts]
    return changed[0] + "".join(fence + part for fence, part in zip(kept, changed[1:], strict=True))


def _relinked(link: re.Match[str], source: str, page: str, taken: dict[str, str]) -> str:
    words, target = link.groups()
    path, mark, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", target):
        return link.group()
    file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    place = taken.get(file, file.removeprefix("docs/") if file.startswith("docs/") else None)
    if place is None:
        is_code = file.startswith(CODE) and (ROOT / file).exists()
        return words[1:-1] if is_code else link.group()
    if file.endswith(".py") and "/" in file.removeprefix("examples/"):
        mark, anchor = "#", posixpath.basename(file).removesuffix(".py")
    return f"{words}({posixpath.relpath(place, posixpath.dirname(page) or '.')}{mark}{anchor})"


def github_slug(words: str, separator: str = "-") -> str:
    """Return the anchor that code hosts give a heading, so that links with anchors work there and on the site."""
    return re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", separator)
