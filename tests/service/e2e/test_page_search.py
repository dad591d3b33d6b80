"""Searching with the page: bringing a picture, following results, filters, links that can be shared."""

import pytest
from served_pages import DROP, HOSTILE, PASTE, PLAIN, distance

pytestmark = pytest.mark.slow


@pytest.fixture
def query(place):
    """Give the bytes of a picture of the index."""
    return (place / "pictures" / PLAIN / "03.png").read_bytes()


def nearest(ask, code, k, keep=lambda item: True):
    """Return (id, distance) of the items nearest to a code, by a plain loop over all of them."""
    items = [item for item in ask("items?limit=200")["items"] if keep(item)]
    return sorted(((item["id"], distance(item["code"], code)) for item in items), key=lambda row: (row[1], row[0]))[:k]


@pytest.mark.parametrize("way", [DROP, PASTE], ids=["drop", "paste"])
def test_a_dropped_or_pasted_picture_finds_its_neighbors(page, ask, query, way):
    page.open()
    page.bring(way, query, name='a "quoted" <b>name</b>.png')
    shown = page.results()
    code = dict(page.fields())["code"]
    assert [(item, bits) for item, bits, _ in shown] == nearest(ask, code, 24)
    assert [rank for *_, rank in shown] == list(range(1, 25))
    assert shown[0][1] == 0
    assert page.text("#query h2") == 'a "quoted" <b>name</b>.png'
    times = page.run("return [...document.querySelectorAll('.times dd')].map((node) => node.textContent)")
    steps = page.run("return [...document.querySelectorAll('.times dt')].map((node) => node.textContent)")
    assert len(times) == 7 + ("Loading the model" in steps)  # one more where the picture waited for the model
    assert all(time.endswith(("ms", " s")) for time in times)


def test_a_picked_file_is_searched_and_its_picture_shown(page, place):
    page.open()
    page.all("#file")[0].send_keys(str(place / "pictures" / PLAIN / "05.png"))
    page.results()
    assert page.text("#query h2") == "05.png"
    loaded = "return document.querySelector('#query img').naturalWidth"
    page.until(lambda: page.run(loaded) == 60, "the query is shown at its own size")


def test_following_a_result_and_going_back_keeps_the_uploaded_picture(page, query):
    page.open()
    page.bring(DROP, query)
    first = page.results()
    uploaded = page.driver.current_url
    page.all("#results .pic")[4].click()
    page.until(lambda: page.fields() == [("id", str(first[4][0]))], "the address names the item")
    page.until(lambda: page.text("#query h2") == f"Image {first[4][0]}", "the item is the query")
    assert page.results()[0][1] == 0
    page.driver.back()
    page.until(lambda: page.driver.current_url == uploaded, "the address is that of the upload")
    page.until(lambda: page.text("#query h2") == "query.png", "the upload is the query again")
    assert page.results() == first
    page.driver.refresh()
    page.until(lambda: page.text("#query h2") == "query.png", "its name outlasts loading the page anew")
    page.until(lambda: page.run("return document.querySelector('#query img').naturalWidth") > 0, "its picture too")
    page.driver.forward()
    page.until(lambda: page.text("#query h2") == f"Image {first[4][0]}", "forward finds the item")


def test_filters_narrow_the_results_and_stand_in_the_address(page, ask):
    page.open("?id=1&k=60")
    code = ask("items/1")["code"]
    page.results()
    page.run("document.querySelector('#filters').open = true")
    page.one("#filter-find").send_keys("onERROR")
    boxes = page.until(lambda: page.all(".label-list input"), "labels are listed")
    assert [box.get_attribute("value") for box in boxes] == [HOSTILE[0]]
    boxes[0].click()
    expected = nearest(ask, code, 60, lambda item: HOSTILE[0] in item["labels"])
    page.until(lambda: [row[:2] for row in page.results()] == expected, "only items with the label")
    assert page.fields() == [("id", "1"), ("k", "60"), ("label", HOSTILE[0])]
    limit = expected[0][1]
    page.run(
        "const field = document.querySelector('#filter-radius'); field.value = arguments[0];"
        "field.dispatchEvent(new Event('change'))",
        limit,
    )
    within = [row for row in expected if row[1] <= limit]
    page.until(lambda: [row[:2] for row in page.results()] == within, "only items so near")
    assert 0 < len(within) < len(expected)
    page.driver.refresh()
    page.until(lambda: [row[:2] for row in page.results()] == within, "the address alone says it all")
    page.driver.back()
    page.until(lambda: page.fields() == [("id", "1"), ("k", "60")], "back takes the label away")


def test_number_of_results_follows_the_slider(page):
    page.open("?id=1")
    assert len(page.results()) == 24
    page.run(
        "const field = document.querySelector('#filter-k'); field.value = 7; field.dispatchEvent(new Event('change'))"
    )
    page.until(lambda: len(page.results()) == 7, "seven results")
    assert ("k", "7") in page.fields()


