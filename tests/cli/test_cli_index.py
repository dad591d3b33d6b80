"""`nearbit index` beside putting images in: mirror, remove, verify, compact, tell, export, import, kept outputs."""

import numpy as np
import pytest

from model_makers import random_model
from nearbit.errors import IndexFileError
from nearbit.index import Index, create_index, open_index


@pytest.fixture
def index(photos_and_model, as_json):
    as_json("index", "a.index", "photos", "--model", "a.model", "--device", "cpu")
    return photos_and_model / "a.index"


def test_sync_says_what_moved_and_went(index, photos_and_model, as_json, nearbit):
    (photos_and_model / "photos" / "a" / "000.png").rename(photos_and_model / "photos" / "b" / "moved.png")
    (photos_and_model / "photos" / "a" / "001.png").unlink()
    status, out, _ = nearbit("index", "a.index", "photos")
    assert "2 items are of images that are no longer there; they stay in the index (--sync removes)" in out
    (photos_and_model / "photos" / "c" / "006.png").rename(photos_and_model / "photos" / "c" / "other.png")
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
    assert "nested too deeply" in refused("index", "a.index", "--remove-where", f"n={'[' * 100_000}")
    assert as_json("index", "a.index", "--remove-where", "n=none")["removed"] == 0
    assert refused("index", "a.index", "--remove", "4,1").endswith("holds no item 1; nothing was removed\n")
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
    assert "must end in .npz, .parquet, .arrow, .faiss, .usearch" in refused("index", "b.index", "--import", "a.sql")
    assert "must end in .npz, .parquet, .arrow, .faiss, .usearch, .sql" in refused(
        "index", "a.index", "--export", "a.csv"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give IMAGES, or one of --remove, --remove-where, --remove-missing, --verify"),
        (["photos", "--verify"], "not --verify and IMAGES"),
        (["--verify", "--stats"], "not --verify and --stats"),
        (["--stats", "--vacuum"], "--vacuum goes with --compact"),
        (["photos", "--bits", "12"], "--bits goes with --import"),
        (["--stats", "--sync"], "--sync goes with IMAGES, not with --stats"),
        (["--stats", "--part", "query"], "--part goes with IMAGES"),
        (["--remove", "1", "--model", "a.model"], "--model goes with IMAGES"),
        (["--verify", "--device", "cpu"], "--device goes with IMAGES"),
        (["--compact", "--cache", "."], "--cache goes with IMAGES"),
        (["--compact", "--label-level", "fine"], "--label-level goes with IMAGES"),
        (["--export", "a.npz", "--split-file", "s.csv"], "--split-file goes with IMAGES"),
        (["--import", "a.npz", "--keep-outputs", "int8"], "--keep-outputs goes with IMAGES"),
        (["photos", "--split-file", "s.csv"], "--split-file goes with --part"),
    ],
)
def test_actions_that_do_not_go_together_are_refused(index, refused, arguments, message):
    assert message in refused("index", "a.index", *arguments)


def test_actions_need_an_index(photos_and_model, refused):
    for arguments in (["--verify"], ["--stats"], ["--remove", "1"], ["--export", "a.npz"], ["--compact"]):
        assert "does not exist" in refused("index", "none.index", *arguments)
    assert not (photos_and_model / "none.index").exists()


def test_kept_outputs_order_what_lies_at_one_distance(photos_and_model, as_json, refused):
    as_json("index", "o.index", "photos", "--model", "a.model", "--keep-outputs", "int8", "--device", "cpu")
    model = random_model()
    image = photos_and_model / "photos" / "a" / "000.png"
    outputs = model.outputs([image])
    with open_index("o.index") as opened:
        expected = opened.search(model.encode([image]), k=9, outputs=outputs)
        plain = opened.search(model.encode([image]), k=9)
    for query in ([image], ["--id", "1"]):
        found = as_json("search", "o.index", *query, "-k", "9")["results"][0]["neighbors"]
        assert [one["id"] for one in found] == expected.ids[0].tolist()
    reranked = as_json("search", "o.index", image, "-k", "3", "--rerank", "9")["results"][0]["neighbors"]
    assert len(reranked) == 3
    assert sorted(plain.distances[0].tolist()) == expected.distances[0].tolist()
    as_json("index", "a.index", "photos", "--model", "a.model", "--device", "cpu")
    said = refused("search", "a.index", image, "--rerank", "9")
    assert "a.index keeps no outputs of its items, by which --rerank ranks: make it anew with --keep-outputs" in said
    assert "keeps no outputs, not int8" in refused("index", "a.index", "photos", "--keep-outputs", "int8")
    with create_index("n.index", 12, outputs="int8"):
        np.savez("n.npz", codes=np.zeros((1, 2), np.uint8), n_bits=12)
    assert "needs those of every item" in refused("index", "n.index", "--import", "n.npz")


