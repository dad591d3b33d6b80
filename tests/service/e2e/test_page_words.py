"""The page is searched by words, where the model of the index takes them."""

import pytest
from served_pages import served

pytest.importorskip("transformers", reason="SKIPPED: searches by words need the extra text")
pytest.importorskip("tokenizers", reason="SKIPPED: searches by words need the extra text")

from text_makers import write_place


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    root = write_place(tmp_path_factory.mktemp("words"))
    with served(root / "pictures.index", "--text-weights", root / "clip") as (address, _):
        yield address


def test_words_are_typed_found_shared_and_filtered(page_at, words):
    page = page_at(words).open()
    page.one("#words-field").send_keys(" a red circle \n")
    first = page.results()
    assert page.text("#query h2") == "a red circle"
    assert page.fields() == [("text", "a red circle"), ("ranking", "asymmetric")]
    assert len(first) == 24
    page.open(page.driver.current_url.removeprefix(words))
    assert page.results() == first
    assert page.run("return document.querySelector('#filter-ranking').checked")


def test_there_is_no_field_for_words_where_none_are_taken(page):
    page.open()
    page.one("#start .tile")
    page.until(lambda: page.text("#summary"), "the index is known")
    assert page.run(
        "return document.querySelector('#words').hidden && document.querySelector('#headline').textContent"
    ) == ("Search by image")