def test_exact_duplicates_are_hidden_on_request(page, ask):
    twins = [
        item["id"] for item in ask("items?limit=200")["items"] if item["path"].endswith(("wren/00.png", "wren/09.png"))
    ]
    assert len(twins) == 2
    page.open(f"?id={twins[0]}&k=60")
    shown = [item for item, *_ in page.results()]
    assert set(twins) <= set(shown)
    page.run("document.querySelector('#filters').open = true")
    page.click("#filter-unique")
    page.until(lambda: ("unique", "1") in page.fields(), "the address says it")
    left = [item for item, *_ in page.results()]
    assert left == [item for item in shown if item != max(twins)]
    assert "1 repeat hidden" in page.text(".results-head")


def test_a_picture_is_ranked_by_its_outputs_on_request(page, query):
    page.open()
    page.bring(DROP, query)
    by_distance = page.results()
    page.run("document.querySelector('#filters').open = true")
    page.click("#filter-ranking")
    page.until(lambda: ("ranking", "asymmetric") in page.fields(), "the address says it")
    measures = "return [...document.querySelectorAll('#results .measure b')].map((node) => node.textContent)"
    page.until(lambda: "." in page.run(measures)[-1], "weighted distances are shown")
    weighted = [float(words) for words in page.run(measures)]
    assert weighted == sorted(weighted)
    assert weighted[0] == 0 < weighted[-1]
    assert len(page.results()) == len(by_distance)
    page.all("#results .pic")[4].click()  # an image whose outputs the index does not keep
    page.until(lambda: page.one("#filter-ranking-needs"), "it is said that outputs are missing")
    page.until(lambda: "bit" in page.run(measures)[0], "distances are shown")
    page.click("#filter-ranking")
    page.until(lambda: ("ranking", "asymmetric") not in page.fields(), "the address says it no more")


def test_ties_are_shown_as_ties(page, ask):
    page.open("?id=1&k=60")
    shown = page.results()
    groups = page.run("return [...document.querySelectorAll('.group h3')].map((node) => node.textContent)")
    sizes = {}
    for _, bits, _ in shown:
        sizes[bits] = sizes.get(bits, 0) + 1
    assert max(sizes.values()) > 1
    words = []
    for at, (bits, size) in enumerate(sizes.items()):
        more = " or more" if at == len(sizes) - 1 and len(shown) == 60 else ""
        images = f"{size} image{'s' if size > 1 else ''}{more}{', tied' if size > 1 else ''}"
        words.append(f"{bits} bit{'' if bits == 1 else 's'} away: {images}")
    assert groups == words


def test_strips_tell_which_bits_differ(page, ask):
    page.open("?id=1&k=60")
    page.results()
    codes = {item["id"]: item["code"] for item in ask("items?limit=200")["items"]}
    told = page.run(
        "return [...document.querySelectorAll('.card')].map((card) => "
        "[Number(card.querySelector('.pick').dataset.id), card.querySelector('.strip').getAttribute('aria-label')])"
    )
    assert len({words for _, words in told}) > 3
    for item, words in told:
        odd = int(codes[item], 16) ^ int(codes[1], 16)
        places = [bit + 1 for bit in range(16) if odd >> (15 - bit) & 1]
        if not places:
            assert words == "the same code: 0 of 16 bits differ"
        else:
            listed = ", ".join(map(str, places[:12]))
            noun = "bits differs: bit" if len(places) == 1 else "bits differ: bits"
            assert words.startswith(f"{len(places)} of 16 {noun} {listed}")


def test_an_id_a_code_or_a_random_image_can_be_looked_up(page, ask):
    page.open()
    field = page.one("#lookup-field")
    field.send_keys("#7\n")
    page.until(lambda: page.fields() == [("id", "7")], "an id")
    code = ask("items/9")["code"]
    field = page.one("#lookup-field")
    field.clear()
    field.send_keys(code.upper() + "\n")
    page.until(lambda: page.fields() == [("code", code)], "a code")
    page.until(lambda: page.results()[0][1] == 0, "an item has this code")
    field.clear()
    field.send_keys("blackbird\n")
    page.says("neither an id nor a code", "4 hexadecimal digits")
    page.click("#random")
    page.until(lambda: dict(page.fields()).keys() == {"id"}, "a random item")
    page.until(lambda: page.results()[0][1] == 0, "its neighbors")
    assert page.text("#message") == ""


def test_the_start_page_offers_images_to_begin_with(page):
    page.open()
    names = lambda: [node.get_attribute("href") for node in page.all("#start a.tile")]  # noqa: E731
    first = page.until(names, "a grid of images")
    assert len(first) == len(set(first)) == 24
    page.click("#start button")
    page.until(lambda: names() and names() != first, "other images")
    chosen = names()[0]
    page.click("#start a.tile")
    page.results()
    assert page.driver.current_url == chosen
    page.driver.back()
    page.until(lambda: names()[0] == chosen, "back shows the same images again")
