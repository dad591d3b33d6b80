"""What nearbit needs: lower bounds alone, one tested version of each, and the same on the page."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
TESTED_EXTRAS = (
    "hf", "text", "plots", "serve", "faiss", "usearch", "parquet", "remote", "ray", "postgresql", "tensorboard", "onnx",
    "notebook", "docs", "watch", "milvus", "dev",
)  # fmt: skip
REQUIREMENTS = [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]


def pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return {key.lower().replace("_", "-"): value for key, value in found.items()}


def numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version))


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_no_version_is_too_new(requirement):
    """A cap would lock the newest torch out, and replace the one that is there."""
    assert re.fullmatch(r"[a-z0-9-]+(>=[\d.]+)?", requirement)


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-lowest.txt"])
def test_what_was_tested_keeps_the_bounds(file):
    wanted = PROJECT["dependencies"] if "lowest" in file else [*PROJECT["dependencies"], *(
        one for name in TESTED_EXTRAS for one in EXTRAS[name])]  # fmt: skip
    tested = pins(file)
    for requirement in wanted:
        name, _, least = requirement.partition(">=")
        if "lowest" not in file:
            assert numbers(tested[name]) >= numbers(least or "0"), requirement
        elif name != "torch":
            assert numbers(tested[name])[: len(numbers(least))] == numbers(least), requirement


def test_the_page_of_dependencies_names_the_bounds():
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    for requirement in PROJECT["dependencies"]:
        name, _, least = requirement.partition(">=")
        assert f"| {name} ≥ {least} |" in page


def test_no_page_and_no_hint_names_a_package_that_is_not_published():
    """nearbit is on no registry: whoever installs an extra by that name gets nothing, or a stranger's package."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.py")]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"pip install (-\S+ )*'?nearbit(\[\w+\])?['`\s]", text), page
