"""The whole road on the command line: data, split, train, encode, index, search, evaluate, inspect."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from nearbit.cli.commands.search import _hint_at_onnx
from nearbit.files.aside import _machine
from nearbit.networks import ResNet
from tiny_data import TINY


def listed(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_data_counts_and_lists_what_cannot_be_read(as_json, place):
    about = as_json("data", "photos", "--errors", "bad.jsonl")
    assert (about["images"], about["classes"], about["skipped"]) == (24, 3, 1)
    assert about["errors_file"] == "bad.jsonl"
    (problem,) = listed(place / "bad.jsonl")
    assert problem["path"] == "a/damaged.png"
    assert "truncated or damaged" in problem["reason"]


def test_data_without_problems_writes_no_errors_file(as_json, place):
    (place / "photos" / "a" / "damaged.png").unlink()
    assert as_json("data", "photos")["errors_file"] is None
    assert not (place / "nearbit-errors.jsonl").exists()


def test_a_split_is_written_and_trained_on(as_json, place):
    split = as_json("split", "photos", "-o", "split.json", "--query", "2", "--validation", "1", "--database", "2")
    assert (split["train"], split["validation"], split["query"], split["database"]) == (9, 3, 6, 6)
    model = as_json("train", "photos", "--split", "split.json", *TINY, "-o", "b.model")
    assert model["split"] == {"train": 9, "validation": 3, "query": 6, "database": 6}
    assert as_json("inspect", "b.model")["split_hash"] == split["hash"]


def test_train_writes_a_model_and_lists_what_it_skipped(as_json, place):
    shutil.rmtree(place / "a.model")
    about = as_json("train", "photos", *TINY, "-o", "a.model", "--method", "csq", "--seed", "3")
    assert (about["method"], about["n_bits"], about["epochs"], about["regime"]) == ("csq", 12, 2, "scratch")
    assert about["errors_file"] == "a.model.errors.jsonl"
    assert listed(place / "a.model.errors.jsonl")[0]["path"] == "a/damaged.png"
    assert not (place / "a.model.checkpoint").exists()
    inspected = as_json("inspect", "a.model")
    assert (inspected["kind"], inspected["model_id"], inspected["seed"]) == ("model", about["model_id"], 3)
    assert inspected["classes"] == ["a", "b", "c"]


def test_training_again_says_that_the_model_is_there(nearbit, as_json, place, monkeypatch):
    before = as_json("inspect", "a.model")["model_id"]

    def fail(*arguments):
        raise AssertionError("trained again")

    monkeypatch.setattr("nearbit.training.trainer.Trainer.run", fail)
    (place / "a.model.checkpoint").mkdir()
    left = place / f".a.model.{_machine()}-{2**22 + 1}-01234567.tmp"
    left.mkdir()
    status, out, err = nearbit("train", "photos", *TINY, "-o", "a.model")
    assert not left.exists()
    assert status == 0
    assert "a.model is this very model already; nothing to train" in err
    assert out.startswith("a.model: crh, 12 bits")
    assert as_json("train", "photos", *TINY, "-o", "a.model")["model_id"] == before
    assert not (place / "a.model.checkpoint").exists()


def test_another_model_is_replaced_only_when_asked(refused, as_json, place):
    before = as_json("inspect", "a.model")["model_id"]
    message = refused("train", "photos", *TINY, "--seed", "1", "-o", "a.model")
    assert "a.model holds another model (crh, 12 bits)" in message
    assert "--overwrite" in message
    assert as_json("inspect", "a.model")["model_id"] == before
    after = as_json("train", "photos", *TINY, "--seed", "1", "-o", "a.model", "--overwrite")["model_id"]
    assert after == as_json("inspect", "a.model")["model_id"] != before


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_what_is_no_model_is_never_replaced_and_nothing_is_trained(refused, place, monkeypatch, more):
    monkeypatch.setattr("nearbit.training.trainer.Trainer.run", None)
    assert "is not a model folder: choose another name" in refused("train", "photos", *TINY, "-o", "photos", *more)
    assert (place / "photos" / "a" / "000.png").is_file()


def test_encode_keeps_the_order_and_lists_what_it_skipped(as_json, place):
    about = as_json("encode", "a.model", "photos", "-o", "codes.npz", "--outputs")
    assert (about["n_items"], about["n_bits"]) == (24, 12)
    assert listed(place / "codes.npz.errors.jsonl")[0]["path"] == "a/damaged.png"
    with np.load(place / "codes.npz", allow_pickle=False) as file:
        assert file["codes"].shape == (24, 2)
        assert file["codes"].dtype == np.uint8
        assert file["outputs"].shape == (24, 12)
        assert file["labels"].shape == (24, 3)
        assert file["classes"].tolist() == ["a", "b", "c"]
        assert file["keys"].tolist() == sorted(file["keys"].tolist())
        assert str(file["model_id"]) == about["model_id"]
        assert int(file["n_bits"]) == 12


def test_encode_replaces_no_index_and_says_what_it_passes_over(as_json, nearbit, refused, place):
    as_json("index", "add", "kept.index", "photos", "--model", "a.model")
    before = (place / "kept.index").read_bytes()
    assert "kept.index is an index or another database" in refused("encode", "a.model", "photos", "-o", "kept.index")
    shutil.copy("kept.index", "own.npz")
    assert "own.npz is an index or another database" in refused("index", "export", "own.npz", "own.npz")
    assert (place / "kept.index").read_bytes() == (place / "own.npz").read_bytes() == before
    twice = ("photos/b/008.png", "photos/a/000.png", "photos/b/008.png")
    assert "1 image given again, and passed over" in nearbit("encode", "a.model", *twice, "-o", "x.npz")[2]


def test_encode_takes_single_files_without_labels(as_json, place):
    as_json("encode", "a.model", "photos/b/008.png", "photos/a/000.png", "-o", "two.npz")
    with np.load(place / "two.npz", allow_pickle=False) as file:
        assert file["keys"].tolist() == ["b/008.png", "a/000.png"]
        assert file["labels"].shape == (2, 0)


def test_index_brings_an_index_up_to_date(as_json, place):
    about = as_json("index", "a.index", "photos")
    assert (about["items"], about["added"], about["replaced"], about["unchanged"]) == (24, 0, 0, 24)
    assert listed(place / "a.index.errors.jsonl")[0]["path"] == "a/damaged.png"
    Image.new("RGB", (12, 12), "white").save(place / "photos" / "a" / "000.png")
    Image.new("RGB", (12, 12), "black").save(place / "photos" / "c" / "new.png")
    about = as_json("index", "a.index", "photos")
    assert (about["items"], about["added"], about["replaced"], about["unchanged"]) == (25, 1, 1, 23)


def test_index_of_one_part(as_json, place):
    about = as_json("index", "part.index", "photos", "--model", "a.model", "--part", "database")
    sizes = as_json("train", "photos", *TINY, "-o", "a.model")["split"]
    assert about["items"] == sizes["database"] > 0


def test_an_index_of_another_model_is_refused(refused, as_json, place):
    as_json("train", "photos", *TINY, "--seed", "1", "-o", "other.model")
    message = refused("index", "a.index", "photos", "--model", "other.model")
    assert "codes of different models cannot be compared" in message
    message = refused("search", "a.index", "photos/a/000.png", "--model", "other.model")
    assert "codes of another model" in message
    assert as_json("index", "a.index", "photos")["unchanged"] == 24


def test_a_new_index_needs_a_model_and_images_or_is_not_made(refused, place):
    assert "photographs want a pretrained backbone" in refused("index", "new.index", "photos")
    assert "nowhere: no such file or folder" in refused("index", "new.index", "nowhere", "--model", "a.model")
    assert "there is no model at" in refused("index", "new.index", "photos", "--model", "photos")
    assert not (place / "new.index").exists()


def test_search_finds_an_image_at_distance_0(as_json, place):
    found = as_json("search", "a.index", "photos/b/010.png", "photos/c/020.png", "-k", "4")
    assert found["n_bits"] == 12
    assert [one["query"] for one in found["results"]] == ["photos/b/010.png", "photos/c/020.png"]
    for one in found["results"]:
        assert one["neighbours"] == one["neighbors"]  # the key of the versions before
        assert [neighbor["id_text"] for neighbor in one["neighbors"]] == [str(item["id"]) for item in one["neighbors"]]
        distances = [neighbour["distance"] for neighbour in one["neighbors"]]
        assert len(distances) == 4
        assert distances == sorted(distances)
        nearest = [neighbour["path"] for neighbour in one["neighbors"] if neighbour["distance"] == 0]
        assert nearest
    everything = as_json("search", "a.index", "photos/b/010.png", "-k", "24")["results"][0]["neighbors"]
    at_zero = {neighbour["path"] for neighbour in everything if neighbour["distance"] == 0}
    assert "photos/b/010.png" in at_zero


def test_search_from_items_with_radius_and_labels(as_json, place):
    shutil.rmtree(place / "a.model")  # a search from items needs no model
    (one,) = as_json("search", "a.index", "--id", "3", "--label", "a", "--radius", "12", "-k", "30")["results"]
    assert one["query"] == "item 3"
    assert {label for neighbour in one["neighbors"] for label in neighbour["labels"]} == {"a"}
    (near,) = as_json("search", "a.index", "--id", "3", "--radius", "0")["results"]
    assert {neighbour["distance"] for neighbour in near["neighbors"]} == {0}
    assert 3 in {neighbour["id"] for neighbour in near["neighbors"]}


def test_search_for_people_is_a_table(nearbit, place):
    status, out, err = nearbit("search", "a.index", "photos/b/010.png", "-k", "2")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "photos/b/010.png:"
    assert lines[1].split() == ["rank", "bits", "id", "labels", "path"]
    assert len(lines) == 4


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory):
    """Options of frozen features of a ResNet-18 whose random weights stand for pretrained ones."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    torch.manual_seed(1)
    save_file(ResNet("resnet18").state_dict(), path)
    return ["--backbone", "resnet18", "--weights", path, "--image-size", "16", "--bits", "6", "--device", "cpu"]


