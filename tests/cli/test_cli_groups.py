"""`nearbit duplicates` and `nearbit clusters`: which pictures, which to keep, what is written; never a file less."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from nearbit.errors import InputError
from nearbit.files.writing import sha256_of
from nearbit.grouping import find_duplicates
from nearbit.grouping.same_pictures import difference_hash
from nearbit.grouping.tables import write_duplicates
from nearbit.index import create_index, open_index


def scene(seed):
    """Return a picture with soft spots, as unlike others as photographs are."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    return coarse.resize((96, 96), Image.Resampling.BICUBIC)


PHOTOS = {  # name: (picture, side, code, label)
    "a/one.png": (1, 96, 0b00000000, "a"),
    "a/one-small.png": (1, 48, 0b00000001, "a"),
    "b/one-large.jpg": (1, 192, 0b00000011, "b"),
    "a/other.png": (2, 96, 0b00000001, "a"),
    "b/alone.png": (3, 96, 0b11111111, "b"),
}


@pytest.fixture
def index(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, (seed, side, _, _) in PHOTOS.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        scene(seed).resize((side, side)).save(tmp_path / "photos" / name)
    codes = np.array([[code] for _, _, code, _ in PHOTOS.values()], np.uint8)
    about = [{"path": f"photos/{name}", "labels": [label]} for name, (_, _, _, label) in PHOTOS.items()]
    with create_index(tmp_path / "a.index", n_bits=8) as opened:
        opened.add(codes, metadata=about)
    return tmp_path / "a.index"


def names(group):
    return [one["path"] for one in (group["kept"], *group["others"])]


def test_groups_keep_the_largest_picture(index, as_json):
    found = as_json("duplicates", "a.index", "--radius", "1")
    assert (found["n_groups"], found["n_others"], found["items"]) == (1, 3, 5)
    (group,) = found["groups"]
    assert names(group) == [
        "photos/b/one-large.jpg", "photos/a/one-small.png", "photos/a/other.png", "photos/a/one.png",
    ]  # fmt: skip
    assert [one["distance"] for one in group["others"]] == [1, 1, 2]
    assert (group["kept"]["width"], group["kept"]["height"]) == (192, 192)
    assert group["kept"]["n_bytes"] == (index.parent / "photos/b/one-large.jpg").stat().st_size
    assert not group["same_labels"]
    assert "1 of 1 groups hold different labels" in " ".join(found["advice"])
    assert (
        names(as_json("duplicates", "a.index", "--radius", "1", "--keep", "first")["groups"][0])[0]
        == "photos/a/one.png"
    )


def test_a_picture_that_cannot_be_read_is_kept_last(index, as_json):
    broken = index.parent / "photos/b/one-large.jpg"
    broken.write_bytes(b"\xff\xd8\xff" + bytes(100_000))
    (group,) = as_json("duplicates", "a.index", "--radius", "1")["groups"]
    assert group["kept"]["path"] == "photos/a/one.png" or group["kept"]["path"] == "photos/a/other.png"
    found = as_json("duplicates", "a.index", "--radius", "2", "--confirm")
    assert found["unread"] == 1
    assert "1 pictures could not be read" in " ".join(found["advice"])
    assert names(found["groups"][0]) == ["photos/a/one.png", "photos/a/one-small.png"]


def test_confirmed_pairs_look_alike(index, as_json):
    (group,) = as_json("duplicates", "a.index", "--radius", "1", "--confirm")["groups"]
    assert names(group) == ["photos/b/one-large.jpg", "photos/a/one-small.png", "photos/a/one.png"]
    assert as_json("duplicates", "a.index", "--radius", "0", "--confirm")["groups"] == []
    hashes = np.unpackbits([difference_hash(scene(seed)) for seed in (1, 2, 3)], axis=1)
    assert 90 < (hashes[0] != hashes[1]).sum() < 166


def test_files_hold_all_groups_and_nothing_is_deleted(index, nearbit, as_json):
    before = sorted(path.name for path in index.parent.rglob("*.*g"))
    status, out, _ = nearbit(
        "duplicates", "a.index", "--radius", "1", "-o", "d.csv", "-o", "d.json", "-o", "d.html", "-o", "d.txt"
    )
    assert status == 0
    assert "1 group among 5 items; 3 pictures beside those to keep. Nothing was deleted." in out
    assert "to act on it: read d.txt, then xargs -d '\\n' rm -- < d.txt" in out
    assert sorted(path.name for path in index.parent.rglob("*.*g")) == before
    with open("d.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["group"], row["keep"], row["id"], row["distance"], row["labels"]) for row in rows] == [
        ("1", "yes", "3", "0", "b"), ("1", "no", "2", "1", "a"), ("1", "no", "4", "1", "a"), ("1", "no", "1", "2", "a"),
    ]  # fmt: skip
    files = [str(index.parent / "photos" / name) for name in ("a/one-small.png", "a/other.png", "a/one.png")]
    assert (index.parent / "d.txt").read_text().splitlines() == files
    found = as_json("duplicates", "a.index", "--radius", "1")
    assert json.loads((index.parent / "d.json").read_text())["groups"] == found["groups"]
    page = (index.parent / "d.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 4
    assert "2 bits" in page
    assert "192 × 192" in page


def test_a_list_of_what_may_be_no_copies_comes_without_a_command_that_removes_it(index, nearbit):
    asked = ("duplicates", "a.index", "--radius", "8", "-o", "d.txt")
    _, out, err = nearbit(*asked)
    assert "codes trained on classes tell classes apart" in err
    assert " rm " not in out
    assert "not to act on as it is: d.txt names pictures that may be no copies; --confirm finds those" in out
    assert "xargs -d '\\n' rm -- < d.txt" in nearbit(*asked, "--confirm")[1]


def test_a_list_never_names_a_file_that_is_kept(index, tmp_path):
    large, link, hard = (tmp_path / "photos/b" / name for name in ("one-large.jpg", "link.jpg", "hard.jpg"))
    link.symlink_to(large)
    os.link(large, hard)
    same = ["photos/b/link.jpg", "photos/b/hard.jpg", "photos/a/../b/one-large.jpg", "photos/a/one.png"]
    with open_index(index) as opened:
        opened.add(np.full((4, 1), 0b11, np.uint8), metadata=[{"path": path} for path in same])
        found = find_duplicates(opened, 1)
    names = ("one-small.png", "one.png", "other.png")
    assert sorted(found.removable()) == [str(tmp_path / "photos/a" / name) for name in names]


def test_a_name_of_two_lines_is_in_no_list(index, tmp_path):
    shutil.copy(tmp_path / "photos/a/one.png", tmp_path / "photos/a/two\nlines.png")
    with open_index(index) as opened:
        opened.add(np.zeros((1, 1), np.uint8), metadata=[{"path": "photos/a/two\nlines.png"}])
        found = find_duplicates(opened, 0)
    with pytest.raises(InputError, match=r"would be two lines of a list: take a \.csv or \.json file"):
        write_duplicates(tmp_path / "d.txt", found)
    assert not (tmp_path / "d.txt").exists()
    write_duplicates(tmp_path / "d.csv", found)


def test_codes_that_tell_classes_apart_are_said_to(tmp_path, as_json):
    with create_index(tmp_path / "c.index", n_bits=8) as opened:
        opened.add(np.repeat(np.array([[0], [255]], np.uint8), 30, axis=0))
    found = as_json("duplicates", tmp_path / "c.index")
    assert [len(group["others"]) for group in found["groups"]] == [29, 29]
    assert "codes trained on classes tell classes apart" in found["advice"][0]


def test_items_without_files_are_grouped_too(tmp_path, nearbit, as_json):
    with create_index(tmp_path / "c.index", n_bits=8) as opened:
        opened.add(np.array([[0], [1], [255]], np.uint8), metadata=[{"path": "digits/0001"}, {}, {}])
    (group,) = as_json("duplicates", tmp_path / "c.index")["groups"]
    assert [group["kept"]["id"], group["others"][0]["id"]] == [1, 2]
    assert nearbit("duplicates", tmp_path / "c.index", "-o", tmp_path / "d.html", "-o", tmp_path / "d.txt")[0] == 0
    assert (tmp_path / "d.txt").read_text() == ""
    status, out, _ = nearbit("duplicates", tmp_path / "c.index", "--radius", "0")
    assert (status, out) == (0, "no two of 3 items lie within 0 bits of each other\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("duplicates", "a.index", "-o", "d.xml"), "expected a file that ends in one of .csv, .json, .html, .txt"),
        (("clusters", "a.index", "-o", "d.txt"), "expected a file that ends in one of .csv, .json, .html"),
        (("duplicates", "a.index", "--radius", "-1"), "-1 is not in the range x>=0"),
        (("duplicates", "none.index"), "none.index does not exist"),
        (("clusters", "a.index", "-n", "0"), "0 is not in the range"),
    ],
)
def test_mistakes_are_refused_before_the_work(index, refused, arguments, message):
    assert message in refused(*arguments)
    assert not list(index.parent.glob("d.*"))


def test_clusters_have_a_typical_picture(index, nearbit, as_json):
    found = as_json("clusters", "a.index", "-n", "2", "-o", "c.csv", "-o", "c.html", "-o", "c.json")
    assert [one["size"] for one in found["clusters"]] == [4, 1]
    first, second = found["clusters"]
    assert first["typical"]["path"] == "photos/a/one-small.png"
    assert first["labels"] == {"a": 3, "b": 1}
    assert [one["id"] for one in first["examples"]] == [4, 1, 3]
    assert second["typical"]["path"] == "photos/b/alone.png"
    with open("c.csv", newline="", encoding="utf-8") as file:
        rows = [(row["cluster"], row["rank"], row["id"], row["distance"]) for row in csv.DictReader(file)]
    assert rows == [
        ("1", "0", "2", "0"),
        ("1", "1", "4", "0"),
        ("1", "2", "1", "1"),
        ("1", "3", "3", "1"),
        ("2", "0", "5", "0"),
    ]
    assert (index.parent / "c.html").read_text().count("data:image/jpeg") == 5
    assert json.loads((index.parent / "c.json").read_text())["clusters"] == found["clusters"]
    status, out, err = nearbit("clusters", "a.index", "-n", "9")
    assert status == 0
    assert "a (100%)" in out
    assert "5 items in 4 clusters" in out
    assert "4 clusters, not 9" in err


def test_the_last_file_of_a_group_is_never_listed(index, as_json, nearbit):
    (index.parent / "photos/a/one.png").unlink()
    found = as_json("duplicates", "a.index", "--radius", "1", "--keep", "first")
    assert found["groups"][0]["kept"]["path"] == "photos/a/one-small.png"  # the first that has a file
    for name in ("a/one-small.png", "a/other.png"):
        (index.parent / "photos" / name).unlink()
    for keep in ("first", "largest"):
        assert nearbit("duplicates", "a.index", "--radius", "1", "--keep", keep, "-o", "d.txt")[0] == 0
        assert (index.parent / "d.txt").read_text() == ""
    with open_index(index) as opened:
        found = find_duplicates(opened, 1, keep="first")
    (index.parent / "photos/b/one-large.jpg").rename(index.parent / "kept.jpg")
    assert found.removable() == []
    shutil.copy(index.parent / "kept.jpg", index.parent / "photos/a/other.png")
    assert found.removable() == []  # what was to be kept has gone since: this is the last one


@pytest.mark.parametrize("keep", ["first", "largest"])
def test_a_group_whose_kept_file_has_changed_is_not_acted_on(index, nearbit, keep):
    with open_index(index) as opened:
        about = [{"path": item.path, "digest": sha256_of(index.parent / item.path), "labels": []} for item in opened]
        opened.update([item.id for item in opened], metadata=about)
    arguments = ("duplicates", "a.index", "--radius", "1", "--keep", keep, "-o", "d.txt")
    assert "holds none of" not in nearbit(*arguments)[1]
    assert len((index.parent / "d.txt").read_text().splitlines()) == 3
    scene(9).resize((999, 999)).save(index.parent / "photos/a/one.png")
    (index.parent / "photos/b/one-large.jpg").write_bytes((index.parent / "photos/b/one-large.jpg").read_bytes()[:-9])
    assert "d.txt holds none of 1 group whose kept file is gone or changed since" in nearbit(*arguments)[1]
    assert (index.parent / "d.txt").read_text() == ""
