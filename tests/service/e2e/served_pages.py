"""An index of pictures with awkward names, the service of an index in a process of its own, and a page in a browser."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from PIL import Image

from nearbit.index import create_index
from nearbit.indexing import index_dataset

PATIENCE = 60.0
"""Seconds that anything may take to appear; what is there is seen at once."""
PLAIN = "wren"
HOSTILE = (
    "<img src=x onerror=window.pwned=1>",
    '"><script>window.pwned=1<',
    "it's \"quoted\" & <b onmouseover='window.pwned=1'>",
    "\u202egnp.\u05d0\u05d1 {{7*7}} ${window.pwned=1}",
)
PER_FOLDER = 12
UNUSED = "0001"
"""A code that no picture of the index has."""
DROP = """
const [bytes, name, type] = arguments;
const transfer = new DataTransfer();
transfer.items.add(new File([Uint8Array.from(bytes)], name, {type}));
const target = document.querySelector("#main");
for (const kind of ["dragenter", "dragover", "drop"])
  target.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: transfer}));
"""
PASTE = """
const [bytes, name, type] = arguments;
const transfer = new DataTransfer();
transfer.items.add(new File([Uint8Array.from(bytes)], name, {type}));
document.body.dispatchEvent(new ClipboardEvent("paste", {bubbles: true, cancelable: true, clipboardData: transfer}));
"""


def write_pictures(root):
    """Write a folder of class folders with small pictures; two of them are the same, fifty have names that attack."""
    rng = np.random.default_rng(0)
    for number, label in enumerate((PLAIN, *HOSTILE)):
        folder = root / label
        folder.mkdir(parents=True)
        for row in range(PER_FOLDER):
            pixels = rng.integers(0, 60, (40 + 4 * row, 60, 3), dtype=np.uint8) + rng.integers(
                0, 190, 3, dtype=np.uint8
            )
            pixels[:, : 12 * number] //= 3
            is_plain = number == 0 and row < 10
            name = f"{row:02d}.png" if is_plain else f'{row:02d} "<img src=x onerror=window.pwned={row}>.png'
            Image.fromarray(pixels).save(folder / name)
    shutil.copy(root / PLAIN / "00.png", root / PLAIN / "09.png")
    return root


def write_index(path, model, dataset):
    """Write an index of a data set beside the folder that it shows."""
    with create_index(path, n_bits=model.n_bits, model_id=model.model_id) as index:
        index_dataset(index, model, dataset, device="cpu")
    return path


@contextmanager
def served(index, *options, token=None):
    """Serve an index in a process of its own; gives the address of its page and the process."""
    environment = {name: value for name, value in os.environ.items() if name != "NEARBIT_TOKEN"}
    if token is not None:
        environment["NEARBIT_TOKEN"] = token
    log = Path(f"{index}.log")
    command = [sys.executable, "-m", "nearbit", "serve", str(index), *map(str, options)]
    if "--port" not in options:
        command += ["--port", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        yield _ready(process, log), process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _ready(process, log):
    """Wait until the service has its index and its model, and return the address of its page."""
    end = time.monotonic() + 5 * PATIENCE
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r"serves (http://\S+)", log.read_text(errors="replace"))
        if found and _answers(f"{found.group(1)}readyz"):
            return found.group(1)
        time.sleep(0.2)
    raise RuntimeError(f"the service did not start; its log ends:\n{log.read_text(errors='replace')[-1000:]}")


def _answers(address):
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE):
            return True
    except OSError:
        return False


def distance(code, other):
    """Count the bits in which two codes in hexadecimal differ."""
    return (int(code, 16) ^ int(other, 16)).bit_count()


class Page:
    """The page in a browser: what a person sees and does."""

    def __init__(self, driver, address):
        self.driver, self.address = driver, address

    def open(self, path=""):
        self.driver.get(self.address + path)
        self.until(lambda: self.run("return document.readyState") == "complete", "the page is loaded")
        return self

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, holds, what):
        """Wait until something holds; what a script meets while the page changes does not count."""
        end = time.monotonic() + PATIENCE
        last = None
        while time.monotonic() < end:
            try:
                last = holds()
                if last:
                    return last
            except Exception as error:  # noqa: BLE001 - an element may go away while it is looked at
                last = error
            time.sleep(0.03)
        raise AssertionError(f"not within {PATIENCE} s: {what}; the last look gave {last!r}")

    def all(self, css):
        return self.driver.find_elements("css selector", css)

    def one(self, css):
        return self.until(
            lambda: next((node for node in self.all(css) if node.is_displayed()), None), f"{css} is shown"
        )

    def text(self, css):
        return self.run("return document.querySelector(arguments[0])?.textContent ?? null", css)

    def says(self, *words):
        """Wait for a message that holds all these words."""
        shown = lambda: self.text("#message .message") or self.text("#results .message") or ""  # noqa: E731
        self.until(lambda: all(word in shown() for word in words), f"a message says {words}")

    def click(self, css):
        self.one(css).click()

    def press(self, *keys):
        """Press keys wherever the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def bring(self, script, data, name="query.png", kind="image/png"):
        """Drop or paste a file."""
        self.run(script, list(data), name, kind)

    def results(self):
        """Wait for results; return (id, distance in bits, rank) of each card, as shown."""
        self.until(lambda: self.all("#results .card .pic") and not self.all("#results.waiting"), "results are shown")
        read = """return [...document.querySelectorAll("#results .card")].map((card) => [
            Number(card.querySelector(".pick").dataset.id),
            parseInt(card.querySelector(".measure b").textContent), Number(card.querySelector(".rank").textContent)])"""
        return [tuple(row) for row in self.run(read)]

    def fields(self):
        """Return what the address of the page says, as pairs."""
        return parse_qsl(urlsplit(self.driver.current_url).query)

    def problems(self):
        """Return what the browser complained about since the last time, but for requests that the service refused."""
        logged = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [line for line in logged if "Failed to load resource" not in line]
