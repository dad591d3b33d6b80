"""The service under trouble: hostile heads, a failing disk, an index or a model that another one replaces."""

import socket
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from service_site import N_BITS, png, running, wait_until, write_index, write_manifest

from nearbit.codes import pack
from nearbit.errors import InputError
from nearbit.index import create_index, open_index
from nearbit.model.manifest import EXPORTED
from nearbit.service import collection as collection_module
from nearbit.service.collection import Collection, shown_path
from nearbit.service.http.connection import Connection
from nearbit.service.images.originals import Originals
from nearbit.service.info import card_of
from nearbit.service.settings import Limits, ServiceOptions


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://a]", "://", "http://localhost@evil.example"])
def test_an_origin_that_is_no_address_is_refused(site, origin):
    answer = site.get("labels", Origin=origin)
    assert (answer.status, answer.code) == (403, "forbidden")


NO_NAMES = ["http://birds.example", "birds.example:", "me@birds.example", "birds.example/", "", "a b"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_an_allowed_host_that_never_matches_is_refused(small, name):
    with pytest.raises(InputError, match="takes a name alone"):
        ServiceOptions(index=small, allowed_hosts=(name,))


def ask_whether_it_lives(connection):
    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while not answer.endswith(b"ok\n"):
        came = connection.recv(4096)
        assert came
        answer += came


PATIENT = replace(Limits(), idle_seconds=60)


@pytest.fixture
def look(monkeypatch):
    """Look at the one connection of a test, as the service does whenever its idle time has passed; returns it."""
    made, begin = [], Connection.connection_made

    def kept(self, transport):
        begin(self, transport)
        made.append(self)

    def call(times):
        wait_until(lambda: made)
        (one,) = made
        done = threading.Event()
        for _ in range(times):
            one.loop.call_soon_threadsafe(one._look)
        one.loop.call_soon_threadsafe(done.set)
        assert done.wait(20)
        return one

    monkeypatch.setattr(Connection, "connection_made", kept)
    return call


def test_a_later_request_whose_head_dribbles_in_is_closed(small, look):
    with (
        running(ServiceOptions(index=small, limits=PATIENT)) as site,
        socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection,
    ):
        for _ in range(2):
            ask_whether_it_lives(connection)
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: loc")
        wait_until(lambda: look(0)._is_in_head)
        look(1)
        assert not look(0).transport.is_closing(), "it may have begun a moment ago"
        look(1)
        assert connection.recv(10) == b""


def test_a_silent_connection_is_kept_for_its_next_request(small, look):
    with (
        running(ServiceOptions(index=small, limits=PATIENT)) as site,
        socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection,
    ):
        for _ in range(2):
            ask_whether_it_lives(connection)
            look(5)


def test_a_connection_is_looked_at_again_and_again(small, monkeypatch):
    looks, look = [], Connection._look
    monkeypatch.setattr(Connection, "_look", lambda self: (looks.append(self), look(self)))
    with (
        running(ServiceOptions(index=small, limits=replace(Limits(), idle_seconds=0.05))) as site,
        socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection,
    ):
        assert connection.recv(10) == b""
        wait_until(lambda: len(looks) >= 2)


def test_an_answer_that_nobody_reads_is_given_up(tmp_path, look):
    path = write_index(tmp_path, 2)
    with open(tmp_path / "photos" / "00.png", "ab") as file:
        file.write(bytes(30_000_000))
    with running(ServiceOptions(index=path, limits=PATIENT)) as site, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", site.port))
        connection.sendall(b"GET /api/v1/items/1/original HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: site.service.counters.working == 1)
        wait_until(lambda: look(1) and site.service.counters.working == 0)


def test_a_filter_of_very_many_keys_is_the_senders_mistake(site):
    many = {f"key{number}": 1 for number in range(1200)}
    answer = site.search({"queries": [{"id": 1}], "metadata": many})
    assert (answer.status, answer.code) == (422, "invalid")
    assert "at most 20 keys, not 1200" in answer.json["error"]["message"]
    assert site.search({"queries": [{"id": 1}], "metadata": dict(list(many.items())[:20])}).status == 200


@pytest.mark.parametrize(
    ("path", "shown"),
    [("../../home/eve/a.png", "a.png"), ("x/../../eve/a.png", "a.png"), ("..\\eve\\a.png", "a.png"),
     ("C:\\eve\\a.png", "a.png"), ("x/..y/a.png", "x/..y/a.png"), ("x/a.png", "x/a.png"), (None, None)],
)  # fmt: skip
def test_folders_outside_of_that_of_the_index_are_not_named(path, shown):
    assert shown_path(path) == shown


class Failing:
    """A connection to a file on a disk that is full, or that another program holds."""

    def execute(self, *_):
        raise sqlite3.OperationalError("database or disk is full")

    def close(self):
        pass


def test_a_full_disk_leaves_thumbnails_and_metrics_in_service(tmp_path, monkeypatch):
    with running(ServiceOptions(index=write_index(tmp_path))) as site:
        whole = site.get("items/3/thumbnail").body
        monkeypatch.setattr(site.service.thumbnails, "_connection", Failing())
        assert (site.get("items/3/thumbnail").status, site.get("items/3/thumbnail").body) == (200, whole)
        assert site("GET", "/metrics").status == 200


def test_a_kept_thumbnail_is_not_shown_of_what_may_not_be_shown(tmp_path):
    index = write_index(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "photos").rename(tmp_path / "out" / "photos")
    (tmp_path / "in" / "photos").symlink_to(tmp_path / "out" / "photos")
    with running(ServiceOptions(index=index, images=(tmp_path / "out",))) as site:
        first = site.get("items/1/thumbnail")
        assert first.status == 200
    with running(ServiceOptions(index=index)) as site:
        assert site.get("items/1/thumbnail").code == "no_picture"
        assert site.get("items/1/thumbnail", If_None_Match=first.headers["etag"]).code == "no_picture"


def test_only_a_link_to_the_present_version_is_kept_for_good(site):
    assert site.get("items/1/thumbnail?v=another").headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("digest", [None, "md5:a&x=1"])
def test_only_a_picture_that_a_digest_names_is_kept_for_good(tmp_path, digest):
    path, picture = write_index(tmp_path), tmp_path / "photos" / "one.png"
    picture.write_bytes(png((1, 2, 3)))
    with open_index(path) as index:
        (item_id,) = index.add(np.zeros((1, 2), np.uint8), metadata=[{"path": "photos/one.png", "digest": digest}])
    with running(ServiceOptions(index=path)) as site:
        link = site.get(f"items/{item_id}").json["thumbnail"].removeprefix("/api/v1/")
        assert ("?v=" in link) == (digest is not None)
        before = site.get(link)
        assert ("immutable" in before.headers["cache-control"]) == (digest is not None)
        picture.write_bytes(png((3, 2, 1), 77))
        assert (site.get(link).headers["etag"] == before.headers["etag"]) == (digest is not None)


def test_a_download_has_the_name_that_the_item_has(tmp_path):
    path = write_index(tmp_path)
    hidden = tmp_path / "photos" / b"secret-\xff.png".decode("utf-8", "surrogateescape")
    (tmp_path / "photos" / "00.png").rename(hidden)
    (tmp_path / "photos" / "00.png").symlink_to(hidden)
    with running(ServiceOptions(index=path)) as site:
        answer = site.get("items/1/original")
    assert (answer.status, answer.headers["content-disposition"]) == (200, 'attachment; filename="00.png"')


def replace_index(path, rows, model_id="fake"):
    new = path.with_name("new.index")
    with create_index(new, N_BITS, model_id=model_id) as index:
        index.add(np.full((rows, 2), 0xF0, np.uint8), metadata=[{"labels": ["other"]}] * rows)
    new.replace(path)


def test_a_search_names_items_of_the_index_that_it_searched(tmp_path):
    path = write_index(tmp_path)
    served = Collection(path, Originals(path, ()), writable=False)
    before = served.rendered([3])[0].json
    with served.use():
        replace_index(path, 5)
        served.fresh()
        assert served.rendered([3])[0].json == before
        assert "other" not in served.labels()
    assert served.rendered([3])[0].json != before
    assert list(served.labels()) == ["other"]
    served.close()


def test_what_one_request_reads_of_kept_items_another_does_not_empty(small, monkeypatch):
    monkeypatch.setattr(collection_module, "KEPT_ITEMS", 3)
    served = Collection(small, Originals(small, ()), writable=False)
    served.rendered([1, 2, 3, 4])
    reading = served._opened.rendered
    served.rendered([5])
    assert {1, 2, 3, 4} <= set(reading)
    assert set(served._opened.rendered) == {5}
    served.close()


def write_model(folder, model_id="fake"):
    signs = np.where(np.random.default_rng(0).random((3, N_BITS)) < 0.5, 1, -1).astype(np.int8)
    np.save(folder / "centers.npy", signs, allow_pickle=False)
    from nearbit.files.writing import sha256_of

    files = {"centers.npy": sha256_of(folder / "centers.npy")}
    write_manifest(folder, model_id=model_id, classes=["red", "green", "blue"], files=files)
    return pack(signs)


def test_nothing_is_said_of_a_model_that_did_not_make_the_codes(tmp_path):
    path = write_index(tmp_path)
    write_model(tmp_path / "fake.model")
    with running(ServiceOptions(index=path)) as site:
        assert site.get("index/health").json["center_margin"] is not None
        replace_index(path, 5, "another")
        wait_until(lambda: site.get("index").json["items"] == 5)
        assert site.get("index").json["has_model"] is False
        assert site.get("index/health").json["center_margin"] is None
        assert (site.get("index/centers").code, site.get("model").code) == ("no_model", "no_model")
    replace_index(path, 7)
    write_model(tmp_path / "fake.model", "trained-again")
    with running(ServiceOptions(index=path)) as site:
        assert site.get("index").json["has_model"] is False
        assert site.form("search/image", png((1, 2, 3))).code == "no_model"


def test_the_card_of_an_exported_network_says_what_its_source_said(tmp_path):
    about = {"method": "crh", "backbone": "small", "head": {"kind": "linear"}, "libraries": {"onnx": "1"}}
    write_manifest(tmp_path, kind=EXPORTED, classes=["x"], precision="int8", about=about)
    card = card_of(tmp_path)
    assert (card["method"], card["head"], card["libraries"]) == ("crh", about["head"], about["libraries"])
    assert (card["backbone"]["name"], card["precision"], card["n_bits"]) == ("small", "int8", 12)


def test_what_a_failed_loading_says_of_this_machine_stays_here(tmp_path, monkeypatch):
    from nearbit.service import service as module

    def fail(folder):
        raise OSError("/opt/secret/lib.so: cannot open shared object file")

    monkeypatch.setattr(module, "load_encoder", fail)
    with running(ServiceOptions(index=write_index(tmp_path))) as site:
        answer = site.form("search/image", png((1, 2, 3)))
    assert (answer.status, answer.code) == (409, "no_model")
    assert b"secret" not in answer.body
    assert "OSError" in answer.json["error"]["message"]


def test_the_service_itself_needs_no_torch():
    code = "import sys, nearbit.service.serving; print(sorted({'torch', 'onnxruntime'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
