"""Searches through the service give what a plain comparison of all codes gives, in the order promised."""

import json
import threading
import time
import urllib.parse

import numpy as np
import pytest
from service_site import N_BITS, FakeEncoder, colors_of, png, running, wait_until, write_index

from nearbit.codes import pack
from nearbit.index import create_index, open_index
from nearbit.service import service
from nearbit.service.settings import ServiceOptions


def stored(path):
    """Return {id: (bits as a whole number, labels, camera)} of an index, read item by item."""
    with open_index(path, read_only=True) as index:
        return {
            item.id: (int.from_bytes(item.code.tobytes(), "big"), item.labels, item.metadata.get("camera"))
            for item in index
        }


def nearest(path, code, *, k=10, radius=None, labels=(), camera=None):
    """Return [(distance, id)] by comparing with every item, in plain Python."""
    rows = [
        ((own ^ code).bit_count(), item_id)
        for item_id, (own, names, taken) in stored(path).items()
        if (not labels or set(labels) & set(names)) and (camera is None or camera == taken)
    ]
    return [row for row in sorted(rows) if radius is None or row[0] <= radius][:k]


def pairs_of(result):
    assert [one["rank"] for one in result["neighbors"]] == list(range(1, len(result["neighbors"]) + 1))
    return [(one["distance"], one["id"]) for one in result["neighbors"]]


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", {}),
        ("?k=3", {"k": 3}),
        ("?k=1000", {"k": 1000}),
        ("?radius=2", {"radius": 2, "k": 1000}),
        ("?radius=0&k=2", {"radius": 0, "k": 2}),
        ("?label=red", {"labels": ["red"]}),
        ("?label=red&label=blue&k=25", {"labels": ["red", "blue"], "k": 25}),
        ("?metadata=%7B%22camera%22%3A1%7D", {"camera": 1}),
        ("?metadata=%7B%22camera%22%3A0%7D&label=green&radius=5", {"camera": 0, "labels": ["green"], "radius": 5}),
    ],
)
def test_neighbors_of_an_item_are_those_of_a_plain_comparison(site, small, query, options):
    for item_id, (code, _, _) in list(stored(small).items())[::7]:
        answer = site.get(f"items/{item_id}/neighbors{query}")
        assert answer.status == 200
        (result,) = answer.json["results"]
        assert pairs_of(result) == nearest(small, code, **options)
        assert result["query"] == {"id": item_id, "id_text": str(item_id), "code": (code).to_bytes(2, "big").hex()}


def test_codes_of_neighbors_differ_in_as_many_bits_as_their_distance_says(site):
    (result,) = site.get("items/4/neighbors?k=30").json["results"]
    own = int(result["query"]["code"], 16)
    assert [one["distance"] for one in result["neighbors"]] == [
        (int(one["code"], 16) ^ own).bit_count() for one in result["neighbors"]
    ]
    assert len({one["distance"] for one in result["neighbors"]}) > 3


def test_many_queries_are_answered_in_their_order(site, small):
    codes = {item_id: code for item_id, (code, _, _) in stored(small).items()}
    queries = [{"id": 3}, {"code": "fff0"}, {"id": 9}, {"code": codes[5].to_bytes(2, "big").hex()}]
    results = site.search({"queries": queries, "k": 4, "labels": ["green"], "metadata": {"camera": 1}}).json["results"]
    wanted = [codes[3], 0xFFF0, codes[9], codes[5]]
    assert [pairs_of(one) for one in results] == [
        nearest(small, code, k=4, labels=["green"], camera=1) for code in wanted
    ]
    assert "id" not in results[1]["query"]


def test_an_uploaded_image_is_searched_by_its_code(site, small):
    color = colors_of(30)[11]
    answer = site.form("search/image", png(color, 40), [("k", "5"), ("label", "blue"), ("label", "red")])
    (result,) = answer.json["results"]
    code = int(result["query"]["code"], 16)
    assert code == stored(small)[12][0]
    assert pairs_of(result) == nearest(small, code, k=5, labels=["blue", "red"])
    assert set(answer.json["timings_ms"]) == {"model", "upload", "decode", "encode", "search"}
    assert answer.json["timings_ms"]["decode"] > 0


