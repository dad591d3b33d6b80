"""Damaged and foreign index files: every flipped bit is found, what is not ours is refused, nothing raw comes out."""

import sqlite3
import zlib

import numpy as np
import pytest

from nearbit.errors import IndexFileError, InputError, NearbitError
from nearbit.index import create_index, open_index
from nearbit.index.storage.rows import EMPTY, code_half, item_sum, item_sums, output_sum, row_sums

CODES = np.random.default_rng(0).integers(0, 256, (12, 8), dtype=np.uint8)
FIELDS = {"path": "photos/ä.jpg", "labels": ["wren"], "digest": "ab" * 32, "camera": 3}


@pytest.fixture
def path(tmp_path):
    with create_index(tmp_path / "a.index", 64, outputs="int8") as index:
        index.add(CODES, metadata=[FIELDS | {"shot": n} for n in range(12)], outputs=CODES_AS_OUTPUTS)
    return tmp_path / "a.index"


CODES_AS_OUTPUTS = np.random.default_rng(1).standard_normal((12, 64)).astype(np.float32)


def sqlite(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in statements:
            connection.execute(*statement) if isinstance(statement, tuple) else connection.execute(statement)
    finally:
        connection.close()


def problems(path):
    """Return what a full look at a file finds, whether it is refused or listed."""
    try:
        with open_index(path, read_only=True, cache=False) as index:
            return index.verify()
    except NearbitError as error:
        return [str(error)]


def items_of(path):
    with open_index(path, read_only=True, cache=False) as index:
        return [(item.id, item.code.tobytes(), item.path, item.labels, item.metadata, item.digest) for item in index]


def cells(content, needle):
    """Return where in a file the only occurrence of some bytes begins."""
    assert content.count(needle) == 1
    return content.index(needle)


@pytest.mark.parametrize("what", ["code", "path", "labels", "metadata", "digest", "outputs", "header"])
def test_every_flipped_bit_of_a_stored_row_is_found(path, what):
    """The bits are flipped in the file itself, in one row whose columns no other row has."""
    changed = {
        "path": "x/y.png", "labels": '["q"]', "metadata": '{"z":1}', "digest": "0123456789",
    }  # fmt: skip
    with open_index(path) as index:
        index.update([5], metadata=[{"path": "x/y.png", "labels": ["q"], "z": 1, "digest": "0123456789"}])
    whole = path.read_bytes()
    code = CODES[4].tobytes()
    row = code + b"x/y.png" + b'["q"]' + b'{"z":1}' + b"0123456789"
    begin = cells(whole, row)
    if what in changed:
        first = begin + row.index(changed[what].encode())
        length = len(changed[what])
    elif what == "code":
        first, length = begin, 8
    elif what == "header":
        first, length = begin - 9, 9  # the sizes and types of the columns, the id and the size of the row
    else:
        with sqlite3.connect(path) as connection:
            data = connection.execute("SELECT data FROM outputs WHERE id = 5").fetchone()[0]
        first, length = cells(whole, data), len(data)
    before = items_of(path) if what == "header" else None  # there a bit has no meaning where the id is the row's
    for place in range(first, first + length):
        for bit in range(8):
            content = bytearray(whole)
            content[place] ^= 1 << bit
            path.write_bytes(content)
            assert problems(path) or items_of(path) == before, f"bit {bit} of byte {place - first}"
    path.write_bytes(whole)
    assert problems(path) == []


def test_a_damaged_row_is_not_returned_and_a_damaged_code_not_searched(path):
    sqlite(path, "UPDATE items SET digest = 'ac' || substr(digest, 3) WHERE id = 3")
    with open_index(path) as index:
        assert index.search(CODES[:1], k=1).pairs(0) == [(1, 0)]
        assert index.items([2])[0].labels == ("wren",)
        for call in (lambda: index.items([3]), lambda: list(index)):
            with pytest.raises(IndexFileError, match=r"a\.index is damaged: item 3 does not match its checksum"):
                call()
        index.remove([3])
        assert (len(list(index)), index.verify()) == (11, [])
    sqlite(path, "UPDATE items SET code = x'0000000000000000' WHERE id = 4")
    with open_index(path) as index, pytest.raises(IndexFileError, match="the code of item 4 does not match its"):
        index.search(CODES[:1])
    sqlite(path, "UPDATE items SET checksum = NULL WHERE id = 5", "DELETE FROM items WHERE id = 4")
    with open_index(path) as index, pytest.raises(IndexFileError, match="the code of item 5 does not match"):
        index.search(CODES[:1])


def test_damaged_outputs_order_nothing(path):
    sqlite(path, "UPDATE outputs SET scale = scale * 2 WHERE id = 3")
    with open_index(path) as index:
        with pytest.raises(IndexFileError, match="the outputs of item 3 do not match their checksum"):
            index.search(CODES[:1], k=12, outputs=CODES_AS_OUTPUTS[:1])
        assert index.verify() == ["item 3: its outputs do not match their checksum"]


def test_checksums_are_those_of_zlib_for_every_way_of_writing(path):
    ids = np.array([0, 1, 2**40, 2**63 - 1])
    for width in (1, 3, 8, 40):
        codes = np.random.default_rng(width).integers(0, 256, (4, width), dtype=np.uint8)
        fields = [("a", "[]", "{}", None), ("", "[]", "{}", ""), (None, '["ä"]', '{"k":"\\n"}', "d"), EMPTY]
        sums = item_sums(ids, codes, fields)
        rows = zip(ids.tolist(), codes, fields, strict=True)
        assert sums == [item_sum((item_id, code.tobytes(), *own)) for item_id, code, own in rows]
        whole = [zlib.crc32(int(n).to_bytes(8, "little") + code.tobytes()) for n, code in zip(ids, codes, strict=True)]
        assert code_half(np.array(sums)).tolist() == row_sums(ids[:, None], codes).tolist() == whole
        assert len(set(sums)) == 4
    with open_index(path) as index:
        index.update([1, 2], metadata=[{"path": "other"}, {}])
        index.add(CODES[:2], ids=[3, 40], outputs=CODES_AS_OUTPUTS[:2], replace=True)
        index.add(CODES[:2], metadata=[{"labels": ["a"]}, {}], outputs=CODES_AS_OUTPUTS[:2])
        assert index.verify() == []
    with sqlite3.connect(path) as connection:
        for row in connection.execute("SELECT id, scale, data, checksum FROM outputs").fetchall():
            assert output_sum(*row[:3]) == row[3]


def as_format_2(path):
    """Take the checksums from a file, as an older nearbit made it."""
    sqlite(
        path,
        "ALTER TABLE items DROP COLUMN checksum",
        "ALTER TABLE outputs DROP COLUMN checksum",
        "UPDATE meta SET value = '2' WHERE key = 'format_version'",
        "DELETE FROM meta WHERE key = 'log_base'",
        "PRAGMA user_version = 0",
    )


def test_a_file_of_format_2_is_read_as_it_is_and_upgraded_by_the_first_write(path):
    as_format_2(path)
    with open_index(path, read_only=True) as reader:
        assert (reader.stats()["format_version"], reader.verify(), len(list(reader))) == (2, [], 12)
        before = reader.search(CODES[:3], k=5, outputs=CODES_AS_OUTPUTS[:3]).ids.tolist()
        with open_index(path) as writer:
            writer.add(CODES[:1], outputs=CODES_AS_OUTPUTS[:1])
            writer.remove([13])
            assert writer.stats()["format_version"] == 3
        assert reader.search(CODES[:3], k=5, outputs=CODES_AS_OUTPUTS[:3]).ids.tolist() == before
        assert (reader.verify(), len(list(reader))) == ([], 12)
    sqlite(path, "UPDATE items SET labels = '[\"wrem\"]' WHERE id = 7")
    assert problems(path) == ["item 7: it does not match its checksum"]


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON items BEGIN DELETE FROM items WHERE id = new.id; END", "t"),
        ("CREATE VIEW v AS SELECT * FROM items", "v"),
        ("CREATE TABLE more (a)", "more"),
        ("CREATE INDEX i ON items (path)", "i"),
        ("ALTER TABLE items ADD COLUMN twice AS (id * 2)", "items"),
        ("ALTER TABLE changes RENAME COLUMN first TO begin", "changes"),
        ("DROP TABLE changes", "changes"),
        ("DROP TABLE meta", "meta"),
        ("ANALYZE", "sqlite_stat1"),
    ],
)
def test_tables_that_are_not_ours_are_refused(path, statement, name):
    sqlite(path, statement)
    for call in (lambda: open_index(path), lambda: create_index(path, 64, exist_ok=True)):
        with pytest.raises(IndexFileError, match=rf"is no index as nearbit makes it: under the name '{name}'"):
            call()


