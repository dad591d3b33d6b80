"""A model's card says what the folder holds, in Markdown and YAML that no name can break."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from model_makers import random_model
from nearbit.files.writing import sha256_of
from nearbit.methods import BASELINES, METHODS
from nearbit.model.card import card_of_folder, escaped, model_card, quoted
from nearbit.networks import BackboneSpec

HOSTILE = [
    "<script>alert(1)</script>", "a | b", "[x](javascript:alert(1))", "![x](http://e.org/x.png)", "`code`",
    "*bold* _it_", "two\nlines\n# heading", "---\nevil: 1", "\"quoted\" \\ back", "ü 漢 🐦", "caf\udce9",
    "\x07bell\x85\u2028", "", "&amp;",
]  # fmt: skip


def header_and_body(text):
    assert text.startswith("---\n")
    header, _, body = text[4:].partition("\n---\n")
    return header, body


def rows_of(body, section):
    """Return the cells of the table in a section."""
    part = body.split(f"## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")][2:]
    return {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1].removesuffix(" |") for line in lines}


def test_a_card_holds_the_facts_of_the_folder(tmp_path):
    model = random_model()
    model = replace(model, split=replace(model.split, recipe={"protocol": "given", "seed": 3}))
    model.record.update(validation_map=0.45678, dataset="tiny", schedule={"epochs": 7}, selected_epoch=5)
    model.save(tmp_path / "birds.model")
    header, body = header_and_body(card_of_folder(tmp_path / "birds.model"))
    assert "library_name: nearbit" in header.splitlines()
    assert '- name: "birds.model"' in header
    assert "      value: 0.4568" in header.splitlines()
    assert f"Model id: `{model.model_id}`" in body
    assert METHODS["crh"].title.split(":")[0] in body
    assert "Citation: " in body
    assert f"Split: `{model.split.hash}`" in body
    assert rows_of(body, "Training data") == {name: str(size) for name, size in model.split.sizes().items()}
    assert rows_of(body, "Split")["protocol"] == "given"
    assert rows_of(body, "Training") == {
        "regime": "scratch", "epochs": "7", "selected epoch": "5", "seed": "0"
    }  # fmt: skip
    assert rows_of(body, "Method")["margin"] == "0.2"
    hashes = rows_of(body, "Files")
    names = [file.name for file in (tmp_path / "birds.model").iterdir() if file.name != "bundle.json"]
    assert hashes == {escaped(name): sha256_of(tmp_path / "birds.model" / name) for name in names}
    assert "3 classes: a, b, ü" in body
    assert "minimum distance" in body
    assert "validation: 0.4568" in body
    assert "$ nearbit index add photos.index photos/ --model birds.model" in body


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"validation_searched": "validation"}, "queries,\nand searched each other, each left out once. Choices"),
        ({"validation_searched": "train"}, "queries,\nand training images, at most 5,000, the database. Choices"),
        ({}, "queries,\nand training images, at most 5,000, the database. Choices"),
    ],
)
def test_a_card_says_what_validation_images_searched(record, said):
    model = random_model()
    model.record.update(record, validation_map=0.5)
    assert said in model_card(model, {}, "x")


def test_a_card_leaves_out_what_the_folder_does_not_hold():
    model = random_model(split=False)
    text = model_card(model, {}, "x")
    assert "model-index" not in text
    assert "None: the model was made without validation images" in text
    assert "Data set: not recorded" in text
    assert "Split:" not in text


@pytest.mark.parametrize("name", [*METHODS, *BASELINES])
def test_a_card_cites_the_paper_of_every_method(name):
    known = {**METHODS, **BASELINES}[name]
    text = model_card(replace(random_model(), method=name), {}, "x")
    assert f"Citation: {escaped(known.citation)}" in text


def test_a_card_of_an_unknown_method_names_it():
    text = model_card(replace(random_model(), method="newer"), {}, "x")
    assert "\nnewer\n" in text
    assert "Citation" not in text


def test_a_card_of_many_classes_names_the_first():
    classes = tuple(f"class {number}" for number in range(5000))
    text = model_card(replace(random_model(), classes=classes), {}, "x")
    assert "5000 classes: class 0, " in text
    assert "class 199, and 4800 more" in text
    assert "class 200," not in text


class Tags(HTMLParser):
    """The tags and comments of a text."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_breaks_a_card(hostile):
    model = random_model()
    model.record.update(dataset=hostile, validation_map=0.5)
    spec = BackboneSpec(**model.network.backbone.spec.__dict__ | {"source": hostile, "pretrained": True})
    model.network.backbone.spec = spec
    model = replace(model, classes=(hostile, "b", "c"), method_options={"option": hostile})
    text = model_card(model, {hostile: "0" * 64}, hostile)
    text.encode("utf-8")
    plain = model_card(model, {"x": "0" * 64}, "x")
    assert len(text.split("\n")) == len(plain.split("\n"))
    _, body = header_and_body(text)
    parser = Tags()
    parser.feed(body)
    assert parser.found == []
    for line in body.splitlines():
        if line.startswith("| "):
            assert line.replace("\\\\", "").replace("\\|", "").count("|") == 3
    for line in body.replace("\\\\", "").splitlines():
        assert "[x](" not in line
    assert all(one.isprintable() or one == "\n" for one in text)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_the_header_of_a_card_is_yaml_that_gives_the_names_back(hostile):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    expected = hostile.encode("utf-8", "backslashreplace").decode()
    assert yaml.safe_load(f"- {quoted(hostile)}") == [expected]
    model = random_model()
    model.record.update(dataset=hostile or "x", validation_map=0.5)
    header, _ = header_and_body(model_card(model, {}, hostile))
    read = yaml.safe_load(header)
    assert read["model-index"][0]["name"] == expected
    (result,) = read["model-index"][0]["results"]
    assert result["dataset"]["name"] == (expected or "x")
    assert result["metrics"][0]["value"] == 0.5
