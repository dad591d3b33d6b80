"""Looking at results: large, a region of a picture, a verdict, what is less alike, links that keep the picture."""

import io
import json
import math

import numpy as np
import pytest
from PIL import Image
from served_pages import DROP, PLAIN, distance

pytestmark = pytest.mark.slow

CLASSES = 500
STUB = """{
const real = window.fetch;
window.fetch = async (url, options) => {
  const answer = await real(url, options);
  if (!String(url).includes(%s)) return answer;
  return new Response(%s, {status: 200, headers: answer.headers});
};
}"""
PATIENT = """{
const real = window.setTimeout;
window.setTimeout = (work, delay, ...given) => real(work, delay === 300 ? 60000 : delay, ...given);
}"""
"""What waits 300 ms for a fact, and goes on without it, waits for it."""
LARGE = "return document.querySelector('#viewer').open ? document.querySelector('#viewer-title').textContent : null"


@pytest.fixture
def before_each(driver):
    """Let a script run in each page that is opened, before its own."""
    scripts = []

    def put(source):
        made = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
        scripts.append(made["identifier"])

    yield put
    for one in scripts:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": one})


@pytest.fixture
def answers(before_each):
    """Let the page get another answer to requests whose address holds some words: an expression of `answer`."""
    return lambda words, expression: before_each(STUB % (json.dumps(words), expression))


@pytest.fixture
def keys():
    return pytest.importorskip("selenium.webdriver.common.keys").Keys


def picture_of(place, name="03.png"):
    return (place / "pictures" / PLAIN / name).read_bytes()


def seen(page):
    """Return the number that the large view counts, and the id of its image."""
    words = page.text("#viewer .muted")
    return words, page.run("return Number(document.querySelector('#viewer .viewer-picture img').alt.match(/\\d+/)[0])")


def drag(page, css, start, end):
    """Move a pointer over an element, from and to shares of its width and height."""
    page.run(
        """const stage = document.querySelector(arguments[0]);
        const {left, top, width, height} = stage.getBoundingClientRect();
        const send = (kind, [x, y]) => stage.dispatchEvent(new PointerEvent(kind, {bubbles: true, cancelable: true,
            pointerId: 1, clientX: left + x * width, clientY: top + y * height}));
        stage.setPointerCapture = () => {};
        send("pointerdown", arguments[1]); send("pointermove", arguments[2]); send("pointerup", arguments[2]);""",
        css,
        start,
        end,
    )


def test_a_result_is_seen_large_and_the_next_is_a_step_away(page, keys):
    page.open("?id=1&k=12")
    shown = [item for item, *_ in page.results()]
    page.run("document.querySelectorAll('.enlarge')[2].click()")
    page.until(lambda: seen(page) == ("3 of 12", shown[2]), "the third result")
    page.press(keys.ARROW_RIGHT)
    page.until(lambda: seen(page) == ("4 of 12", shown[3]), "the next by a key")
    page.click("[aria-label='The one before']")
    page.until(lambda: seen(page) == ("3 of 12", shown[2]), "the last by a button")
    drag(page, ".viewer-stage", [0.8, 0.5], [0.2, 0.52])
    page.until(lambda: seen(page) == ("4 of 12", shown[3]), "a swipe to the left goes on")
    drag(page, ".viewer-stage", [0.2, 0.5], [0.8, 0.5])
    page.until(lambda: seen(page) == ("3 of 12", shown[2]), "a swipe to the right goes back")
    page.press(keys.HOME)
    page.until(lambda: seen(page)[0] == "1 of 12", "the first")
    assert not page.run("return document.querySelector('[aria-label=\"The one before\"]').offsetParent") or page.run(
        "return document.querySelector('[aria-label=\"The one before\"]').disabled"
    )
    page.press(keys.END)
    page.until(lambda: seen(page) == ("12 of 12", shown[-1]), "the last one")
    page.press(keys.ESCAPE)
    page.until(lambda: not page.run("return document.querySelector('#viewer').open"), "Esc closes it")
    focus = "return document.activeElement.dataset.key"
    page.until(lambda: page.run(focus) == f"item-{shown[-1]}", "the focus is where one was")


