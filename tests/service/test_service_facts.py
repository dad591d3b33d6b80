"""What the service says about index, codes, centers and model agrees with what the library measures."""

import json
import re
import shutil

import numpy as np
import pytest
from service_site import N_BITS, png, running, stored_codes, write_index, write_manifest

from nearbit.codes import hamming_distances, pack
from nearbit.datasets import Split
from nearbit.files.writing import sha256_of
from nearbit.index import open_index
from nearbit.metrics.health import health_of
from nearbit.service.info import (
    HEALTH_ITEMS,
    ClassCenters,
    TrainedOn,
    card_of,
    health_info,
    likely_distance,
    map_of,
    plane_of,
)
from nearbit.service.settings import ServiceOptions


def test_lists_hold_every_item_once_by_id(site):
    found, after = [], None
    while True:
        page = site.get("items?limit=7" + ("" if after is None else f"&after={after}")).json
        found += page["items"]
        after = page["next_after"]
        if after is None:
            break
    assert [one["id"] for one in found] == list(range(1, 31))
    assert found[4] == site.get("items/5").json
    assert site.get("items?after=0&limit=1").json["items"][0]["id"] == 1
    assert site.get("items?limit=201").status == 422


def test_a_sample_is_of_different_items_and_a_seed_repeats_it(site):
    first = site.get("items/sample?n=10&seed=3").json["items"]
    assert len({one["id"] for one in first}) == 10
    assert site.get("items/sample?n=10&seed=3").json["items"] == first
    assert site.get("items/sample?n=10&seed=4").json["items"] != first
    assert len(site.get("items/sample?n=200").json["items"]) == 30
    drawn = {tuple(one["id"] for one in site.get("items/sample?n=3").json["items"]) for _ in range(8)}
    assert len(drawn) > 1


def test_labels_are_counted(site):
    assert site.get("labels").json == {"labels": [{"label": name, "items": 10} for name in ("blue", "green", "red")]}


def test_the_index_is_described(site, small):
    about = site.get("index").json
    codes = stored_codes(small)
    assert (about["name"], about["items"], about["n_bits"], about["model_id"]) == ("small.index", 30, N_BITS, "fake")
    assert about["distinct_codes"] == len({code.tobytes() for code in codes})
    assert about["limits"]["image_bytes"] == 10_000_000
    assert (about["has_model"], about["can_write"]) == (True, False)


def test_health_is_what_the_library_measures(site, small):
    codes = stored_codes(small)
    health = site.get("index/health").json
    expected = health_of(codes, N_BITS).to_dict()
    assert {name: health[name] for name in expected} == expected
    bits = np.unpackbits(codes, axis=1)[:, :N_BITS]
    assert health["ones"] == pytest.approx(bits.mean(axis=0).tolist(), abs=5e-5)
    assert health["n_all"] == 30


def test_health_of_very_many_codes_is_measured_on_some(monkeypatch):
    codes = np.random.default_rng(0).integers(0, 256, (500, 2), np.uint8)
    monkeypatch.setattr("nearbit.service.info.HEALTH_ITEMS", 100)
    facts = health_info(codes, 16, None)
    assert (facts["n_items"], facts["n_all"]) == (100, 500)
    assert HEALTH_ITEMS > 100_000


def test_points_of_the_plane_have_the_distances_that_fit_in_a_plane():
    corners = np.array([[0, 3, 4], [3, 0, 7], [4, 7, 0]])  # squares of the sides of a right triangle
    points, explained = plane_of(corners)
    between = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    assert between == pytest.approx(corners, abs=1e-9)
    assert explained == pytest.approx(1.0)


@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_the_map_of_centers_names_all_and_repeats(n):
    signs = np.where(np.random.default_rng(n).random((n, 16)) < 0.5, 1, -1).astype(np.int8)
    centers = ClassCenters(tuple(f"class {row}" for row in range(n)), signs)
    drawn = map_of(centers, {"class 0": 5})
    assert [one["name"] for one in drawn["centers"]] == list(centers.names)
    assert [one["items"] for one in drawn["centers"]] == [5] + [0] * (n - 1)
    assert json.dumps(drawn, allow_nan=False) == json.dumps(map_of(centers, {"class 0": 5}))
    packed = pack(signs)
    pairs = hamming_distances(packed, packed, 16)[np.triu_indices(n, 1)]
    assert drawn["distance_min"] == (min(pairs.tolist()) if n > 1 else None)


def bundle(folder, centers, **more):
    """Write a model folder with centers, as far as the service reads one without loading it."""
    np.save(folder / "centers.npy", centers, allow_pickle=False)
    files = {"centers.npy": sha256_of(folder / "centers.npy")}
    record = {"options": {"epochs": 3, "secret": "no"}, "validation_map": 0.5, **more}
    write_manifest(folder, classes=["red", "green", "blue"], files=files, method="crh", record=record)


