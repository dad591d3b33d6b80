"""What the page says when something is wrong or not there."""

import shutil
import signal

import pytest
from served_pages import DROP, PATIENCE, PLAIN, UNUSED, served

from model_makers import random_model
from nearbit.index import create_index

pytestmark = pytest.mark.slow

TOKEN = "page-tests-token-0123456789"
BUSY = """
const real = window.fetch;
window.fetch = (url, options) => String(url).includes("/items/2/neighbors") && !window.calm
  ? Promise.resolve(new Response('{"error": {"code": "busy", "message": "64 requests", "hint": ""}}', {status: 503}))
  : real(url, options);
"""


def test_a_file_that_is_no_image_is_not_sent(page):
    page.open()
    page.bring(DROP, b"hello", name="notes.txt", kind="text/plain")
    page.says("notes.txt is not an image", "text/plain", "JPEG")
    page.bring(DROP, b"<svg/>", name="drawing.svg", kind="image/svg+xml")
    page.says("drawing.svg is a drawing", "PNG")
    page.bring(DROP, b"", name="nothing.png")
    page.says("nothing.png is empty")
    sent = "return performance.getEntriesByType('resource').filter(({name}) => name.includes('search/image')).length"
    assert page.run(sent) == 0


def test_a_file_that_only_says_it_is_an_image_is_named_as_such(page):
    page.open("?id=1")
    before = page.results()
    page.bring(DROP, b"<html>no picture</html>", name="page.jpg", kind="image/jpeg")
    page.says("not an image that can be read", "JPEG")
    assert page.results() == before, "what was found before is still there"


def test_a_file_that_is_too_large_is_told_with_both_sizes(page, ask):
    limit = ask("index")["limits"]["image_bytes"]
    page.open()
    page.run(
        "const transfer = new DataTransfer();"
        "transfer.items.add(new File([new Uint8Array(arguments[0])], 'big.jpg', {type: 'image/jpeg'}));"
        "document.body.dispatchEvent(new DragEvent('drop', {bubbles: true, dataTransfer: transfer}))",
        limit + 2_000_000,
    )
    page.says("too large", "big.jpg: 12 MB > 10 MB")


def test_an_item_that_is_not_there(page):
    page.open("?id=999999")
    page.says("There is no such image in this index", "999999")
    page.until(lambda: page.all("#start a.tile img"), "images to begin with are offered")


def test_filters_that_leave_nothing_can_be_removed(page):
    page.open(f"?code={UNUSED}&radius=0")
    page.says("Nothing found", "No image is that near")
    page.click("#results .message button")
    page.until(lambda: page.fields() == [("code", UNUSED)], "the filters are gone")
    assert len(page.results()) == 24


def test_a_label_that_nothing_has(page):
    page.open("?id=1&label=zebra")
    page.says("No image has that label", "zebra")
    page.click("#message button")
    page.until(lambda: page.fields() == [] and page.all("#start a.tile img"), "the start")


def test_a_busy_server_can_be_asked_again(page):
    page.open("?id=1")
    page.results()
    page.run(BUSY)
    field = page.one("#lookup-field")
    field.send_keys("2\n")
    page.says("The server is busy", "64 requests")
    page.run("window.calm = true")
    page.click("#message button")
    page.until(lambda: page.text("#query h2") == "Image 2", "it was asked again")
    assert page.text("#message") == ""


def test_an_empty_index_says_how_to_fill_it(page_at, tmp_path):
    create_index(tmp_path / "empty.index", n_bits=12).close()
    with served(tmp_path / "empty.index") as (address, _):
        page = page_at(address).open()
        page.says("This index is empty", "nearbit index add empty.index FOLDER --model MODEL")
        page.click("#random")
        page.says("This index is empty")
        page.open("?view=about")
        page.until(lambda: "The index is empty" in (page.text("#about-view") or ""), "health is told as unknown")


@pytest.fixture
def alone(place, tmp_path):
    """Give how to serve the index without its model, which is faster."""
    shutil.copy(place / "pictures.index", tmp_path / "alone.index")
    (tmp_path / "pictures").symlink_to(place / "pictures")
    return tmp_path / "alone.index", "--images", place / "pictures"


def test_an_index_without_its_model_is_searched_by_id_but_not_by_picture(page_at, place, alone):
    with served(*alone) as (address, _):
        page = page_at(address).open("?id=1")
        page.results()
        page.bring(DROP, (place / "pictures" / PLAIN / "03.png").read_bytes())
        page.says("This index cannot be searched by a picture", "model")
        assert len(page.results()) == 24
        page.open("?view=about")
        page.until(lambda: "No model is at hand" in (page.text("#about-view") or ""), "the view of the index says so")


def test_another_model_than_that_of_the_index_is_refused_before_serving(place, tmp_path):
    other = tmp_path / "other.model"
    random_model(n_bits=16, seed=5).save(other)
    shutil.copy(place / "pictures.index", tmp_path / "pictures.index")
    with pytest.raises(RuntimeError, match="model"), served(tmp_path / "pictures.index", "--model", other):
        pass


def test_a_server_that_is_gone_and_comes_back(page_at, alone):
    with served(*alone) as (address, process):
        page = page_at(address).open("?id=1")
        page.results()
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        page.one("#lookup-field").send_keys("5\n")
        page.says("The server does not answer", "nearbit serve")
    port = address.rstrip("/").rpartition(":")[2]
    with served(*alone, "--port", port):
        page.click("#message button")
        page.until(lambda: page.text("#query h2") == "Image 5", "it was asked again")
        assert page.results()[0][1] == 0


def test_a_token_is_asked_for_and_kept_for_the_session(page_at, place, alone):
    with served(*alone, token=TOKEN) as (address, _):
        page = page_at(address).open("?id=1&k=6")
        page.one("#token-field").send_keys("wrong-token-0123456789\n")
        page.until(lambda: "did not accept" in (page.text("#token-dialog .wrong") or ""), "a wrong one is told")
        page.one("#token-field").send_keys(TOKEN + "\n")
        assert len(page.results()) == 6
        shown = "return [...document.querySelectorAll('.card img')].filter((image) => image.naturalWidth > 0).length"
        page.until(lambda: page.run(shown) == 6, "pictures come with the token, too")
        assert TOKEN not in page.driver.current_url
        page.driver.refresh()
        assert len(page.results()) == 6
        page.bring(DROP, (place / "pictures" / PLAIN / "03.png").read_bytes())
        page.says("This index cannot be searched by a picture")  # and not: a token is needed
        assert page.run("return localStorage.length") == 0
