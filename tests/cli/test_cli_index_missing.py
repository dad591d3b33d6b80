"""Files of an index that are gone: said by index, search and serve, found again by --sync, removed when asked."""

import shutil

import pytest

from model_makers import random_model
from nearbit.cli.commands import serve
from nearbit.index import open_index
from tiny_data import write_folder


@pytest.fixture
def index(tmp_path, monkeypatch, as_json):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos", per_class=3)
    random_model().save("a.model")
    as_json("index", "a.index", "photos", "--model", "a.model", "--device", "cpu")
    return tmp_path / "a.index"


def test_a_moved_folder_is_told_and_found_again(index, tmp_path, nearbit, as_json):
    (tmp_path / "photos").rename(tmp_path / "new")
    status, out, _ = nearbit("index", "a.index", "new", "--sync")
    assert (status, out.splitlines()[0]) == (
        0, "a.index: 9 items of 12 bits (0 added, 0 replaced, 9 unchanged, 9 moved)",
    )  # fmt: skip
    assert "gone" not in out
    (tmp_path / "new").rename(tmp_path / "photos")
    _, out, _ = nearbit("index", "a.index", "photos")
    assert "9 of 18 files are gone (new/a: 3, new/b: 3, new/c: 3): --sync of the folder" in out
    about = as_json("index", "a.index", "photos", "--sync")
    assert (about["items"], about["missing"], about["files_looked_at"]) == (18, 9, 18)
    assert as_json("index", "a.index", "--remove-missing") == {
        "index": "a.index", "files": 18, "missing": 9, "removed": 9, "items": 9,
    }  # fmt: skip


def test_results_whose_files_are_gone_are_marked(index, tmp_path, nearbit, as_json, capsys):
    (tmp_path / "photos" / "a" / "000.png").unlink()
    found = as_json("search", "a.index", "--id", "1", "-k", "9")["results"][0]["neighbours"]
    assert {item["id"]: item["missing"] for item in found} == {number: number == 1 for number in range(1, 10)}
    status, out, err = nearbit("search", "a.index", "--id", "1", "-k", "9")
    assert status == 0
    assert out.count("photos/a/000.png (missing)") == out.count("(missing)") == 1
    assert "nearbit: warning: one of these images is no longer where the index says" in err
    shutil.rmtree(tmp_path / "photos" / "a")
    assert "3 of these images are no longer" in nearbit("search", "a.index", "--id", "1", "-k", "9")[2]
    serve._warn_of_gone(index)
    assert "nearbit: warning: 3 of 9 files are gone (photos/a: 3); nearbit index sync with" in capsys.readouterr().err


def test_missing_files_are_counted_then_removed(index, tmp_path, nearbit, refused):
    assert nearbit("index", "a.index", "--remove-missing")[1] == "a.index: all 9 files are there, 9 items\n"
    shutil.rmtree(tmp_path / "photos" / "b")
    _, out, _ = nearbit("index", "a.index", "--remove-missing", "--dry-run")
    assert out == ("a.index: 3 of 9 files are gone (photos/b: 3)\nnothing was removed (--dry-run), 9 left\n")
    _, out, _ = nearbit("index", "a.index", "--remove-missing")
    assert out == "a.index: 3 of 9 files are gone (photos/b: 3)\n3 items removed, 6 left\n"
    (tmp_path / "photos").rename(tmp_path / "unmounted")
    assert "is a disk not mounted" in refused("index", "a.index", "--remove-missing")
    with open_index(index) as opened:
        assert len(opened) == 6
    assert "6 items removed, 0 left" in nearbit("index", "a.index", "--remove-missing", "--force")[1]


@pytest.mark.parametrize("option", ["--dry-run", "--force"])
def test_its_options_go_with_it_alone(index, refused, option):
    assert f"{option} goes with --remove-missing" in refused("index", "a.index", "--verify", option)
    assert f"{option} goes with --remove-missing" in refused("index", "a.index", "photos", option)


def test_facts_and_mistakes_are_in_the_words_of_the_command_line(index, nearbit, refused, tmp_path):
    _, out, _ = nearbit("index", "a.index", "--stats")
    assert "items: 9" in out
    assert "distinct codes: " in out
    assert "search plan: " in out
    assert "{" not in out
    said = refused("search", "a.index", "--id", "99")
    assert said == "nearbit: the index holds no item 99: --id takes an id that the results of a search show\n"
    said = refused("index", "none.index", "--verify")
    assert "make one (nearbit index add, in Python create_index)" in said


def test_inspect_says_each_fact_once_and_rounded(index, nearbit):
    for path in ("a.index", "a.model"):
        _, out, _ = nearbit("inspect", path)
        names = [line.partition(":")[0] for line in out.splitlines() if not line.startswith("advice")]
        assert len(names) == len(set(names))
        numbers = [word for line in out.splitlines() for word in line.split() if word.replace(".", "", 1).isdigit()]
        assert max(len(word.partition(".")[2]) for word in numbers) <= 4