def test_steps_stand_in_the_server_timing_header(site):
    steps = site.form("search/image", png((9, 9, 9))).headers["server-timing"]
    times = {part.partition(";")[0]: float(part.partition("dur=")[2]) for part in steps.split(", ")}
    assert list(times) == ["model", "upload", "decode", "encode", "search", "other", "total"]
    assert min(times[step] for step in ("upload", "decode", "encode", "search", "other")) > 0
    assert times.pop("total") == pytest.approx(sum(times.values()), abs=0.01)


def test_an_upload_waits_for_the_model_and_says_how_long(tmp_path, monkeypatch):
    go_on, encoded = threading.Event(), []

    class Slow(FakeEncoder):
        def __init__(self):
            assert go_on.wait(60)
            super().__init__()

        def outputs(self, images):
            encoded.append(len(images))
            return super().outputs(images)

    monkeypatch.setattr(service, "load_encoder", lambda folder: Slow())
    with running(ServiceOptions(index=write_index(tmp_path)), is_ready=lambda own: own.is_warm) as site:
        assert site("GET", "/readyz").status == 503
        assert encoded == []
        model, asked, answers = site.service.encoding.model, threading.Event(), []

        def told():
            asked.set()
            return model()

        monkeypatch.setattr(site.service.encoding, "model", told)
        upload = threading.Thread(target=lambda: answers.append(site.form("search/image", png((9, 9, 9)))))
        upload.start()
        assert asked.wait(20)
        began = time.perf_counter()
        time.sleep(0.1)
        held = time.perf_counter() - began
        go_on.set()
        upload.join()
        waited = answers[0].json["timings_ms"]["model"]
        assert waited >= 1000 * held - 0.001, "the service began to count before, and ended after"
        assert encoded == [1, 1], "a blank image before the first upload, then the upload"
        assert 'nearbit_stage_seconds_count{stage="model"} 1' in site("GET", "/metrics").body.decode()
        assert site.form("search/image", png((9, 9, 9))).json["timings_ms"]["model"] < waited


@pytest.mark.parametrize("n_bits", [1, 12, 64, 130])
def test_any_code_length_is_searched(tmp_path, n_bits):
    rng = np.random.default_rng(n_bits)
    codes = pack(np.where(rng.random((40, n_bits)) < 0.5, 1, -1))
    with create_index(tmp_path / "a.index", n_bits) as index:
        index.add(codes)
    with running(ServiceOptions(index=tmp_path / "a.index")) as site:
        numbers = [int.from_bytes(row.tobytes(), "big") for row in codes]
        (result,) = site.search({"queries": [{"code": codes[7].tobytes().hex()}], "k": 9}).json["results"]
    wanted = sorted(((own ^ numbers[7]).bit_count(), row + 1) for row, own in enumerate(numbers))[:9]
    assert pairs_of(result) == wanted


def test_an_index_that_keeps_outputs_orders_ties_by_them(tmp_path):
    path = write_index(tmp_path, outputs="float16")
    with running(ServiceOptions(index=path)) as site, open_index(path, read_only=True) as index:
        (result,) = site.get("items/6/neighbors?k=12").json["results"]
        outputs, codes = index.kept_outputs([6]), [index.items([6])[0].code]
        assert pairs_of(result) == [
            (distance, item) for item, distance in index.search(np.stack(codes), k=12, outputs=outputs).pairs(0)
        ]
        image = site.form("search/image", png(colors_of(30)[5]), [("k", "12")]).json["results"][0]
    assert [one["id"] for one in image["neighbors"]] == [one["id"] for one in result["neighbors"]]


