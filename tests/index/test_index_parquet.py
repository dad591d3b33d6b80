"""Parquet and Arrow files of an index: everything comes back, and DuckDB, Polars and pyarrow read what is there."""

import json

import numpy as np
import pytest

import oracles
from nearbit.errors import DataError, IndexFileError, InputError
from nearbit.index import create_index, open_index
from nearbit.index.exchange import export_index, import_items, parquet, read_file

pa = pytest.importorskip("pyarrow", reason="Parquet and Arrow files need the extra parquet")
import pyarrow.parquet as pq  # noqa: E402

METADATA = [
    {"path": "a/tab\there.jpg", "labels": ["wren", 'quo"te'], "digest": "00ff", "camera": 3},
    {"path": "ü.jpg", "labels": [], "deep": {"list": [1, None, 0.25, "ü\t"], "big": 2**62, "yes": True}},
    {},
    {"path": "", "labels": ["ü"]},
]


def codes_of(n, n_bits):
    return np.packbits(np.random.default_rng(n_bits).random((n, n_bits)) < 0.5, axis=1)


def filled(path, n_bits=12, n=9, outputs=None):
    index = create_index(path, n_bits, model_id="a model", outputs=outputs)
    rng = np.random.default_rng(7)
    index.add(
        codes_of(n, n_bits),
        ids=[2**62, 0, 2**40, 7, *range(100, 96 + n)],
        metadata=[METADATA[i % 4] for i in range(n)],
        outputs=None if outputs is None else rng.normal(size=(n, n_bits)).astype(np.float32),
    )
    return index


def content(index):
    return [
        (item.id, item.code.tobytes(), item.path, item.labels, item.digest, item.metadata, sorted(item.metadata))
        for item in index
    ]


@pytest.mark.parametrize("n_bits", [1, 12, 64, 130])
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_what_goes_out_comes_back(tmp_path, monkeypatch, suffix, n_bits):
    monkeypatch.setattr(parquet, "PAGE", 4)
    file = tmp_path / f"a.{suffix}"
    with filled(tmp_path / "a.index", n_bits) as index:
        assert export_index(index, file) == 9
        items = read_file(file)
        assert (items.model_id, items.n_bits) == ("a model", n_bits)
        with create_index(tmp_path / "b.index", n_bits, model_id="a model") as other:
            assert import_items(other, items) == 9
            assert content(other) == content(index)
            with pytest.raises(InputError, match="already holds item"):
                import_items(other, items)
            assert other.verify() == []
    assert {one.name for one in tmp_path.iterdir()} == {"a.index", "b.index", file.name}


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("kind", ["int8", "float16"])
def test_outputs_that_are_kept_come_back(tmp_path, suffix, kind):
    file = tmp_path / f"a.{suffix}"
    with filled(tmp_path / "a.index", outputs=kind) as index:
        export_index(index, file)
        items = read_file(file)
        assert items.keeps == kind
        with create_index(tmp_path / "b.index", 12, model_id="a model", outputs=items.keeps) as other:
            import_items(other, items)
            ids = index.codes()[0]
            assert np.array_equal(other.kept_outputs(ids), index.kept_outputs(ids))


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_an_empty_index_goes_out_too(tmp_path, suffix):
    with create_index(tmp_path / "a.index", 12) as index:
        assert export_index(index, tmp_path / f"a.{suffix}") == 0
        items = read_file(tmp_path / f"a.{suffix}")
        assert (items.n_bits, items.model_id, len(items.codes)) == (12, None, 0)
        assert import_items(index, items) == 0


def test_codes_of_another_model_are_refused(tmp_path):
    with filled(tmp_path / "a.index") as index:
        export_index(index, tmp_path / "a.parquet")
    with create_index(tmp_path / "b.index", 12, model_id="another") as other:
        with pytest.raises(IndexFileError, match="codes of different models cannot be compared"):
            import_items(other, read_file(tmp_path / "a.parquet"))
        assert len(other) == 0


def rows_of(index):
    return [(item.id, item.code.tobytes(), item.path, list(item.labels)) for item in index]


def test_duckdb_reads_it_and_finds_the_same(tmp_path):
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    with filled(tmp_path / "a.index", 64, n=40) as index:
        export_index(index, tmp_path / "a.parquet")
        expected, codes = rows_of(index), index.codes()
    with duckdb.connect() as database:
        table = f"read_parquet('{tmp_path / 'a.parquet'}')"
        assert database.execute(f"SELECT id, code, path, labels FROM {table}").fetchall() == expected
        nearest = f"SELECT id, bit_count(xor(code::BIT, ?::BLOB::BIT)) AS d FROM {table} ORDER BY d, id LIMIT 9"
        found = database.execute(nearest, [codes[1][3].tobytes()]).fetchall()
        labelled = database.execute(f"SELECT id FROM {table} WHERE list_contains(labels, 'wren')").fetchall()
        written = tmp_path / "back.parquet"
        database.execute(f"COPY (SELECT * FROM {table}) TO '{written}' (FORMAT parquet)")
    distances = [oracles.hamming(codes[1][3], code, 64) for code in codes[1]]
    assert found == sorted(zip(codes[0].tolist(), distances, strict=True), key=lambda one: (one[1], one[0]))[:9]
    assert len(labelled) == 10
    with pytest.raises(InputError, match="does not say how long its codes are: give --bits"):
        read_file(written)
    with create_index(tmp_path / "b.index", 64) as other:
        import_items(other, read_file(written, 64))
        assert rows_of(other) == expected