def test_a_folder_without_classes_is_trained_indexed_and_searched(as_json, nearbit, refused, place, pretrained):
    flat = place / "flat"
    flat.mkdir()
    for number, file in enumerate(sorted((place / "photos").rglob("[0-9]*.png"))):
        shutil.copy(file, flat / f"{number}.png")
    about = as_json("train", "flat", *pretrained, "--method", "itq", "-o", "flat.model")
    assert (about["method"], about["split"]["train"], about["validation_map"]) == ("itq", 24, None)
    status, out, _ = nearbit("inspect", "flat.model")
    assert status == 0
    assert "center_distance_min" not in out
    assert as_json("index", "flat.index", "flat", "--model", "flat.model")["items"] == 24
    assert as_json("search", "flat.index", "flat/3.png", "-k", "1")["results"][0]["neighbors"][0]["distance"] == 0
    assert as_json("inspect", "flat.index")["health"]["n_items"] == 24
    assert "flat" in refused("train", "flat", *pretrained, "-o", "b.model")
    assert "no readable image with a label" in refused("evaluate", "flat.model", "flat")


def test_stages_of_shc_alone(as_json, refused, place):
    settings = ["photos", *TINY, "--method", "shc"]
    assert as_json("train", *settings, "--only", "similarity", "-o", "s.npy")["shape"] == [3, 3]
    about = as_json("train", *settings, "--only", "centers", "--similarity", "s.npy", "-o", "c.npy")
    assert about == {"centers": "c.npy", "shape": [3, 12]}
    as_json("train", *settings, "--centers", "c.npy", "-o", "given.model")
    as_json("train", *settings, "-o", "whole.model")
    ids = {as_json("inspect", name)["model_id"] for name in ("given.model", "whole.model")}
    assert len(ids) == 1
    assert as_json("inspect", "whole.model")["semantic_loss"] is not None
    assert "end -o in .npy" in refused("train", *settings, "--only", "similarity", "-o", "s.model")
    assert "s.npy is there already" in refused("train", *settings, "--only", "similarity", "-o", "s.npy")
    assert "finds no similarity" in refused("train", "photos", *TINY, "--only", "similarity", "-o", "t.npy")
    picture = ["--similarity", "photos/a/000.png"]
    assert "000.png is not a file of numbers" in refused("train", *settings, *picture, "-o", "t.model")


