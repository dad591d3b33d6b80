"""For everyone: names as text, access by assistive technology, small screens, themes, nothing that jumps."""

import pytest
from served_pages import DROP, HOSTILE, PLAIN, UNUSED

pytestmark = pytest.mark.slow

VIEWS = {
    "start": ("", "#start a.tile img"),
    "results": ("?id=1&k=12", "#results .pic img"),
    "nothing": (f"?code={UNUSED}&radius=0", "#results .message"),
    "problem": ("?id=999999", "#message .message"),
    "about": ("?view=about", ".about-parts dd"),
    "duplicates": ("?view=duplicates", "#groups-view .members"),
    "clusters": ("?view=clusters", "#groups-view .members"),
}
SHIFTS = """
const done = arguments[0];
let sum = 0;
const observer = new PerformanceObserver((list) => {
  for (const entry of list.getEntriesByType("layout-shift")) sum += entry.hadRecentInput ? 0 : entry.value;
  if (list.getEntriesByType("navigation").length === 0) return;  // each page has one: told after the shifts
  observer.disconnect();
  done(sum);
});
const look = () => ["layout-shift", "navigation"].forEach((type) => observer.observe({type, buffered: true}));
requestAnimationFrame(() => requestAnimationFrame(look));
"""


def look(page, view):
    """Open a view and wait until what matters is there."""
    path, css = VIEWS[view]
    page.open(path)
    page.until(lambda: page.all(css), f"{view} is shown")
    pictures = (
        "return [...document.querySelectorAll('img')].every((image) => image.complete || image.loading === 'lazy')"
    )
    page.until(lambda: page.run(pictures), "pictures are loaded")
    page.until(lambda: page.run("return document.getAnimations().length") == 0, "nothing moves any more")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_in_any_view(page, axe, access, media, view, theme):
    media(prefers_color_scheme=theme)
    look(page, view)
    access(page, axe)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_dialogs_and_open_filters(page, axe, access, media, theme):
    media(prefers_color_scheme=theme)
    look(page, "results")
    page.run("document.querySelector('#filters').open = true")
    page.run("for (const box of [...document.querySelectorAll('.pick')].slice(0, 2)) box.click()")
    page.until(lambda: page.run("return document.getAnimations().length") == 0, "nothing moves any more")
    access(page, axe)
    page.press("c")
    page.one("#compare-dialog")
    access(page, axe)
    page.run("document.querySelector('#compare-dialog').close()")
    page.press("?")
    page.one("#help-dialog")
    access(page, axe)


def test_names_that_attack_are_shown_as_text(page, ask, place):
    items = ask("items?limit=200")["items"]
    hostile = [item for item in items if "onerror" in item["path"]]
    assert len(hostile) == 50
    page.open("?id=1&k=60")
    assert len(page.results()) == 60
    shown = page.run("return [...document.querySelectorAll('.card .path')].map((node) => node.textContent)")
    assert sorted(shown) == sorted(item["path"] for item in items)
    labels = page.run("return [...document.querySelectorAll('.card .label')].map((node) => node.textContent)")
    assert set(labels) == {PLAIN, *HOSTILE}
    page.bring(
        DROP, (place / "pictures" / PLAIN / "03.png").read_bytes(), name="<img src=x onerror=window.pwned=1>.png"
    )
    page.until(lambda: page.text("#query h2") == "<img src=x onerror=window.pwned=1>.png", "the name of an upload, too")
    page.run("for (const box of [...document.querySelectorAll('.pick')].slice(0, 2)) box.click()")
    page.press("c")
    page.one("#compare-dialog")
    page.open("?view=about")
    page.until(lambda: page.all(".about-parts dd"), "the view of the index")
    page.open("?id=1&label=%22%3E%3Cscript%3Ewindow.pwned%3D1%3C")
    page.results()
    assert page.run("return window.pwned === undefined") is True
    assert page.run("return document.querySelectorAll('img[src=x], main script').length") == 0


def test_a_label_that_turns_the_writing_round_stays_in_its_place(page):
    page.open("?id=1&k=60")
    page.results()
    parents = page.run(
        "return [...document.querySelectorAll('.label')].filter((node) => node.textContent.includes('\\u202e'))"
        ".map((node) => node.tagName)"
    )
    assert set(parents) == {"BDI"}


