"""The files of the page: nothing from elsewhere, nothing inline, nothing that reads a name as HTML."""

import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

STATIC = Path(str(files("nearbit") / "service" / "static"))
FILES = sorted(path for path in STATIC.rglob("*") if path.is_file())
MODULES = [path for path in FILES if path.suffix == ".js"]
IMPORT = re.compile(r"^import \{([^}]*)\} from \"\./([\w.]+)\";$", re.MULTILINE)
EXPORT = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)", re.MULTILINE)
TAKEN_BY_TESTS = {"csvCell"}
LONGEST_MODULE = 200
FORBIDDEN = {
    "HTML made of text": r"innerHTML|outerHTML\s*=|insertAdjacentHTML|document\.write|DOMParser",
    "code made of text": r"\beval\(|new Function|setTimeout\(\s*[\"'`]|setInterval\(\s*[\"'`]",
    "a style attribute": r"setAttribute\(\s*[\"']style|style:\s*[\"'`]",
    "an address elsewhere": r"https?://(?!www\.w3\.org/2000/svg)",
    "a token in an address": r"[?&]token=",
}


def taken_of(names):
    """Return the names that an import takes."""
    return {name.split(" as ")[0].strip() for name in names.split(",")}


class Marks(HTMLParser):
    """Collects the attributes of all tags of a page, and its ids."""

    def __init__(self):
        super().__init__()
        self.tags, self.inline, self.open = [], [], None

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open = tag if tag in ("script", "style") else None

    def handle_data(self, data):
        if self.open and data.strip():
            self.inline.append((self.open, data.strip()))

    def handle_endtag(self, tag):
        self.open = None


@pytest.fixture(scope="module")
def marks():
    found = Marks()
    found.feed((STATIC / "index.html").read_text(encoding="utf-8"))
    return found


def test_the_page_holds_no_script_style_or_handler_of_its_own(marks):
    assert len(marks.tags) > 50
    assert marks.inline == []
    handlers = [(tag, name) for tag, attributes in marks.tags for name in attributes if name.startswith("on")]
    assert handlers == []
    assert [tag for tag, attributes in marks.tags if "style" in attributes] == []


def test_everything_that_the_page_names_is_among_its_files(marks):
    named = [value for _, attributes in marks.tags for name in ("src", "href") if (value := attributes.get(name))]
    local = [value for value in named if value.startswith("static/")]
    assert len(local) > 8
    assert [value for value in local if not (STATIC / value.removeprefix("static/")).is_file()] == []
    ids = {attributes["id"] for _, attributes in marks.tags if "id" in attributes}
    others = {value for value in named if not value.startswith("static/")}
    assert {value for value in others if not value.startswith((".", "#"))} == set()
    assert {value for value in others if value.startswith("#")} <= {f"#{name}" for name in ids}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_holds_what_a_strict_policy_forbids(path):
    text = path.read_text(encoding="utf-8")
    found = [what for what, pattern in FORBIDDEN.items() if re.search(pattern, text)]
    assert found == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_is_short_and_takes_only_what_others_give(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_MODULE
    for names, source in IMPORT.findall(text):
        given = set(EXPORT.findall((STATIC / source).read_text(encoding="utf-8")))
        assert taken_of(names) <= given, f"{source} does not give {taken_of(names) - given}"
        idle = [name for name in taken_of(names) if len(re.findall(rf"\b{name}\b", text)) < 2]
        assert idle == [], f"{idle} of {source} are not used"
    assert len(re.findall(r"^import\b", text, re.MULTILINE)) == len(IMPORT.findall(text))


def test_what_a_module_gives_is_taken_by_another_one():
    texts = [path.read_text(encoding="utf-8") for path in MODULES]
    taken = {name for text in texts for names, _ in IMPORT.findall(text) for name in taken_of(names)}
    assert {name for text in texts for name in EXPORT.findall(text)} - taken == TAKEN_BY_TESTS


def test_every_icon_that_is_drawn_is_in_the_page(marks):
    drawn = {name for path in MODULES for name in re.findall(r'icon\("(\w+)"\)', path.read_text(encoding="utf-8"))}
    symbols = {attributes["id"] for tag, attributes in marks.tags if tag == "symbol"}
    assert drawn
    assert {f"i-{name}" for name in drawn} <= symbols