def test_a_road_that_moves_still_finds_its_model(as_json, place, monkeypatch):
    moved = place.rename(place.with_name("moved"))
    monkeypatch.chdir(moved.parent)
    assert as_json("search", "moved/a.index", "moved/photos/a/000.png", "-k", "1")["results"][0]["neighbors"]


def test_damage_is_one_line_and_status_2(refused, place):
    for path in (place / "a.model" / "weights.safetensors", place / "a.model" / "network.onnx"):
        if path.exists():  # the network where [onnx] is installed: then it alone is read for a search
            path.write_bytes(path.read_bytes()[:-1])
    for command in (
        ["inspect", "a.model"],
        ["encode", "a.model", "photos", "-o", "x.npz"],
        ["index", "a.index", "photos"],
        ["search", "a.index", "photos/a/000.png"],
        ["evaluate", "a.model", "photos"],
        ["train", "photos", *TINY, "-o", "a.model"],
    ):
        assert "was altered or damaged" in refused(*command)
    (place / "a.index").write_bytes(b"not an index")
    for command in (["inspect", "a.index"], ["search", "a.index", "--id", "1"]):
        assert "is not an index" in refused(*command)


def test_a_split_lists_what_it_skipped(as_json, place):
    about = as_json("split", "photos", "-o", "s.json")
    assert about["errors_file"] == "s.json.errors.jsonl"
    assert [one["path"] for one in listed(place / "s.json.errors.jsonl")] == ["a/damaged.png"]


