"""Images of shards in an index: each known by where its shard lies, files that a table names by where they lie."""

import numpy as np
import pytest

from model_makers import random_model
from nearbit.datasets import load_images
from nearbit.files.addresses import FilePlace
from nearbit.index import create_index, open_index
from nearbit.indexing import index_dataset
from nearbit.indexing_copy import copy_index
from nearbit.indexing_places import look_for_files, names_a_file, remove_missing
from shard_makers import image_bytes, members_of, write_shards, write_table, write_tar


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture
def index(tmp_path, model):
    with create_index(tmp_path / "a.index", 12, model_id=model.model_id) as opened:
        yield opened


@pytest.fixture
def put(index, model, tmp_path):
    return lambda place, **options: index_dataset(
        index, model, load_images(place, cache=tmp_path / "cache", **options), device="cpu"
    )


def paths(index):
    return [str(item.path) for item in index]


def test_shards_of_one_name_in_two_folders_stay_apart(index, put, tmp_path):
    write_shards(tmp_path / "may", n_shards=1, per_shard=3)
    write_tar(tmp_path / "june" / "0000.tar", members_of(range(10, 13)))
    assert put(tmp_path / "may").added == 3
    assert put(tmp_path / "june").added == 3
    assert put(tmp_path / "june" / "0000.tar").unchanged == 3
    assert [path.rpartition("/0000.tar/")[0] for path in paths(index)] == ["may"] * 3 + ["june"] * 3
    write_tar(tmp_path / "june" / "0000.tar", members_of(range(20, 23)))
    assert put(tmp_path / "june").added == 3
    assert look_for_files(index).files == 0


def test_tables_of_one_name_in_two_folders_stay_apart(index, put, tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet files need the extra parquet")
    for number, month in enumerate(("may", "june")):
        (tmp_path / month).mkdir()
        write_table(tmp_path / month / "s.parquet", range(number * 5, number * 5 + 2))
        assert put(tmp_path / month / "s.parquet").added == 2
    assert all(path.startswith(("may/s.parquet/", "june/s.parquet/")) for path in paths(index))


def test_files_that_a_table_names_are_found_from_the_index(index, put, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet", reason="Parquet files need the extra parquet")
    import pyarrow as pa

    (tmp_path / "photos").mkdir()
    (tmp_path / "lists").mkdir()
    for row in range(3):
        (tmp_path / "photos" / f"{row}.png").write_bytes(image_bytes(row))
    pq.write_table(pa.table({"path": ["0.png", "1.png"]}), tmp_path / "photos" / "s.parquet")
    pq.write_table(pa.table({"path": ["2.png"]}), tmp_path / "lists" / "s.parquet")
    assert put(tmp_path / "photos" / "s.parquet").added == 2
    assert put(tmp_path / "lists" / "s.parquet", images=tmp_path / "photos").added == 1
    assert paths(index) == ["photos/0.png", "photos/1.png", "photos/2.png"]
    assert look_for_files(index).ids == ()
    (tmp_path / "photos" / "1.png").unlink()
    assert remove_missing(index).paths == ("photos/1.png",)


def test_images_of_shards_far_away_are_known_by_their_address(index, put, tmp_path):
    pytest.importorskip("fsspec", reason="addresses need the extra remote")
    folder = write_shards(tmp_path / "birds", n_shards=1, per_shard=2)
    for name in ("may", "june"):
        FilePlace.of(f"memory://of-indexing/{name}").child("0000.tar").write((folder / "0000.tar").read_bytes())
        assert put(f"memory://of-indexing/{name}").added == 2
    assert paths(index)[0] == "memory://of-indexing/may/0000.tar/n0/0000.png"
    assert look_for_files(index).files == 0
    assert not names_a_file("memory://of-indexing/may/0.png", tmp_path)


def test_a_copy_in_another_folder_sees_the_shards_from_there(index, put, tmp_path, model):
    write_shards(tmp_path / "birds", n_shards=1, per_shard=2)
    put(tmp_path / "birds")
    index.add(np.zeros((1, 2), np.uint8), metadata=[{"path": "far.tar/1.png", "labels": [], "digest": "0" * 64}])
    index.close()
    (tmp_path / "copies").mkdir()
    copy_index(tmp_path / "a.index", tmp_path / "copies" / "a.index")
    with open_index(tmp_path / "copies" / "a.index") as copy:
        known = [path for path in paths(copy) if path.startswith("../birds/0000.tar/")]
        assert (len(known), paths(copy)[2]) == (2, "far.tar/1.png")  # codes that came from elsewhere keep their names
        dataset = load_images(tmp_path / "birds", cache=tmp_path / "cache")
        assert index_dataset(copy, model, dataset, device="cpu").unchanged == 2