@pytest.mark.parametrize("table", ["meta", "items", "revisions"])
def test_a_view_that_never_ends_in_the_place_of_a_table_is_not_read(path, table):
    endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT * FROM n"
    sqlite(path, f"DROP TABLE {table}", f"CREATE VIEW {table} AS {endless}")
    with pytest.raises(IndexFileError, match=f"under the name '{table}'"):
        open_index(path)


def test_a_table_that_leads_in_a_circle_comes_to_an_end(tmp_path):
    """The pages of a large table are made to lead to one page over and over, level by level."""
    path = tmp_path / "a.index"
    with create_index(path, 64) as index:
        index.add(np.zeros((60_000, 8), np.uint8), metadata=[{"path": "x" * 60}] * 60_000)
        with index._store.read() as connection:
            root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'items'").fetchone()[0]
    content = bytearray(path.read_bytes())
    begin = (root - 1) * 4096
    assert content[begin] == 5  # an inner page
    n_cells = int.from_bytes(content[begin + 3 : begin + 5], "big")
    first = int.from_bytes(content[begin + 12 : begin + 14], "big") + begin
    for cell in range(n_cells):
        place = begin + int.from_bytes(content[begin + 12 + 2 * cell : begin + 14 + 2 * cell], "big")
        content[place : place + 4] = content[first : first + 4]
    path.write_bytes(content)
    with open_index(path, read_only=True, cache=False) as index:
        with pytest.raises(IndexFileError, match="is damaged: the ids of its items do not ascend"):
            index.search(CODES[:1])
        assert any("circle" in line for line in index.verify())


