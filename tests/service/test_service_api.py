"""What clients of many kinds rely on: ids of any size, HEAD, conditional requests, limits as they are described."""

import json
import sqlite3

import numpy as np
import pytest
from service_site import N_BITS, png, running, write_index

from nearbit.index import create_index
from nearbit.service.app import OPERATIONS
from nearbit.service.routes import items
from nearbit.service.settings import Limits, ServiceOptions

LARGE = [2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1]


def as_a_double(text):
    """Read a number as a browser does."""
    return int(float(text))


@pytest.fixture
def large(tmp_path):
    """A service with ids on both sides of what JavaScript holds."""
    with create_index(tmp_path / "x.index", N_BITS) as index:
        codes = np.array([[0, 0], [1, 0], [3, 0], [7, 0]], np.uint8)
        index.add(codes, ids=LARGE, metadata=[{"labels": [str(item_id)]} for item_id in LARGE])
    with running(ServiceOptions(index=tmp_path / "x.index")) as site:
        yield site


def test_large_ids_survive_a_browser(large):
    listed = json.loads(large.get("items").body, parse_int=as_a_double)["items"]
    assert [item["labels"] for item in listed] == [[str(item_id)] for item_id in LARGE]
    for item, item_id in zip(listed, LARGE, strict=True):
        assert item["id_text"] == str(item_id)
        assert item["id"] == (item_id if item_id < 2**53 else str(item_id))
        for name in (item["id"], item["id_text"]):
            assert large.get(f"items/{name}").json["labels"] == [str(item_id)]
            found = large.search({"queries": [{"id": name}], "k": 1}).json["results"][0]
            assert found["query"]["id_text"] == found["neighbors"][0]["id_text"] == str(item_id)
        found = large.get(f"items/{item_id}/neighbors?k=1").json["results"][0]
        assert found["query"]["id_text"] == found["neighbors"][0]["id_text"] == str(item_id)


def test_pages_of_large_ids_follow_each_other(large):
    seen, after = [], ""
    while True:
        page = json.loads(large.get(f"items?limit=1{after}").body, parse_int=as_a_double)
        seen += [item["id_text"] for item in page["items"]]
        if page["next_after"] is None:
            assert page["next_after_text"] is None
            break
        assert str(page["next_after"]) == page["next_after_text"]
        after = f"&after={page['next_after']}"
    assert seen == [str(item_id) for item_id in LARGE]


@pytest.mark.parametrize("item_id", ["", "-1", "1.0", "1e3", " 1", "9" * 20, str(2**63), "٣", True, 1.0, None, [1]])
def test_an_id_that_is_none_is_refused(site, item_id):
    assert site.search({"queries": [{"id": item_id}]}).status == 422


@pytest.mark.parametrize(
    "path", sorted({one.path for one in OPERATIONS if one.method == "GET"} | {"/", "/static/api.js"})
)
def test_head_is_answered_wherever_get_is(site, path):
    path = path.replace("{item_id}", "1")
    got, head = site("GET", path), site("HEAD", path)
    assert head.status == got.status
    assert head.body == b""
    assert head.headers["content-type"] == got.headers["content-type"]
    if "server-timing" not in got.headers and path != "/metrics" and "sample" not in path:
        assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize("path", ["/", "/static/api.js", "/api/v1/items/1/thumbnail", "/api/v1/items/1/original"])
def test_what_a_browser_has_is_not_sent_again(site, path):
    tag = site("GET", path).headers["etag"]
    for has in (tag, f"W/{tag}", f'"other", {tag}', f'W/"x" ,{tag},"y"', f'"a,b",{tag}', "*", f", {tag} ,", f"\t{tag}"):
        for method in ("GET", "HEAD"):
            answer = site(method, path, headers={"If-None-Match": has})
            assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    bare = tag.strip('"')
    for other in ('"other"', bare, f'"{bare}', f'"a{bare}"', f"w/{tag}", f'"x" {tag}', f"W/ {tag}", "**", ""):
        assert site("GET", path, headers={"If-None-Match": other}).status == 200


@pytest.mark.parametrize("path", ["/", "/static/api.js", "/api/v1/items/1/thumbnail", "/api/v1/items/1/original"])
def test_no_ranges_are_offered_that_are_not_kept(site, path):
    answer = site("GET", path, headers={"Range": "bytes=0-3"})
    assert answer.status == 200
    assert "accept-ranges" not in answer.headers
    assert len(answer.body) == int(answer.headers["content-length"]) > 4


SMALL = Limits(
    k=5, queries=3, page=4, conditions=2, results=9, image_bytes=123_000, pixels=7_000_000, head_fields=60,
)  # fmt: skip


