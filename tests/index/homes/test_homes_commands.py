"""Every command that takes an index takes its address: the same output as of the file, and no password anywhere."""

import json

import numpy as np
import pytest

import postgresql_server
from nearbit.cli.main import run
from nearbit.errors import IndexFileError, InputError
from nearbit.index import create_index, open_index
from nearbit.index.homes import exists, place_of
from nearbit.indexing_copy import ITEMS_A_CALL, copy_index


@pytest.fixture
def call(capsys):
    """Run a command that must succeed, and return the one object on standard output."""

    def called(*arguments, status=0):
        capsys.readouterr()
        done = run([*map(str, arguments), "--json"])
        out, err = capsys.readouterr()
        assert done == status, err
        assert "secret" not in out + err
        return json.loads(out)

    return called


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(1)
    with create_index(tmp_path / "a" / "birds.index", 32, model_id="m1", outputs="int8") as index:
        outputs = rng.normal(size=(60, 32)).astype(np.float32)
        metadata = [
            {"path": f"photos/{row}.jpg", "labels": ["wren" if row % 2 else "robin"], "digest": f"{row:02x}", "n": row}
            for row in range(60)
        ]
        index.add(np.packbits(outputs >= 0, axis=1), outputs=outputs, metadata=metadata, ids=np.arange(60) * 3)
        index.set_notes({"model_path": "../birds.model"})
        index.create_filter("n")
    return tmp_path / "a" / "birds.index"


@pytest.fixture
def address(postgresql, request):
    name = f"c{abs(hash(request.node.nodeid)) % 10**12}"
    return postgresql_server.address(postgresql, name).replace("postgres@", "postgres:secret@")


def content(place):
    with open_index(place, read_only=True) as index:
        items = [(one.id, one.code.tolist(), one.path, one.labels, one.digest, one.metadata) for one in index]
        return items, index.notes().get("model_path"), index.model_id, index.filters()


def test_an_index_is_copied_to_a_server_and_back(file, address, call, tmp_path):
    about = call("index", "copy", file, address)
    assert (about["items"], about["copied"]) == (60, 60)
    assert content(address) == content(file)
    assert call("index", "copy", file, address)["copied"] == 0
    again = tmp_path / "b" / "c" / "again.index"
    assert call("index", "copy", address, again)["copied"] == 60
    items, note, *rest = content(again)
    expected, _, *expected_rest = content(file)
    assert (note, rest) == ("../../birds.model", expected_rest)
    assert [(*one[:2], one[2].removeprefix("../../a/"), *one[3:]) for one in items] == expected
    assert items[0][2] == "../../a/photos/0.jpg"


def test_commands_say_the_same_of_a_server_as_of_the_file(file, address, call):
    copy_index(file, address)
    for arguments in (
        ["search", "INDEX", "--id", "6", "-k", "9"],
        ["search", "INDEX", "--id", "6", "--radius", "9", "--label", "wren"],
        ["search", "INDEX", "--id", "6", "--rerank", "20"],
        ["search", "INDEX", "--id", "6", "--asymmetric"],
        ["index", "verify", "INDEX"],
        ["index", "filter", "INDEX"],
        ["index", "remove", "INDEX", "--where", "labels=wren", "--dry-run"],
        ["index", "remove", "INDEX", "6", "9"],
        ["index", "remove", "INDEX", "--missing", "--dry-run"],
        ["index", "compact", "INDEX"],
    ):
        answers = []
        for place in (file, address):
            about = call(*(place if word == "INDEX" else word for word in arguments))
            assert place == file or about.pop("index") == str(place_of(address))
            about.pop("index", None)
            answers.append(
                {
                    k: v
                    for k, v in about.items()
                    if k not in ("file_bytes", "file_bytes_before", "search", "cache_bytes")
                }
            )
        assert answers[0] == answers[1], arguments
    stats = call("index", "stats", address)
    assert (stats["items"], stats["search"]["plan"]) == (58, "scan")
    assert call("inspect", address, "--verify")["verified"] == "all is well"


def test_items_go_out_of_a_server_to_a_file_and_in(file, address, call, tmp_path):
    copy_index(file, address)
    assert call("index", "export", address, tmp_path / "a.npz")["items"] == 60
    other = address + "x"
    assert call("index", "import", other, tmp_path / "a.npz")["added"] == 60
    assert content(other)[0] == content(file)[0]


@pytest.mark.parametrize("address", ["s3://me:secret@bucket/a.index", "postgresql://me:secret@/nowhere?index=A"])
def test_an_address_of_no_index_is_refused(call, address):
    for arguments in (["search", address, "--id", "1"], ["index", "stats", address], ["inspect", address]):
        assert call(*arguments, status=2)["error"]["type"] == "InputError"


def test_what_works_on_files_alone_says_so(file, address, call):
    copy_index(file, address)
    assert "a path, not postgresql://" in call("index", "replace", address, file, status=2)["error"]["message"]
    assert "copy it to" in call("index", "snapshot", address, file.with_name("snap"), status=2)["error"][
        "message"
    ].replace("copy postgresql", "copy it to postgresql")


def test_an_interrupted_copy_is_gone_on_with(file, address, monkeypatch):
    monkeypatch.setattr("nearbit.indexing_copy.ITEMS_A_CALL", 25)
    calls = []

    def interrupted(*progress):
        calls.append(progress)
        raise KeyboardInterrupt("in the middle")

    with pytest.raises(KeyboardInterrupt, match="in the middle"):
        copy_index(file, address, progress=interrupted)
    assert calls == [("Copying", 25, 60)]
    with open_index(address) as index:
        assert len(index) == 25
    done = copy_index(file, address)
    assert (done.items, done.copied) == (60, 35)
    assert content(address) == content(file)
    assert ITEMS_A_CALL > 25


def test_a_copy_of_an_older_state_begins_anew_and_one_in_use_is_refused(file, address, monkeypatch):
    monkeypatch.setattr("nearbit.indexing_copy.ITEMS_A_CALL", 25)
    with pytest.raises(ZeroDivisionError, match="by zero"):
        copy_index(file, address, progress=lambda *_: 1 // 0)
    with open_index(file) as index:
        index.remove([0])
    assert copy_index(file, address).copied == 59
    assert content(address) == content(file)
    with open_index(file) as index:
        index.remove([3])
    with pytest.raises(InputError, match="holds 59 items that are not of this copy: name another index"):
        copy_index(file, address)
    with pytest.raises(InputError, match="would be copied into itself"):
        copy_index(file, file)
    with pytest.raises(InputError, match="would be copied into itself"):
        copy_index(address, address + "&folder=/tmp")
    with pytest.raises(IndexFileError, match="does not exist"):
        copy_index(file.with_name("none.index"), address)


def test_a_source_that_changes_meanwhile_is_no_whole_copy(file, address):
    def change(*_):
        with open_index(file) as index:
            index.remove([6])

    with pytest.raises(IndexFileError, match="was written to while it was copied: copy it again"):
        copy_index(file, address, progress=change)
    assert copy_index(file, address).items == 59
    assert content(address) == content(file)
    assert exists(place_of(address))