def test_centers_and_card_come_from_the_model_folder(tmp_path):
    path = write_index(tmp_path)
    centers = np.where(np.random.default_rng(0).random((3, N_BITS)) < 0.5, 1, -1).astype(np.int8)
    bundle(tmp_path / "fake.model", centers)
    with running(ServiceOptions(index=path)) as site:
        found = site.get("index/centers").json
        assert [one["code"] for one in found["centers"]] == [row.tobytes().hex() for row in pack(centers)]
        assert [one["items"] for one in found["centers"]] == [10, 10, 10]
        assert site.get("index/health").json["center_margin"] == found["distance_min"]
        card = site.get("model").json
        assert (card["method"], card["validation_map"], card["options"]) == ("crh", 0.5, {"epochs": 3})
        assert str(tmp_path) not in json.dumps(card)


@pytest.mark.parametrize(
    ("reference", "kept", "said"),
    [
        ({"float_cosine_map": 0.625, "images_per_class": 5.0}, 0.8, "more images a class than 5"),
        ({"float_cosine_map": 0.5, "images_per_class": 5.0}, 1.0, ""),
        ({"float_cosine_map": 0.0, "images_per_class": None}, None, ""),
        (None, None, ""),
    ],
)
def test_the_card_says_what_codes_keep_of_the_float_features(tmp_path, reference, kept, said):
    bundle(tmp_path, np.ones((3, N_BITS), np.int8), reference=reference)
    card = card_of(tmp_path)
    assert (card["float_map"], card["kept_share"]) == ((reference or {}).get("float_cosine_map"), kept)
    assert len(card["advice"]) == bool(said)
    assert said in "".join(card["advice"])


def test_the_card_says_how_the_backbone_was_tuned_before(tmp_path):
    tuning = {"selected_epoch": 3, "schedule": {"epochs": 4}, "history": [{"loss": 1.0}] * 4}
    bundle(tmp_path, np.ones((3, N_BITS), np.int8), tuning=tuning, regime="frozen")
    card = card_of(tmp_path)
    assert (card["tuning"], card["regime"]) == ({"selected_epoch": 3, "schedule": {"epochs": 4}}, "two-step")
    bundle(tmp_path, np.ones((3, N_BITS), np.int8), tuning="damaged")
    assert card_of(tmp_path)["tuning"] is None


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize(
    "schedule", [{"epochs": 90, "batch_size": 32, "learning_rate": 0.1, "clip_norm": 1.0}, {"epochs": 0}, {}]
)
def test_the_card_says_by_what_the_codes_were_trained(tmp_path, schedule, steps):
    options = {"epochs": 3, "batch_size": None, "learning_rate": 0.5, "augment": "auto", "seed": 7}
    tuning = {"tuning": {"schedule": {"epochs": 3}}} if steps == 2 else {}
    bundle(tmp_path, np.ones((3, N_BITS), np.int8), options=options, schedule=schedule, regime="frozen", **tuning)
    card = card_of(tmp_path)
    done = {name: value for name, value in schedule.items() if name != "clip_norm"}
    assert card["options"] == ({"augment": "auto", "seed": 7} if steps == 2 else options) | done
    assert card["regime"] == ("frozen" if steps == 1 else "two-step")


def test_damaged_centers_are_told_without_the_folder(tmp_path):
    path = write_index(tmp_path)
    bundle(tmp_path / "fake.model", np.ones((3, N_BITS), np.int8))
    with open(tmp_path / "fake.model" / "centers.npy", "ab") as file:
        file.write(b"x")
    with running(ServiceOptions(index=path)) as site:
        answer = site.get("index/centers")
    assert (answer.status, answer.code) == (409, "model_unavailable")
    assert str(tmp_path).encode() not in answer.body


def test_without_its_model_an_index_is_searched_by_item_and_code_only(tmp_path):
    path = write_index(tmp_path)
    shutil.rmtree(tmp_path / "fake.model")
    with running(ServiceOptions(index=path)) as site:
        assert site.get("items/1/neighbors").status == 200
        assert site.search({"queries": [{"code": "fff0"}]}).status == 200
        answer = site.form("search/image", png((1, 2, 3)))
        assert (answer.status, answer.code) == (409, "no_model")
        assert "--model" in answer.json["error"]["hint"]
        assert site.get("model").code == "no_model"
        assert site.get("index/centers").code == "no_model"
        assert site.get("index").json["has_model"] is False


