"""A service before an index in PostgreSQL answers as the one before its file does; two before one see each other."""

import pytest
from service_site import TOKEN, png, running, wait_until, write_index

import postgresql_server
from nearbit.index import open_index
from nearbit.index.homes import place_of
from nearbit.indexing_copy import copy_index
from nearbit.service.settings import ServiceOptions

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def place(postgresql, tmp_path, request):
    """The address of a copy of the index at `tmp_path`."""
    name = f"service{abs(hash(request.node.nodeid)) % 10**12}"
    address = postgresql_server.address(postgresql, name)
    copy_index(write_index(tmp_path), address)
    return place_of(address)


def without_times(answer):
    """Return what was answered, but for how long it took."""
    if not answer.headers["content-type"].startswith("application/json"):
        return answer.body
    found = answer.json
    found.pop("timings_ms", None)
    return found


def test_answers_are_those_of_the_file(place, tmp_path):
    asked = [
        "items?limit=7",
        "items/3",
        "items/3/neighbors?k=9",
        "items/3/neighbors?radius=4",
        "items/3/neighbors?label=red&k=4",
        "labels",
        "items/2/thumbnail",
        "items/2/original",
    ]
    with (
        running(ServiceOptions(index=tmp_path / "small.index")) as file,
        running(ServiceOptions(index=place)) as server,
    ):
        for path in asked:
            one, other = file.get(path), server.get(path)
            assert (one.status, other.status) == (200, 200)
            assert without_times(one) == without_times(other), path
        body = {"queries": [{"id": 5}, {"id": 6}], "k": 6}
        assert without_times(file.search(body)) == without_times(server.search(body))
        about = server.get("index").json
        assert (about["items"], about["name"]) == (30, place.name)
        assert about["search"]["approximate"] is False


def test_what_one_service_is_given_the_other_finds(place):
    options = ServiceOptions(index=place, token=TOKEN, allow_write=True)
    with running(options) as one, running(options) as other:
        assert one.get("labels", **BEARER).status == 200
        added = one.form("items", png((250, 3, 77)), [("label", "new")], headers=BEARER)
        assert added.status == 201
        item_id = added.json["id"]
        found = other("GET", f"/api/v1/items/{item_id}/neighbors?label=new", headers=BEARER)
        assert [one["id"] for one in found.json["results"][0]["neighbors"]] == [item_id]
        assert other("DELETE", f"/api/v1/items/{item_id}", headers=BEARER).status == 204
        wait_until(lambda: one("GET", f"/api/v1/items/{item_id}", headers=BEARER).status == 404)
    with open_index(place) as index:
        assert len(index) == 30
        assert index.verify() == []
