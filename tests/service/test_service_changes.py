"""An index that changes while it is served: by the service itself, by other programs, by another file in its place."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from service_site import N_BITS, FakeEncoder, colors_of, png, running, wait_until, write_index

from nearbit.codes import pack, signs_of
from nearbit.datasets import content_digest, load_dataset, open_image
from nearbit.index import create_index, open_index
from nearbit.indexing import index_dataset
from nearbit.service.settings import ServiceOptions


def uploaded_files(index):
    return sorted(file.name for file in index.with_name(f"{index.name}-images").glob("*"))


def test_an_image_is_added_searched_and_removed(writable):
    image, own = png((250, 3, 77), 50), writable.bearer
    fields = [("label", "new"), ("label", "red"), ("metadata", '{"camera": 7}')]
    answer = writable.form("items", image, fields, headers=own)
    assert answer.status == 201
    added = answer.json
    assert (added["id"], added["labels"], added["metadata"]["camera"]) == (31, ["new", "red"], 7)
    code = pack(signs_of(FakeEncoder().outputs([open_image(image)])))[0]
    assert added["code"] == code.tobytes().hex()
    place = f"/api/v1/items/{added['id']}"
    assert answer.headers["location"] == place
    (result,) = writable("GET", f"{place}/neighbors?label=new", headers=own).json["results"]
    assert [(one["id"], one["distance"]) for one in result["neighbors"]] == [(31, 0)]
    assert writable("GET", f"{place}/original", headers=own).body == image
    assert writable("GET", f"{place}/thumbnail", headers=own).status == 200
    with open_index(writable.index, read_only=True) as index:
        assert index.items([31])[0].metadata["camera"] == 7
    assert len(uploaded_files(writable.index)) == 1
    assert writable("DELETE", place, headers=own).status == 204
    for path in (place, f"{place}/neighbors", f"{place}/thumbnail", f"{place}/original"):
        assert writable("GET", path, headers=own).status == 404
    assert uploaded_files(writable.index) == []
    assert writable("DELETE", place, headers=own).status == 404
    assert "new" not in [one["label"] for one in writable("GET", "/api/v1/labels", headers=own).json["labels"]]


def test_a_file_stays_as_long_as_an_item_has_it(writable):
    image, own = png((250, 3, 77)), writable.bearer
    for _ in range(2):
        assert writable.form("items", image, headers=own).status == 201
    assert len(uploaded_files(writable.index)) == 1
    assert writable("DELETE", "/api/v1/items/31", headers=own).status == 204
    assert writable("GET", "/api/v1/items/32/original", headers=own).body == image
    assert writable("DELETE", "/api/v1/items/32", headers=own).status == 204
    assert uploaded_files(writable.index) == []


def test_removing_an_indexed_item_leaves_its_file(writable):
    assert writable("DELETE", "/api/v1/items/1", headers=writable.bearer).status == 204
    assert (writable.index.parent / "photos" / "00.png").is_file()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("metadata", '{"path": "/etc/passwd"}')], 422),
        ([("metadata", '{"digest": "x"}')], 422),
        ([("metadata", '{"added": "yesterday"}')], 422),
        ([("metadata", '{"a": 18446744073709551616}')], 422),
        ([("metadata", '{"a": ' + "[" * 60 + "]" * 60 + "}")], 422),
        ([("metadata", '{"labels": ["a"]}')], 422),
        ([("metadata", "[]")], 422),
        ([("metadata", '{"a": 1e999}')], 422),
        ([("k", "3")], 422),
        ([("label", "a\0b")], 422),
    ],
)
def test_a_wrong_addition_changes_nothing(writable, fields, status):
    assert writable.form("items", png((1, 2, 3)), fields, headers=writable.bearer).status == status
    assert writable("GET", "/api/v1/index", headers=writable.bearer).json["items"] == 30
    assert uploaded_files(writable.index) == []


def test_a_refused_addition_leaves_the_file_of_another_item(writable):
    image, own = png((1, 2, 3)), writable.bearer
    assert writable.form("items", image, headers=own).status == 201
    assert writable.form("items", image, [("metadata", '{"a": 18446744073709551616}')], headers=own).status == 422
    assert writable("GET", "/api/v1/items/31/original", headers=own).body == image


def test_what_another_program_writes_is_seen(tmp_path):
    path = write_index(tmp_path)
    with running(ServiceOptions(index=path)) as site:
        before = site.get("items/1/neighbors?k=100").json["results"][0]["neighbors"]
        site.get("labels")
        with open_index(path) as index:
            index.add(index.items([1])[0].code[None], metadata=[{"labels": ["late"]}])
            index.remove([2])
        after = site.get("items/1/neighbors?k=100").json["results"][0]["neighbors"]
        assert {one["id"] for one in after} == ({one["id"] for one in before} | {31}) - {2}
        wait_until(lambda: site.get("items/2").status == 404)
        wait_until(lambda: {"label": "late", "items": 1} in site.get("labels").json["labels"])
        assert site.get("items/1/neighbors?label=late").json["results"][0]["neighbors"][0]["id"] == 31
        with open_index(path) as index:
            index.update([1], metadata=[{"labels": ["other"]}])
        wait_until(lambda: site.get("items/1").json["labels"] == ["other"])


def test_a_file_that_takes_the_place_of_the_index_is_opened_without_a_lost_request(tmp_path):
    path, failures, done = write_index(tmp_path), [], threading.Event()
    with running(ServiceOptions(index=path)) as site:

        def ask():
            while not done.is_set():
                answer = site.get("items/1/neighbors")
                if answer.status != 200:
                    failures.append(answer)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for count in (7, 11, 13):
            new = tmp_path / "new.index"
            with create_index(new, N_BITS, model_id="fake") as index:
                index.add(np.zeros((count, 2), np.uint8))
            new.replace(path)
            wait_until(lambda count=count: site.get("index").json["items"] == count)
        done.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert site.get("items/13").status == 200


def test_a_file_that_is_gone_or_broken_leaves_the_open_index_in_service(tmp_path):
    path = write_index(tmp_path)
    with running(ServiceOptions(index=path)) as site:
        path.rename(tmp_path / "kept")
        wait_until(lambda: site.get("items/1/neighbors").status == 200)
        path.write_bytes(b"not an index")
        assert site.get("items/3/neighbors").status == 200
        path.unlink()
        assert site.get("items/5/neighbors").status == 200


def test_a_file_that_stays_away_is_not_served_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("nearbit.service.collection.GONE_SECONDS", 0.3)
    path = write_index(tmp_path)
    with running(ServiceOptions(index=path)) as site:
        assert site.get("items/1/neighbors").status == 200
        path.rename(tmp_path / "kept")
        wait_until(lambda: site.get("items/1/neighbors").status == 503)
        answer = site.get("items/1")
        assert (answer.status, answer.json["error"]["code"]) == (503, "index_unavailable")
        (tmp_path / "kept").rename(path)
        wait_until(lambda: site.get("items/1/neighbors").status == 200)


def test_the_log_of_the_index_that_was_served_is_not_replayed_over_the_one_in_its_place(tmp_path):
    path, new = write_index(tmp_path), tmp_path / "new.index"
    with running(ServiceOptions(index=path)) as site:
        with open_index(path) as index:
            index.add(np.zeros((1, 2), np.uint8))
        assert site.get("index").json["items"] == 31
        with create_index(new, N_BITS, model_id="fake") as index:
            index.add(np.zeros((7, 2), np.uint8), metadata=[{"labels": ["new"]}] * 7)
        new.replace(path)
        wait_until(lambda: site.get("labels").json["labels"] == [{"label": "new", "items": 7}])
        with open_index(path) as index:
            index.add(np.zeros((1, 2), np.uint8), metadata=[{"labels": ["new"]}])
        wait_until(lambda: site.get("labels").json["labels"] == [{"label": "new", "items": 8}])
    with open_index(path) as index:
        assert (index.labels(), index.verify()) == ({"new": 8}, [])


def test_what_belongs_to_a_served_index_lies_beside_the_real_file(tmp_path):
    (tmp_path / "real").mkdir()
    path, link = write_index(tmp_path / "real"), tmp_path / "link.index"
    link.symlink_to(path)
    with running(ServiceOptions(index=link)) as site:
        assert site.get("items/1/thumbnail").status == 200
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.index", "real"]


def test_searches_during_changes_see_whole_items(writable):
    colors = colors_of(12)
    problems, done = [], threading.Event()

    def ask():
        while not done.is_set():
            answer = writable("GET", "/api/v1/items/1/neighbors?k=100", headers=writable.bearer)
            if answer.status != 200 or len(answer.json["results"][0]["neighbors"]) < 30:
                problems.append(answer)

    thread = threading.Thread(target=ask)
    thread.start()
    for color in colors:
        added = writable.form("items", png(color), headers=writable.bearer).json["id"]
        assert writable("DELETE", f"/api/v1/items/{added}", headers=writable.bearer).status == 204
    done.set()
    thread.join()
    assert problems == []


def test_an_upload_of_what_another_item_has_already_takes_its_own_file_along(writable):
    own = writable.bearer
    image = (writable.index.parent / "photos" / "03.png").read_bytes()
    with open_index(writable.index) as index:
        about = [{"path": index.items([4])[0].path, "labels": ["x"], "digest": content_digest(image)}]
        index.update([4], metadata=about)
    assert writable.form("items", image, headers=own).status == 201
    assert len(uploaded_files(writable.index)) == 1
    assert writable("DELETE", "/api/v1/items/31", headers=own).status == 204
    assert uploaded_files(writable.index) == []
    assert (writable.index.parent / "photos" / "03.png").is_file()


def test_a_file_stays_with_an_item_that_has_it_without_a_digest(writable):
    own, image = writable.bearer, png((250, 3, 77))
    for _ in range(2):
        assert writable.form("items", image, headers=own).status == 201
    with open_index(writable.index) as index:
        index.update([31], metadata=[{"path": index.items([31])[0].path, "labels": ["kept"]}])
    assert writable("DELETE", "/api/v1/items/32", headers=own).status == 204
    assert writable("GET", "/api/v1/items/31/original", headers=own).body == image


def test_an_upload_keeps_its_labels_where_the_index_lies_among_the_images(writable):
    image, folder = png((250, 3, 77)), writable.index.parent
    assert writable.form("items", image, [("label", "new"), ("label", "red")], headers=writable.bearer).status == 201
    (folder / "owls").mkdir()
    (folder / "owls" / "1.png").write_bytes(png((1, 200, 3)))
    dataset = load_dataset(folder, cache=folder.parent / "cache")
    assert f"{writable.index.name}-images" in dataset.classes
    with open_index(writable.index) as index:
        model = SimpleNamespace(row_cache=None, encode_dataset=lambda *_, **__: pytest.fail("nothing is new"))
        rows = [row for row, key in enumerate(dataset.keys) if "-images/" in key]
        assert index_dataset(index, model, dataset, rows=rows).unchanged == 1
        assert index.items([31])[0].labels == ("new", "red")
        listed = replace(dataset, labels=np.roll(dataset.labels, 1, axis=1))  # a labels file says another class
        assert index_dataset(index, model, listed, rows=rows).relabelled == 1
        index.update([31], metadata=[{key: value for key, value in about(index).items() if key != "added"}])
        assert index_dataset(index, model, dataset, rows=rows).relabelled == 1  # one that was not uploaded


def about(index):
    item = index.items([31])[0]
    return {"path": item.path, "labels": list(item.labels), "digest": item.digest, **item.metadata}
