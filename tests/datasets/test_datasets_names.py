"""One rule for the names of classes in folders, tables, JSON Lines and COCO; what cannot be kept is refused by row."""

import json
import os
import unicodedata
from pathlib import Path

import pytest
from awkward_images import encoded, noisy

from nearbit.datasets import Dataset, load_dataset, load_split, make_split
from nearbit.errors import DataError
from nearbit.names import escaped, label_name, same_but_for_case, spellings

E = {form: unicodedata.normalize(form, "café") for form in ("NFC", "NFD")}
NAMES = [E["NFC"], E["NFD"], f"  {E['NFD']}\u200b", "", " \t"]
REFUSED = "its label 'bad{}' cannot be kept: "


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with 0.png to 4.png."""
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(encoded(noisy(number, 8)))
    return tmp_path


def written(root: Path, kind: str, names: list[str]) -> Path:
    """Write a labels file that gives 0.png, 1.png, … these labels."""
    file = root / f"some.{kind}"
    if kind == "csv":
        rows = "".join(f'{row}.png,"{name}"\n' for row, name in enumerate(names))
        file.write_text("path,label\n" + rows, encoding="utf-8")
    elif kind == "jsonl":
        file.write_text(
            "".join(json.dumps({"path": f"{row}.png", "label": name}) + "\n" for row, name in enumerate(names))
        )
    else:
        known = list(dict.fromkeys(names))
        table = {
            "images": [{"id": row, "file_name": f"{row}.png"} for row in range(len(names))],
            "categories": [{"id": number, "name": name, "supercategory": " top "} for number, name in enumerate(known)],
            "annotations": [{"image_id": row, "category_id": known.index(name)} for row, name in enumerate(names)],
        }
        file.write_text(json.dumps(table))
    return file


def read(file: Path) -> Dataset:
    return load_dataset(file, cache=file.parent / "cache")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_spellings_of_one_name_are_one_class_and_blank_ones_none(root: Path, kind: str) -> None:
    dataset = read(written(root, kind, NAMES))
    assert dataset.classes == (E["NFC"],)
    assert dataset.keys == ("0.png", "1.png", "2.png")
    assert [problem.path for problem in dataset.problems] == ["3.png", "4.png"]
    assert all(problem.reason.startswith("no label") for problem in dataset.problems)
    assert len(dataset.notes) == 1
    assert dataset.notes[0].startswith("the class 'café' is written in 3 ways, read as one: ")
    assert dataset.parents == (("top",) if kind == "json" else None)


def test_folders_follow_the_same_rule(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for number, name in enumerate([E["NFC"], E["NFD"], " wren", "wren", "Wren"]):
        (root / name).mkdir(parents=True)
        (root / name / f"{number}.png").write_bytes(encoded(noisy(number, 8)))
    if len(list(root.iterdir())) < 5:
        pytest.skip("this file system takes some of these names as one")
    dataset = read(root)
    assert dataset.classes == ("Wren", E["NFC"], "wren")
    assert dataset.labels.sum(axis=0).tolist()[0] == 1
    assert [note.split(" ")[2] for note in dataset.notes] == ["'café'", "'wren'", "'Wren',"]


@pytest.mark.parametrize(("name", "shown"), [("bad\ud83d", "\\ud83d"), ("bad\0", "\\x00"), ("bad\udce9", "\\xe9")])
@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_a_label_that_cannot_be_kept_is_a_problem_of_its_row(root: Path, kind: str, name: str, shown: str) -> None:
    dataset = read(written(root, kind, ["good", name, "good"]))
    assert (dataset.classes, dataset.keys) == (("good",), ("0.png", "2.png"))
    assert [problem.path for problem in dataset.problems] == ["1.png"]
    assert dataset.problems[0].reason.startswith(REFUSED.format(shown))
    with pytest.raises(DataError, match=r"1 skipped, the first: '0\.png': its label 'bad"):
        read(written(root, kind, [name]))


def test_a_path_that_cannot_be_kept_or_opened_is_a_problem(root: Path) -> None:
    paths = ["0.png", "a\0.png", "b\ud83d.png", "c" * 5000]
    (root / "x.jsonl").write_text("\n".join(json.dumps({"path": path, "label": "x"}) for path in paths))
    dataset = read(root / "x.jsonl")
    assert dataset.keys == ("0.png",)
    assert [problem.path for problem in dataset.problems] == ["a\\x00.png", "b\\ud83d.png", "c" * 5000]


def test_copies_of_a_picture_with_another_label_are_said(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/2.png", "cat/3.png"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(encoded(noisy(1, 8)))
    assert read(tmp_path / "set").notes == (
        "1 picture is a copy with another label, the first: 'cat/1.png' (cat) and 'dog/2.png' (dog); each keeps "
        "its own",
    )


def test_a_folder_whose_own_name_is_not_utf8_works(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    try:
        for number in range(10):
            (root / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
            (root / "ab"[number % 2] / f"{number}.png").write_bytes(encoded(noisy(number, 8)))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    dataset = load_dataset(root, cache=tmp_path / "cache")
    assert dataset.name == "caf\\xe9"
    make_split(dataset).save(tmp_path / "split.json")
    load_split(tmp_path / "split.json").check(dataset)


DEEP = "[" * 200_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", DEEP), ("a.jsonl", DEEP), ("a.jsonl", '{"path":"a","label":' + DEEP), ("a.json", '{"images": NaN}'),
        ("a.json", '{"id": ' + "1" * 5000 + "}"),
    ],
)  # fmt: skip
def test_json_that_cannot_be_read_is_one_clear_error(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=rf"{name}.* (is nested too deeply|holds JSON that cannot be used)"):
        load_dataset(tmp_path / name)


@pytest.mark.parametrize("rows", [DEEP, "[1e400]", "[" + "9" * 30 + "]", "[" + "9" * 5000 + "]"])
def test_a_split_that_cannot_be_read_is_one_clear_error(tmp_path: Path, rows: str) -> None:
    text = '{"format": "nearbit split", "version": 1, "recipe": {}, "parts": {"train": ' + rows
    (tmp_path / "s.json").write_text(text + ', "validation": [], "query": [], "database": []}}')
    with pytest.raises(DataError, match=r"s\.json"):
        load_split(tmp_path / "s.json")


def test_a_path_that_is_too_long_is_one_clear_error() -> None:
    with pytest.raises(DataError, match=r"no such file or folder|cannot be read: File name too long"):
        load_dataset("x" * 5000)


def test_the_rule() -> None:
    assert [label_name(name) for name in NAMES] == [E["NFC"]] * 3 + ["", ""]
    assert label_name(" sea  gull\n") == "sea  gull"
    assert spellings(["a", " a", "b", ""]) == {"a": {"a", " a"}}
    assert same_but_for_case(["b", "B", "c"]) == [("B", "b")]
    assert escaped("a\0\udce9\ud83dé") == "a\\x00\\xe9\\ud83dé"
