"""Groups and clusters over HTTP: those of the library, in pages, and anew when the index has changed."""

import numpy as np
import pytest
from service_site import png, running, wait_until, write_index

from nearbit.index import create_index, open_index
from nearbit.service.http.errors import ApiError
from nearbit.service.settings import ServiceOptions


@pytest.mark.parametrize("radius", [0, 1, 4, 16])
def test_groups_are_those_of_the_library(site, small, radius):
    with open_index(small, read_only=True) as index:
        groups, n = index.groups(radius), len(index)
        labels = {item.id: item.labels for item in index}
    answer = site.get(f"duplicates?radius={radius}&members=50").json
    assert (answer["radius"], answer["items"], answer["n_groups"]) == (radius, n, len(groups))
    assert answer["n_others"] == len(groups.ids) - len(groups)
    assert [[one["id"] for one in group["items"]] for group in answer["groups"]] == [one.tolist() for one in groups]
    away = [one["distance"] for group in answer["groups"] for one in group["items"]]
    assert away == groups.distances.tolist()
    for group in answer["groups"]:
        assert group["size"] == len(group["items"])
        assert group["same_labels"] == (len({labels[one["id"]] for one in group["items"]}) == 1)


def test_groups_come_in_pages_and_name_some_items_alone(site):
    whole = site.get("duplicates?radius=0").json["groups"]
    assert len(whole) > 2
    found, first = [], 0
    while first is not None:
        page = site.get(f"duplicates?radius=0&first={first}&limit=2&members=1").json
        found += page["groups"]
        first = page["next_first"]
    assert [one["size"] for one in found] == [one["size"] for one in whole]
    assert [one["items"] for one in found] == [one["items"][:1] for one in whole]
    assert site.get("duplicates?radius=0&first=999").json["groups"] == []
    assert site.get("duplicates").json["radius"] == 3


def test_clusters_are_those_of_the_library(site, small):
    with open_index(small, read_only=True) as index:
        found, n = index.clusters(4), len(index)
        labels = {item.id: item.labels for item in index}
    answer = site.get("clusters?number=4&members=3").json
    assert (answer["items"], answer["has_settled"]) == (n, True)
    assert answer["mean_distance"] == pytest.approx(found.mean_distance)
    assert [one["size"] for one in answer["clusters"]] == np.diff(found.offsets).tolist()
    for number, one in enumerate(answer["clusters"]):
        assert [item["id"] for item in one["items"]] == found[number][:3].tolist()
        own = [label for item in found[number].tolist() for label in labels[item]]
        assert {row["label"]: row["items"] for row in one["labels"]} == {name: own.count(name) for name in set(own)}
    assert len(site.get("clusters").json["clusters"]) >= 1


def test_they_follow_the_index_and_few_are_kept(writable):
    before = writable.get("duplicates?radius=0", **writable.bearer).json
    new = writable.form("items", png((7, 31, 101)), [("label", "red")], headers=writable.bearer)
    assert new.status == 201, new.body
    for radius in (*range(8), 0):
        answer = writable.get(f"duplicates?radius={radius}", **writable.bearer)
        assert answer.status == 200
    assert (before["items"], answer.json["items"]) == (30, 31)
    assert answer.json["n_others"] == before["n_others"] + 1


@pytest.mark.parametrize("path", ["duplicates?radius=0", "clusters?number=1&members=50", "items/sample?n=40"])
def test_an_item_that_was_just_removed_is_no_error(tmp_path, path):
    with running(ServiceOptions(index=write_index(tmp_path))) as site, open_index(tmp_path / "small.index") as index:
        for _ in range(5):  # what is known of the index may be 0.1 s old
            first, second = index.add(np.array([[0xF0, 0]] * 2, np.uint8)).tolist()
            wait_until(lambda first=first: site.get(path).body.count(b'"id":%d,' % first))
            index.remove([first])
            assert site.get(path).status == 200
            wait_until(lambda first=first: not site.get(path).body.count(b'"id":%d,' % first))
            index.remove([second])


def test_what_changes_all_the_time_is_asked_for_again(tmp_path):
    def gone():
        raise ApiError(404, "the index holds no item 3")

    with running(ServiceOptions(index=write_index(tmp_path))) as site:
        with pytest.raises(ApiError, match="is being changed by others") as refused:
            site.service.collection.settled(gone)
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})


def test_labels_of_clusters_count_items(tmp_path):
    with create_index(tmp_path / "a.index", 16) as index:
        index.add(np.zeros((3, 2), np.uint8), metadata=[{"labels": ["a", "a"]}, {"labels": ["a", "a", "b"]}, {}])
    with running(ServiceOptions(index=tmp_path / "a.index")) as site:
        (cluster,) = site.get("clusters?number=1").json["clusters"]
        assert (cluster["size"], cluster["labels"]) == (3, [{"label": "a", "items": 2}, {"label": "b", "items": 1}])


@pytest.mark.parametrize("query", ["duplicates?radius=17", "duplicates?radius=-1", "clusters?number=0", "clusters?n=3"])
def test_what_cannot_be_asked_is_refused(site, query):
    assert (site.get(query).status, site.get(query).code) == (422, "invalid")
