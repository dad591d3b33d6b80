"""Searches by words over HTTP: the same as in Python; refused where the model takes none."""

import json

import pytest
from service_site import running

pytest.importorskip("transformers", reason="SKIPPED: searches by words need the extra text")
pytest.importorskip("tokenizers", reason="SKIPPED: searches by words need the extra text")

import nearbit as nb
from nearbit.service.settings import ServiceOptions
from text_makers import write_place


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return write_place(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def site(words):
    with running(ServiceOptions(index=words / "pictures.index", text_weights=str(words / "clip"))) as client:
        yield client


def test_words_find_over_http_what_they_find_in_python(site, words):
    assert site.get("index").json["takes_text"] is True
    answer = site.get("search/text?text=a%20red%20circle&k=6").json
    expected = nb.search(words / "pictures.index", text="a red circle", k=6, text_weights=words / "clip")
    found = answer["results"][0]["neighbors"]
    assert answer["ranking"] == "asymmetric"
    assert [one["id"] for one in found] == expected.ids[0].tolist()
    assert [one["weighted_distance"] for one in found] == pytest.approx(expected.weighted[0].tolist(), abs=1e-4)
    bits = site.get("search/text?text=a%20red%20circle&k=6&ranking=hamming").json["results"][0]["neighbors"]
    assert [(one["distance"], one["id"]) for one in bits] == sorted((one["distance"], one["id"]) for one in bits)


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ("", 422, "text is missing"),
        ("text=", 422, "text must be 1 to 500 characters"),
        ("text=%20", 422, "expected a list of texts, none of them empty"),
        (f"text={'red+' * 20}", 422, "a text of 22 tokens is longer than the 12 that the model takes"),
        ("text=red&label=none", 422, "no item has the label 'none'"),
    ],
)
def test_words_that_cannot_be_searched_by_are_refused(site, asked, status, said):
    answer = site.get(f"search/text?{asked}")
    assert answer.status == status
    assert said in answer.json["error"]["message"]


def test_where_no_words_are_taken_it_is_said_why(words):
    for weights, why in (
        (None, "which only you can find"),
        (str(words / "pictures"), "there is no checkpoint at pictures"),
    ):
        with running(ServiceOptions(index=words / "pictures.index", text_weights=weights)) as client:
            assert client.get("index").json["takes_text"] is False
            answer = client.get("search/text?text=red")
            assert (answer.status, answer.code) == (409, "no_text")
            assert why in json.dumps(answer.json)
