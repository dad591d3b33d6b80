"""The subcommands of `nearbit index`: what each does, its help, what it refuses, and the old form beside them."""

import json
import shutil

import click
import numpy as np
import pytest

from model_makers import random_model
from nearbit.cli import main
from nearbit.index import create_index, open_index

SUBCOMMANDS = (
    "add", "sync", "reencode", "remove", "verify", "compact", "stats", "replace", "filter", "export", "import",
    "snapshot", "restore", "copy",
)  # fmt: skip


@pytest.fixture
def index(photos_and_model, as_json):
    as_json("index", "add", "a.index", "photos", "--model", "a.model", "--device", "cpu")
    return photos_and_model / "a.index"


def n_items(path):
    with open_index(path, read_only=True) as opened:
        return len(opened)


def subcommand(name):
    return main.cli.get_command(click.Context(main.cli), "index").commands[name]


def test_help_names_every_subcommand(nearbit):
    status, out, err = nearbit("index", "--help")
    assert (status, err) == (0, "")
    listed = out.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ")][: len(SUBCOMMANDS)] == list(
        SUBCOMMANDS
    )
    assert "..." not in listed


@pytest.mark.parametrize("name", SUBCOMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_subcommand_has_help_with_an_example(nearbit, name, flag):
    status, out, err = nearbit("index", name, flag)
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: nearbit index {name} [OPTIONS] INDEX")
    assert f"Example: nearbit index {name} " in out


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_option_of_every_subcommand_says_what_it_is_for(name):
    options = [param for param in subcommand(name).params if isinstance(param, click.Option)]
    assert all(option.help or option.type.name == "choice" for option in options)
    assert any(option.name == "as_json" for option in options)


def test_add_takes_in_what_is_new_and_passes_over_the_rest(photos_and_model, nearbit, as_json):
    about = as_json("index", "add", "a.index", "photos/a", "--model", "a.model", "--device", "cpu")
    assert (about["items"], about["added"]) == (3, 3)
    about = as_json("index", "add", "a.index", "photos/b/003.png", "photos/b/004.png", "photos/a/000.png")
    assert (about["items"], about["added"], about["unchanged"]) == (5, 2, 1)
    (photos_and_model / "photos" / "a" / "001.png").unlink()
    status, out, err = nearbit("index", "add", "a.index", "photos")
    assert (status, err) == (0, "")
    assert (
        "1 item is of an image that is no longer there; it stays in the index (nearbit index sync removes them)" in out
    )


def test_sync_mirrors_a_folder(index, photos_and_model, as_json, nearbit, refused):
    (photos_and_model / "photos" / "a" / "000.png").rename(photos_and_model / "photos" / "b" / "moved.png")
    (photos_and_model / "photos" / "a" / "001.png").unlink()
    about = as_json("index", "sync", "a.index", "photos")
    assert (about["moved"], about["removed"], about["added"], about["items"]) == (1, 1, 0, 8)
    status, out, err = nearbit("index", "sync", "a.index", "photos")
    assert (status, err) == (0, "")
    assert out.startswith("a.index: 8 items of 12 bits (0 added, 0 replaced, 8 unchanged)\n")
    assert "nearbit: sync needs one folder or labels file" in refused("index", "sync", "a.index", "photos/a/002.png")
    assert "unexpected extra argument" in refused("index", "sync", "a.index", "photos", "photos")
    (photos_and_model / "photos").rename(photos_and_model / "new")
    _, out, _ = nearbit("index", "add", "a.index", "new/a")
    assert "nearbit index sync with the folder where they are now" in out


def test_items_are_removed_by_id_by_what_they_hold_and_where_their_files_are_gone(
    index, photos_and_model, as_json, nearbit
):
    assert as_json("index", "remove", "a.index", "1", "3") == {"index": "a.index", "removed": 2, "items": 7}
    assert as_json("index", "remove", "a.index", "2,4")["removed"] == 2
    found = {"index": "a.index", "found": 1, "removed": 0, "items": 5}
    assert as_json("index", "remove", "a.index", "5", "5", "--dry-run") == found
    assert as_json("index", "remove", "a.index", "--where", "labels=c", "--dry-run") == found | {"found": 3}
    assert as_json("index", "remove", "a.index", "--where", "labels=c")["removed"] == 3
    shutil.rmtree(photos_and_model / "photos" / "b")
    _, out, _ = nearbit("index", "remove", "a.index", "--missing", "--dry-run")
    assert out.endswith("nothing was removed (--dry-run), 2 left\n")
    assert "is a disk not mounted" in nearbit("index", "remove", "a.index", "--missing")[2]
    assert as_json("index", "remove", "a.index", "--missing", "--force") == {
        "index": "a.index", "files": 2, "missing": 2, "removed": 2, "items": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of ID, --where KEY=VALUE and --missing"),
        (["1", "--missing"], "give one of ID, --where KEY=VALUE and --missing"),
        (["1", "--where", "labels=a"], "give one of ID"),
        (["1", "--force"], "--force goes with --missing"),
        (["4;1"], "expected ids with commas between, or blanks, such as 3,5,8 or 3 5 8, not '4;1'"),
        (["99"], "holds no item 99"),
        (["99", "--dry-run"], "no item 99"),
        (["--where", "labels"], "takes KEY=VALUE"),
    ],
)
def test_what_remove_cannot_mean_is_refused(index, refused, arguments, message):
    assert message in refused("index", "remove", "a.index", *arguments)
    assert n_items(index) == 9