def test_polars_reads_both(tmp_path):
    polars = pytest.importorskip("polars", reason="Polars is not installed")
    with filled(tmp_path / "a.index", 64) as index:
        export_index(index, tmp_path / "a.parquet")
        export_index(index, tmp_path / "a.arrow")
        expected = rows_of(index)
    for frame in (polars.read_parquet(tmp_path / "a.parquet"), polars.read_ipc(tmp_path / "a.arrow")):
        assert frame.select("id", "code", "path", "labels").rows() == expected
        assert frame["metadata"].str.json_path_match("$.camera").drop_nulls().to_list() == ["3"] * 3


def write(file, **columns):
    pq.write_table(pa.table(columns), file)
    return file


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"codes": [b"ab"]}, "has no column 'code' but codes"),
        ({"code": ["ab"]}, "code must be bytes in every row, not string"),
        ({"code": [b"ab", None]}, "code must be bytes in every row, not binary with 1 nulls"),
        ({"code": [b"ab", b"abc"]}, "holds codes of 3 bytes; of 12 bits they have 2"),
        ({"code": [b"a\xff"]}, "the last 4 bits of each row must be 0"),
        ({"code": [b"a\xf0"], "id": ["x"]}, "id must be a whole number in every row, not string"),
        ({"code": [b"a\xf0"], "id": [-1]}, "ids must lie in 0"),
        ({"code": [b"a\xf0"] * 2, "id": [1, 1]}, "ids must differ: 1 came more than once"),
        ({"code": [b"a\xf0"], "metadata": ["{"]}, "the metadata of row 0 is not JSON"),
        ({"code": [b"a\xf0"], "metadata": ["[]"]}, "the metadata of row 0 must be a JSON object, not list"),
        ({"code": [b"a\xf0"], "path": [7]}, "must be a str, not int"),
        ({"code": [b"a\xf0"], "outputs": [[1.0]]}, "outputs must be lists of 12 numbers"),
        ({"code": [b"a\xf0"], "outputs": ["x"]}, "outputs must be lists of 12 numbers, not string"),
        ({"code": [b"a\xf0"] * 2, "outputs": [[1.0] * 11, [1.0] * 13]}, "lists of 12 numbers, not of 11"),
        ({"code": [b"a\xf0"], "outputs": [[1.0] * 11 + [None]]}, "outputs must be numbers; 1 of them are null"),
    ],
)
def test_a_table_that_is_none_of_codes_is_refused(tmp_path, columns, message):
    with pytest.raises(InputError, match=message):
        read_file(write(tmp_path / "a.parquet", **columns), 12)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_damaged_file_is_refused_wherever_the_damage_is(tmp_path, suffix):
    file = tmp_path / f"a.{suffix}"
    with filled(tmp_path / "a.index", 64, n=200) as index:
        export_index(index, file)
    whole = file.read_bytes()
    for size in (0, 3, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(InputError, match="cannot be read as"):
            read_file(file)


def test_a_flipped_bit_of_the_codes_is_noticed(tmp_path):
    with filled(tmp_path / "a.index", 64, n=200) as index:
        export_index(index, tmp_path / "a.parquet")
        some = index.codes()[1][100].tobytes()
    whole = bytearray((tmp_path / "a.parquet").read_bytes())
    at = bytes(whole).find(some)
    if at < 0:
        pytest.skip("the codes were compressed to something else")
    whole[at] ^= 1
    (tmp_path / "a.parquet").write_bytes(whole)
    with pytest.raises(InputError, match="CRC"):
        read_file(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"format": "nearbit-codes", "version": 9, "n_bits": 12}, "this nearbit reads 1: update it"),
        ({"format": "other"}, "which is no file of codes"),
        ({"format": "nearbit-codes", "version": 1, "n_bits": 0}, "n_bits must be a whole number of at least 1"),
        (
            {"format": "nearbit-codes", "version": 1, "n_bits": 12, "model_id": 3},
            "names a model or outputs that",
        ),
    ],
)
def test_what_a_file_says_of_itself_is_checked(tmp_path, said, message):
    table = pa.table({"code": pa.array([b"ab"], pa.binary(2))}).replace_schema_metadata({"nearbit": json.dumps(said)})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        read_file(tmp_path / "a.parquet")


def test_an_address_is_as_good_as_a_path(tmp_path):
    fsspec = pytest.importorskip("fsspec", reason="addresses need the extra remote")
    with filled(tmp_path / "a.index") as index:
        export_index(index, "memory://codes/a.parquet")
        export_index(index, f"file://{tmp_path}/a.parquet")
        expected = content(index)
    assert fsspec.filesystem("memory").ls("/codes", detail=False) == ["/codes/a.parquet"]
    for address in ("memory://codes/a.parquet", f"file://{tmp_path}/a.parquet"):
        with create_index(None, 12) as other:
            items = read_file(address)
            other.add(items.codes, ids=items.ids, metadata=items.metadata)
            assert content(other) == expected
    with pytest.raises(InputError, match=r"there is no file memory://codes/b\.parquet"):
        read_file("memory://codes/b.parquet")
    with (
        open_index(tmp_path / "a.index") as index,
        pytest.raises(DataError, match="reached: Protocol not known"),
    ):
        export_index(index, "nothing://codes/a.parquet")