def test_the_large_view_zooms_and_searches_from_what_it_shows(page, keys):
    page.open("?id=1&k=8")
    shown = [item for item, *_ in page.results()]
    page.run("document.querySelector('.pic').focus()")
    page.press("v")
    page.until(lambda: page.run(LARGE), "v opens it")
    scale = "return new DOMMatrix(getComputedStyle(document.querySelector('.viewer-picture')).transform).a"
    page.press("+", "+")
    page.until(lambda: page.run(scale) == pytest.approx(1.96), "larger twice")
    before = page.run("return document.querySelector('.viewer-picture').style.transform")
    drag(page, ".viewer-stage", [0.8, 0.5], [0.6, 0.5])
    assert page.run("return document.querySelector('.viewer-picture').style.transform") != before, "it is moved"
    assert seen(page) == ("1 of 8", shown[0]), "and is no swipe"
    page.press("0")
    page.until(lambda: page.run(scale) == 1, "as it was")
    page.run(
        "const stage = document.querySelector('.viewer-stage'); const {left, top} = stage.getBoundingClientRect();"
        "stage.dispatchEvent(new WheelEvent('wheel', {deltaY: -400, clientX: left + 9, clientY: top + 9}))"
    )
    page.until(lambda: page.run(scale) == pytest.approx(math.e, rel=1e-3), "the wheel zooms")
    page.press(keys.ARROW_RIGHT)
    page.until(lambda: page.run(scale) == 1 and seen(page)[0] == "2 of 8", "the next one begins whole")
    page.press("x")
    page.until(lambda: page.text("#selection p") == "1 selected", "x selects it")
    page.press("s")
    page.until(lambda: ("id", str(shown[1])) in page.fields(), "s searches from it")
    assert not page.run("return document.querySelector('#viewer').open")
    page.until(lambda: page.text("#query h2") == f"Image {shown[1]}", "it is the query")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_large_view_and_the_choice_of_a_region(page, axe, access, media, theme):
    media(prefers_color_scheme=theme)
    page.open("?id=1&k=6")
    page.results()
    page.run("document.querySelectorAll('.enlarge')[1].click()")
    page.until(lambda: page.run(LARGE), "it is open")
    page.until(lambda: page.run("return document.getAnimations().length") == 0, "nothing moves any more")
    access(page, axe)
    page.click("#viewer-crop")
    page.one("#crop-search")
    access(page, axe)


def test_a_region_of_the_query_is_what_the_api_finds_for_it(page, place, ask, keys):
    page.open("?id=4&k=6")
    page.results()
    page.click("#query-crop")
    page.until(lambda: page.run("return document.querySelector('.crop-stage img')?.naturalWidth") == 60, "its picture")
    told = lambda: page.one(".region").get_attribute("aria-valuetext")  # noqa: E731
    assert told() == "60 % wide and 60 % high, 20 % from the left and 20 % from the top"
    page.press(keys.ARROW_LEFT, keys.ARROW_UP)
    assert told().endswith("17 % from the left and 17 % from the top")
    drag(page, ".crop-stage", [0.5, 0.0], [1.0, 0.5])
    assert told() == "50 % wide and 50 % high, 50 % from the left and 0 % from the top"
    page.click("#crop-search")
    path = ask("items/4")["path"]
    page.until(lambda: page.text("#query h2") == f"region of {path.rpartition('/')[2]}", "it is the query")
    code = dict(page.fields())["code"]
    with Image.open(place / path) as whole:
        width, height = whole.size
    page.until(
        lambda: page.run("return document.querySelector('#query img').naturalWidth") == width // 2, "half as wide"
    )
    assert page.run("return document.querySelector('#query img').naturalHeight") == height // 2
    items = ask("items?limit=200")["items"]
    nearest = sorted((distance(item["code"], code), item["id"]) for item in items)[:6]
    assert [(bits, item) for item, bits, _ in page.results()] == nearest


def test_a_region_of_a_picture_of_ones_own_is_searched_again(page, place):
    page.open()
    page.bring(DROP, picture_of(place), name="mine.png")
    page.results()
    page.click("#query-crop")
    drag(page, ".crop-stage", [0.1, 0.1], [0.9, 0.6])
    page.click("#crop-search")
    page.until(lambda: page.text("#query h2") == "region of mine.png", "its region is the query")
    page.driver.back()
    page.until(lambda: page.text("#query h2") == "mine.png", "back to the whole")


def test_the_verdict_counts_the_labels_of_the_nearest(page, ask):
    for item in (1, 20, 33):
        found = ask(f"items/{item}/neighbors?k=24")["results"][0]["neighbors"]
        nearest = [one for one in found if one["id"] != item][:5]
        counts = {}
        for one in nearest:
            counts[one["labels"][0]] = counts.get(one["labels"][0], 0) + 1
        first, second = ([*sorted(counts.values(), reverse=True), 0])[:2]
        page.open(f"?id={item}")
        page.results()
        said = page.until(lambda: page.text("#query .verdict"), "a verdict")
        if 2 * first > 5 or first > second:
            best = min(name for name, count in counts.items() if count == first)
            assert said == f"{best}: {first} of the 5 nearest"
        else:
            assert said == f"No label prevails: {first} each of the 5 nearest"
        order = "return document.querySelector('.verdict').compareDocumentPosition(document.querySelector('.times'))"
        assert page.run(order) & 4, "the times come after it"


