"""`nearbit index` beside putting images in: mirror, remove, verify, compact, tell, export, import, kept outputs."""

import numpy as np
import pytest

from model_makers import random_model
from nearbit.index import create_index, open_index
from tiny_data import write_folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos", per_class=3)
    random_model().save("a.model")
    return tmp_path


@pytest.fixture
def index(place, as_json):
    as_json("index", "a.index", "photos", "--model", "a.model", "--device", "cpu")
    return place / "a.index"


def test_sync_says_what_moved_and_went(index, place, as_json, nearbit):
    (place / "photos" / "a" / "000.png").rename(place / "photos" / "b" / "moved.png")
    (place / "photos" / "a" / "001.png").unlink()
    status, out, _ = nearbit("index", "a.index", "photos")
    assert "2 items are of images that are no longer there; they stay in the index (--sync removes)" in out
    (place / "photos" / "c" / "006.png").rename(place / "photos" / "c" / "other.png")
    about = as_json("index", "a.index", "photos", "--sync")
    assert (about["moved"], about["removed"], about["added"], about["items"]) == (1, 2, 0, 8)
    status, out, _ = nearbit("index", "a.index", "photos", "--sync")
    assert (status, out.splitlines()[0]) == (0, "a.index: 8 items of 12 bits (0 added, 0 replaced, 8 unchanged)")


def test_a_few_files_are_not_taken_for_a_folder(index, refused):
    for arguments in (["photos/a/000.png"], ["photos", "photos"], ["photos", "--part", "train"]):
        assert "--sync needs" in refused("index", "a.index", *arguments, "--sync")
    with open_index(index) as opened:
        assert len(opened) == 9


def test_items_are_removed_by_id_and_by_what_they_hold(index, as_json, refused):
    assert as_json("index", "a.index", "--remove", "1,3") == {"index": "a.index", "removed": 2, "items": 7}
    assert as_json("index", "a.index", "--remove-where", "labels=b")["removed"] == 3
    assert as_json("index", "a.index", "--remove-where", "path=photos/a/001.png")["removed"] == 1
    with open_index(index) as opened:
        opened.add(np.zeros((3, 2), np.uint8), metadata=[{"n": 3}, {"n": "3"}, {"n": True}])
    assert as_json("index", "a.index", "--remove-where", "n=3")["removed"] == 1
    assert as_json("index", "a.index", "--remove-where", 'n="3"')["removed"] == 1
    assert as_json("index", "a.index", "--remove-where", "n=true")["removed"] == 1
    assert as_json("index", "a.index", "--remove-where", "n=none")["removed"] == 0
    assert "holds no item 1; nothing was removed" in refused("index", "a.index", "--remove", "4,1")
    assert "ids with commas between" in refused("index", "a.index", "--remove", "4;1")
    assert "takes KEY=VALUE" in refused("index", "a.index", "--remove-where", "labels")


def test_verify_finds_what_is_wrong(index, as_json, refused, nearbit):
    assert as_json("index", "a.index", "--verify") == {"index": "a.index", "items": 9, "problems": []}
    assert nearbit("index", "a.index", "--verify")[1] == "a.index: 9 items, all is well\n"
    with open_index(index) as opened, opened._store.write() as connection:
        connection.execute("UPDATE items SET code = x'ffff' WHERE id = 2")
    assert "1 problems: item 2: the last 4 bits of its code should be 0" in refused("index", "a.index", "--verify")


def test_compact_and_stats(index, as_json, nearbit):
    about = as_json("index", "a.index", "--compact", "--vacuum")
    assert (about["items"], about["added_since_merge"]) == (9, 0)
    assert about["file_bytes"] <= about["file_bytes_before"]
    stats = as_json("index", "a.index", "--stats")
    assert (stats["items"], stats["n_bits"], stats["outputs"]) == (9, 12, None)
    assert "items: 9" in nearbit("index", "a.index", "--stats")[1].splitlines()


def test_export_and_import(index, as_json, refused):
    assert as_json("index", "a.index", "--export", "a.npz") == {"index": "a.index", "items": 9, "file": "a.npz"}
    assert as_json("index", "b.index", "--import", "a.npz")["added"] == 9
    with open_index(index) as ours, open_index("b.index") as theirs:
        assert [(item.id, item.path, item.labels) for item in ours] == [
            (item.id, item.path, item.labels) for item in theirs
        ]
    assert as_json("index", "a.index", "--export", "a.sql")["items"] == 9
    assert "already holds item" in refused("index", "b.index", "--import", "a.npz")
    assert "must end in .npz, .faiss, .usearch" in refused("index", "b.index", "--import", "a.sql")
    assert "must end in .npz, .faiss, .usearch, .sql" in refused("index", "a.index", "--export", "a.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give IMAGES, or one of --remove, --remove-where, --verify"),
        (["photos", "--verify"], "not --verify and IMAGES"),
        (["--verify", "--stats"], "not --verify and --stats"),
        (["--stats", "--vacuum"], "--vacuum goes with --compact"),
        (["photos", "--bits", "12"], "--bits goes with --import"),
    ],
)
def test_actions_that_do_not_go_together_are_refused(index, refused, arguments, message):
    assert message in refused("index", "a.index", *arguments)


def test_actions_need_an_index(place, refused):
    for arguments in (["--verify"], ["--stats"], ["--remove", "1"], ["--export", "a.npz"], ["--compact"]):
        assert "does not exist" in refused("index", "none.index", *arguments)
    assert not (place / "none.index").exists()


def test_kept_outputs_order_what_lies_at_one_distance(place, as_json, refused):
    as_json("index", "o.index", "photos", "--model", "a.model", "--keep-outputs", "int8", "--device", "cpu")
    model = random_model()
    image = place / "photos" / "a" / "000.png"
    outputs = model.outputs([image])
    with open_index("o.index") as opened:
        expected = opened.search(model.encode([image]), k=9, outputs=outputs)
        plain = opened.search(model.encode([image]), k=9)
    for query in ([image], ["--id", "1"]):
        found = as_json("search", "o.index", *query, "-k", "9")["results"][0]["neighbours"]
        assert [one["id"] for one in found] == expected.ids[0].tolist()
    reranked = as_json("search", "o.index", image, "-k", "3", "--rerank", "9")["results"][0]["neighbours"]
    assert len(reranked) == 3
    assert sorted(plain.distances[0].tolist()) == expected.distances[0].tolist()
    as_json("index", "a.index", "photos", "--model", "a.model", "--device", "cpu")
    assert "rerank needs outputs" in refused("search", "a.index", image, "--rerank", "9")
    assert "keeps no outputs, not int8" in refused("index", "a.index", "photos", "--keep-outputs", "int8")
    with create_index("n.index", 12, outputs="int8"):
        np.savez("n.npz", codes=np.zeros((1, 2), np.uint8), n_bits=12)
    assert "needs those of every item" in refused("index", "n.index", "--import", "n.npz")
