"""Where no backbone and no model is named: a pretrained one is asked for, and codes come without training."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hub_stand_in import Repository
from nearbit.cli.commands.index import images, start
from nearbit.files.locking import _taken
from nearbit.index import create_index, open_index
from nearbit.model.load import load_any_model
from nearbit.networks import make_backbone, pretrained
from nearbit.networks.image_size import is_small
from tiny_data import TINY, dataset_of, tiny_pixels, write_folder

COMMIT = pretrained.DEFAULT.address.partition("@")[2]
SETTINGS = {
    "crop_size": {"height": 28, "width": 28}, "do_center_crop": True, "do_normalize": True, "do_rescale": True,
    "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3,
    "rescale_factor": 1 / 255, "size": {"shortest_edge": 32},
}  # fmt: skip


def photographs(root, *, n=6, side=80):
    """Write images of 80 pixels in two class folders: a bright and a dark kind, all different."""
    rng = np.random.default_rng(0)
    for number in range(n):
        bright = number % 2
        folder = root / ("bright" if bright else "dark")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 80, (side, side, 3), np.uint8) + np.uint8(150 * bright)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return root


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A folder as the hub has it: DINOv2's own classes, with four layers fewer and random weights."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("dino")
    config = transformers.Dinov2Config(
        hidden_size=24, num_attention_heads=2, num_hidden_layers=2, image_size=28, patch_size=14
    )
    transformers.Dinov2Model(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(SETTINGS))
    return folder


@pytest.fixture(autouse=True)
def _no_export(request, monkeypatch):
    """Leave the network for ONNX Runtime out, which takes ten seconds, but for one test."""
    if "exported" not in request.node.name:
        monkeypatch.setattr("nearbit.encoding.fast.network_of", lambda *_: None)


@pytest.fixture
def served(hub, weights):
    """The stand-in hub, which has the pretrained backbone at the very commit that is asked for."""
    files = {path.name: path.read_bytes() for path in weights.iterdir()}
    hub.repositories["facebook/dinov2-small"] = Repository(False, {COMMIT: files | {"pytorch_model.bin": b"pickle"}})
    return hub


@pytest.fixture
def terminal(monkeypatch):
    """Let a person be at the terminal, who gives these answers; return the list of answers."""
    answers = []
    monkeypatch.setattr("nearbit.cli.backbone_options.is_a_terminal", lambda: True)
    monkeypatch.setattr("click.confirm", lambda *_, **__: answers.pop(0))
    return answers


def downloads(hub):
    return [asked.rpartition("/")[2] for asked in hub.asked if asked.startswith("GET") and "/resolve/" in asked]


def test_images_are_small_up_to_the_64_pixels_that_the_small_network_sees():
    for side, expected in ((12, True), (64, True), (65, False), (200, False)):
        labels = np.ones((4, 1), np.bool_)
        pixels = tiny_pixels(labels, side=side)
        assert is_small(dataset_of(pixels, labels, ("a",)).source) is expected


def test_a_folder_alone_is_indexed_with_the_pretrained_backbone_which_is_exported(served, nearbit, as_json, weights):
    photographs(Path("photos"))
    status, out, err = nearbit("index", "photos/", "--yes")
    assert status == 0, err
    assert out.startswith("photos.index: 6 items of 128 bits (6 added")
    assert "codes without training: hf:facebook/dinov2-small, random" in out
    assert "weak: random directions: these images vary in fewer directions than the 128 bits" in out
    assert "better once there are more than 128 different images" in out
    assert "fetching hf:facebook/dinov2-small (DINOv2, ViT-S/14, 384 features; Apache-2.0, 88 MB)" in err
    assert sorted(set(downloads(served))) == ["config.json", "model.safetensors", "preprocessor_config.json"]
    model = load_any_model(Path("photos.index.model"))
    assert model.network.backbone.fingerprint() == _as_from_the_hub(weights)
    assert Path("photos.index.model/network.onnx").is_file()
    found = as_json("search", "photos.index", "photos/dark/00.png", "-k", "3")
    assert [one["labels"] for one in found["results"][0]["neighbors"]] == [["dark"]] * 3

    asked = len(served.asked)
    again = as_json("index", "photos")  # known images, the model that the index names, and nothing is asked for
    assert (again["unchanged"], again["added"], len(served.asked)) == (6, 0, asked)


def _as_from_the_hub(folder):
    backbone = make_backbone(f"hf:{folder}")
    object.__setattr__(backbone.spec, "name", "hf:facebook/dinov2-small")
    return backbone.fingerprint()


def test_who_is_asked_may_agree_or_not(served, nearbit, terminal):
    photographs(Path("photos"))
    terminal.append(False)
    status, _, said = nearbit("index", "add", "a.index", "photos")
    assert status == 2
    assert "is not here yet: where there is a connection `hf download facebook/dinov2-small" in said.splitlines()[-1]
    assert downloads(served) == []
    terminal.append(True)
    status, _, err = nearbit("index", "add", "a.index", "photos")
    assert status == 0, err
    assert "Photographs want a pretrained backbone: hf:facebook/dinov2-small (DINOv2" in err
    assert "Apache-2.0, 88 MB" in err


def test_scripts_offline_and_without_a_connection_get_one_line(served, nearbit, refused, monkeypatch):
    photographs(Path("photos"))
    for command, resort in (
        (("index", "photos"), "as a last resort --backbone thumbnail"),
        (("train", "photos", "-o", "a.model"), "--backbone small trains a small network from scratch"),
        (("bits", "photos"), "--backbone small trains"),
        (("compare", "photos", "-o", "results"), "--backbone small trains"),
    ):
        said = refused(*command)
        assert "add --yes to fetch it once from the Hugging Face hub" in said
        assert resort in said
        said = refused(*command, "--offline", "--yes")
        assert "nothing is fetched offline" in said
        assert f"--revision {COMMIT} --local-dir dinov2-small` fetches it into a folder" in said
        assert resort in said
    assert served.asked == []
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    status, _, said = nearbit("index", "photos", "--yes")
    assert status == 2
    assert "the hub cannot be reached" in said.splitlines()[-1]
    assert "--backbone hf:dinov2-small names" in said.splitlines()[-1]
    assert sorted(path.name for path in Path().iterdir()) == ["photos"]


def test_training_on_photographs_takes_the_pretrained_backbone_and_on_small_images_the_small_one(served, as_json):
    photographs(Path("photos"), n=12)
    options = ("--method", "csq", "--epochs", "1", "--bits", "8", "--device", "cpu", "--batch-size", "4")
    about = as_json("train", "photos", "-o", "a.model", *options, "--head", "linear", "--yes")
    assert about["regime"] == "frozen"
    assert load_any_model(Path("a.model")).record["options"]["backbone"] == "hf:facebook/dinov2-small"
    asked = len(served.asked)
    write_folder(Path("tiny"))
    about = as_json("train", "tiny", "-o", "b.model", *TINY)
    assert about["regime"] == "scratch"
    assert load_any_model(Path("b.model")).record["options"]["backbone"] == "small"
    assert len(served.asked) == asked


def test_a_download_that_was_cut_short_is_not_taken_for_whole(served, nearbit):
    photographs(Path("photos"))
    pretrained.DEFAULT.fetch()
    assert pretrained.DEFAULT.is_here()
    next(Path("hub").rglob("snapshots/*/model.safetensors")).unlink()
    assert not pretrained.DEFAULT.is_here()
    assert nearbit("index", "photos")[0] == 2  # it must be agreed to again
    assert nearbit("index", "photos", "--yes")[0] == 0
    assert pretrained.DEFAULT.is_here()


def test_a_backbone_of_the_hub_keeps_its_revision(served, as_json):
    photographs(Path("photos"))
    about = as_json("index", "add", "a.index", "photos", "--backbone", f"hf:facebook/dinov2-small@{COMMIT}")
    model = load_any_model(Path(about["model"]))
    assert model.network.backbone.spec.source == f"facebook/dinov2-small@{COMMIT}"


def test_without_transformers_the_line_says_what_installs_it(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    photographs(Path("photos"))
    monkeypatch.setattr("nearbit.networks.pretrained.find_spec", lambda _: None)
    said = refused("index", "photos")
    assert "transformers, which opens hf:facebook/dinov2-small, is not installed: pip install" in said
    assert "as a last resort --backbone thumbnail" in said


def test_the_last_resort_is_marked_and_finds_what_looks_alike(tmp_path, monkeypatch, nearbit, as_json):
    monkeypatch.chdir(tmp_path)
    photographs(Path("photos"), n=20)
    status, out, err = nearbit("index", "photos", "--backbone", "thumbnail", "--bits", "16")
    assert status == 0, err
    assert out.startswith("photos.index: 20 items of 16 bits")
    assert "codes without training: thumbnail, itq" in out
    assert "weak: " not in out, "as many directions as bits"
    assert "a first look only: colors and edges in their places, not what the images show" in out
    found = as_json("search", "photos.index", "photos/bright/01.png", "-k", "5")
    assert [one["labels"] for one in found["results"][0]["neighbors"]] == [["bright"]] * 5
    with open_index("photos.index") as index:
        assert index.notes()["model_path"] == "photos.index.model"


@pytest.mark.parametrize("copies", [1, 3])
def test_few_different_images_get_a_frame_and_are_told_how_weak_that_is(tmp_path, monkeypatch, nearbit, copies):
    monkeypatch.chdir(tmp_path)
    for number in range(copies):
        photographs(Path("photos") / str(number), n=20)
    status, out, err = nearbit("index", "photos", "--backbone", "thumbnail", "--bits", "32")
    assert status == 0, err
    assert "codes without training: thumbnail, itq" in out
    assert "weak: a frame of ITQ: the images that it saw vary in fewer directions than the 32 bits" in out
    assert "about half of the 5 nearest" in out
    model = load_any_model(Path("photos.index.model"))
    assert model.method_options["frame_from"] == 16
    assert model.record["n_train"] == 20 * copies
    assert 16 <= model.record["n_directions"] < 20


def test_a_model_that_stands_in_the_place_is_not_replaced(photos_and_model, refused, as_json):
    shutil.copytree("a.model", "new.index.model")
    said = refused("index", "add", "new.index", "photos", "--backbone", "thumbnail")
    assert "new.index.model stands where the model of a new index would lie" in said
    said = refused("index", "add", "new.index", "photos", "--model", "a.model", "--bits", "16")
    assert "--bits is for a new index without a model" in said
    as_json("index", "add", "new.index", "photos", "--model", "a.model")
    assert "--backbone is for" in refused("index", "add", "new.index", "photos", "--backbone", "thumbnail")
    assert "--part query is of the split" in refused("index", "add", "b.index", "photos", "--part", "query")


def test_a_run_cut_short_before_there_is_an_index_begins_again(photos_and_model, as_json, monkeypatch):
    started = ("index", "add", "b.index", "photos", "--backbone", "thumbnail", "--bits", "4")
    first = as_json(*started)
    Path("b.index").unlink()
    assert as_json(*started)["model_id"] == first["model_id"]


def test_the_model_of_an_index_that_is_gone_is_not_replaced_by_another(photos_and_model, as_json, refused):
    as_json("index", "add", "b.index", "photos", "--backbone", "thumbnail", "--bits", "4")
    kept = Path("b.index.model", "bundle.json").read_bytes()
    Path("b.index").rename("moved.index")
    said = refused("index", "add", "b.index", "photos", "--backbone", "thumbnail", "--bits", "5")
    assert "b.index.model stands where the model of a new index would lie, and is another one" in said
    assert Path("b.index.model", "bundle.json").read_bytes() == kept
    assert not Path("b.index").exists()
    about = as_json("index", "add", "b.index", "photos", "--model", "b.index.model")
    assert about["model_id"] == json.loads(kept)["model_id"]


@pytest.mark.parametrize("left", ["nothing", "a journal", "a header"])
def test_a_run_killed_as_it_made_the_index_goes_on(photos_and_model, as_json, left):
    started = ("index", "add", "b.index", "photos", "--backbone", "thumbnail", "--bits", "4")
    first = as_json(*started)
    Path("b.index").write_bytes(b"")
    if left == "a journal":
        Path("b.index-journal").write_bytes(bytes(512))
    elif left == "a header":
        with closing(sqlite3.connect("b.index")) as file:
            file.execute("PRAGMA journal_mode = WAL")
    about = as_json(*started)
    assert (about["model_id"], about["added"]) == (first["model_id"], first["added"])


def test_a_run_killed_before_the_index_named_its_model_goes_on(photos_and_model, as_json):
    started = ("index", "add", "b.index", "photos", "--backbone", "thumbnail", "--bits", "4")
    first = as_json(*started)
    Path("b.index").unlink()
    create_index("b.index", 4, model_id=first["model_id"]).close()
    assert as_json(*started)["added"] == first["added"]
    with open_index("b.index") as index:
        assert index.notes()["model_path"] == "b.index.model"


def test_a_command_is_repeated_with_the_options_that_the_model_is_of(photos_and_model, as_json, refused):
    started = ("index", "add", "b.index", "photos", "--backbone", "thumbnail", "--bits", "4")
    first = as_json(*started)
    assert as_json(*started)["unchanged"] == first["added"]
    assert "--bits is for a new index" in refused(*started[:-1], "5")
    assert "--backbone is for a new index" in refused("index", "add", "b.index", "photos", "--backbone", "small")


@pytest.mark.parametrize(
    ("given", "is_same"),
    [
        ("hf:facebook/dinov2-small", True),
        (f"hf:facebook/dinov2-small@{COMMIT}", True),
        ("hf:facebook/dinov2-small@" + 40 * "0", False),
        ("hf:facebook/dinov2-base", False),
        ("hf:dinov2-small", False),
    ],
)
def test_a_backbone_of_the_hub_is_told_by_its_name_and_its_commit(tmp_path, monkeypatch, given, is_same):
    monkeypatch.chdir(tmp_path)
    backbone = {"name": "hf:facebook/dinov2-small", "source": f"facebook/dinov2-small@{COMMIT}"}
    assert start._is_called(given, backbone) is is_same
    Path("here/dinov2-small").mkdir(parents=True)
    of_folder = {"name": "hf:dinov2-small", "source": "dinov2-small"}
    assert start._is_called("hf:here/dinov2-small/", of_folder)
    assert not start._is_called("hf:here/dinov2-small", backbone)


def begun_by_another(as_json, monkeypatch):
    """Let another command begin b.index as the first one reads its images; return what it printed, once it did."""
    photographs(Path("others"), n=20)
    began, read = [], images._read_new

    def meanwhile(*given):
        if not began:
            began.append({})
            began[0] |= as_json("index", "add", "b.index", "others", "--backbone", "thumbnail")
        return read(*given)

    monkeypatch.setattr(images, "_read_new", meanwhile)
    return began


@pytest.mark.parametrize("asked", [(), ("--backbone", "thumbnail"), ("--backbone", "thumbnail", "--bits", "128")])
def test_two_commands_that_begin_one_index_take_one_model(photos_and_model, as_json, monkeypatch, asked):
    began = begun_by_another(as_json, monkeypatch)
    about = as_json("index", "add", "b.index", "photos", *asked)
    assert about["model_id"] == began[0]["model_id"] == load_any_model(Path("b.index.model")).model_id
    assert about["items"] == began[0]["added"] + about["added"]


def test_a_model_that_another_command_made_meanwhile_is_refused_where_it_is_not_as_asked(
    photos_and_model, as_json, refused, monkeypatch
):
    begun_by_another(as_json, monkeypatch)
    assert "--bits is for a new index" in refused("index", "add", "b.index", "photos", "--bits", "64")


def test_nobody_else_begins_an_index_whose_model_is_made(photos_and_model, as_json, monkeypatch):
    held, make = [], start._model_beside
    lock = Path("b.index.model-lock")
    monkeypatch.setattr(
        start, "_model_beside", lambda *given, **more: held.append(_taken(lock)) or make(*given, **more)
    )
    as_json("index", "add", "b.index", "photos", "--backbone", "thumbnail")
    assert held == [None]
    assert not lock.exists()


def test_images_all_alike_have_codes_of_random_directions(tmp_path, monkeypatch, as_json):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(12):  # different files, of features that vary in fewer than 8 directions
        Image.new("RGB", (70, 70), (number, number, number)).save(f"photos/{number}.png")
    about = as_json("index", "photos", "--backbone", "thumbnail", "--bits", "8")
    assert load_any_model(Path(about["model"])).method == "random"


def test_a_backbone_without_weights_cannot_be_tuned(photos_and_model, nearbit):
    options = ("--backbone", "thumbnail", "--regime", "fine-tuned", *TINY[2:])
    status, _, said = nearbit("train", "photos", "-o", "b.model", *options)
    assert status == 2
    assert "the backbone thumbnail has no weights that could be trained" in said.splitlines()[-1]
