"""Labels files: tables, JSON Lines and COCO, read right or refused with the line."""

import json
from pathlib import Path
from typing import Any

import pytest
from awkward_images import encoded, noisy

from nearbit.datasets import Dataset, load_dataset, load_images
from nearbit.errors import DataError, InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a.png, sub/b.png and images/c.png."""
    root = tmp_path / "set"
    for seed, name in enumerate(("a.png", "sub/b.png", "images/c.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encoded(noisy(seed, 8)))
    return root


def load(file: Path, text: str, **options: Any) -> Dataset:
    file.write_text(text, encoding="utf-8")
    return load_dataset(file, cache=file.parent.parent / "cache", **options)


def named(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    return {key: dataset.label_names(row) for row, key in enumerate(dataset.keys)}


def test_a_table_with_one_label(root: Path) -> None:
    dataset = load(root / "labels.csv", "\ufeffpath,label,width\nsub/b.png,x|y,3\n./a.png,é,4\nc.png,x|y,5\n")
    assert named(dataset) == {"sub/b.png": ("x|y",), "a.png": ("é",), "images/c.png": ("x|y",)}
    assert dataset.classes == ("x|y", "é")
    assert dataset.is_single_label
    assert dataset.source.read(2).size == (8, 8)
    assert dataset.given_parts is None


def test_a_table_with_many_labels_and_parts(root: Path) -> None:
    text = 'path,labels,split\n"sub/b.png"," x | y |x",train\na.png,,test\nc.png,z,test\n'
    dataset = load(root / "some.csv", text)
    assert named(dataset) == {"sub/b.png": ("x", "y"), "images/c.png": ("z",)}
    assert dataset.given_parts == ("train", "query")
    assert [(problem.path, problem.reason) for problem in dataset.problems] == [("a.png", "no label")]
    assert load_images(root / "some.csv", cache=root.parent / "cache").labels.sum(axis=1).tolist() == [2, 0, 1]
    assert load(root / "some.csv", text.replace("|", ";"), separator=";").classes == ("x", "y", "z")


def test_tabs_and_json_lines_say_the_same(root: Path) -> None:
    tabs = load(root / "t.tsv", "label\tpath\nx, y\ta.png\nz\tsub/b.png\n")
    lines = load(root / "j.jsonl", '{"path": "a.png", "label": "x, y"}\n\n{"path": "sub/b.png", "labels": ["z"]}\n')
    assert named(tabs) == named(lines) == {"a.png": ("x, y",), "sub/b.png": ("z",)}
    assert tabs.fingerprint == lines.fingerprint


def test_json_lines_with_parts_and_without_labels(root: Path) -> None:
    text = '{"path": "a.png", "label": "x", "split": "val"}\n{"path": "sub/b.png"}\n{"path": "c.png", "labels": []}\n'
    dataset = load(root / "j.jsonl", text)
    assert dataset.given_parts == ("validation",)
    assert [problem.reason for problem in dataset.problems] == ["no label", "no label"]


def test_missing_and_escaping_paths_are_problems(root: Path) -> None:
    (root.parent / "secret.png").write_bytes(encoded(noisy(9)))
    text = f"path,label\na.png,x\n../secret.png,x\n{root.parent}/secret.png,x\nsub/../../secret.png,x\nnone.png,y\n"
    dataset = load(root / "labels.csv", text)
    assert dataset.keys == ("a.png",)
    problems = [problem.reason.split(":")[0] for problem in dataset.problems]
    assert problems == ["outside the folder of images"] * 3 + ["no such file"]
    assert dataset.classes == ("x",)


def test_a_path_that_is_no_utf8_is_a_problem(root: Path) -> None:
    dataset = load(root / "labels.jsonl", '{"path": "a.png", "label": "x"}\n{"path": "caf\\udce9.png", "label": "x"}\n')
    assert [(problem.path, problem.reason.split(":")[0]) for problem in dataset.problems] == [
        ("caf\\xe9.png", "its name is not UTF-8")
    ]


def test_images_may_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    dataset = load(tmp_path / "far" / "labels.csv", "path,label\na.png,x\n", images=root)
    assert (dataset.root, dataset.keys) == (root, ("a.png",))
    with pytest.raises(DataError, match="no such folder; expected the one that the paths"):
        load(tmp_path / "far" / "labels.csv", "path,label\na.png,x\n", images=root / "none")
    (root / "k").mkdir()
    with pytest.raises(InputError, match="goes with a labels file"):
        load_dataset(root, images=root, cache=tmp_path / "cache")
    for option in ("label_column", "path_column", "separator", "image_column", "id_column"):
        with pytest.raises(InputError, match="is for labels files and shards; leave it out for"):
            load_dataset(root, **{option: "x"}, cache=tmp_path / "cache")


def test_a_folder_is_read_by_the_labels_file_in_it(root: Path) -> None:
    cache = root.parent / "cache"
    (root / "labels.csv").write_text("path,label\na.png,x\n")
    assert load_dataset(root, cache=cache).keys == ("a.png",)
    (root / "labels.jsonl").write_text('{"path": "a.png", "label": "x"}')
    with pytest.raises(DataError, match=r"holds labels.csv and labels.jsonl; name the one to read"):
        load_dataset(root, cache=cache)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "'path' is missing; the first line has: nothing"),
        ("paht,label\na.png,x\n", "'path' is missing; the first line has: paht, label. Did you mean 'paht'"),
        ("path,path,label\na,b,x\n", "the column 'path' must occur once"),
        ("path,label,label\na.png,x,y\n", "'label' must occur once; .*: path, label, label. Give one of them another"),
        ("path,labels,labels\na.png,x,y\n", "the column 'labels' must occur once"),
        ("path,label,split,split\na.png,x,train,test\n", "the column 'split' must occur once"),
        ("path,lable\na.png,x\n", "expected one of the columns 'label' and 'labels'"),
        ("path,label,labels\na.png,x,y\n", "the columns are: path, label, labels. Another one is named"),
        ("path,label\na.png,x\nsub/b.png,x,y\n", "line 3: expected 2 fields, came 3"),
        (
            "path,label\na.png,x\na.png,y\n",
            "line 3: 'a.png' was on line 2 already; give all labels of an image in one row",
        ),
        ('path,label\n"a.png"x,y\n', "line 2: "),
        ("path,label\na.png,x\n.//a.png,y\n", "line 3: './/a.png' was on line 2 already"),
        ("path,label\n./,x\n", "line 2: expected the path of an image, came './'"),
        ("path,label\n,x\n", "line 2: expected the path of an image, came ''"),
        ("path,label,split\na.png,x,tset\n", "line 2: the split must be one of .*Did you mean 'test'"),
        ("path,label\n", "no rows"),
    ],
)
def test_wrong_tables_are_refused_with_the_line(root: Path, text: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        load(root / "labels.csv", text)


def test_a_table_in_another_encoding_is_refused(root: Path) -> None:
    (root / "labels.csv").write_bytes(b"path,label\na.png,caf\xe9\n")
    with pytest.raises(DataError, match="must be UTF-8 text"):
        load_dataset(root / "labels.csv")
    (root / "labels.jsonl").write_bytes(b'{"path": "caf\xe9"}')
    with pytest.raises(DataError, match="must be UTF-8 text"):
        load_dataset(root / "labels.jsonl")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"path": "a.png", "label": "x"}\n{"path": ', "line 2 is not JSON"),
        ('["a.png", "x"]', 'line 1: expected an object with "path"'),
        ('{"path": 3, "label": "x"}', 'line 1: expected an object with "path"'),
        ('{"path": "a.png", "label": 3}', '"label" must be a text'),
        ('{"path": "a.png", "labels": "x"}', '"labels" a list of texts'),
        ('{"path": "a.png", "label": "x", "labels": ["x"]}', "came both"),
        ('{"path": "a.png", "label": "x", "split": 1}', '"split" must be a text'),
        ("\n\n", "no rows"),
    ],
)
def test_wrong_json_lines_are_refused_with_the_line(root: Path, text: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        load(root / "labels.jsonl", text)


def coco() -> dict[str, Any]:
    return {
        "images": [
            {"id": 7, "file_name": "c.png"},
            {"id": 3, "file_name": "a.png"},
            {"id": 4, "file_name": "sub/b.png"},
        ],
        "categories": [
            {"id": 9, "name": "cat", "supercategory": "animal"},
            {"id": 2, "name": "dog", "supercategory": "animal"},
            {"id": 5, "name": "car", "supercategory": "vehicle"},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 9},
            {"id": 2, "image_id": 7, "category_id": 2},
            {"id": 3, "image_id": 7, "category_id": 9},
            {"id": 4, "image_id": 3, "category_id": 2},
        ],
    }


def test_coco_annotations(root: Path) -> None:
    (root / "split.csv").write_text("path,split\nimages/c.png,train\na.png,test\n")
    load(root / "annotations.json", json.dumps(coco()))
    dataset = load_dataset(root, cache=root.parent / "cache")
    assert dataset.name == "set"
    assert dataset.classes == ("dog", "cat")
    assert dataset.parents == ("animal", "animal")
    assert named(dataset) == {"images/c.png": ("dog", "cat"), "a.png": ("dog",)}
    assert dataset.given_parts == ("train", "query")
    reasons = {problem.path: problem.reason for problem in dataset.problems}
    assert reasons == {"sub/b.png": "no label", "car": "a class without a readable image: dropped"}


def change(key: str, place: int, **entry: Any) -> str:
    table = coco()
    table[key][place] |= entry
    return json.dumps(table)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "not JSON"),
        ("[]", "expected COCO annotations"),
        ('{"images": [], "annotations": []}', "expected COCO annotations"),
        (change("annotations", 1, image_id=99), r"annotations\[1\] has image_id 99"),
        (change("annotations", 0, category_id="9"), r"annotations\[0\] has image_id 7 and category_id '9'"),
        (change("annotations", 0, category_id=[9]), r"annotations\[0\] has image_id 7 and category_id"),
        (change("images", 1, id=7), r"images\[1\] has the id 7, which an earlier one has too"),
        (change("images", 1, file_name="c.png"), "two images have the same file_name: 'c.png' and 'c.png'"),
        (change("images", 1, file_name=".//c.png"), r"two images have the same file_name: 'c.png' and '\.//c.png'"),
        (change("images", 1, file_name=None), r'images\[1\] must have a whole number "id" and a text "file_name"'),
        (change("categories", 0, name="dog"), "two categories have the same name"),
    ],
)
def test_wrong_coco_annotations_are_refused(root: Path, text: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        load(root / "annotations.json", text)
