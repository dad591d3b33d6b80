"""Ranking by the real outputs of a query: by |output| summed over the bits in which a code differs."""

import io

import numpy as np
import pytest
from PIL import Image
from service_site import N_BITS, FakeEncoder, colors_of, png, running, write_index

from nearbit.codes import binarize
from nearbit.index import create_index, open_index
from nearbit.service.settings import ServiceOptions

COLOR = colors_of(30)[5]
ASYMMETRIC = [("ranking", "asymmetric")]


def weighted_distances(path, outputs):
    """Return the weighted distance of each item to a query, by a plain loop: id to a sum."""
    signs = [1 if value >= 0 else -1 for value in outputs]
    with open_index(path, read_only=True) as index:
        found = {}
        for item in index:
            bits = np.unpackbits(item.code)[: len(signs)]
            own = [1 if bit else -1 for bit in bits]
            found[item.id] = sum(abs(float(value)) for value, a, b in zip(outputs, signs, own, strict=True) if a != b)
        return found


def check(result, wanted, most):
    """Assert that a result is ranked by weighted distances, then by id, and nothing nearer was left out."""
    seen = [(one["weighted_distance"], one["id"]) for one in result["neighbors"]]
    assert seen == sorted(seen)
    assert [wanted[item_id] for _, item_id in seen] == pytest.approx([weight for weight, _ in seen], abs=1e-4)
    left = [weight for item_id, weight in wanted.items() if item_id not in {one for _, one in seen}]
    assert len(seen) == most
    assert min(left) >= seen[-1][0] - 1e-4


def test_an_uploaded_image_is_ranked_by_its_outputs(site, small):
    answer = site.form("search/image", png(COLOR), [("k", "8"), *ASYMMETRIC]).json
    (outputs,) = FakeEncoder().outputs([Image.open(io.BytesIO(png(COLOR)))])
    assert answer["ranking"] == "asymmetric"
    check(answer["results"][0], weighted_distances(small, outputs), 8)
    plain = site.form("search/image", png(COLOR), [("k", "8")]).json
    assert plain["ranking"] == site.get("items/1/neighbors").json["ranking"] == "hamming"
    assert "weighted_distance" not in plain["results"][0]["neighbors"][0]


def test_a_radius_is_then_a_weighted_distance(site, small):
    (outputs,) = FakeEncoder().outputs([Image.open(io.BytesIO(png(COLOR)))])
    wanted = weighted_distances(small, outputs)
    answer = site.form("search/image", png(COLOR), [("radius", "1"), ("label", "red"), *ASYMMETRIC])
    seen = {one["id"] for one in answer.json["results"][0]["neighbors"]}
    assert seen == {item_id for item_id, weight in wanted.items() if weight <= 1 and item_id % 3 == 1}
    assert seen


def test_items_whose_outputs_are_kept_are_ranked_by_them(tmp_path):
    path = write_index(tmp_path, outputs="float16")
    with running(ServiceOptions(index=path)) as site, open_index(path, read_only=True) as index:
        wanted = weighted_distances(path, index.kept_outputs([6])[0])
        one = site.get("items/6/neighbors?k=7&ranking=asymmetric").json
        check(one["results"][0], wanted, 7)
        assert one["results"][0]["neighbors"][0] == {**one["results"][0]["neighbors"][0], "id": 6, "distance": 0}
        many = site.search({"queries": [{"id": 2}, {"id": 6}], "k": 7, "ranking": "asymmetric"}).json
        assert many["results"][1]["neighbors"] == one["results"][0]["neighbors"]
        mixed = site.search({"queries": [{"id": 6}, {"code": "fff0"}], "ranking": "asymmetric"})
        assert "a code has no outputs" in mixed.json["error"]["message"]


@pytest.mark.parametrize(
    ("query", "words"),
    [({"id": 1}, "this index keeps no outputs of its items"), ({"code": "fff0"}, "a code has no outputs")],
)
def test_a_query_without_outputs_is_refused(site, query, words):
    answer = site.search({"queries": [query], "ranking": "asymmetric"})
    assert (answer.status, answer.code) == (422, "invalid")
    assert words in answer.json["error"]["message"]
    assert "/api/v1/search/image" in answer.json["error"]["hint"]
    assert site.search({"queries": [query], "ranking": "hamming"}).status == 200


def test_a_ranking_that_is_none_is_refused(site):
    answer = site.get("items/1/neighbors?ranking=cosine")
    assert answer.status == 422
    assert answer.json["error"]["message"] == "ranking must be hamming or asymmetric, not 'cosine'"
    paths = site("GET", "/openapi.json").json["paths"]
    parameters = paths["/api/v1/items/{item_id}/neighbors"]["get"]["parameters"]
    (said,) = [one["schema"] for one in parameters if one["name"] == "ranking"]
    assert said == {"type": "string", "enum": ["hamming", "asymmetric"], "default": "hamming"}


def test_an_item_whose_output_was_rounded_to_0_finds_itself_at_distance_0(tmp_path):
    outputs = np.random.default_rng(4).normal(size=(8, N_BITS)).astype(np.float32)
    outputs[:, 2] = -1e-5
    with create_index(tmp_path / "a.index", N_BITS, outputs="int8") as index:
        index.add(binarize(outputs), outputs=outputs)
        code = index.items([4])[0].code.tobytes().hex()
    with running(ServiceOptions(index=tmp_path / "a.index")) as site:
        (result,) = site.search({"queries": [{"id": 4}], "k": 1, "ranking": "asymmetric"}).json["results"]
    assert result["query"]["code"] == code
    assert [(one["id"], one["distance"]) for one in result["neighbors"]] == [(4, 0)]
