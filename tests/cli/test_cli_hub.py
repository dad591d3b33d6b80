"""Models published on the hub and opened from it, by the hub's own client against a stand-in on loopback."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hub_stand_in import Repository
from model_makers import random_model
from nearbit.files.writing import sha256_of
from nearbit.model.card import write_card
from nearbit.model.manifest import read_manifest, with_digest

pytest.importorskip("huggingface_hub", reason="skipped: huggingface_hub is not installed (extra [hub])")


def a_photo():
    Path("photos").mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)).save("photos/a.png")
    return "photos/a.png"


def test_a_model_is_published_and_opened_from_its_address(hub, nearbit, as_json):
    model = random_model()
    model.save(Path("birds.model"))
    Path("birds.model/private-notes.txt").write_text("not for others")
    about = as_json("push", "birds.model", "org/birds")
    repository = hub.repositories["org/birds"]
    (commit,) = repository.commits
    assert about["address"] == f"hf:org/birds@{commit}"
    assert repository.private
    files = repository.commits[commit]
    assert set(files) == {"README.md", *(path.name for path in Path("birds.model").iterdir())} - {"private-notes.txt"}
    assert files["README.md"].decode().startswith("---\nlibrary_name: nearbit")
    assert repository.messages == [f"nearbit model {model.model_id}"]
    shutil.rmtree("birds.model")

    for address in ("hf:org/birds", about["address"]):
        assert as_json("inspect", address)["model_id"] == model.model_id
    assert nearbit("encode", "hf:org/birds", a_photo(), "-o", "codes.npz")[0] == 0
    with np.load("codes.npz", allow_pickle=False) as codes:
        assert codes["codes"].shape == (1, 2)


def test_a_card_that_nobody_touched_has_the_name_of_the_folder_that_is_published(hub, as_json):
    random_model().save(Path("birds.model"))
    write_card("birds.model")
    Path("birds.model").rename("finches.model")
    as_json("push", "finches.model", "org/finches")
    card = Path("finches.model/README.md")
    assert "# birds.model\n" in card.read_text(encoding="utf-8")
    (pushed,) = hub.repositories["org/finches"].commits.values()
    assert "# finches.model\n" in pushed["README.md"].decode()
    card.write_text(card.read_text(encoding="utf-8").replace("# birds", "# Our birds"), encoding="utf-8")
    as_json("push", "finches.model", "org/ours")
    (pushed,) = hub.repositories["org/ours"].commits.values()
    assert pushed["README.md"].decode() == card.read_text(encoding="utf-8")


def test_an_index_names_the_commit_and_does_not_fetch_by_itself(hub, nearbit, as_json, refused):
    random_model().save(Path("birds.model"))
    address = as_json("push", "birds.model", "org/birds")["address"]
    nearbit("index", "add", "photos.index", a_photo(), "--model", "hf:org/birds")
    assert as_json("inspect", "photos.index")["notes"]["model_path"] == address
    found = as_json("search", "photos.index", "photos/a.png")
    assert "photos/a.png" in str(found)

    shutil.rmtree("hub")
    asked = len(hub.asked)
    said = refused("search", "photos.index", "photos/a.png")
    assert "it is not here yet" in said
    assert f"nearbit inspect {address}" in said
    assert len(hub.asked) == asked  # a stranger's index asks for nothing
    assert nearbit("search", "photos.index", "photos/a.png", "--model", address)[0] == 0


def test_a_new_commit_replaces_what_the_model_had(hub, as_json):
    random_model().save(Path("a.model"))
    first = as_json("push", "a.model", "org/birds", "--public")["address"]
    random_model(split=False, seed=1).save(Path("b.model"))
    second = as_json("push", "b.model", "org/birds", "--message", "better")["address"]
    repository = hub.repositories["org/birds"]
    assert not repository.private
    assert repository.messages[-1] == "better"
    assert "split.json" not in repository.commits[second.split("@")[1]]
    ids = [as_json("inspect", one)["model_id"] for one in (first, second, "hf:org/birds")]
    assert ids == [random_model().model_id, random_model(split=False, seed=1).model_id, ids[1]]


def test_a_damaged_model_is_not_sent(hub, refused):
    random_model().save(Path("a.model"))
    weights = Path("a.model/weights.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    said = refused("push", "a.model", "org/birds")
    assert "weights.safetensors was altered or damaged: its SHA-256 is not the one in bundle.json" in said
    assert not hub.repositories


def test_a_folder_that_names_files_outside_of_it_is_not_sent(hub, refused):
    random_model().save(Path("sub/a.model"))
    Path("secret.txt").write_text("secret")
    manifest = read_manifest(Path("sub/a.model"))
    manifest["files"]["../../secret.txt"] = sha256_of(Path("secret.txt"))
    Path("sub/a.model/bundle.json").write_text(json.dumps(with_digest(manifest)))
    assert "../../secret.txt" in refused("push", "sub/a.model", "org/birds")
    assert not hub.repositories


def test_publishing_leaves_what_is_no_part_of_a_model(hub, as_json):
    hub.repositories["org/birds"] = Repository(
        False, {"0" * 40: {"other.safetensors": b"x", "codebook.npy": b"old", "README.md": b"mine"}}
    )
    random_model(split=False).save(Path("a.model"))
    commit = as_json("push", "a.model", "org/birds")["address"].partition("@")[2]
    files = hub.repositories["org/birds"].commits[commit]
    assert files["other.safetensors"] == b"x"
    assert files["codebook.npy"] == Path("a.model/codebook.npy").read_bytes()


def test_a_file_changed_on_the_hub_is_refused(hub, nearbit, refused):
    random_model().save(Path("a.model"))
    nearbit("push", "a.model", "org/birds")
    files = hub.repositories["org/birds"].commits
    commit = next(iter(files))
    content = bytearray(files[commit]["weights.safetensors"])
    content[-1] ^= 1
    files[commit]["weights.safetensors"] = bytes(content)
    assert "weights.safetensors" in refused("inspect", "hf:org/birds")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf:org/none", "hf:org/none cannot be fetched: the hub knows no such repository, or not for you"),
        ("hf:org/birds@v9", "hf:org/birds@v9 cannot be fetched: it has no such revision"),
        ("hf:birds", "a model on the hub is named hf:ORG/NAME or hf:ORG/NAME@REVISION, not 'hf:birds'"),
        ("hf:../../etc", "a model on the hub is named hf:ORG/NAME"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_is_not_there_is_one_line(nearbit, refused, address, message):
    random_model().save(Path("a.model"))
    nearbit("push", "a.model", "org/birds")
    said = refused("inspect", address)
    assert message in said
    assert len(said.strip().splitlines()) == 1


def test_without_a_connection_it_says_so(hub, refused, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    said = refused("inspect", "hf:org/birds")
    assert "hf:org/birds cannot be fetched: it is not here yet, and the hub cannot be reached" in said
    random_model().save(Path("a.model"))
    assert "hf:org/birds cannot be published: the hub cannot be reached (" in refused("push", "a.model", "org/birds")