@pytest.mark.parametrize("width", [360, 768, 1440])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_the_screen(page, screen, view, width):
    screen(width, 800)
    look(page, view)
    if view == "results":
        page.run("document.querySelector('#filters').open = true; document.querySelector('.pick').click()")
    assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
    cut = """return [...document.querySelectorAll('button, a, input, summary')].filter((node) => {
        const {left, right, width} = node.getBoundingClientRect();
        const isOut = left < -1 || right > innerWidth + 1;
        return isOut && width > 0 && node.offsetParent && !node.closest('.skip, .hidden');
    }).map((node) => node.outerHTML.slice(0, 90))"""
    assert page.run(cut) == []


def test_what_is_touched_is_large_enough(page, screen):
    screen(360, 800)
    look(page, "results")
    small = """return [...document.querySelectorAll('button, input, summary, nav a')].filter((node) => {
        const {width, height} = (node.closest('label') ?? node).getBoundingClientRect();
        return node.offsetParent && width > 0 && (width < 24 || height < 24);
    }).map((node) => node.outerHTML.slice(0, 90))"""
    assert page.run(small) == []


def lightness(page):
    colors = page.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
    return sum(colors) / 3


def test_the_theme_follows_the_system_until_one_is_chosen(page, media):
    media(prefers_color_scheme="dark")
    page.open()
    assert lightness(page) < 60
    media(prefers_color_scheme="light")
    assert lightness(page) > 200
    page.click("#theme")
    page.click("#theme")
    assert page.one("#theme").get_attribute("aria-label") == "Theme: dark"
    assert lightness(page) < 60
    page.driver.refresh()
    page.one("#theme")
    assert lightness(page) < 60, "the choice lasts"
    page.click("#theme")
    assert page.one("#theme").get_attribute("aria-label") == "Theme: automatic"
    assert lightness(page) > 200


def test_pictures_that_come_in_move_nothing(page):
    look(page, "results")
    assert page.driver.execute_async_script(SHIFTS) < 0.02


def test_those_who_want_less_motion_get_none(page, media):
    still = "return getComputedStyle(document.querySelector('.box img')).transitionDuration"
    page.open("?id=1&k=6")
    page.results()
    assert page.run(still) != "0s"
    media(prefers_reduced_motion="reduce")
    assert page.run(still) == "0s"


def test_what_was_found_is_told_to_those_who_listen(page):
    page.open("?id=1&k=6")
    page.results()
    page.until(lambda: page.text("#live").startswith("6 images, "), "the number of results")
    assert "Found in" in page.text("#live")
    names = [node.accessible_name for node in page.all(".pic")]
    assert names[0].startswith("Search by image 1: rank 1")
    assert all("bit" in name for name in names)


def test_the_view_of_the_index_tells_health_classes_and_model(page, ask):
    look(page, "about")
    health, index = ask("index/health"), ask("index")
    figures = dict(
        page.run(
            "return [...document.querySelectorAll('.figures div')].map((row) => "
            "[row.querySelector('dt').textContent, row.querySelector('dd').textContent])"
        )
    )
    assert figures["images"] == "60"
    assert figures["distinct codes"] == str(health["distinct_codes"])
    assert figures["bits a code"] == str(index["n_bits"]) == "16"
    bars = page.run("return [...document.querySelectorAll('.balance .bar title')].map((node) => node.textContent)")
    assert bars == [
        f"Bit {bit + 1} is set in {100 * share:.0f} % of the codes" for bit, share in enumerate(health["ones"])
    ]
    classes = page.run("return [...document.querySelectorAll('.class-map text')].map((node) => node.textContent)")
    assert sorted(classes) == sorted(one["name"] for one in ask("index/centers")["centers"])
    assert ask("model")["method"] in page.text("#about-view")
    assert "the codes keep 80 % of the float features' figure (mAP 0.400 of 0.500)" in page.text("#about-view")
    assert page.text("#about-model ~ .advice").startswith("What helps: more bits (--bits 32)")