def test_the_description_has_the_limits_in_force(small):
    with running(ServiceOptions(index=small, limits=SMALL)) as site:
        text = site("GET", "/openapi.json").body.decode()
        paths = json.loads(text)["paths"]
        body = paths["/api/v1/search"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
        assert (body["k"]["maximum"], body["k"]["default"], body["queries"]["maxItems"]) == (5, 5, 3)
        assert (body["metadata"]["maxProperties"], "up to 9 results" in text.lower()) == (2, True)
        form = paths["/api/v1/search/image"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert form["properties"]["k"]["maximum"] == 5
        assert "0.123 MB and 7 million pixels" in form["properties"]["image"]["description"]
        for path, name in (("/api/v1/items", "limit"), ("/api/v1/items/sample", "n")):
            (found,) = [one for one in paths[path]["get"]["parameters"] if one["name"] == name]
            assert (found["schema"]["maximum"], found["schema"]["default"]) == (4, 4)
        assert "1000" not in text
        assert not [path for path in paths.values() if "head" in path]
        assert len(site.get("items").json["items"]) == len(site.get("items/sample").json["items"]) == 4
        assert site.get("items/1/neighbors").json["k"] == 5
        assert site.get("items/1/neighbors?radius=12").json["k"] == 5
        assert site.get("items/1/neighbors?k=6").status == 422
        assert site.get("index").json["limits"] == {
            "image_bytes": 123_000, "pixels": 7_000_000, "k": 5, "queries": 3, "results": 9, "page": 4,
        }  # fmt: skip


def test_queries_and_results_are_bounded_together(small):
    with running(ServiceOptions(index=small, limits=SMALL)) as site:
        assert site.search({"queries": [{"id": 1}] * 3, "k": 3}).status == 200
        assert site.search({"queries": [{"id": 1}], "k": 5}).status == 200
        for asked in ({"k": 4}, {"radius": 1}, {}):
            answer = site.search({"queries": [{"id": 1}] * 3, **asked})
            assert (answer.status, answer.code) == (422, "invalid")
            assert "3 queries of up to" in answer.json["error"]["message"]
            assert "k of at most 3" in answer.json["error"]["hint"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"queries": [{"id": 1}], "k": 1e400}', b'{"queries": [{"id": 1}], "k": NaN}',
        b'{"queries": [{"id": 1}], "k": 1e2}', b'{"queries": [{"id": 1}], "radius": -1}',
        b'{"queries": [{"id": 1}], "k": ' + b"9" * 5000 + b"}", b'{"queries": [{"id": ' + b"9" * 400 + b"}]}",
        b'{"queries": [{"id": 1}], "metadata": {"a": 1e999}}', b'{"queries": [{"id": 1}], "radius": -Infinity}',
        b'{"queries": [{"id": 1}], "metadata": {"a": ' + b"9" * 40 + b"}}", b"[" * 200_000, b'{"a":' * 50_000,
        b'{"queries": [{"id": 1}], "labels": ["\\ud800"]}', b'{"queries": [{"id": 1}], "labels": ["a\\u0000"]}',
        b'{"queries": [{"id": 1}], "metadata": {"\\udfff": 1}}', b"\xff\xfe", b"\xef\xbb\xbf[]", b"", b"null", b"\0",
    ],
)  # fmt: skip
def test_json_beyond_what_is_right_is_the_senders_mistake(site, body):
    answer = site.search(body)
    assert 400 <= answer.status < 500, answer.body
    assert answer.code


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ([], []),
        ([("label", "")], []),
        ([("label", "  "), ("label", "\t")], []),
        ([("label", " wren "), ("label", ""), ("label", "wren"), ("label", "robin")], ["wren", "robin"]),
    ],
)
def test_labels_are_trimmed_and_empty_ones_are_none(writable, fields, labels):
    answer = writable.form("items", png((9, 9, 9)), fields, headers=writable.bearer)
    assert (answer.status, answer.json["labels"]) == (201, labels)
    assert "" not in {row["label"] for row in writable.get("labels", **writable.bearer).json["labels"]}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (MemoryError(), 503, "busy"),
        (RecursionError("too deep"), 422, "invalid"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), 400, "bad_request"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no"), 400, "bad_request"),
        (OverflowError("int too large"), 422, "invalid"),
        (sqlite3.OperationalError("disk I/O error /secret/place"), 503, "index_unavailable"),
        (sqlite3.DatabaseError("malformed"), 503, "index_unavailable"),
        (PermissionError(13, "no", "/secret/place"), 503, "index_unavailable"),
        (ConnectionResetError(104, "no", "/secret/place"), 503, "index_unavailable"),  # not the sender of the request
        (ZeroDivisionError(), 500, "internal_error"),
    ],
)
@pytest.mark.parametrize("path", ["items", "items/1/neighbors"])
def test_a_fault_anywhere_has_the_one_shape_of_errors(tmp_path, monkeypatch, path, error, status, code):
    with running(ServiceOptions(index=write_index(tmp_path, 3))) as site:

        def fail(*arguments):
            raise error

        monkeypatch.setattr(items, "_page", fail)
        monkeypatch.setattr(type(site.service.searcher), "by_item", fail)
        answer = site.get(path)
        assert (answer.status, answer.code) == (status, code)
        assert "secret" not in answer.body.decode()


@pytest.mark.parametrize("limit", [6, 7, 10, 30, 31])
def test_the_last_page_says_that_it_is(site, limit):
    seen, after, pages = [], "", 0
    while pages < 10:
        page = site.get(f"items?limit={limit}{after}").json
        seen, pages = seen + [item["id"] for item in page["items"]], pages + 1
        if page["next_after"] is None:
            break
        after = f"&after={page['next_after']}"
    assert seen == list(range(1, 31))
    assert pages == -(-30 // limit)
