"""Search by words: features and outputs of texts, what words find, in Python and on the command line; mistakes."""

import json
import re
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="SKIPPED: searches by words need the extra text")
pytest.importorskip("tokenizers", reason="SKIPPED: searches by words need the extra text")

import nearbit as nb
from nearbit.cli.main import run
from nearbit.errors import DataError, InputError, MissingExtraError
from nearbit.files.writing import write_json
from nearbit.model.manifest import with_digest
from nearbit.model.text_part import text_checkpoint
from nearbit.networks import BackboneSpec, make_backbone, rebuild_backbone
from nearbit.networks.heads import HashNetwork
from nearbit.networks.text import load_text_tower
from text_makers import COLORS, SIZE, tiny_model, write_checkpoint, write_place

KINDS = ("clip", "siglip", "chinese_clip", "metaclip_2")
TEXTS = ["red circle", "a photo of a green bar", "Blue"]


@pytest.fixture(autouse=True)
def _quiet_library():
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A checkpoint that knows the colors, pictures without labels, and an index of them that nobody trained."""
    return write_place(tmp_path_factory.mktemp("words"), steps=60)


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


@pytest.fixture(scope="module")
def model(place):
    return nb.load_model(place / "pictures.model")


def unit(rows):
    rows = rows if isinstance(rows, torch.Tensor) else rows.pooler_output
    return (rows / rows.norm(dim=1, keepdim=True)).detach().numpy()


def by_hand(model, features):
    """Outputs of a linear head, number by number."""
    head = model.network.head
    weight, bias = head.layers[0].weight.detach().numpy(), head.layers[0].bias.detach().numpy()
    mean, deviation = head.feature_mean.numpy(), head.feature_std.numpy()
    return [
        [float(sum(w * (x - m) / d for w, x, m, d in zip(row, one, mean, deviation, strict=True)) + b)
         for row, b in zip(weight, bias, strict=True)]
        for one in features
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_both_parts_give_the_features_of_the_whole_at_length_1(tmp_path, kind):
    whole, reader = tiny_model(kind)
    write_checkpoint(tmp_path, whole, reader)
    backbone = make_backbone(f"hf:{tmp_path}").eval()
    pixels = torch.randint(0, 256, (3, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        images = unit(whole.get_image_features(pixel_values=(pixels / 255 - 0.5) / 0.25))
        assert np.allclose(backbone(pixels), images, atol=1e-5)
    assert (backbone.spec.pretrained, backbone.spec.config["projected"]) == (True, True)
    assert not any("text" in name for name in backbone.state_dict())
    again = rebuild_backbone(BackboneSpec(**json.loads(json.dumps(backbone.spec.__dict__))), backbone.preprocessing)
    again.load_state_dict(backbone.state_dict())
    assert again.fingerprint() == backbone.fingerprint()

    tower = load_text_tower(tmp_path, backbone.module)
    long = {"padding": "max_length", "max_length": 12} if kind == "siglip" else {}
    for text, row in zip(TEXTS, tower.features(TEXTS), strict=True):  # each by itself: padding changes nothing
        tokens = reader([text], return_tensors="pt", **long)
        given = {"input_ids": tokens["input_ids"]} if kind == "siglip" else tokens
        assert np.allclose(row, unit(whole.get_text_features(**given))[0], atol=1e-5), text


def test_outputs_of_words_are_those_of_the_head_for_their_features(place, model):
    tower = load_text_tower(place / "clip", model.network.backbone.module)
    weights = place / "clip"
    found = model.outputs_of_text(TEXTS, weights=weights)
    assert (found.dtype, found.shape) == (np.float32, (3, 16))
    assert np.allclose(found, by_hand(model, tower.features(TEXTS)), atol=1e-4)
    signs = np.unpackbits(model.encode_text(TEXTS, weights=weights), axis=1, count=16)
    assert (signs == (found >= 0)).all()
    prompts = ["red", "a blue bar"]
    middle = [sum(pair) / 2 for pair in zip(*tower.features(prompts).tolist(), strict=True)]
    moved = tower.features(TEXTS) - np.array(middle) + model.network.head.feature_mean.numpy()
    assert np.allclose(model.outputs_of_text(TEXTS, weights=weights, prompts=prompts), by_hand(model, moved), atol=1e-4)
    found = model.encode_text(TEXTS, weights=weights, prompts=prompts)
    assert (np.unpackbits(found, axis=1, count=16) == (np.array(by_hand(model, moved)) >= 0)).all()


def test_words_find_the_colors_that_they_name(here):
    found = nb.search("pictures.index", text=list(COLORS), text_weights="clip", k=10)
    n_right = 0
    for color, ids in zip(COLORS, found.ids.tolist(), strict=True):
        names = [item.path.rpartition("/")[2] for item in found.index.items(ids)]
        n_right += sum(name.startswith(color) for name in names)
    assert n_right >= 36  # of 60; words of no meaning would find 10


def test_a_search_by_words_is_the_asymmetric_one(here, model):
    outputs = model.outputs_of_text(["red circle", "bar"], weights="clip")
    with nb.open_index("pictures.index", read_only=True) as index:
        codes = np.unpackbits(np.stack([item.code for item in index]), axis=1, count=16)
        weights = [[sum(abs(float(o)) for o, bit in zip(row, code, strict=True) if (o >= 0) != bit) for code in codes]
                   for row in outputs]  # fmt: skip
        expected = [sorted(zip(np.round(row, 4), range(1, len(row) + 1), strict=True))[:7] for row in weights]
        for given in (None, "pictures.model", model):
            found = nb.search(index, text=["red circle", "bar"], k=7, model=given, text_weights="clip")
            assert np.allclose(found.weighted, [[weight for weight, _ in row] for row in expected], atol=1e-3)


def test_the_command_line_finds_what_python_finds(here, capsys):
    command = [
        "search",
        "pictures.index",
        "--text",
        "red",
        "--text",
        "a green bar",
        "-k",
        "5",
        "--text-weights",
        "clip",
    ]
    assert run([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    expected = nb.search("pictures.index", text=["red", "a green bar"], text_weights="clip", k=5)
    assert answer["ranking"] == "weighted distance"
    assert [one["query"] for one in answer["results"]] == ["red", "a green bar"]
    assert [[item["id"] for item in one["neighbors"]] for one in answer["results"]] == expected.ids.tolist()
    assert run(command) == 0
    assert re.match(r"red:\nrank +weighted +bits +id ", capsys.readouterr().out)


def test_what_does_not_go_with_words_is_said(here, model, capsys):
    def refused(*more):
        assert run(["search", "pictures.index", *more]) == 2
        return capsys.readouterr().err

    assert "search by one of them at a time" in refused("--text", "red", "--id", "1")
    assert "does not go with --asymmetric or --text" in refused(
        "--text", "red", "--rerank", "3", "--text-weights", "clip"
    )
    assert "--text-weights are for a search by words" in refused("--id", "1", "--text-weights", "clip")
    assert "lies in the folder 'clip', which only you can find" in refused("--text", "red")
    for given in ({}, {"images": "a.png", "text": "red"}):
        with pytest.raises(InputError, match=r"expected images or a text, came (neither|both)"):
            nb.search("pictures.index", **given)
    for wrong in ([], [" "], "red", [3]):
        with pytest.raises(InputError, match="expected a list of texts, none of them empty"):
            model.outputs_of_text(wrong, weights="clip")
    assert model.outputs_of_text(["red " * 10], weights="clip").shape == (1, 16)
    with pytest.raises(
        InputError, match=r"a text of 13 tokens is longer than the 12 that the model takes: shorten 'red"
    ):
        model.outputs_of_text(["bar", "red " * 11], weights="clip")


def test_another_checkpoint_than_the_one_of_the_codes_is_refused(here, model, tmp_path):
    other, reader = tiny_model(seed=5)
    with pytest.raises(DataError, match="is not the one that made the codes"):
        model.outputs_of_text(TEXTS, weights=write_checkpoint(tmp_path / "other", other, reader))
    with pytest.raises(DataError, match=r"its configuration .*nowhere.config\.json cannot be read"):
        model.outputs_of_text(TEXTS, weights=tmp_path / "nowhere")
    plain = tmp_path / "plain"
    shutil.copytree("clip", plain)
    config = json.loads((plain / "config.json").read_text())
    (plain / "config.json").write_text(json.dumps(config | {"model_type": "vit"}))
    with pytest.raises(
        DataError, match=r'a model of the type "vit", and a search by words takes one of images and text'
    ):
        model.outputs_of_text(TEXTS, weights=plain)
    without = tmp_path / "without"
    shutil.copytree("clip", without)
    from safetensors.torch import load_file, save_file

    kept = {key: value for key, value in load_file("clip/model.safetensors").items() if not key.startswith("text_")}
    save_file(kept, without / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="holds not all weights of a text part"):
        model.outputs_of_text(TEXTS, weights=without)


def test_a_model_without_words_is_refused_before_it_is_loaded(here, model, tmp_path, monkeypatch):
    def altered(name, **about):
        shutil.copytree("pictures.model", tmp_path / name)
        described = json.loads((tmp_path / name / "bundle.json").read_text())
        described.pop("digest")
        write_json(tmp_path / name / "bundle.json", with_digest(described | about))
        return tmp_path / name

    described = json.loads((here / "pictures.model" / "bundle.json").read_text())
    config = {key: value for key, value in described["backbone"]["config"].items() if key != "projected"}
    plain = altered("plain", backbone=described["backbone"] | {"config": config})
    moved = altered("moved", record=described["record"] | {"regime": "fine-tune"})
    tuned = altered("tuned", record=described["record"] | {"tuning": {"selected_epoch": 1}})
    exported = altered("exported", kind="nearbit-onnx")
    monkeypatch.setattr("nearbit.model.bundle.load_model", lambda *_: pytest.fail("it was loaded"))
    for folder, why in (
        (plain, "its backbone hf:clip is not the image part of a model of images and text"),
        (moved, "its image part was trained further, before the codes or with them"),
        (tuned, "its image part was trained further, before the codes or with them"),
        (exported, "it is a network exported for ONNX Runtime"),
    ):
        with pytest.raises(InputError, match=f"takes no words: {why}"):
            nb.search("pictures.index", text="red", model=folder)
    monkeypatch.setattr(model.network.backbone, "spec", replace(model.network.backbone.spec, config=config))
    another = replace(model, network=HashNetwork(model.network.backbone, model.network.head))
    with pytest.raises(InputError, match="the model takes no words: its backbone hf:clip is not the image part"):
        another.outputs_of_text(["red"], weights="clip")


def test_a_missing_library_is_named_with_its_extra(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match="a search by words needs the package transformers"):
        nb.search("pictures.index", text="red", text_weights="clip")


def test_what_a_model_names_on_the_hub_is_not_fetched_unless_it_is_asked_for(tmp_path, monkeypatch):
    asked = []

    def snapshot(address, files, purpose, *, get, fetch=True):
        asked.append((address[0], get, fetch))
        return tmp_path

    monkeypatch.setattr("nearbit.model.text_part.snapshot", snapshot)
    commit = "org/clip@" + 40 * "a"
    assert text_checkpoint(commit) == tmp_path
    assert text_checkpoint("folder", f"hf:{commit}") == tmp_path
    assert asked == [(f"hf:{commit}", f"--text-weights hf:{commit}", fetch) for fetch in (False, True)]
    with pytest.raises(InputError, match="a checkpoint on the hub is named hf:ORG/NAME"):
        text_checkpoint("folder", "hf:nothing")
