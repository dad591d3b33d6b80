"""Write the pictures of docs/gallery.md: parts of the pages that nearbit makes of its built-in images.

    python tools/gallery.py FOLDER

FOLDER keeps the demo, the comparison and the model between runs (some minutes the first time, on two cores). Needs
chromium, chromedriver, selenium and the extra plots. The pictures lie in docs/gallery and have 300 kB in all at most.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from nearbit.datasets import load_dataset

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "gallery"
MOST_BYTES = 300_000
COLORS = 96
COMPARED = ("--methods", "crh", "csq", "orthohash", "--bits", "12", "24", "48", "--seeds", "2", "--image-size", "16",
            "--epochs", "6", "--device", "cpu")  # fmt: skip


@dataclass(frozen=True)
class Shot:
    """A picture of a part of a page: file, page in the folder, and what JavaScript gives the elements to be shown."""

    name: str
    page: str
    elements: str


def all_of(selector: str) -> str:
    """Return JavaScript for all elements that a selector of CSS finds, as a list."""
    return f"[...document.querySelectorAll({json.dumps(selector)})]"


TABLE = "[...document.querySelectorAll('table')].find(e => e.querySelector('.best')).parentElement"
CHART = "...document.querySelector('.legend').children, document.querySelector('.panels svg')"
SHOTS = (
    Shot("digits-search.png", "demo/report.html", f"{all_of('#digits .row')}.slice(0, 3)"),
    Shot("shapes-search.png", "demo/report.html", f"{all_of('#shapes .row')}.slice(0, 3)"),
    Shot("few-images.png", "demo/report.html", all_of("#digits-few .dots")),
    Shot("few-centers.png", "demo/report.html", all_of("#digits-few .panels > div")),
    Shot("shapes-centers.png", "demo/report.html", all_of("#shapes .beside svg")),
    Shot("compare-table.png", "compared/report.html", f"[{TABLE}]"),
    Shot("compare-lengths.png", "compared/report.html", f"[{CHART}]"),
)


def main() -> None:
    """Run the commands, then take the pictures."""
    if len(sys.argv) != 2:
        sys.exit(f"give one folder to work in: python {sys.argv[0]} FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    PICTURES.mkdir(exist_ok=True)
    if not (folder / "demo" / "report.html").exists():
        nearbit(folder, "demo", "-o", "demo")
    nearbit(folder, "compare", "digits", *COMPARED, "-o", "compared")
    draw_plots(folder)
    take_shots(folder)
    total = sum(path.stat().st_size for path in PICTURES.iterdir())
    sys.stderr.write(f"{total:,} bytes in {PICTURES}\n")
    if total > MOST_BYTES:
        sys.exit(f"the pictures of the gallery have {total:,} bytes, {MOST_BYTES:,} at most: show less")


def nearbit(folder: Path, *words: str) -> None:
    """Run a command of nearbit in the folder."""
    subprocess.run([sys.executable, "-m", "nearbit", *words], cwd=folder, check=True)


def draw_plots(folder: Path) -> None:
    """Draw semantic centers beside the similarity that they follow, and the curves of an evaluation."""
    dataset = load_dataset("shapes")
    parents = np.array(dataset.parents)
    similarity = np.where(parents[:, None] == parents[None, :], 0.6, 0.1)
    np.fill_diagonal(similarity, 1.0)
    np.save(folder / "similarity.npy", similarity)
    drawn = ("--similarity", "similarity.npy", "--bits", "32", "--min-distance", "6", "--plot", "centers.png")
    nearbit(folder, "centers", "semantic", *drawn)
    nearbit(folder, "evaluate", "demo/shapes-crh-32.model", "shapes", "--plots", "plots", "--device", "cpu")
    keep(Image.open(folder / "centers.png"), "semantic-centers.png")
    keep(Image.open(folder / "plots" / "curve.png"), "curve.png")


def keep(image: Image.Image, name: str) -> None:
    """Write a picture with few colors, as small as that gets it."""
    image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(PICTURES / name, optimize=True)


def take_shots(folder: Path) -> None:
    """Open the pages in a browser without a window, and keep what the shots name."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    profile = tempfile.mkdtemp()
    for word in ("--headless=new", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={profile}"):
        options.add_argument(word)
    control = shutil.which("chromedriver")
    driver = webdriver.Chrome(options=options, service=Service(control) if control else None)
    try:
        for shot in SHOTS:
            driver.set_window_size(1100, 900)
            driver.get((folder / shot.page).resolve().as_uri())
            height = driver.execute_script("return document.documentElement.scrollHeight")
            driver.set_window_size(1100, height + 200)
            boxes = driver.execute_script(f"return {shot.elements}.map(e => e.getBoundingClientRect().toJSON())")
            picture = Image.open(BytesIO(driver.get_screenshot_as_png()))
            keep(picture.crop(around(boxes)), shot.name)
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


def around(boxes: list[dict[str, float]]) -> tuple[int, int, int, int]:
    """Return the box around all of some boxes of elements, with a margin: left, top, right, bottom."""
    margin = 6
    return (
        int(min(box["left"] for box in boxes)) - margin,
        int(min(box["top"] for box in boxes)) - margin,
        int(max(box["right"] for box in boxes)) + margin,
        int(max(box["bottom"] for box in boxes)) + margin,
    )


if __name__ == "__main__":
    main()
