"""Tables as spreadsheets write them: what stands between the fields, other names of columns, errors with the header."""

from pathlib import Path
from typing import Any

import pytest
from awkward_images import encoded, noisy

from nearbit.datasets import Dataset, load_dataset
from nearbit.errors import DataError


def load(folder: Path, content: bytes, name: str = "labels.csv", **options: Any) -> Dataset:
    for number, image in enumerate(("a.png", "b;c.png")):
        (folder / image).write_bytes(encoded(noisy(number, 8)))
    (folder / name).write_bytes(content)
    return load_dataset(folder / name, cache=folder / "cache", **options)


def labels(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    return {key: dataset.label_names(row) for row, key in enumerate(dataset.keys)}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["labels.csv", "labels.tsv"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_stands_between_the_fields_is_told_by_the_header(
    tmp_path: Path, delimiter: str, name: str, start: str, end: str
) -> None:
    lines = ["size", '"path"', " label"], ["1", '"b;c.png"', '"x, y"'], ["2", "a.png", "z"]
    text = start + "".join(delimiter.join(line) + end for line in lines)
    assert labels(load(tmp_path, text.encode(), name)) == {"b;c.png": ("x, y",), "a.png": ("z",)}


def test_the_first_line_of_a_spreadsheet_says_it(tmp_path: Path) -> None:
    assert labels(load(tmp_path, b"sep=;\r\npath;label\r\na.png;x,y\r\n")) == {"a.png": ("x,y",)}
    with pytest.raises(DataError, match="line 3: expected 2 fields, came 3"):
        load(tmp_path, b"sep=;\r\npath;label\r\na.png;x;y\r\n")


def test_columns_can_be_named(tmp_path: Path) -> None:
    text = b"image;class;split\na.png;x|y;train\nb;c.png"
    named: dict[str, Any] = {"path_column": "image", "label_column": "class"}
    assert labels(load(tmp_path, text.rsplit(b"\n", 1)[0], **named)) == {"a.png": ("x", "y")}
    lines = b'{"image": "a.png", "class": "x", "label": "other"}\n{"image": "b;c.png", "class": ["y", "z"]}'
    assert labels(load(tmp_path, lines, "l.jsonl", **named)) == {"a.png": ("x",), "b;c.png": ("y", "z")}
    with pytest.raises(DataError, match='"class" must be a text or a list of texts, not'):
        load(tmp_path, b'{"image": "a.png", "class": 3}', "l.jsonl", **named)


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (
            b"image;label",
            r"'path' is missing; the first line has: image, label\. Another .* --path-column",
        ),
        (b"path;class", r"'label' and 'labels'; the columns are: path, class\. Another one is named by --label-column"),
        (b"path;lable", "Did you mean 'lable'"),
    ],
)
def test_another_header_is_shown_with_the_option(tmp_path: Path, header: bytes, match: str) -> None:
    with pytest.raises(DataError, match=match):
        load(tmp_path, header + b"\na.png;x\n")