APART = """const line = document.querySelector('.apart');
    const boxes = [...document.querySelectorAll('.apart ~ .group .pick')];
    return line && [line.textContent, boxes.map((box) => Number(box.dataset.id))]"""


def test_what_lies_beyond_the_likely_distance_is_set_apart(page, ask, answers, before_each):
    before_each(PATIENT)
    assert isinstance(ask("index/health")["likely_distance"], int)
    found = ask("items/1/neighbors?k=60")["results"][0]["neighbors"]
    likely = found[len(found) // 2]["distance"]
    answers(
        "index/health", f"""(await answer.text()).replace(/"likely_distance":\\d+/, '"likely_distance":{likely}')"""
    )
    page.open("?id=1&k=60")
    page.results()
    words, beyond = page.until(lambda: page.run(APART), "the line")
    assert beyond == [one["id"] for one in found if one["distance"] > likely]
    assert 0 < len(beyond) < len(found)
    assert words.startswith("Less alike from here")
    assert f"More than {likely} bit" in words
    page.open(f"?id=1&radius={likely}")
    page.results()
    assert page.run(APART) is None


def test_pictures_that_the_network_was_trained_on_are_marked(page, answers):
    marked = """(await answer.text()).replace(/"trained_on":(null|false)/g, '"trained_on":true')"""
    answers("/neighbors", marked)
    page.open("?id=1&k=6")
    page.results()
    badges = "return [...document.querySelectorAll('.card .trained')].map((node) => node.textContent)"
    page.until(lambda: page.run(badges) == ["trained on"] * 6, "each is marked")
    note = "The network was trained on all of these"
    page.until(lambda: note in (page.text("#query .trained-note") or ""), "it is said of all of them together")


def test_no_picture_is_marked_where_nothing_is_known(page):
    page.open("?id=1&k=6")
    page.results()
    page.one("#query h2")
    assert page.all(".card .trained") == []
    assert page.text("#query .trained-note") is None


def test_a_link_keeps_the_picture_in_another_browser(page, place):
    page.open()
    pixels = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    noisy = io.BytesIO()
    Image.fromarray(pixels).save(noisy, "PNG")  # the worst that a small picture can be made of
    page.bring(DROP, noisy.getvalue(), name="noise.png")
    shown = page.results()
    page.until(lambda: "#p=" in page.driver.current_url, "the link holds a picture")
    link = page.driver.current_url
    assert len(link) < 2700
    page.driver.refresh()
    page.until(lambda: page.text("#query h2") == "noise.png", "loading anew keeps it in this tab")
    page.run("sessionStorage.clear()")
    page.driver.get("about:blank")
    page.driver.get(link)
    page.until(lambda: page.text("#query h2") == "A picture", "the link alone has the picture")
    page.until(lambda: page.run("return document.querySelector('#query img').naturalWidth") >= 64, "it is shown")
    assert page.results() == shown
    page.driver.get("about:blank")
    page.driver.get(link[: link.index("#p=") + 40])
    page.until(lambda: page.text("#query h2") in ("A picture", "A code"), "a link that was cut still searches")
    assert page.results() == shown


def test_an_address_that_asks_for_nothing_says_so(page):
    for address, words in (("?code=zz", "zz is neither"), ("?id=blackbird", "blackbird is neither")):
        page.open(address)
        page.says("This address asks for nothing that can be searched", words)
        page.until(lambda: page.all("#start a.tile img"), "images to begin with are offered")
    page.open("?id=1")
    page.results()
    assert page.text("#message") == ""


def test_labels_are_listed_by_the_results_then_by_frequency(page, ask):
    page.open("?id=1&k=7")
    page.results()
    page.run("document.querySelector('#filters').open = true")
    found = ask("items/1/neighbors?k=7")["results"][0]["neighbors"]
    here = {}
    for one in found:
        here[one["labels"][0]] = here.get(one["labels"][0], 0) + 1
    whole = {one["label"]: one["items"] for one in ask("labels")["labels"]}
    rows = """return [...document.querySelectorAll('.label-list li')].map((row) =>
        [row.querySelector('bdi')?.textContent ?? row.textContent, row.querySelector('.count')?.textContent ?? null])"""
    told = page.until(lambda: page.run(rows), "labels are listed")
    assert told[0] == ["Among these results", None]
    first = told[1 : 1 + len(here)]
    assert dict(first) == {name: f"{n} of {whole[name]}" for name, n in here.items()}
    counts = [here[name] for name, _ in first]
    assert counts == sorted(counts, reverse=True)
    rest = told[1 + len(here) :]
    if rest:
        assert rest[0] == ["Others, the most frequent first", None]
        assert {name for name, _ in rest[1:]} == whole.keys() - here.keys()


@pytest.fixture
def many(answers):
    """Let the page get a map of many classes."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(CLASSES, 2)).round(3).tolist()
    centers = [
        {"name": f"species {row:03d}", "x": x, "y": y, "items": 1 + row, "code": f"{row:04x}"}
        for row, (x, y) in enumerate(points)
    ]
    told = {"n_bits": 16, "centers": centers, "distance_min": 1, "distance_mean": 5.0, "explained": 0.5}
    answers("index/centers", json.dumps(json.dumps(told)))
    return centers


NAMED = "return [...document.querySelectorAll('.class-map .named text')].map((node) => node.textContent)"
SPOT = """const dots = [...document.querySelectorAll('.dot-group')];
    const dot = dots.find((one) => one.textContent.startsWith(arguments[0]));
    const {left, top, width, height} = dot.querySelector('circle').getBoundingClientRect();
    return [left + width / 2, top + height / 2]"""


def test_a_map_of_many_classes_is_found_in_zoomed_and_searched_from(page, many, keys):
    page.open("?view=about")
    named = page.until(lambda: page.run(NAMED), "some names fit")
    assert 0 < len(named) < CLASSES / 4
    boxes = """const names = [...document.querySelectorAll('.class-map .named text')];
        const boxes = names.map((node) => node.getBoundingClientRect());
        return boxes.every((one, at) => boxes.slice(at + 1).every((other) => one.right < other.left + 2 ||
            other.right < one.left + 2 || one.bottom < other.top + 3 || other.bottom < one.top + 3))"""
    assert page.run(boxes), "no name lies over another"
    largest = page.run(
        "return Math.max(...[...document.querySelectorAll('.class-map circle')].map(({r}) => r.baseVal.value))"
    )
    assert largest < 5
    field = page.one("#map-find")
    field.send_keys("SPECIES 123")
    page.until(lambda: "species 123: 124 images" in page.text(".map-note"), "it is told")
    assert len(page.all(".class-map .match")) == 1
    field.send_keys(keys.ENTER)
    page.until(lambda: "species 123" in page.run(NAMED), "it is named in the middle")
    field.clear()
    field.send_keys(" ")
    page.click("[aria-label='Zoom in']")
    page.until(lambda: page.run(NAMED) != named, "zooming names others")
    where = page.run(SPOT, "species 123")
    hover = """const [x, y] = arguments[0]; document.querySelector('.class-map').dispatchEvent(
        new PointerEvent(arguments[1], {bubbles: true, clientX: x, clientY: y}))"""
    page.run(hover, where, "pointermove")
    page.until(lambda: (page.text(".map-note") or "").startswith("species 123: 124 images. Nearest: "), "what it is")
    page.run(hover.replace("PointerEvent", "MouseEvent"), where, "click")
    page.until(lambda: page.fields() == [("code", many[123]["code"])], "its center is searched from")
    page.results()


@pytest.mark.parametrize("size", [(390, 844), (375, 667), (360, 740)])
def test_the_first_result_is_seen_at_once_on_a_phone(page, place, screen, size):
    screen(*size)
    page.open("?id=1")
    page.results()
    bottom = "return document.querySelector('#results .card .frame').getBoundingClientRect().bottom"
    page.until(lambda: page.text("#query .verdict"), "the verdict is there")
    assert page.run(bottom) < size[1]
    page.bring(DROP, picture_of(place))
    page.until(lambda: page.text("#query h2") == "query.png", "the upload is the query")
    assert page.run(bottom) < size[1]


def test_an_id_of_many_digits_is_short_and_nothing_unknown_is_listed(page, ask):
    page.open("?view=about")
    page.until(lambda: page.all(".about-parts dd"), "the view of the index")
    codes = page.run(
        "return [...document.querySelectorAll('.about-parts dd code')].map((node) => [node.textContent, node.title])"
    )
    model = ask("index")["model_id"]
    assert [f"{model[:12]}…", model] in codes
    assert "–" not in page.run(
        "return [...document.querySelectorAll('.about-parts dd')].map((node) => node.textContent)"
    )