def test_verify_compact_and_stats(index, as_json, nearbit, refused):
    assert as_json("index", "verify", "a.index") == {"index": "a.index", "items": 9, "problems": []}
    assert nearbit("index", "verify", "a.index")[1:] == ("a.index: 9 items, all is well\n", "")
    about = as_json("index", "compact", "a.index", "--vacuum")
    assert (about["items"], about["added_since_merge"]) == (9, 0)
    stats = as_json("index", "stats", "a.index")
    assert (stats["items"], stats["n_bits"], stats["outputs"]) == (9, 12, None)
    assert "items: 9" in nearbit("index", "stats", "a.index")[1].splitlines()
    with open_index(index) as opened, opened._store.write() as connection:
        connection.execute("UPDATE items SET code = x'ffff' WHERE id = 2")
    assert "1 problems: item 2: the last 4 bits of its code should be 0" in refused("index", "verify", "a.index")


def test_export_import_and_replace(index, as_json, refused):
    assert as_json("index", "export", "a.index", "a.npz") == {"index": "a.index", "items": 9, "file": "a.npz"}
    assert as_json("index", "import", "b.index", "a.npz")["added"] == 9
    np.savez("plain.npz", codes=np.zeros((2, 2), np.uint8), n_bits=12)
    as_json("index", "import", "c.index", "plain.npz", "--model", "a.model")
    with open_index("c.index") as opened:
        assert (opened.model_id, opened.notes()) == (random_model().model_id, {"model_path": "a.model"})
    about = as_json("index", "replace", "a.index", "c.index")
    assert about == {"index": "a.index", "items": 2, "copied_from": "c.index"}
    assert n_items(index) == 2
    assert "must end in .npz, .parquet, .arrow, .faiss, .usearch" in refused("index", "import", "b.index", "a.sql")


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "a.index", "photos", "--vacuum"],
        ["add", "a.index", "photos", "--sync"],
        ["add", "a.index", "photos", "--force"],
        ["sync", "a.index", "photos", "--part", "query"],
        ["sync", "a.index", "photos", "--split-file", "s.csv"],
        ["remove", "a.index", "1", "--model", "a.model"],
        ["verify", "a.index", "--device", "cpu"],
        ["verify", "a.index", "--vacuum"],
        ["compact", "a.index", "--cache", "."],
        ["stats", "a.index", "--label-level", "fine"],
        ["export", "a.index", "a.npz", "--bits", "12"],
        ["import", "a.index", "a.npz", "--part", "query"],
        ["replace", "a.index", "b.index", "--max-pixels", "9"],
    ],
)
def test_options_that_do_not_belong_are_refused(index, refused, arguments):
    given = next(word for word in arguments if word.startswith("--"))
    assert f"No such option '{given}'" in refused("index", *arguments)
    assert n_items(index) == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a subcommand: add, sync, reencode, remove, verify"),
        (["add"], "Missing argument 'INDEX'"),
        (["add", "a.index"], "Missing argument 'IMAGES...'"),
        (["verify", "a.index", "b.index"], "unexpected extra argument"),
        (["export", "a.index"], "Missing argument 'FILE'"),
        (["add", "new.index", "photos"], "photographs want a pretrained backbone"),
        (["add", "a.index", "photos", "--split-file", "s.csv"], "--split-file goes with --part"),
        (["veriy", "a.index"], "was taken for an index, not for a subcommand. Did you mean 'verify'?"),
        (["verify", "none.index"], "does not exist"),
    ],
)
def test_a_mistake_is_one_line(index, photos_and_model, refused, arguments, message):
    before = sorted(file.name for file in photos_and_model.iterdir())
    assert message in refused("index", *arguments)
    assert sorted(file.name for file in photos_and_model.iterdir()) == before


def test_json_may_stand_before_the_subcommand(index, nearbit):
    status, out, err = nearbit("index", "--json", "verify", "a.index")
    assert (status, json.loads(out)["problems"], err) == (0, [], "")


def test_a_text_that_cannot_be_kept_is_refused_in_subcommands_too(index, refused):
    assert "cannot be kept" in refused("index", "remove", "a.index", "--where", "labels=\udce9")


