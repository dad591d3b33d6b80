"""The documents say what is so: examples run, commands and options exist, links lead somewhere."""

import doctest
import importlib
import pkgutil
import re
import runpy
import shlex
from pathlib import Path

import click
import pytest

import nearbit
from nearbit.cli.main import COMMANDS, cli
from nearbit.compare.specs import parse_spec
from nearbit.datasets import PROTOCOLS
from nearbit.methods.presets import preset_named
from nearbit.metrics import FIGURES, convention_named
from nearbit.report.flow import flow_svg

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(nearbit.__path__, "nearbit.") if "__main__" not in module.name
)
PLACES = runpy.run_path(str(ROOT / "tools" / "site" / "places.py"))
NEEDED = {
    "nearbit.service.": "starlette",
    "nearbit.index.homes.postgresql.": "psycopg",
    "nearbit.index.homes.milvus.": "pymilvus",
}
"""What the modules of some rooms cannot be imported without."""


def commands_in(page: Path) -> list[list[str]]:
    """Return the words of each nearbit command that a page shows at a prompt, on one line or on several."""
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    lines = re.findall(r"^\$ (nearbit .*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    for room, library in NEEDED.items():
        if name.startswith(room):
            pytest.importorskip(library, reason=f"{room} needs the package {library}")
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_python_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert float(printed[0]) > 0.5
    assert printed[1] == "[[1]]"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_in_pages_exist(page: Path) -> None:
    for words in commands_in(page):
        assert words[0] in COMMANDS, f"{page.name} shows nearbit {words[0]}"
        command = cli.get_command(click.Context(cli), words[0])
        assert command is not None
        if isinstance(command, click.Group):
            if words[0] == "index" and words[1].endswith("/"):  # a folder alone is what `add` takes
                words = [words[0], "add", *words[1:]]
            assert words[1] in command.commands, f"{page.name} shows nearbit {words[0]} {words[1]}"
            command = command.commands[words[1]]
        known = {name for parameter in command.params for name in parameter.opts}
        shown = {word.partition("=")[0] for word in words[1:] if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)}
        assert shown <= known, f"{page.name} shows {sorted(shown - known)} of nearbit {words[0]}"


def test_commands_for_the_tables_of_papers_are_taken() -> None:
    """By the parser, and what they name is there: they ask for days of a GPU, so that hardly anyone tries them."""
    for words in commands_in(ROOT / "docs" / "reproduce.md"):
        command = cli.get_command(click.Context(cli), words[0])
        assert command is not None
        parent = click.Context(
            cli, **cli.context_settings
        )  # click keeps the names of the help option that it saw first
        given = command.make_context(words[0], words[1:], parent).params
        assert given.get("protocol") in (None, "given", *PROTOCOLS)
        methods = list(given.get("methods", ()))
        if given.get("preset"):
            recipe = preset_named(given["preset"])
            methods = [f"{recipe.method}:{','.join(given['pairs'])}" if given["pairs"] else recipe.method]
        assert methods or words[0] == "evaluate"
        for method in methods:
            parse_spec(method)
        if given.get("convention"):
            convention_named(given["convention"])


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that code hosts and the site give a page: one a heading, and those written as HTML."""
    text = PLACES["FENCE"].sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    words = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {PLACES["github_slug"](heading) for heading in words} | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_in_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors_of(file), f"{page.name} links to #{anchor}, which {file.name} has not"


def test_reading_path_names_what_is_there_and_adds_up() -> None:
    path = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## The house")[0]
    rows = re.findall(r"^\| (\d+) \| .*? \| (.*?) \|", path, re.MULTILINE)
    (total,) = re.findall(r"lines, (\d+) minutes", path)
    assert sum(int(minutes) for minutes, _ in rows) == int(total)
    for _, read in rows:
        for file, names in re.findall(r"`([\w/]+\.py)`(?: \((.*?)\))?", read):
            text = (ROOT / "src" / "nearbit" / file).read_text(encoding="utf-8")
            for name in re.findall(r"`(\w+)`", names):
                assert re.search(rf"^ *(def|class) {name}\b", text, re.MULTILINE), f"no {name} in {file}"


def test_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"`nearbit {name}" not in readme] == []


def test_page_of_the_index_shows_every_subcommand() -> None:
    command = cli.get_command(click.Context(cli), "index")
    assert isinstance(command, click.Group)
    shown = {words[1] for words in commands_in(ROOT / "docs" / "indexes.md") if words[0] == "index"}
    assert set(command.commands) <= shown


def test_picture_of_the_flow_is_what_the_project_draws() -> None:
    assert (ROOT / "docs" / "flow.svg").read_text(encoding="utf-8") == flow_svg()


def test_the_page_of_metrics_holds_every_figure_as_the_table_has_it() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "tools" / "figures.py"))["written"](page) == page, "run python tools/figures.py"
    assert [figure.name for figure in FIGURES if f"| `{figure.name}`" not in page] == []
