"""A file of thumbnails that a stranger put beside the index: data, shown only as the picture that its bytes are."""

import hashlib
import io
import os
import sqlite3
import time
from contextlib import closing

import pytest
from PIL import Image
from service_site import png, running, write_index

from nearbit.index import open_index
from nearbit.service.images.originals import Originals
from nearbit.service.images.thumbnail_file import SCHEMA
from nearbit.service.images.thumbnail_kinds import image_type
from nearbit.service.images.thumbnails import Thumbnails, small_picture
from nearbit.service.settings import ServiceOptions

SCRIPT = b"<title>t</title><script>window.pwned = 1</script>"
WIDE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4) * 2 + b"\x08\x02\0\0\0"


def saved(form, **options):
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (9, 99, 199)).save(out, form, **options)
    return out.getvalue()


def test_bytes_say_what_a_thumbnail_is():
    for size in ((300, 200), (20, 9), (1, 1), (64, 64), (65, 65)):
        data, kind = small_picture(Image.new("RGB", size, (1, 2, 3)))
        assert image_type(data) == kind
    for other in (
        SCRIPT, b"", None, "text", 7, b"GIF89a" + bytes(40), saved("GIF"), saved("WEBP"), saved("BMP"), WIDE,
        saved("JPEG", progressive=True), b"\xff\xd8\xff" + SCRIPT, b"\x89PNG\r\n\x1a\n" + SCRIPT, png((0, 0, 0), 513),
        saved("JPEG") + bytes(500_000), saved("JPEG")[:60],
    ):  # fmt: skip
        assert image_type(other) is None


def key_of(path, item_id):
    with open_index(path, read_only=True) as index:
        digest = index.items([item_id])[0].digest
    return hashlib.sha256(f"1:{digest}".encode()).hexdigest()[:32]


def forge(path, script, rows=()):
    """Write a file of thumbnails as a stranger would."""
    with closing(sqlite3.connect(path.with_name(f"{path.name}-thumbs"))) as connection:
        connection.executescript(script)
        for row in rows:
            connection.execute("INSERT INTO thumbs VALUES (?, ?, ?, ?)", row)
        connection.commit()


TABLES = "CREATE TABLE thumbs (key TEXT PRIMARY KEY, data BLOB, type TEXT, used REAL) WITHOUT ROWID;"
FOREIGN = {
    "another table": f"{TABLES} CREATE TABLE total(bytes INTEGER); INSERT INTO total VALUES (0);",
    "one trigger more": f"{SCHEMA} CREATE TRIGGER more AFTER UPDATE ON thumbs BEGIN DELETE FROM thumbs; END;",
    "a view": "CREATE VIEW thumbs AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i AS key, x'00' AS data, 'a' AS type, 1.0 AS used FROM n;",
    "a generated column": "CREATE TABLE thumbs (key TEXT PRIMARY KEY, data BLOB AS (zeroblob(1000000000)), type TEXT, "
    "used REAL) WITHOUT ROWID;",
}


@pytest.mark.parametrize("script", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_other_tables_is_made_anew(script, tmp_path):
    path = write_index(tmp_path, 5)
    forge(path, script)
    with running(ServiceOptions(index=path)) as site:
        answer = site.get("items/1/thumbnail")
        assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
        assert site.service.thumbnails.count()[0] == 1
    with closing(sqlite3.connect(path.with_name(f"{path.name}-thumbs"))) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert names == {"thumbs", "total", "added", "removed"}


@pytest.mark.parametrize(
    ("data", "kind", "used"),
    [
        (SCRIPT, "text/html", 1e9),
        (b"fetch('/api/v1/items')", "text/javascript", 9e99),
        (SCRIPT.decode(), "image/png", "never"),
        (None, None, None),
        (7, 7, b"now"),
        (WIDE, "image/png", 0.0),
        (saved("GIF"), "image/png", 0.0),
    ],
)
def test_what_is_no_thumbnail_of_ours_is_made_anew(data, kind, used, tmp_path):
    path = write_index(tmp_path, 5)
    forge(path, f"{SCHEMA} INSERT INTO total VALUES (-9000000000);", [(key_of(path, 1), data, kind, used)])
    with running(ServiceOptions(index=path)) as site:
        for _ in range(2):
            answer = site.get("items/1/thumbnail")
            assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
            assert Image.open(io.BytesIO(answer.body)).getpixel((5, 5)) == (0, 0, 0)


def test_the_type_is_that_of_the_bytes_whatever_the_file_says(tmp_path):
    path = write_index(tmp_path, 5)
    forge(path, f"{SCHEMA} INSERT INTO total VALUES (0);", [(key_of(path, 1), saved("JPEG"), "text/html", time.time())])
    with running(ServiceOptions(index=path)) as site:
        answer = site.get("items/1/thumbnail")
        assert (answer.headers["content-type"], answer.body) == ("image/jpeg", saved("JPEG"))
        assert answer.headers["x-content-type-options"] == "nosniff"
        for kind in ("thumbnail", "original"):
            policy = site.get(f"items/1/{kind}").headers["content-security-policy"]
            assert policy == "default-src 'none'; sandbox; frame-ancestors 'none'"


def kept_beside(tmp_path, make):
    """Return what a service keeps where `make` put something in the place of the file."""
    path = write_index(tmp_path, 5)
    make(path.with_name(f"{path.name}-thumbs"))
    kept = Thumbnails(path, Originals(path, ()), 10**6)
    with open_index(path, read_only=True) as index:
        assert kept.get(index.items([1])[0]).content_type == "image/png"
    assert kept.count()[0] == 1
    kept.close()
    return path.with_name(f"{path.name}-thumbs")


def test_a_link_to_another_file_is_replaced_and_the_file_left_alone(tmp_path):
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE mine (a)")
        connection.commit()
    before = other.read_bytes()
    thumbs = kept_beside(tmp_path / "a", lambda place: place.symlink_to(other))
    assert not thumbs.is_symlink()
    hard = kept_beside(tmp_path / "b", lambda place: os.link(other, place))
    assert hard.stat().st_ino != other.stat().st_ino
    assert other.read_bytes() == before


@pytest.mark.parametrize("make", [os.mkfifo, lambda place: place.write_bytes(b"no database" * 999)])
def test_what_is_no_database_is_replaced(make, tmp_path):
    assert kept_beside(tmp_path, make).read_bytes().startswith(b"SQLite format 3")


def test_a_file_far_beyond_the_limit_is_made_anew(tmp_path):
    def make(place):
        with open(place, "wb") as file:
            file.truncate(10**9)

    assert kept_beside(tmp_path, make).stat().st_size < 10**6