@pytest.mark.parametrize(
    ("arguments", "new"),
    [
        (["photos"], "add INDEX IMAGES..."),
        (["photos", "--sync"], "sync INDEX IMAGES"),
        (["--remove", "1"], "remove INDEX ID..."),
        (["--remove-where", "labels=a"], "remove INDEX --where KEY=VALUE"),
        (["--remove-missing"], "remove INDEX --missing"),
        (["--verify"], "verify INDEX"),
        (["--compact", "--vacuum"], "compact INDEX"),
        (["--stats"], "stats INDEX"),
        (["--export", "a.npz"], "export INDEX FILE"),
        (["--import", "b.npz", "--bits", "12"], "import INDEX FILE"),
        (["--replace-with", "b.index"], "replace INDEX NEW"),
    ],
)
def test_the_old_form_works_and_names_the_new_one_on_standard_error(index, nearbit, arguments, new):
    np.savez("b.npz", codes=np.zeros((2, 2), np.uint8), n_bits=12)
    create_index("b.index", 12).close()
    note = f"nearbit: note: the new form of this command is: nearbit index {new}\n"
    status, out, err = nearbit("index", *arguments, "a.index") if arguments[0] != "photos" else nearbit(
        "index", "a.index", *arguments
    )  # fmt: skip
    assert (status, err) == (0, note)
    assert "new form" not in out
    if arguments[0] not in ("--remove",):
        status, out, err = nearbit("index", "--json", "a.index", *arguments)
        assert (status, err, len(out.splitlines())) == (0, note, 1)
        json.loads(out)


def test_help_of_the_old_form_says_what_took_its_place(nearbit):
    status, out, err = nearbit("index", "a.index", "--help")
    assert (status, err) == (0, "")
    assert out.startswith("Usage: nearbit index [OPTIONS] INDEX [IMAGES]...")
    for name in set(SUBCOMMANDS[1:]) - {
        "reencode",
        "filter",
        "snapshot",
        "restore",
        "copy",
    }:  # which the old form never had
        assert f"Now: nearbit index {name} INDEX" in " ".join(out.split())


def test_an_index_that_is_called_as_a_subcommand_is_reached_with_its_folder(
    index, photos_and_model, nearbit, as_json, refused
):
    shutil.copy(index, photos_and_model / "add")
    assert as_json("index", "verify", "add")["items"] == 9
    assert as_json("index", "./add", "--stats")["items"] == 9
    assert as_json("index", photos_and_model / "add", "photos", "--device", "cpu")["unchanged"] == 9
    assert "Missing argument 'INDEX'" in refused("index", "add")


def test_filters_are_kept_listed_and_dropped(photos_and_model, as_json, nearbit, refused):
    as_json("index", "add", "a.index", "photos", "--model", "a.model", "--device", "cpu")
    assert as_json("index", "filter", "a.index") == {"index": "a.index", "filters": []}
    assert as_json("index", "filter", "a.index", "path", "camera")["filters"] == ["camera", "path"]
    assert nearbit("index", "filter", "a.index")[1] == "a.index: filters by camera, path\n"
    assert nearbit("index", "filter", "a.index", "camera", "path", "--drop")[1] == "a.index: filters by labels alone\n"
    assert "at least one KEY" in refused("index", "filter", "a.index", "--drop")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--nope"], "No such option '--nope'"),
        (["-o", "t.index"], "'-o'. Another name than photos.index: nearbit index add NAME.index photos/."),
        (["--out", "t.index"], "'--out'. Another name than photos.index: nearbit index add NAME.index photos/."),
        (["--verify"], "No such option '--verify'"),
    ],
)
def test_an_option_that_a_folder_alone_does_not_take_is_refused_as_add_refuses_it(
    photos_and_model, refused, given, message
):
    assert message in refused("index", "photos/", *given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["nosuch/"], "nearbit: nosuch/: no such file or folder\n"),
        (["nosuch/", "--yes"], "nearbit: nosuch/: no such file or folder\n"),
        (["vrify"], "vrify: no such file or folder. Did you mean 'verify'?"),
        (["new.index"], "give IMAGES, or one of"),
        (["digits"], "give IMAGES, or one of"),
    ],
)
def test_a_folder_alone_that_is_missing_is_said_to_be(tmp_path, monkeypatch, refused, given, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused("index", *given)


def test_an_import_that_is_refused_makes_no_index(photos_and_model, as_json, refused):
    np.savez("codes.npz", codes=np.array([[16], [32]], np.uint8), n_bits=4)
    assert "needs those of every item" in refused("index", "import", "new.index", "codes.npz", "--keep-outputs", "int8")
    assert not (photos_and_model / "new.index").exists()
    assert as_json("index", "import", "new.index", "codes.npz")["added"] == 2
