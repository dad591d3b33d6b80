"""The road of unseen classes on the command line: split, train, evaluate under each protocol, add a class."""

import json

import pytest

from model_makers import model_of_far_centers
from nearbit.cli.main import run
from tiny_data import TINY, write_folder

UNSEEN = ["--unseen", "b"]


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """A folder of four classes and a model that was trained without the second."""
    folder = tmp_path_factory.mktemp("birds")
    write_folder(folder / "photos", n_classes=4, per_class=10)
    arguments = ["train", "photos", "--protocol", "seen@seen", *UNSEEN, *TINY, "-o", "a.model"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("NEARBIT_CACHE", str(folder / "cache"))
        assert run(arguments) == 0
    return folder


@pytest.fixture
def here(birds, monkeypatch):
    monkeypatch.chdir(birds)
    return birds


def test_a_protocol_and_a_split_of_it_give_the_same_figures(here, as_json, nearbit):
    about = as_json("split", "photos", "--protocol", "unseen@all", *UNSEEN, "-o", "s.json")
    assert about["recipe"]["unseen"] == ["b"]
    assert "unseen classes: b" in nearbit("split", "photos", "--protocol", "seen@all", *UNSEEN, "-o", "t.json")[1]
    by_file = as_json("evaluate", "a.model", "photos", "--split", "s.json")
    by_name = as_json("evaluate", "a.model", "photos", "--protocol", "unseen@all")
    assert {**by_file, "errors_file": None} == {**by_name, "errors_file": None}
    assert (by_name["n_query"], by_name["n_database"], by_name["split_hash"]) == (1, 8, about["hash"])
    own = as_json("evaluate", "a.model", "photos")
    assert own["split_hash"] == as_json("evaluate", "a.model", "photos", "--protocol", "seen@seen")["split_hash"]


def test_sizes_go_with_the_protocols_of_unseen_classes(here, as_json):
    about = as_json(
        "split", "photos", "--protocol", "unseen@unseen", "--unseen-share", "0.5", "--query", "3", "-o", "u.json"
    )
    assert (about["query"], len(about["recipe"]["unseen"])) == (6, 2)


def test_a_class_is_added_with_and_without_a_new_layer(here, as_json, nearbit):
    plain = as_json("add-class", "a.model", "photos", "--name", "b", "-o", "plain.model")
    assert (plain["codes_changed"], plain["kept_images"], plain["images"], plain["n_classes"]) == (False, 0, 10, 4)
    moved = as_json("add-class", "a.model", "photos/b", "--name", "b", "--keep", "photos", "-o", "moved.model")
    assert (moved["codes_changed"], moved["kept_images"], moved["images"]) == (True, 18, 10)
    assert moved["center_distance"] == plain["center_distance"]
    inspected = as_json("inspect", "moved.model")
    assert (inspected["classes"], inspected["added_classes"]) == (["a", "c", "d", "b"], ["b"])
    assert inspected["center_distance_min"] <= moved["center_distance"]
    assert as_json("evaluate", "moved.model", "photos", "--protocol", "unseen@all")["queries_seen_in_training"] == 1
    line = nearbit("add-class", "a.model", "photos/b/010.png", "--name", "x", "-o", "plain.model", "--overwrite")[1]
    assert "of 1 images" in line
    assert "the network and all codes are as before" in line
    again = ["add-class", "a.model", "photos", "--name", "b", "--keep", "photos", "--overwrite", "-o", "moved.model"]
    assert "codes have changed: make indexes again" in nearbit(*again)[1]


def test_a_class_for_which_there_is_less_room_is_added_with_a_warning_unless_a_distance_is_asked_for(
    here, as_json, nearbit, refused, tmp_path
):
    model_of_far_centers(4, 12).save(tmp_path / "far.model")
    adding = ["add-class", tmp_path / "far.model", "photos/b", "--name", "e", "-o", tmp_path / "new.model"]
    about = as_json(*adding)
    assert (about["center_distance"], about["model_distance"]) == (6, 8)
    assert about["warning"].startswith("the center of 'e' is 6 bits from that of ")
    assert f"\nwarning: {about['warning']}\n" in nearbit(*adding, "--overwrite")[1]
    assert as_json("inspect", tmp_path / "new.model")["center_distance_min"] == 6
    asked = as_json(*adding, "--overwrite", "--min-distance", "6")
    assert (asked["center_distance"], asked["warning"]) == (6, None)
    assert "the farthest is 6" in refused(*adding, "--overwrite", "--min-distance", "8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["split", "photos", "-o", "x", *UNSEEN], "unseen classes go with the protocols"),
        (["split", "photos", "-o", "x", "--protocol", "seen@al"], "Did you mean 'seen@all'?"),
        (["split", "photos", "-o", "x", "--protocol", "seen@all", *UNSEEN, "--unseen-share", "0.2"], "not both"),
        (["split", "photos", "-o", "x", "--protocol", "seen@all", "--unseen-share", "2"], "between 0 and 1, not 2.0"),
        (["split", "photos", "-o", "x", "--protocol", "seen@all", "--unseen", "bb"], "Did you mean 'b'?"),
        (["train", "photos", "-o", "x", "--split", "s", *UNSEEN], "leave out what would make another one"),
        (["evaluate", "a.model", "photos", "--protocol", "unseen@al"], "Did you mean 'unseen@all'?"),
        (["evaluate", "a.model", "photos", "--protocol", "given"], "both must be of seen and unseen classes"),
        (["evaluate", "a.model", "photos", "--protocol", "seen@all", "--split", "s"], "leave --protocol out"),
        (["evaluate", "--codes", "c", "--protocol", "seen@all"], "--protocol goes with MODEL and DATA"),
        (["add-class", "a.model", "photos", "--name", "a", "-o", "x"], "has the class 'a' already"),
        (["add-class", "a.model", "photos", "--name", "bb", "-o", "x"], "Did you mean 'b'?"),
        (["add-class", "a.model", "photos", "--name", "b", "-o", "a.model"], "pass --overwrite to replace it"),
        (["add-class", "a.model", "photos", "--name", "b", "-o", "photos"], "is not a model folder"),
        (["add-class", "a.model", "photos", "--name", "b", "-o", "x", "--min-distance", "13"], "the farthest is"),
        (["add-class", "b.model", "photos", "--name", "b", "-o", "x"], "there is no model at b.model"),
        (["add-class", "a.model", "photos", "-o", "x"], "Missing option '--name'"),
    ],
)
def test_a_mistake_with_unseen_classes_is_one_line_and_writes_nothing(here, refused, arguments, message):
    before = sorted(here.iterdir())
    assert message in refused(*arguments)
    assert sorted(here.iterdir()) == before


def test_an_ordinary_model_has_no_unseen_classes(here, refused, nearbit, tmp_path):
    assert nearbit("train", "photos", *TINY, "-o", tmp_path / "all.model")[0] == 0
    message = refused("evaluate", tmp_path / "all.model", "photos", "--protocol", "unseen@all")
    assert "the protocol unseen@all cannot follow a split by sizes" in message


def test_the_recipe_in_a_split_file_names_what_is_unseen(here, nearbit, tmp_path):
    file = tmp_path / "s.json"
    assert nearbit("split", "photos", "--protocol", "seen@seen", *UNSEEN, "-o", file)[0] == 0
    assert json.loads(file.read_text())["recipe"]["protocol"] == "seen@seen"