def test_changed_labels_are_told(photos_and_model, as_json, nearbit):
    rows = [f"a/{name}.png,wren\n" for name in ("000", "001", "002")]
    labels = photos_and_model / "photos" / "labels.csv"
    labels.write_text("path,label\n" + "".join(rows))
    run = ("index", "a.index", "photos", "--model", "a.model", "--device", "cpu")
    assert as_json(*run)["relabelled"] == 0
    assert "relabelled" not in nearbit(*run)[1]
    labels.write_text("path,label\n" + "".join(rows).replace("000.png,wren", "000.png,owl"))
    assert nearbit(*run)[1].startswith("a.index: 3 items of 12 bits (0 added, 0 replaced, 3 unchanged, 1 relabelled)\n")
    labels.write_text("path,label\n" + "".join(rows))
    assert as_json(*run, "--sync")["relabelled"] == 1


def test_what_is_removed_is_looked_up_while_nobody_else_writes(index, as_json, monkeypatch):
    monkeypatch.setattr("nearbit.index.storage.store.BUSY_SECONDS", 0.05)
    matching, refusals = Index.matching, []

    def look_up(self, where):
        with open_index(index) as other, pytest.raises(IndexFileError, match="is writing to it") as error:
            other.remove([1])
        refusals.append(error)
        return matching(self, where)

    monkeypatch.setattr(Index, "matching", look_up)
    assert as_json("index", "a.index", "--remove-where", "labels=b")["removed"] == 3
    assert len(refusals) == 1


def test_an_import_knows_the_model(index, photos_and_model, as_json, refused):
    model_id = random_model().model_id
    as_json("index", "a.index", "--export", "a.npz")
    as_json("index", "b.index", "--import", "a.npz")
    with open_index("b.index") as opened:
        assert opened.model_id == model_id
    create_index("other.index", 12, model_id="another").close()
    assert "codes of different models cannot be compared" in refused("index", "other.index", "--import", "a.npz")
    np.savez("plain.npz", codes=np.zeros((2, 2), np.uint8), n_bits=12)
    as_json("index", "c.index", "--import", "plain.npz", "--model", "a.model")
    with open_index("c.index") as opened:
        assert (opened.model_id, opened.notes(), len(opened)) == (model_id, {"model_path": "a.model"}, 2)
    random_model(seed=1).save("b.model")
    assert "leave --model out" in refused("index", "d.index", "--import", "a.npz", "--model", "b.model")
    np.savez("long.npz", codes=np.zeros((2, 3), np.uint8), n_bits=24)
    assert "of 24 bits, a.model makes 12" in refused("index", "d.index", "--import", "long.npz", "--model", "a.model")
    assert "model" in refused("index", "d.index", "--import", "plain.npz", "--model", "none.model")
    assert not (photos_and_model / "d.index").exists()


def test_what_encode_wrote_can_be_imported(index, as_json):
    as_json("encode", "a.model", "photos", "-o", "codes.npz", "--device", "cpu")
    for _ in range(2):
        assert as_json("index", "b.index", "--import", "codes.npz")["added"] == 9
    with open_index(index) as ours, open_index("b.index") as theirs:
        items, again = list(theirs)[:9], list(theirs)[9:]
        for item, first, second in zip(ours, items, again, strict=True):
            assert item.path == f"photos/{first.path}"
            assert (item.code.tobytes(), item.labels, item.digest) == (first.code.tobytes(), first.labels, first.digest)
            assert (first.id, second.id, second.path) == (item.id, item.id + 9, first.path)
        assert theirs.model_id == ours.model_id


