"""The shapes: colour images drawn by our own code, one to three of twelve kinds an image, in four families."""

import colorsys
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from nearbit.datasets.dataset import Dataset
from nearbit.datasets.formats.format import KnownDataset
from nearbit.datasets.formats.outlines import FAMILIES, KINDS, draw_shape
from nearbit.datasets.images import ArrayImages, array_digests

N_IMAGES = 2400
SIDE = 32
_SEED = 20240
_SCALE = 4
_COUNTS = (0.5, 0.35, 0.15)
"""How often an image holds one, two and three shapes."""

_RADII = {1: (0.27, 0.38), 2: (0.20, 0.26), 3: (0.17, 0.21)}
"""Radius of a shape as a share of the side, by the number of shapes in the image."""

_TILT = 0.35
"""The largest turn of a shape either way, in radians (20 degrees)."""

Color = tuple[int, int, int]


@lru_cache(maxsize=1)
def load_shapes() -> Dataset:
    """Return 2,400 colour images of 32 x 32 pixels with one to three labels of 12 classes, each class with its family.

    Drawn anew from a fixed seed (about two seconds) and then kept in memory; deterministic for a version of Pillow.
    """
    rng = np.random.default_rng(_SEED)
    pixels = np.empty((N_IMAGES, SIDE, SIDE, 3), np.uint8)
    labels = np.zeros((N_IMAGES, len(KINDS)), np.bool_)
    for row in range(N_IMAGES):
        count = int(rng.choice((1, 2, 3), p=_COUNTS))
        kinds = rng.choice(len(KINDS), count, replace=False)
        labels[row, kinds] = True
        pixels[row] = draw_image([KINDS[kind] for kind in kinds], rng)
    for array in (pixels, labels):
        array.setflags(write=False)
    return Dataset(
        name="shapes",
        source=ArrayImages(pixels),
        keys=tuple(f"shapes/{row:04d}" for row in range(N_IMAGES)),
        labels=labels,
        classes=KINDS,
        digests=array_digests(pixels),
        parents=tuple(FAMILIES[kind] for kind in KINDS),
    )


def draw_image(kinds: list[str], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw shapes of the given kinds (1 to 3), apart from each other, on a soft ground: uint8 `(32, 32, 3)`."""
    side = SIDE * _SCALE
    ground, hue = _ground(rng)
    image = Image.fromarray(ground).resize((side, side), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    low, high = _RADII[len(kinds)]
    centers = _places(len(kinds), rng)
    for kind, (x, y) in zip(kinds, centers, strict=True):
        radius = float(rng.uniform(low, high)) * side
        x, y = (min(max(place * side, radius + 1), side - radius - 1) for place in (x, y))
        draw_shape(pen, kind, (x, y), radius, float(rng.uniform(-_TILT, _TILT)), _color(rng, hue))
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX)).astype(np.int16)
    noise = rng.normal(0, 4, small.shape).round().astype(np.int16)
    noisy: npt.NDArray[np.uint8] = np.clip(small + noise, 0, 255).astype(np.uint8)
    return noisy


def _ground(rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], float]:
    """Return four corner colours, uint8 `(2, 2, 3)`, of one hue, pale or dark, and that hue."""
    hue = float(rng.uniform())
    low, high = (0.82, 0.98) if rng.uniform() < 0.6 else (0.10, 0.28)
    corners = [_rgb(hue + rng.uniform(-0.06, 0.06), rng.uniform(0.1, 0.35), rng.uniform(low, high)) for _ in range(4)]
    return np.array(corners, np.uint8).reshape(2, 2, 3), hue


def _color(rng: np.random.Generator, ground_hue: float) -> Color:
    """Return a strong colour whose hue is not that of the ground and whose value lies between pale and dark."""
    return _rgb(ground_hue + rng.uniform(0.2, 0.8), rng.uniform(0.75, 1.0), rng.uniform(0.6, 0.85))


def _rgb(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _places(count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Return the centers of shapes as shares of the side, spread around the middle so that they hardly overlap."""
    if count == 1:
        return [(float(rng.uniform(0.38, 0.62)), float(rng.uniform(0.38, 0.62)))]
    turn = float(rng.uniform(0, 2 * np.pi))
    angles = [turn + 2 * np.pi * place / count for place in range(count)]
    return [(0.5 + 0.28 * float(np.cos(angle)), 0.5 + 0.28 * float(np.sin(angle))) for angle in angles]


SHAPES = KnownDataset(name="shapes", load=lambda _: load_shapes())
