"""One browser, one served index, for all tests of the page."""

import json
import shutil
import urllib.request
from importlib.resources import files

import pytest
from served_pages import Page, served, write_index, write_pictures

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

AXE = """
const done = arguments[0];
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];
axe.run({runOnly: rules}).then(({violations}) => done(violations.map(({id, nodes}) =>
  [id, nodes.map(({target, failureSummary}) => [target.join(" "), failureSummary])])));
"""


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Give a folder with pictures/, a model and an index of both."""
    pytest.importorskip("starlette", reason="SKIPPED: the page needs starlette")
    from model_makers import random_model
    from nearbit.datasets import load_dataset

    root = tmp_path_factory.mktemp("served")
    dataset = load_dataset(str(write_pictures(root / "pictures")))
    model = random_model(n_bits=16)
    model.record.update(validation_map=0.4, reference={"float_cosine_map": 0.5, "images_per_class": 4.0})
    model.save(root / "pictures.model")
    write_index(root / "pictures.index", model, dataset)
    return root


@pytest.fixture(scope="session")
def site(place):
    """Give the address of the served index."""
    with served(place / "pictures.index", "--model", place / "pictures.model") as (address, _):
        yield address


@pytest.fixture(scope="session")
def ask(site):
    """Ask the API, without the page; gives the JSON of the answer."""

    def get(path):
        with urllib.request.urlopen(f"{site}api/v1/{path}", timeout=20) as answer:
            return json.load(answer)

    return get


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """Give a browser without a window."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="SKIPPED: the page is not tested, selenium is missing")
    binary = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    control = shutil.which("chromedriver")
    if binary is None or control is None:
        pytest.skip(
            "SKIPPED: the page is not tested, chromium or chromedriver is missing (apt install chromium-driver)"
        )
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1440,1000"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path_factory.mktemp("downloads"))})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(control))
    browser.set_script_timeout(180)
    yield browser
    browser.quit()


@pytest.fixture
def page_at(driver):
    """Open pages at an address in a fresh session; nothing that the browser complains about passes."""
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    emulate(driver)
    pages = []

    def at(address):
        page = Page(driver, address).open("livez")
        page.run("sessionStorage.clear(); localStorage.clear()")
        driver.get_log("browser")
        pages.append(page)
        return page

    yield at
    for page in pages:
        assert page.problems() == []
    driver.get("about:blank")


@pytest.fixture
def page(page_at, site):
    """Give the page of the served index, not yet open."""
    return page_at(site)


def emulate(driver, **features):
    """Set media features such as `prefers-color-scheme`, with `_` for `-`; without any, those of the browser."""
    named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})


@pytest.fixture
def media(driver):
    """Set media features of the browser."""
    return lambda **features: emulate(driver, **features)


@pytest.fixture
def screen(driver):
    """Set width and height of the window, as on a phone if it is narrow."""

    def set_size(width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    return set_size


@pytest.fixture(scope="session")
def axe():
    """Give the source of axe-core, from the package that holds it."""
    pytest.importorskip("axe_core_python", reason="SKIPPED: access is not tested, axe-core-python is missing")
    return files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def access():
    """Look for what keeps people out, with axe-core."""

    def check(page, axe):
        page.run(axe)
        assert page.driver.execute_async_script(AXE) == []

    return check
