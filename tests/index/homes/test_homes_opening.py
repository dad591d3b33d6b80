"""Making, opening and refusing indexes: the same in every home, and what is no address of any."""

import numpy as np
import pytest

from nearbit.errors import IndexFileError, InputError, MissingExtraError
from nearbit.index import Address, create_index, open_index
from nearbit.index.exchange.files import export_index, import_items, read_file
from nearbit.index.homes import exists, place_of
from nearbit.index.homes.embedded import of_a_file
from nearbit.index.homes.registry import HOMES, Entry

CODE = np.zeros((1, 1), np.uint8)


def test_what_is_made_is_opened_and_holds_what_was_added(home):
    assert not exists(place_of(home.place))
    with home.create(8, model_id="m1") as index:
        index.add(CODE)
    assert exists(place_of(home.place))
    with open_index(home.place) as again:
        assert (len(again), again.n_bits, again.model_id, again.outputs) == (1, 8, "m1", None)


def test_what_is_missing_is_not_made_by_opening(home):
    with pytest.raises(IndexFileError, match="name an index, or make one"):
        open_index(home.place)
    assert not exists(place_of(home.place))


def test_an_index_is_not_made_twice_unless_it_may_be_there(home):
    home.create(8, model_id="m1").close()
    with pytest.raises(IndexFileError, match="exists already"):
        home.create(8, model_id="m1")
    with home.create(8, model_id="m1", exist_ok=True) as index:
        index.add(CODE)
    with pytest.raises(IndexFileError, match="holds codes of 8 bits, not 16"):
        home.create(16, exist_ok=True)
    with pytest.raises(IndexFileError, match="records the model 'm1', not 'm2'"):
        home.create(8, model_id="m2", exist_ok=True)


def test_codes_of_another_model_are_refused(home):
    home.create(8, model_id="m1").close()
    with pytest.raises(IndexFileError, match="records the model 'm1', not 'm2': codes of different models"):
        open_index(home.place, model_id="m2")
    open_index(home.place, model_id="m1").close()


def test_an_index_opened_to_read_refuses_to_write(home):
    with home.create(8) as index:
        index.add(CODE)
    with open_index(home.place, read_only=True) as index:
        for write in (
            lambda: index.add(CODE),
            lambda: index.remove([1]),
            lambda: index.update([1], metadata=[{}]),
            lambda: index.set_notes({"a": "b"}),
        ):
            with pytest.raises(IndexFileError, match="read"):
                write()
        assert index.search(CODE).pairs(0) == [(1, 0)]


def test_a_closed_index_says_so(home):
    index = home.create(8)
    index.close()
    index.close()
    for call in (lambda: index.search(CODE), lambda: index.add(CODE), lambda: len(index), lambda: index.items([1])):
        with pytest.raises(IndexFileError, match="closed"):
            call()
    assert "closed" in repr(index)


def test_what_one_writes_another_sees(home):
    with home.create(8) as one, open_index(home.place) as other:
        assert one.add(CODE).tolist() == [1]
        assert other.add(CODE).tolist() == [2]
        assert len(one) == 2
        assert one.search(CODE).pairs(0) == [(1, 0), (2, 0)]
        other.remove([1])
        assert one.search(CODE).pairs(0) == [(2, 0)]


@pytest.mark.parametrize("n_bits", [0, -3, 2.5, "8"])
def test_a_length_that_no_code_has_is_refused(home, n_bits):
    with pytest.raises(InputError, match="n_bits"):
        home.create(n_bits)
    assert not exists(place_of(home.place))


@pytest.mark.parametrize("name", ["s3://bucket/x.index", "S3://me:secret@bucket/x", "sqlite:///x", "redis://host/0"])
def test_an_address_of_no_home_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for call in (lambda: create_index(name, 8), lambda: open_index(name)):
        with pytest.raises(InputError, match=r"no index can lie at .*://…: an index is a file, or") as info:
            call()
        assert "secret" not in str(info.value)
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setitem(HOMES, "nowhere", Entry("nearbit.nowhere", "nowhere", "no_such_package", "no-such-package"))
    with pytest.raises(MissingExtraError, match=r"nowhere:// needs the package no-such-package.*pip install"):
        open_index("nowhere://me:secret@host/db")


@pytest.mark.parametrize("query", ["index=Birds", "index=", "index=a-b", "index=1a", f"index={'a' * 41}", "index=a;b"])
def test_a_name_that_no_index_has_is_refused(query):
    with pytest.raises(InputError, match="names no index: expected a small letter"):
        place_of(f"postgresql://host/db?{query}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host:5432/db?index=birds", "postgresql://me@host:5432/db?index=birds"),
        ("postgresql://me:s%40cret:secret@host/db", "postgresql://me@host/db?index=nearbit"),
        ("postgresql://host/db?password=secret&sslmode=require", "postgresql://host/db?sslmode=require&index=nearbit"),
        ("postgresql:///db?host=/tmp/a&user=me", "postgresql:///db?host=/tmp/a&user=me&index=nearbit"),
        ("postgresql://me:secret@/db?folder=/a%20b", "postgresql://me@/db?index=nearbit&folder=/a%20b"),
        ("Milvus://host:19530?token=secret&index=b", "milvus://host:19530?index=b"),
    ],
)
def test_an_address_is_shown_without_its_password_and_read_again(text, shown):
    address = place_of(text)
    assert str(address) == shown
    assert "secret" not in repr(address)
    assert f"{address}" == str(place_of(shown)) == shown


@pytest.mark.parametrize("text", ["postgresql://[::1/db", "postgresql://host/db?index"])
def test_a_text_that_is_no_address_is_refused_without_its_password(text):
    with pytest.raises(InputError, match=r"postgresql://… is no address") as info:
        place_of(text.replace("//", "//me:secret@"))
    assert "secret" not in str(info.value)


def test_an_address_is_itself_a_place():
    address = Address.parsed("postgresql://host/db?index=birds")
    assert place_of(address) is address
    assert place_of("a/b.index").name == "b.index"


def test_what_is_made_of_a_file_alone_is_refused_of_a_server_with_the_way_there(home, tmp_path):
    with home.create(8, model_id="m1") as index:
        index.add(CODE)
        if home.scheme == "file":
            assert of_a_file(index, "snapshots") is index
            return
        with pytest.raises(InputError, match=r"snapshots are made of an index that is a file.*nearbit index copy"):
            of_a_file(index, "snapshots")
        export_index(index, tmp_path / "items.npz")
    with create_index(tmp_path / "copy.index", 8, model_id="m1") as copy:
        assert import_items(copy, read_file(tmp_path / "items.npz", None)) == 1
        assert of_a_file(copy, "snapshots") is copy


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:qz/x@db/photos",
        "postgresql://me:qz#x@db/photos",
        "postgresql://me:qz?x=y@db/photos",
        "postgresql://me@corp:qz/x@db/photos",
    ],
)
def test_a_password_that_is_not_written_as_one_is_refused_and_not_shown(text):
    with pytest.raises(InputError, match=r"postgresql://… has an @ behind its host: write .* as %2F %3F %23") as info:
        place_of(text)
    assert "qz" not in str(info.value)
