"""Two commands that encode into one folder: the second is refused, and ids of one number never stay with two shards."""

import json

import pytest

from nearbit.errors import DataError
from nearbit.files.addresses import FilePlace
from nearbit.index.exchange import read_file
from nearbit.index.exchange.codes_table import SHARD_KEY
from nearbit.reading import ReadingOptions
from nearbit.shards import encode_shards, run
from nearbit.shards.job import Job
from shard_makers import members_of, write_tar

pq = pytest.importorskip("pyarrow.parquet", reason="shards of codes need the extra parquet")


@pytest.fixture
def two(place):
    """Shards a.tar and b.tar, of other images."""
    write_tar(place / "a.tar", members_of(range(3)))
    write_tar(place / "b.tar", members_of(range(3, 6)))
    return place


def ids_of(place):
    return {name: read_file(place / "codes" / f"{name}.parquet").ids.tolist() for name in ("a", "b")}


def meanwhile(monkeypatch, then):
    """Let another command come as the first one begins to encode."""
    original, came = run._run_here, []

    def run_here(*given):
        if not came:
            came.append(True)
            then()
        original(*given)

    monkeypatch.setattr(run, "_run_here", run_here)


def test_a_second_command_is_refused_until_the_first_is_done(two, monkeypatch):
    def second():
        with pytest.raises(DataError, match="codes is being filled by another command: repeat this one after it"):
            encode_shards("a.model", ["b.tar"], "codes")

    meanwhile(monkeypatch, second)
    encode_shards("a.model", ["a.tar"], "codes")
    encode_shards("a.model", ["b.tar"], "codes")
    assert ids_of(two) == {"a": [0, 1, 2], "b": [1 << 24, (1 << 24) + 1, (1 << 24) + 2]}
    assert not (two / "codes" / run.LOCK).exists()


def test_what_was_encoded_at_once_under_one_number_is_made_anew(two):
    """As where machines share an object store, which has no locks: both plan before either has written."""
    out, about, options = FilePlace.of("codes"), run._about("a.model", outputs=False), ReadingOptions()
    plan, shards = run._planned(out, [FilePlace.of(two / "b.tar")], about, options)
    encode_shards("a.model", ["a.tar"], "codes")
    job = Job(model="a.model", about=about, output="codes", device="cpu", has_ids=False, options=options)
    run._run_here(job, shards, lambda *_: None, lambda *_: False)
    run._begin(out, plan)
    assert ids_of(two) == {"a": [0, 1, 2], "b": [0, 1, 2]}
    assert encode_shards("a.model", ["a.tar", "b.tar"], "codes")["encoded_now"] == 1
    assert ids_of(two) == {"a": [1 << 24, (1 << 24) + 1, (1 << 24) + 2], "b": [0, 1, 2]}
    assert encode_shards("a.model", ["a.tar", "b.tar"], "codes")["encoded_now"] == 0


def test_files_of_before_that_say_no_number_stay(two):
    encode_shards("a.model", ["a.tar"], "codes")
    path = two / "codes" / "a.parquet"
    table, said = pq.read_table(path), json.loads(pq.read_metadata(path).metadata[SHARD_KEY])
    assert said.pop("number") == 0
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({SHARD_KEY: json.dumps(said).encode()})
    assert encode_shards("a.model", ["a.tar"], "codes")["encoded_now"] == 0


def test_a_refused_command_leaves_no_folder(two):
    write_tar(two / "_c.tar", members_of([7]))
    with pytest.raises(DataError, match="must not begin with"):
        encode_shards("a.model", ["_c.tar"], "codes")
    assert not (two / "codes").exists()
