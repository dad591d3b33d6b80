"""What others named cannot command the terminal of who reads it, nor break a table."""

import json

import numpy as np
import pytest

from nearbit.cli.console import CONTROLS, json_text, printable, table
from nearbit.index import create_index

HOSTILE = "a\x1b[31mRED\x1b]0;title\x07\x9b2J\u202egnp.\r\npng"


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """An index of two items whose paths and labels are commands."""
    monkeypatch.chdir(tmp_path)
    with create_index("a.index", 8) as index:
        index.add(np.zeros((2, 1), np.uint8), metadata=[{"path": HOSTILE, "labels": [HOSTILE]}] * 2)


@pytest.mark.parametrize(
    "command",
    [
        ["search", "a.index", "--id", "1", "-k", "2"],
        ["duplicates", "a.index", "--radius", "0"],
        ["clusters", "a.index", "--number", "1"],
        ["inspect", "a.index"],
        ["index", "stats", "a.index"],
        ["index", "remove", "a.index", "--missing", "--dry-run"],
    ],
    ids=" ".join,
)
def test_no_command_prints_what_commands_a_terminal(hostile, nearbit, command):
    status, out, err = nearbit(*command)
    assert status == 0
    assert CONTROLS.findall(out + err) == []
    status, out, err = nearbit(*command, "--json")
    assert (status, len(out.splitlines()), CONTROLS.findall(out + err)) == (0, 1, [])
    json.loads(out)


def test_a_table_of_results_has_a_line_for_each(hostile, nearbit):
    _, out, _ = nearbit("search", "a.index", "--id", "1", "-k", "2")
    assert sum("\\x1b[31mRED" in line for line in out.splitlines()) == 2


def test_texts_for_a_terminal():
    assert printable("a\tb\nc é 😀") == "a\tb\nc é 😀"
    assert printable("\x1b\x7f\x9b\u202e\udcff") == "\\x1b\\x7f\\x9b\\u202e\\udcff"
    assert json.loads(json_text({HOSTILE: HOSTILE})) == {HOSTILE: HOSTILE}
    assert table([["a\nb", 1], ["c\td", 22]], ["x", "y"]) == ["x      y", "a\\nb   1", "c\\td  22"]