def test_a_failed_import_leaves_no_index(photos_and_model, refused):
    codes = np.zeros((2, 2), np.uint8)
    bad = {"ids": np.array([1, 1])}, {"ids": np.array([0.5, 1])}, {"items": np.frombuffer(b"[1, 2]", np.uint8)}
    for number, arrays in enumerate(bad):
        np.savez(f"{number}.npz", codes=codes, n_bits=12, **arrays)
        assert f"{number}.npz: " in refused("index", "new.index", "--import", f"{number}.npz")
    assert not [one for one in photos_and_model.iterdir() if one.name.startswith("new.index")]


def test_an_index_is_put_in_the_place_of_another_that_is_open(index, as_json, refused, photos_and_model):
    with create_index(photos_and_model / "new.index", 12) as new:
        new.add(np.zeros((2, 2), np.uint8))
    with open_index(index) as opened:
        about = as_json("index", "a.index", "--replace-with", "new.index")
        assert about == {"index": "a.index", "items": 2, "copied_from": "new.index"}
        with pytest.raises(IndexFileError, match="was replaced by another file while it was open"):
            opened.remove([1])
    with open_index(index) as opened:
        assert (len(opened), opened.verify()) == (2, [])
    assert "are one file" in refused("index", "a.index", "--replace-with", "a.index")
    assert "does not exist" in refused("index", "a.index", "--replace-with", "none.index")


def test_a_model_is_noted_from_the_folder_of_the_real_file(index, as_json, photos_and_model, monkeypatch):
    (photos_and_model / "far").mkdir()
    (photos_and_model / "far" / "link.index").symlink_to(index)
    monkeypatch.chdir(photos_and_model / "far")
    assert as_json("index", "link.index", "../photos")["unchanged"] == 9
    with open_index(index) as opened:
        assert opened.notes()["model_path"] == "a.model"
    assert [file.name for file in (photos_and_model / "far").iterdir()] == ["link.index"]


def test_asymmetric_search_ranks_by_the_outputs_of_the_query(index, photos_and_model, as_json, nearbit, refused):
    image = "photos/a/000.png"
    plain = as_json("search", "a.index", image, "-k", "9")
    found = as_json("search", "a.index", image, "-k", "9", "--asymmetric")
    assert (plain["ranking"], found["ranking"]) == ("distance", "weighted distance")
    neighbours = found["results"][0]["neighbours"]
    weighted = [item["weighted_distance"] for item in neighbours]
    assert weighted == sorted(weighted)
    assert weighted[0] == neighbours[0]["distance"] == 0
    assert {item["id"] for item in neighbours} == {item["id"] for item in plain["results"][0]["neighbours"]}
    assert "weighted_distance" not in plain["results"][0]["neighbours"][0]
    near = as_json("search", "a.index", image, "--asymmetric", "--radius", str(weighted[4]))["results"][0]["neighbours"]
    assert near == [item for item in neighbours if item["weighted_distance"] <= weighted[4]]
    status, out, _ = nearbit("search", "a.index", image, "--asymmetric")
    assert status == 0
    assert out.splitlines()[1].split() == ["rank", "weighted", "bits", "id", "labels", "path"]
    assert "keeps no outputs of its items" in refused("search", "a.index", "--id", "1", "--asymmetric")
    assert "does not go with --asymmetric" in refused("search", "a.index", image, "--asymmetric", "--rerank", "3")
    assert "a whole number of bits, not 1.5" in refused("search", "a.index", image, "--radius", "1.5")


def test_asymmetric_search_from_an_item_takes_its_kept_outputs(photos_and_model, as_json):
    as_json("index", "o.index", "photos", "--model", "a.model", "--keep-outputs", "float16", "--device", "cpu")
    found = as_json("search", "o.index", "--id", "2", "photos/a/000.png", "-k", "3", "--asymmetric")["results"]
    assert [len(one["neighbours"]) for one in found] == [3, 3]
    assert found[1]["neighbours"][0]["weighted_distance"] == 0