def test_an_errors_file_goes_with_its_problems(as_json, place):
    as_json("index", "a.index", "photos")
    assert (place / "a.index.errors.jsonl").is_file()
    (place / "photos" / "a" / "damaged.png").unlink()
    assert as_json("index", "a.index", "photos")["errors_file"] is None
    assert not (place / "a.index.errors.jsonl").exists()


def test_items_of_images_that_are_gone_are_counted_and_stay(as_json, nearbit, place):
    assert as_json("index", "a.index", "photos", "--part", "database")["absent"] == 0
    before = as_json("index", "a.index", "photos")
    (place / "photos" / "a" / "000.png").unlink()
    after = as_json("index", "a.index", "photos")
    assert (before["absent"], after["absent"], after["items"]) == (0, 1, before["items"])
    assert "1 item is of an image that is no longer there" in nearbit("index", "a.index", "photos")[1]


def test_search_names_files_that_can_be_opened_from_here(as_json, nearbit, place, monkeypatch):
    first = as_json("search", "a.index", "--id", "1", "-k", "1")["results"][0]["neighbors"][0]
    assert first["file"] == str(place / "photos" / "a" / "000.png")
    monkeypatch.chdir(place / "photos")
    assert nearbit("search", "../a.index", "--id", "1", "-k", "1")[1].split()[-1] == "a/000.png"
    (place / "photos" / "a" / "000.png").unlink()
    gone = as_json("search", "../a.index", "--id", "1", "-k", "1")["results"][0]["neighbors"][0]
    assert (gone["file"], gone["path"]) == (None, "photos/a/000.png")


def test_search_within_a_radius_takes_all_unless_told_otherwise(as_json, place):
    everything = as_json("search", "a.index", "--id", "1", "--radius", "12")["results"][0]["neighbors"]
    assert len(everything) == as_json("inspect", "a.index")["items"] > 10
    assert len(as_json("search", "a.index", "--id", "1", "--radius", "12", "-k", "3")["results"][0]["neighbors"]) == 3


def test_search_refuses_a_label_that_no_item_has(refused, place):
    assert "no item of a.index has the label 'aa'. Did you mean 'a'?" in refused(
        "search", "a.index", "--id", "1", "--label", "aa"
    )


def test_a_training_that_cannot_begin_leaves_no_checkpoint_folder(refused, place):
    (place / "photos" / "a" / "damaged.png").unlink()
    refused("train", "photos", *TINY, "--bits", "1", "-o", "new.model")
    assert not list(place.glob("new.model*"))


def test_an_index_without_its_model_says_so(refused, place):
    (place / "a.model").rename(place / "b.model")
    assert "names the model a.model beside it, which is not there" in refused("search", "a.index", "photos/a/001.png")


@pytest.mark.parametrize(
    ("is_a_terminal", "is_installed", "lines"), [(True, False, 1), (False, False, 0), (True, True, 0)]
)
def test_only_a_person_without_onnx_runtime_is_told_of_it(monkeypatch, is_a_terminal, is_installed, lines):
    class Errors(io.StringIO):
        def isatty(self):
            return is_a_terminal

    errors = Errors()
    monkeypatch.setattr("sys.stderr", errors)
    monkeypatch.setattr("nearbit.cli.commands.search.find_spec", lambda name: object() if is_installed else None)
    _hint_at_onnx()
    assert errors.getvalue().count("starting torch") == errors.getvalue().count("\n") == lines
