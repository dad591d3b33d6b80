"""JSON from outside: whatever is wrong with it is one error of the class that was asked for."""

import pytest

from nearbit.errors import BundleError, DataError
from nearbit.json_text import parse_json, read_json, unstorable


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON: .* \\(line 1, column 2\\)"),
        ("", "is not JSON"),
        (b"\xff{}", "is not UTF-8 text \\(byte 0\\)"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' + "[" * 200_000, "nested too deeply"),
        ("1" * 5000, "cannot be used: Exceeds the limit"),
        ("[NaN]", "NaN is not a number in JSON"),
        ("[-Infinity]", "-Infinity is not a number in JSON"),
        (r'["a\u0000b"]', "has a NUL character"),
        (r'{"\ud800": 1}', "half of a surrogate pair"),
        (r'{"a": [["\udc80"]]}', "half of a surrogate pair"),
        ('["\udc80"]', "half of a surrogate pair"),
    ],
)
def test_text_that_cannot_be_used_is_one_error(text, reason):
    with pytest.raises(DataError, match=f"the split s.json.* {reason}|the split s.json {reason}"):
        parse_json(text, "the split s.json", DataError)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (r'["\ud83d\ude00", "\\u0000"]', ["\N{GRINNING FACE}", "\\u0000"]),
        ('"é"', "é"),
    ],
)
def test_text_that_can_be_used_is_its_value(text, value):
    assert parse_json(text, "it", DataError) == value


def test_members_that_nobody_asked_for_are_dropped(tmp_path):
    text = '{"a": {"x": 1.5, "b": [{"x": [2, {"a": 3}], "b": 4}, 5]}, "x": null}'
    kept = {"a": {"b": [{"b": 4}, 5]}}
    assert parse_json(text, "it", DataError, members=("a", "b")) == kept
    (tmp_path / "a.json").write_text(text)
    assert read_json(tmp_path / "a.json", "the description", DataError, members=("a", "b")) == kept
    assert parse_json(text, "it", DataError, members=()) == {}


def test_a_file_that_cannot_be_read_is_the_same_error(tmp_path):
    with pytest.raises(BundleError, match=r"the description .*none\.json cannot be read: No such file"):
        read_json(tmp_path / "none.json", "the description", BundleError)
    (tmp_path / "a.json").write_text("[1]")
    assert read_json(tmp_path / "a.json", "the description", BundleError) == [1]


def test_texts_that_no_file_can_hold_are_named_with_the_reason():
    assert unstorable("plain é") is None
    assert "NUL" in unstorable("a\0b")
    assert "surrogate" in unstorable("a\udc80")
