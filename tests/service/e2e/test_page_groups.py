"""Groups on the page: near-duplicates within a distance, clusters, and from each of them on to a search."""

import pytest

pytestmark = pytest.mark.slow


def members(page):
    """Return (title, ids) of each group that is shown."""
    read = """return [...document.querySelectorAll("#groups-view .members")].map((group) => [
        group.querySelector("h2").textContent,
        [...group.querySelectorAll("a.tile")].map((link) => Number(new URL(link.href).searchParams.get("id")))])"""
    return page.until(lambda: page.run(read), "groups are shown")


def slide(page, css, value):
    page.one(css)
    page.run(
        "const field = document.querySelector(arguments[0]); field.value = arguments[1];"
        "field.dispatchEvent(new Event('input')); field.dispatchEvent(new Event('change'))",
        css,
        value,
    )


def test_duplicates_are_those_of_the_api_at_any_distance(page, ask):
    page.open()
    page.click("#to-groups")
    page.until(lambda: page.fields() == [("view", "duplicates")], "the address says it")
    for within in (3, 0, 1):
        slide(page, "#reach", within)
        found = ask(f"duplicates?radius={within}")
        expected = [[one["id"] for one in group["items"]] for group in found["groups"]]
        page.until(lambda: [ids for _, ids in members(page)] == expected, f"groups within {within}")  # noqa: B023
        titles = [title for title, _ in members(page)]
        assert titles == [f"{group['size']} images" for group in found["groups"]]
    assert page.fields() == [("view", "duplicates"), ("within", "1")]
    assert "nearbit duplicates pictures.index --radius 1 --confirm" in page.text("#groups-view")
    assert "Nothing is deleted" in page.text("#groups-view")


def test_clusters_show_the_typical_image_first_and_lead_to_a_search(page, ask):
    page.open("?view=duplicates")
    members(page)
    page.click(".tabs a:not([aria-current])")
    page.until(lambda: page.fields() == [("view", "clusters")], "the other tab")
    slide(page, "#number", 4)
    found = ask("clusters?number=4")["clusters"]
    expected = [[one["id"] for one in cluster["items"]] for cluster in found]
    page.until(lambda: [ids for _, ids in members(page)] == expected, "four clusters")
    assert page.text("#groups-view .tile b") == "typical"
    page.driver.refresh()
    assert [ids for _, ids in members(page)] == expected
    page.click("#groups-view a.tile")
    page.until(lambda: ("id", str(expected[0][0])) in page.fields(), "the typical image is searched by")
    assert page.results()[0][1] == 0
    page.driver.back()
    page.until(lambda: [ids for _, ids in members(page)] == expected, "back shows the clusters again")