def test_a_count_that_would_never_end_is_stopped(path, monkeypatch):
    with open_index(path) as index:
        monkeypatch.setattr("nearbit.index.storage.connecting.FEWEST_BYTES", 0)
        monkeypatch.setattr("nearbit.index.storage.connecting.STEPS_PER_LOOK", 10)
        monkeypatch.setattr("nearbit.index.storage.connecting.STEPS_PER_BYTE", 0)
        with pytest.raises(IndexFileError, match="reading it would never end"):
            index.matching({"camera": 3})
        monkeypatch.undo()
        assert len(index.matching({"camera": 3})) == 12


@pytest.mark.parametrize("column", ["labels", "metadata"])
@pytest.mark.parametrize(
    "value",
    [
        "[1]",
        "[[]]",
        "null",
        "3",
        "",
        "NaN",
        b"\xff",
        "[" * 2000,
        "{",
        '{"a":' + "[" * 2000,
        b"[]",
        7,
        '"a"',
        "1" * 5000,
    ],
)
@pytest.mark.parametrize("summed", [True, False])
def test_values_that_no_item_has_are_one_error(path, column, value, summed):
    if not summed:
        as_format_2(path)
    sqlite(path, (f"UPDATE items SET {column} = ? WHERE id = 3", (value,)))
    with open_index(path, read_only=True) as index:
        assert [line for line in index.verify() if line.startswith("item 3: ")]
        with pytest.raises(IndexFileError, match=r"a\.index is damaged: .*item 3"):
            list(index)
        if column == "labels" and not summed:
            with pytest.raises(
                IndexFileError, match=r"a\.index (is damaged: the labels|cannot be used: it is damaged)"
            ):
                index.labels()


@pytest.mark.parametrize("column", ["labels", "path", "digest"])
def test_a_text_that_is_not_utf8_is_one_error(path, column):
    sqlite(path, f"UPDATE items SET {column} = CAST(x'ff' AS TEXT) WHERE id = 3")
    with open_index(path, read_only=True) as index:
        assert [line for line in index.verify() if line.startswith("item 3: ")]
        with pytest.raises(IndexFileError, match=r"a\.index cannot be used: it is damaged: a text in it is not UTF-8"):
            list(index)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE meta SET value = printf('%.*c', 5000, '1') WHERE key = 'n_bits'", "recorded facts are incomplete"),
        ("UPDATE meta SET value = printf('%.*c', 5000, '1') WHERE key = 'format_version'", "facts are incomplete"),
        ("UPDATE meta SET value = '0' WHERE key = 'n_bits'", "recorded facts are incomplete"),
        ("UPDATE meta SET value = '٣' WHERE key = 'last_id'", "recorded facts are incomplete"),
        ("UPDATE meta SET value = x'ff' WHERE key = 'index_id'", "recorded facts are incomplete"),
        ("DELETE FROM revisions", "its history holds no state"),
        ("UPDATE revisions SET token = 'x'", "its history holds no state"),
    ],
)
def test_facts_that_no_index_has_are_one_error(path, statement, words):
    sqlite(path, statement)

    def look():
        with open_index(path, read_only=True) as index:
            index.search(CODES[:1])

    with pytest.raises(IndexFileError, match=rf"a\.index is damaged: .*{words}"):
        look()


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"x", float("nan"), float("inf"), 2**70])
def test_a_filter_says_what_it_takes(path, value):
    with open_index(path) as index:
        for call in (
            lambda: index.matching({"camera": value}),
            lambda: index.search(CODES[:1], where={"camera": value}),
        ):
            with pytest.raises(
                InputError, match=r"where\['camera'\] must be a (text, a number, true, false|finite number)"
            ) as said:
                call()
            assert "list, dict" not in str(said.value)
            assert "store None" not in str(said.value)