def test_a_model_that_cannot_be_loaded_is_told_without_its_folder(tmp_path, monkeypatch):
    from nearbit.errors import BundleError
    from nearbit.service import service as module

    def refuse(folder):
        raise BundleError(f"{folder}: weights.safetensors is damaged")

    monkeypatch.setattr(module, "load_encoder", refuse)
    with running(ServiceOptions(index=write_index(tmp_path))) as site:
        answer = site.form("search/image", png((1, 2, 3)))
    assert (answer.status, answer.code) == (409, "no_model")
    assert "fake.model: weights.safetensors is damaged" in answer.json["error"]["message"]
    assert str(tmp_path).encode() not in answer.body


def test_numbers_for_prometheus_count_what_was_answered(tmp_path):
    with running(ServiceOptions(index=write_index(tmp_path))) as site:
        for _ in range(3):
            site.get("items/2/neighbors")
        site.get("items/77")
        site.form("search/image", png((1, 2, 3)))
        site("GET", "/an/unknown/path/of/many")
        text = site("GET", "/metrics").body.decode()
    values = dict(re.findall(r"^(nearbit\S+) ([\d.e+-]+)$", text, re.MULTILINE))
    near = 'route="/api/v1/items/{item_id}/neighbors"'
    assert values[f'nearbit_requests_total{{method="GET",{near},status="200"}}'] == "3"
    assert values['nearbit_requests_total{method="GET",route="/api/v1/items/{item_id}",status="404"}'] == "1"
    assert values['nearbit_requests_total{method="GET",route="other",status="404"}'] == "1"
    assert values[f'nearbit_request_seconds_bucket{{{near},le="+Inf"}}'] == "3"
    assert values['nearbit_stage_seconds_count{stage="search"}'] == "4"
    assert values['nearbit_stage_seconds_count{stage="encode"}'] == "1"
    assert (values["nearbit_items"], values["nearbit_ready"]) == ("30", "1")
    assert not [
        line for line in text.splitlines() if not re.fullmatch(r"# .*|\w+(\{[^}]*(\{item_id\})?[^}]*\})? \S+", line)
    ]


def test_a_model_without_centers_has_no_map_and_that_is_said(tmp_path):
    path = write_index(tmp_path)
    bundle(tmp_path / "fake.model", np.ones((0, N_BITS), np.int8))
    with running(ServiceOptions(index=path)) as site:
        answer = site.get("index/centers")
        assert (answer.status, answer.code) == (404, "no_centers")
        assert answer.json["error"]["message"].startswith("the model has no centers of classes")
        health = site.get("index/health").json
        assert (health["center_margin"], health["center_spread"]) == (None, None)
        assert site.get("model").status == 200


def test_the_likely_distance_is_halfway_between_one_class_and_the_nearest_two():
    assert likely_distance(64, 20, 0.0) == 10  # items on their centers: half of the least distance
    rng = np.random.default_rng(0)
    one, other = np.zeros(4000, bool), np.arange(4000) < 1200
    noisy = [center ^ (rng.random((40, 4000)) < 0.1) for center in (one, one, other)]
    within = np.mean((noisy[0][:, None] ^ noisy[1][None]).sum(axis=2))
    between = np.mean((noisy[0][:, None] ^ noisy[2][None]).sum(axis=2))
    assert likely_distance(4000, 1200, 400.0) == pytest.approx((within + between) / 2, rel=0.02)
    assert likely_distance(64, None, 3.0) is None
    assert likely_distance(64, 20, None) is None


def test_pictures_that_the_network_was_trained_on_are_told(tmp_path):
    index = write_index(tmp_path)
    with open_index(index) as opened:
        digests = [item.digest for item in opened]
    rows = {"train": [0, 4], "validation": [], "query": [1], "database": [2, 3]}
    split = Split(
        **{part: np.array(own, np.int64) for part, own in rows.items()},
        dataset="x", recipe={}, digests=tuple(digests[:5]), keys=tuple("abcde"), fingerprint="f",
    )  # fmt: skip
    split.save(tmp_path / "fake.model" / "split.json")
    files = {"split.json": sha256_of(tmp_path / "fake.model" / "split.json")}
    write_manifest(tmp_path / "fake.model", files=files, split_hash=split.hash)
    with running(ServiceOptions(index=index)) as client:
        told = [one["trained_on"] for one in client.get("items?limit=9").json["items"]]
        assert told == [True, False, False, False, True, False, False, False, False]
    write_manifest(tmp_path / "fake.model", files=files, split_hash="another")
    with running(ServiceOptions(index=index)) as client:
        assert client.get("items/1").json["trained_on"] is None
    trained = TrainedOn("fake", frozenset({bytes.fromhex(digests[0])}))
    assert [trained.has("fake", text) for text in (digests[0], digests[1], "no digest")] == [True, False, False]
    assert trained.has("other", digests[0]) is trained.has("fake", None) is None
