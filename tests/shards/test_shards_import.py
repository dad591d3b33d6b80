"""A folder of codes into an index, in one command that is safe to repeat; other programs read the folder as it lies."""

import json
import shutil

import pytest

from nearbit.cli.main import run
from nearbit.errors import DataError, IndexFileError, InputError
from nearbit.files.addresses import FilePlace
from nearbit.index import create_index, open_index
from nearbit.index.exchange.folder import import_folder, read_folder
from nearbit.index.index import Index
from nearbit.shards import encode_shards

pytest.importorskip("pyarrow", reason="shards of codes need the extra parquet")


@pytest.fixture
def codes(place):
    """The folder of codes of four shards, with outputs."""
    encode_shards("a.model", ["birds"], "codes", outputs=True)
    return FilePlace.of("codes")


def made_for(codes, **options):
    """Make an index of the model of a folder of codes."""
    return create_index("made.index", 12, model_id=read_folder(codes).model_id, **options)


def test_one_command_makes_an_index_of_a_folder_of_codes(codes, capsys):
    assert run(["index", "import", "b.index", "codes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"index": "b.index", "added": 28, "items": 28, "n_bits": 12}
    with open_index("b.index") as index:
        assert index.model_id == read_folder(codes).model_id
        assert index.labels() == {"a": 10, "b": 9, "c": 9}
        item = index.items([(1 << 24) + 2])[0]
        assert (item.path, item.labels, item.metadata) == ("0001.tar/n0/0009.png", ("a",), {"seen": 9})
        assert index.verify() == []
    assert run(["index", "import", "b.index", "codes"]) == 0
    assert capsys.readouterr().out == "b.index: 28 items of 12 bits (0 added)\n"
    assert run(["search", "b.index", "--id", "0", "-k", "3"]) == 0
    assert "missing" not in capsys.readouterr().out


def test_a_folder_without_outputs_makes_no_index_that_keeps_them(place, capsys):
    encode_shards("a.model", ["birds"], "bare")
    assert run(["index", "import", "b.index", "bare", "--keep-outputs", "int8"]) == 2
    assert "needs those of every item" in capsys.readouterr().err
    assert not (place / "b.index").exists()
    assert run(["index", "import", "b.index", "bare"]) == 0


def test_outputs_come_along_where_they_are_asked_for(codes):
    assert run(["index", "import", "b.index", "codes", "--keep-outputs", "int8"]) == 0
    with open_index("b.index") as index:
        assert index.outputs == "int8"
        assert index.kept_outputs([0]).shape == (1, 12)
    encode_shards("a.model", ["birds"], "plain")
    with (
        made_for(codes, outputs="int8") as index,
        pytest.raises(InputError, match="add needs those of every"),
    ):
        import_folder(index, read_folder(FilePlace.of("plain")))


def test_an_address_will_do(codes, capsys):
    pytest.importorskip("fsspec", reason="addresses need the extra remote")
    far = FilePlace.of("memory://of-import/codes")
    for name in codes.files():
        far.child(name).fill(lambda aside, name=name: shutil.copy(f"codes/{name}", aside))
    assert run(["index", "import", "b.index", "memory://of-import/codes"]) == 0
    assert "28 items" in capsys.readouterr().out


def test_an_import_that_was_ended_is_gone_on_with(codes, monkeypatch):
    add, calls = Index.add, []

    def ends(index, *arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt("third call")
        return add(index, *arguments, **options)

    monkeypatch.setattr(Index, "add", ends)
    with made_for(codes) as index, pytest.raises(KeyboardInterrupt, match="third call"):
        import_folder(index, read_folder(codes))
    monkeypatch.setattr(Index, "add", add)
    with open_index("made.index") as index:
        assert len(index) == 14
        index.remove([3])
        assert import_folder(index, read_folder(codes)) == 15
        assert len(index) == 28


def test_a_folder_that_is_not_complete_is_refused(codes):
    (codes.local / "_SUCCESS.json").unlink()
    with pytest.raises(DataError, match="codes is no complete folder of codes"):
        read_folder(codes)


def missing(folder):
    (folder / "0001.parquet").unlink()
    return DataError, r"0001\.parquet is missing"


def another_file(folder):
    shutil.copy(folder / "0005.parquet", folder / "0001.parquet")
    return DataError, r"0001\.parquet is not the file that _SUCCESS\.json speaks of"


def another_model(folder):
    success = folder / "_SUCCESS.json"
    success.write_text(success.read_text().replace('"model_id": "', '"model_id": "x'))
    return IndexFileError, "holds codes of the model"


@pytest.mark.parametrize("case", [missing, another_file, another_model])
def test_files_that_do_not_fit_are_refused(place, codes, case):
    from shard_makers import members_of, write_tar

    write_tar(place / "birds" / "0005.tar", members_of([1]))
    encode_shards("a.model", ["birds"], "codes", outputs=True)
    error, message = case(place / "codes")
    with made_for(codes) as index, pytest.raises(error, match=message):
        import_folder(index, read_folder(FilePlace.of("codes")))


@pytest.mark.parametrize("kind", ["code", "image", "path"])
def test_another_item_under_an_id_is_refused_and_nothing_is_passed_over(codes, kind):
    with made_for(codes) as index:
        import_folder(index, read_folder(codes))
        item = index.items([2])[0]
        about = {"path": item.path, "labels": list(item.labels), "digest": item.digest}
        if kind == "code":
            item.code[0] ^= 128
        elif kind == "image":
            about["digest"] = "0" * 64
        else:
            index.update([2], metadata=[about | {"path": "renamed.png"}])  # the same image
            assert import_folder(index, read_folder(codes)) == 0
            return
        index.add(item.code[None], ids=[2], metadata=[about], replace=True)
        for _ in range(2):
            with pytest.raises(
                InputError, match=r"holds item 2 with another image or code than 0000\.parquet: use anot"
            ):
                import_folder(index, read_folder(codes))


def test_an_id_that_two_shards_have_is_refused_however_often(place):
    from shard_makers import members_of, write_tar

    for folder, members in (("one", members_of([0, 1])), ("two", members_of([2, 3]))):
        (place / folder).mkdir()
        write_tar(place / folder / "0000.tar", members)
        encode_shards("a.model", [folder], f"{folder}-codes")
    one, two = (FilePlace.of(f"{folder}-codes") for folder in ("one", "two"))
    with made_for(one) as index:
        assert import_folder(index, read_folder(one)) == 2
        for _ in range(2):
            with pytest.raises(InputError, match="already holds item 0 with another image or code"):
                import_folder(index, read_folder(two))
        assert len(index) == 2


def test_an_index_of_another_model_is_refused(codes, capsys):
    create_index("b.index", 12, model_id="another").close()
    assert run(["index", "import", "b.index", "codes"]) == 2
    assert "codes of different models cannot be compared" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "describes no folder of codes"),
        ({"version": 2}, "this nearbit reads 1: update it"),
        ({"shards": []}, "names no shards, or no model"),
        ({"n_bits": 0}, "n_bits must be a whole number of at least 1"),
        ({"shards": {"../x.parquet": {"items": 1}}}, "says of '../x.parquet' what cannot be"),
        ({"shards": {"x.parquet": {}}}, "says of 'x.parquet' what cannot be"),
    ],
)
def test_a_record_that_cannot_be_is_refused(codes, change, message):
    success = codes.local / "_SUCCESS.json"
    success.write_text(json.dumps(json.loads(success.read_text()) | change))
    with pytest.raises(DataError, match=message):
        read_folder(codes)


def test_duckdb_and_polars_read_the_folder_as_it_lies(codes):
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    polars = pytest.importorskip("polars", reason="Polars is not installed")
    with duckdb.connect() as database:
        query = "SELECT count(*), count(DISTINCT id), sum(len(outputs)) FROM 'codes/*.parquet'"
        assert database.execute(query).fetchall() == [(28, 28, 28 * 12)]
    assert polars.read_parquet("codes/*.parquet")["id"].n_unique() == 28
