"""What is done with results: select, export, compare, copy; and all of it with the keyboard."""

import csv
import json

import pytest
from served_pages import distance

pytestmark = pytest.mark.slow

CATCH = """
window.saved = [];
const create = URL.createObjectURL;
URL.createObjectURL = (blob) => {
  blob.text().then((text) => window.saved.push([blob.type, text]));
  return create(blob);
};
HTMLAnchorElement.prototype.click = () => {};
"""


@pytest.fixture
def selected(page):
    """Select the results of rank 2 and 3, and return their ids."""
    page.open("?id=1&k=8")
    shown = page.results()
    page.run("for (const box of [...document.querySelectorAll('.pick')].slice(1, 3)) box.click()")
    page.until(lambda: page.text("#selection p") == "2 selected", "the bar counts them")
    return [shown[1][0], shown[2][0]]


def saved(page, kind):
    """Press a button of the selection and return what it would save."""
    page.run(CATCH)
    page.run(
        "[...document.querySelectorAll('#selection button')].find((one) => one.textContent === arguments[0]).click()",
        kind,
    )
    return page.until(lambda: page.run("return window.saved"), "a file is saved")[0]


def test_selected_images_are_saved_as_csv(page, ask, selected):
    kind, text = saved(page, "CSV")
    assert kind == "text/csv"
    rows = list(csv.DictReader(text.splitlines()))
    for row, item in zip(rows, selected, strict=True):
        known = ask(f"items/{item}")
        assert row["id"] == str(item)
        assert row["code"] == known["code"]
        assert row["path"] == known["path"]
        assert row["labels"] == "|".join(known["labels"])
        assert row["distance"] == str(distance(known["code"], ask("items/1")["code"]))


def test_selected_images_are_saved_as_json(page, ask, selected):
    kind, text = saved(page, "JSON")
    assert kind == "application/json"
    rows = json.loads(text)
    assert [row["id"] for row in rows] == selected
    assert [row["labels"] for row in rows] == [ask(f"items/{item}")["labels"] for item in selected]


def test_a_cell_that_a_spreadsheet_would_run_is_saved_as_text(page):
    page.open()
    cells = page.driver.execute_async_script(
        "const done = arguments[0];"
        "import(new URL('static/selection.js', document.baseURI)).then(({ csvCell }) => "
        "done(['=1+1', '+A1', '-2', '@x', 'plain', 'a,\"b\"', 7, null].map(csvCell)))"
    )
    assert cells == ["'=1+1", "'+A1", "'-2", "'@x", "plain", '"a,""b"""', "7", ""]


def test_two_images_are_compared_side_by_side(page, ask, selected):
    page.press("c")
    page.one("#compare-dialog")
    codes = [ask(f"items/{item}")["code"] for item in selected]
    bits = distance(*codes)
    assert page.text("#compare-title") == f"{bits} bit{'' if bits == 1 else 's'} apart"
    titles = [node.text for node in page.all(".compare-side h3")]
    assert titles == [f"Image {item}" for item in selected]
    widths = "return [...document.querySelectorAll('.compare-side img')].map((image) => image.naturalWidth)"
    page.until(lambda: page.run(widths) == [60, 60], "both are shown at their own size")


def test_one_image_is_compared_with_the_query(page, ask):
    page.open("?id=1&k=8")
    other = page.results()[3][0]
    page.run("document.querySelectorAll('.pick')[3].click()")
    page.until(lambda: page.text("#selection button") == "Compare with the query", "the button says so")
    page.run("document.querySelector('#selection button').click()")
    page.one("#compare-dialog")
    assert [node.text for node in page.all(".compare-side h3")] == ["Image 1", f"Image {other}"]
    bits = distance(ask("items/1")["code"], ask(f"items/{other}")["code"])
    assert page.text("#compare-title").startswith(f"{bits} bit")


def test_the_path_is_copied(page, ask):
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    page.open("?id=1&k=3")
    page.results()
    page.run("document.querySelector('button.tool').click()")
    path = ask("items/1")["path"]
    page.until(lambda: page.text("#live") == f"Copied {path}", "it says so")
    read = "const done = arguments[0]; navigator.clipboard.readText().then(done)"
    assert page.driver.execute_async_script(read) == path


def test_an_original_can_be_downloaded(page, ask, place):
    page.open("?id=1&k=3")
    page.results()
    address = page.all("a.tool")[0].get_attribute("href")
    read = (
        "const done = arguments[1]; fetch(arguments[0]).then(async (answer) => "
        "done([answer.headers.get('Content-Disposition'), (await answer.arrayBuffer()).byteLength]))"
    )
    disposition, size = page.driver.execute_async_script(read, address)
    assert disposition.startswith("attachment")
    assert size == (place / ask("items/1")["path"]).stat().st_size


def focused(page):
    return page.run("return document.activeElement.dataset.key ?? document.activeElement.id")


def test_arrows_go_from_picture_to_picture_and_enter_searches(page):
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    page.open("?id=1&k=24")
    shown = [item for item, *_ in page.results()]
    page.run("document.activeElement.blur()")
    page.press(keys.ARROW_RIGHT)
    assert focused(page) == f"item-{shown[0]}"
    page.press(keys.ARROW_RIGHT)
    assert focused(page) == f"item-{shown[1]}"
    columns = page.run("return getComputedStyle(document.querySelector('.grid')).gridTemplateColumns.split(' ').length")
    assert columns > 2
    page.press(keys.ARROW_DOWN)
    assert focused(page) == f"item-{shown[1 + columns]}"
    page.press(keys.ARROW_UP)
    page.press(keys.ARROW_LEFT)
    page.press(keys.ARROW_LEFT)
    assert focused(page) == f"item-{shown[0]}"
    page.press(keys.ARROW_RIGHT, keys.ENTER)
    page.until(lambda: ("id", str(shown[1])) in page.fields(), "Enter searches by the picture")
    page.driver.back()
    page.until(lambda: focused(page) == f"item-{shown[1]}", "back puts the focus where it was")


def test_single_keys_do_what_help_says(page):
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    page.open("?id=1&k=8")
    page.results()
    page.press("?")
    page.one("#help-dialog")
    page.press("r")
    assert page.fields() == [("id", "1"), ("k", "8")], "keys do nothing behind a dialog"
    page.press(keys.ESCAPE)
    page.until(lambda: not page.run("return document.querySelector('#help-dialog').open"), "Esc closes it")
    page.press("/")
    assert focused(page) == "lookup-field"
    page.press("r?x")
    assert page.run("return document.querySelector('#lookup-field').value") == "r?x", "a field takes letters"
    page.press(keys.ESCAPE)
    page.run("document.querySelector('.pic').focus()")
    page.press("x")
    page.until(lambda: page.text("#selection p") == "1 selected", "x selects")
    page.press(keys.ESCAPE)
    page.until(lambda: not page.one("#main").find_elements("css selector", ".pick:checked"), "Esc clears the selection")
    page.press(keys.ESCAPE)
    page.until(lambda: page.fields() == [("k", "8")], "Esc goes to the start")
    page.press("r")
    page.until(lambda: [name for name, _ in page.fields()] == ["id", "k"], "r searches by a random image")


def test_single_keys_can_be_turned_off(page):
    page.open("?id=1&k=8")
    page.results()
    page.press("?")
    page.click("#help-dialog input[type=checkbox]")
    page.run("document.querySelector('#help-dialog').close()")
    page.press("r", "?")
    page.run("document.activeElement.blur()")
    page.press("r", "?")
    assert page.fields() == [("id", "1"), ("k", "8")]
    assert not page.run("return document.querySelector('#help-dialog').open")
