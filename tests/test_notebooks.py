"""The notebooks of the examples run from top to bottom, show what they promise, and are kept without outputs."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PAGES = ("examples/README.md", "docs/python.md")


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def test_there_are_four_and_pages_link_to_each():
    assert [path.stem for path in NOTEBOOKS] == ["own_codes_and_metrics", "own_features", "own_method", "own_photos"]
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert [path.name for path in NOTEBOOKS if f"notebooks/{path.name})" not in text] == [], page


@named(NOTEBOOKS)
def test_a_notebook_is_kept_without_outputs_and_its_links_lead_somewhere(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
    words = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", words):
        assert (FOLDER / target).exists(), f"{path.name} links to {target}"


@pytest.fixture(scope="module")
def tool():
    """Give tools/site/notebooks.py as a module."""
    for name in ("nbclient", "nbformat", "ipykernel", "pandas"):
        pytest.importorskip(name, reason="notebooks need the extra docs")
    sys.path.insert(0, str(ROOT / "tools" / "site"))
    import notebooks

    yield notebooks
    sys.path.remove(str(ROOT / "tools" / "site"))


def outputs_of(notebook):
    """Return what the code cells gave: printed text and data by kind of media."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the libraries that run kernels
@named(NOTEBOOKS)
def test_a_notebook_runs_and_shows_what_it_promises(path, tool, tmp_path, monkeypatch):
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = tool.executed(path, tmp_path)
    outputs = outputs_of(notebook)
    assert [one for one in outputs if one.output_type == "error"] == []
    shown = [one.data["text/html"] for one in outputs if "text/html" in one.get("data", {})]
    assert shown, "no table and no result is shown"
    if path.stem == "own_photos":
        found, table = shown[0], shown[1]
        assert found.count('<img alt="" src="data:image/jpeg;base64,') == 3 * 6
        assert re.search(r"(arrow|disc|ring|zigzag)<br>photos/\1/\d{4}\.png", found)
        assert "distance" in table
    page = tool.page_of(notebook, path.name)
    assert f"`examples/notebooks/{path.name}`" in page
    assert "<style" not in page
    assert page.count("```") % 2 == 0


def test_a_failing_cell_is_an_error_that_shows_it(tool, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(notebook, tmp_path / "wrong.ipynb")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        tool.executed(tmp_path / "wrong.ipynb", tmp_path)


def test_a_page_of_a_notebook_has_words_code_and_outputs(tool):
    nbformat = pytest.importorskip("nbformat")
    code = nbformat.v4.new_code_cell("print(1)")
    code.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="1\n"),
        nbformat.v4.new_output("stream", name="stderr", text="hidden"),
        nbformat.v4.new_output("execute_result", data={"text/html": "<style>x</style>\n\n<b>2</b>", "text/plain": "2"}),
    ]
    page = tool.page_of(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title"), code]), "a.ipynb")
    assert page == (
        "# Title\n\n*This page is the notebook `examples/notebooks/a.ipynb`.*\n\n```python\nprint(1)\n```\n\n"
        '```text\n1\n```\n\n<div class="output">\n\n<b>2</b>\n</div>\n'
    )
