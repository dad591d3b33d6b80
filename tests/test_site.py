"""The site of the documentation: every page has its place, and links between files become links between pages."""

import importlib
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the site needs the extra docs")
pytest.importorskip("mkdocstrings", reason="the site needs the extra docs")

from mkdocs.config import load_config

ROOT = Path(__file__).parent.parent
TOOLS = str(ROOT / "tools" / "site")


@pytest.fixture(scope="module")
def tool():
    """Give a module of tools/site by its name."""
    sys.path.insert(0, TOOLS)
    yield importlib.import_module
    sys.path.remove(TOOLS)


@pytest.fixture(scope="module")
def config():
    return load_config(str(ROOT / "mkdocs.yml"))


def test_every_page_is_in_the_navigation_once(tool, config):
    hooks = tool("hooks")
    pages = sorted(hooks.own_pages(config))
    named = hooks._named(hooks.expanded(config.nav, pages))
    assert sorted(set(pages) - set(named)) == [], "name the page in the nav of mkdocs.yml"
    assert sorted(set(named) - set(pages)) == [], "mkdocs.yml names a page that is not there"
    assert len(named) == len(set(named))


def test_a_star_stands_for_the_pages_of_a_folder_that_are_not_named_elsewhere(tool):
    pages = ["a/README.md", "a/one.md", "a/two.md", "a/deep/three.md", "b.md"]
    nav = [{"Home": "b.md"}, {"A": [{"All": "a/README.md"}, "a/*"]}]
    assert tool("hooks").expanded(nav, pages) == [
        {"Home": "b.md"},
        {"A": [{"All": "a/README.md"}, "a/one.md", "a/two.md"]},
    ]


@pytest.mark.parametrize(
    ("source", "page", "link", "expected"),
    [
        ("docs/index.md", "index.md", "[a](training.md#size)", "[a](training.md#size)"),
        ("docs/methods/crh.md", "methods/crh.md", "[a](../data.md)", "[a](../data.md)"),
        ("docs/data.md", "data.md", "[a](../CONTRIBUTING.md#rules)", "[a](contributing.md#rules)"),
        ("CONTRIBUTING.md", "contributing.md", "[a](docs/data.md)", "[a](data.md)"),
        ("CONTRIBUTING.md", "contributing.md", "[a](docs/methods)", "[a](methods/README.md)"),
        ("examples/README.md", "examples/README.md", "[a](minimal_crh.py)", "[a](minimal_crh.md)"),
        (
            "examples/README.md",
            "examples/README.md",
            "[a](add_a_method/hinge.py)",
            "[a](add_a_method.md#hinge)",
        ),
        ("examples/README.md", "examples/README.md", "[a](add_a_method)", "[a](add_a_method.md)"),
        ("docs/methods/x.md", "methods/x.md", "[a](../../examples/README.md#b)", "[a](../examples/README.md#b)"),
        (
            "docs/results.md",
            "results.md",
            "[a](../benchmarks/results/growth.json)",
            "[a](benchmarks/results/growth.json)",
        ),
        ("docs/index.md", "index.md", "[![a](b.png)](gallery.md)", "[![a](b.png)](gallery.md)"),
        ("docs/index.md", "index.md", "[a](#here) [b](https://x.org/y.md)", "[a](#here) [b](https://x.org/y.md)"),
        ("docs/index.md", "index.md", "[`a`](../tools/walks.py)", "`a`"),
        ("docs/index.md", "index.md", "[a](../tools/nowhere.py)", "[a](../tools/nowhere.py)"),
    ],
)
def test_links_follow_files_to_their_places(tool, source, page, link, expected):
    places = tool("places")
    assert places.relinked(link, source, page, places.taken_files()) == expected


def test_links_inside_of_code_stay(tool):
    places = tool("places")
    text = "[a](docs/data.md)\n\n```python\nx = y[0](docs/data.md)\n[a](docs/data.md)\n```\n\n[b](docs/data.md)\n"
    changed = places.relinked(text, "CONTRIBUTING.md", "contributing.md", places.taken_files())
    assert changed.count("(data.md)") == 2
    assert changed.count("(docs/data.md)") == 2


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Growth, and a plan to a billion", "growth-and-a-plan-to-a-billion"),
        ("The `nearbit_jit` of `a.b`", "the-nearbit_jit-of-ab"),
        ("p–q curves: a — b", "pq-curves-a--b"),
    ],
)
def test_anchors_are_those_of_code_hosts(tool, heading, anchor):
    assert tool("places").github_slug(heading.replace("`", "")) == anchor


def test_the_reference_has_every_public_name(tool):
    import nearbit
    from nearbit import metrics

    pages = tool("reference").python_pages()
    entries = {place: set(re.findall(r"^::: nearbit\.(\S+)$", text, re.MULTILINE)) for place, text in pages.items()}
    assert entries["reference/python/index.md"] == set(nearbit._HOME)
    told = {name.removeprefix("metrics.") for name in entries["reference/python/nearbit.metrics.md"]}
    assert {"evaluate_codes", "tie_aware_average_precision", "Report"} <= told <= set(metrics.__all__)
    assert "codes.binarize" in entries["reference/python/nearbit.codes.md"]
    assert "codes.np" not in entries["reference/python/nearbit.codes.md"]


def test_the_reference_has_every_command(tool):
    from nearbit.cli.main import COMMANDS

    page = tool("reference").commands_page()
    for name in COMMANDS:
        assert f"\n## nearbit {name}\n" in page
    assert "\n### nearbit index add\n" in page


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://a.b/c.js">',
        '<img alt="x" src="//a.b/c.png">',
        '<link rel="stylesheet" href="https://fonts.a/b">',
    ],
)
def test_a_page_that_fetches_from_elsewhere_is_refused(tool, config, tag):
    from mkdocs.exceptions import PluginError

    class Page:
        class file:
            src_uri = "a.md"

    hooks = tool("hooks")
    with pytest.raises(PluginError, match=r"a\.md would fetch something from elsewhere"):
        hooks.on_post_page(f"<html>{tag}</html>", Page, config)
    assert hooks.on_post_page('<a href="https://a.b">x</a><img src="c.png">', Page, config)


def test_pictures_of_the_gallery_are_few_bytes_and_all_shown():
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    pictures = sorted((ROOT / "docs" / "gallery").iterdir())
    assert sum(path.stat().st_size for path in pictures) <= 300_000
    assert [path.name for path in pictures if f"(gallery/{path.name})" not in page] == []