def test_an_empty_index_is_searched(tmp_path):
    create_index(tmp_path / "empty.index", N_BITS).close()
    with running(ServiceOptions(index=tmp_path / "empty.index")) as site:
        assert site.search({"queries": [{"code": "0000"}]}).json["results"][0]["neighbors"] == []
        assert site.get("items").json == {"items": [], "next_after": None, "next_after_text": None}
        assert site.get("items/sample").json == {"items": []}
        assert site.get("labels").json == {"labels": []}
        assert (site.get("index/health").status, site.get("index/health").code) == (409, "empty_index")
        assert site.get("items/1/neighbors").status == 404
        assert site.form("search/image", png((1, 2, 3))).code == "no_model"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("k=0", "k must be a whole number from 1 to 1000"),
        ("k=1001", "from 1 to 1000"),
        ("k=1.5", "k must be a whole number"),
        ("k=-1", "k must be a whole number"),
        ("k=٣", "k must be a whole number"),
        ("radius=-1", "radius must be a whole number"),
        ("radius=99999", "radius must be a whole number from 0"),
        ("radus=3", "no parameter 'radus' here"),
        ("k=3&k=4", "more than once"),
        ("metadata=3", "metadata must be a JSON object"),
        ("metadata={", "metadata is not JSON"),
        ('metadata={"labels":["a"]}', "without labels"),
        ('metadata={"camera":[1]}', "must be a text, a number, true, false or null"),
        ('metadata={"camera":1e999}', "must be a finite number of at most 64 bits"),
        ("label=rad", "no item has the label 'rad'"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words(site, query, words):
    path = "items/1/neighbors?" + urllib.parse.quote(query, safe="=&")
    answer = site.get(path)
    assert answer.status == 422
    assert words in answer.json["error"]["message"]
    assert answer.json["error"]["hint"]


def test_a_misspelt_name_is_answered_with_the_near_one(site):
    assert "radius" in site.get("items/1/neighbors?radus=3").json["error"]["hint"]
    assert "red" in site.get("items/1/neighbors?label=rad").json["error"]["hint"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b"null", b'{"queries": []}', b'{"queries": {}}', b'{"queries": [7]}', b"{}",
        b'{"queries": [{"id": 1, "code": "fff0"}]}', b'{"queries": [{"id": true}]}', b'{"queries": [{"id": -1}]}',
        b'{"queries": [{"code": "fff"}]}', b'{"queries": [{"code": "fff1"}]}', b'{"queries": [{"code": "zzzz"}]}',
        b'{"queries": [{"code": 5}]}', b'{"queries": [{"code": " fff"}]}', b'{"queries": [{"code": "fff0\\n"}]}',
        b'{"queries": [{"id": 1}], "k": "3"}',
        b'{"queries": [{"id": 1}], "labels": "red"}', b'{"queries": [{"id": 1}], "labels": [3]}',
        b'{"queries": [{"id": 1}], "kk": 3}', b'{"queries": [{"id": 1}], "labels": ["\\ud800"]}',
        b'{"queries": [{"id": 1}], "metadata": {"a": NaN}}', b"[" * 5000, b'\xff',
        b'{"queries": [{"id": 9223372036854775808}]}', b'{"queries": [{"id": 1e400}]}',
    ],
)  # fmt: skip
def test_a_wrong_body_is_refused(site, body):
    answer = site.search(body)
    assert (answer.status, answer.code in ("invalid", "unknown_label")) == (422, True)


def test_more_queries_than_allowed_are_refused(site):
    assert site.search({"queries": [{"id": 1}] * 100, "k": 1}).status == 200
    assert site.search({"queries": [{"id": 1}] * 101, "k": 1}).status == 422


@pytest.mark.parametrize(
    "item_id", ["0", "31", "9223372036854775807", "9223372036854775808", "9" * 30, "-1", "x", "1.0"]
)
def test_an_item_that_is_not_there_is_not_found(site, item_id):
    for path in (f"items/{item_id}", f"items/{item_id}/neighbors", f"items/{item_id}/thumbnail"):
        assert (site.get(path).status, site.get(path).code) == (404, "not_found")
    assert site.search({"queries": [{"id": 10**18}]}).status == 404


def test_an_image_of_another_model_is_refused(tmp_path):
    path = write_index(tmp_path)
    with running(ServiceOptions(index=path)) as site:
        assert site.form("search/image", png((1, 2, 3))).status == 200
        with create_index(tmp_path / "new.index", N_BITS, model_id="another") as index:
            index.add(np.zeros((1, 2), np.uint8))
        (tmp_path / "new.index").replace(path)
        wait_until(lambda: site.form("search/image", png((1, 2, 3))).status == 409)
        assert site.form("search/image", png((1, 2, 3))).code == "other_model"
        assert site.get("items/1/neighbors").status == 200


def test_the_answers_are_one_line_of_json(site):
    body = site.get("items/1/neighbors").body
    assert b"\n" not in body
    assert json.loads(body)["n_bits"] == FakeEncoder.n_bits
