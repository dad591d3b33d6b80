"""Preprocessing: the central square against an oracle, extreme shapes, augmentation, the round trip."""

import json

import numpy as np
import pytest
from PIL import Image

import oracles
from nearbit.errors import InputError
from nearbit.networks import Preprocessing

FILTERS = ("bilinear", "bicubic", "lanczos", "nearest", "box", "hamming")


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("width", "height", "resize", "size"),
    [(12, 12, 12, 12), (12, 20, 10, 8), (31, 17, 8, 7), (9, 5, 16, 14), (40, 7, 32, 28), (1, 6, 8, 7)],
)
def test_the_central_square_equals_the_oracle(width, height, resize, size):
    image = noise(width, height)
    found = Preprocessing(size=size, resize=resize).apply(image)
    for channel in range(3):
        expected = oracles.central_square(np.asarray(image)[:, :, channel].tolist(), resize, size)
        assert np.abs(found[channel].astype(float) - expected).max() < 1.6


def test_an_image_of_the_right_size_stays_as_it_is():
    image = noise(8, 8)
    assert np.array_equal(Preprocessing(size=8, resize=8).apply(image), np.asarray(image).transpose(2, 0, 1))


@pytest.mark.parametrize("size", [(10, 10), (14, 10), (10, 18)])
def test_the_cut_is_the_middle_where_nothing_is_resampled(size):
    image = noise(*size)
    left, top = (size[0] - 6) // 2, (size[1] - 6) // 2
    expected = np.asarray(image)[top : top + 6, left : left + 6].transpose(2, 0, 1)
    found = Preprocessing(size=6, resize=10, interpolation="nearest").apply(image)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", FILTERS)
def test_the_interpolation_is_the_one_that_is_named(name):
    image = noise(20, 20)
    expected = np.asarray(image.resize((8, 8), getattr(Image.Resampling, name.upper()))).transpose(2, 0, 1)
    assert np.array_equal(Preprocessing(size=8, resize=8, interpolation=name).apply(image), expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 3), (4999, 3), (640, 480)])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_any_shape_of_image_gives_one_square(shape, interpolation):
    preprocessing = Preprocessing(size=28, resize=32, interpolation=interpolation)
    image = Image.new("RGB", shape, (10, 200, 30))
    rng = np.random.default_rng(0)
    for pixels in (preprocessing.apply(image), *(preprocessing.augment(image, rng, mirror=True) for _ in range(20))):
        assert pixels.shape == (3, 28, 28)
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        assert all((pixels[channel] == value).all() for channel, value in enumerate((10, 200, 30)))


def ramp():
    """Return an image that is dark on the left and light on the right."""
    return Image.fromarray(np.tile(np.arange(0, 240, 6, dtype=np.uint8)[None, :, None], (40, 1, 3)))


def test_augmentation_mirrors_half_of_the_time_and_only_where_asked():
    preprocessing, image, rng = Preprocessing(size=8, resize=8), ramp(), np.random.default_rng(1)

    def is_mirrored(*, mirror):
        pixels = preprocessing.augment(image, rng, mirror=mirror)
        return int(pixels[0, 0, 0]) > int(pixels[0, 0, -1])

    assert not any(is_mirrored(mirror=False) for _ in range(50))
    assert 60 < sum(is_mirrored(mirror=True) for _ in range(200)) < 140


def test_augmented_squares_are_seventy_to_a_hundred_percent_of_the_shorter_side_and_everywhere():
    preprocessing, image, rng = Preprocessing(size=8, resize=8), ramp(), np.random.default_rng(2)
    rows = [preprocessing.augment(image, rng, mirror=False)[0, 0].astype(float) for _ in range(300)]
    sides = [(row[-2] - row[1]) / 6 * 8 / 5 for row in rows]
    assert min(sides) == pytest.approx(28, abs=1)
    assert max(sides) == pytest.approx(40, abs=1)
    middles = [row.mean() / 6 + 0.5 for row in rows]
    assert min(middles) < 16
    assert max(middles) > 24


def test_augmentation_is_decided_by_the_generator():
    preprocessing, image = Preprocessing(size=8, resize=8), noise(40, 30)
    pixels = [preprocessing.augment(image, np.random.default_rng(seed), mirror=True) for seed in (3, 3, 4)]
    assert np.array_equal(pixels[0], pixels[1])
    assert not np.array_equal(pixels[0], pixels[2])


def test_the_round_trip_through_json():
    preprocessing = Preprocessing(
        size=96, resize=110, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), interpolation="bicubic"
    )
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing


@pytest.mark.parametrize(("size", "resize"), [(112, 128), (96, 110), (224, 256), (1, 1), (448, 512)])
def test_another_size_keeps_the_cut_in_proportion(size, resize):
    other = Preprocessing(size=224, resize=256, mean=(0.5, 0.5, 0.5)).with_size(size)
    assert (other.size, other.resize, other.mean) == (size, resize, (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"size": 0, "resize": 8}, "not size 0 and resize 8"),
        ({"size": 9, "resize": 8}, "not size 9 and resize 8"),
        ({"size": 8, "resize": 8, "interpolation": "cubic"}, "unknown interpolation 'cubic'; known: bilinear, bicubic"),
        ({"size": 8, "resize": 8, "mean": (0.5,)}, "three means and three standard deviations"),
        ({"size": 8, "resize": 8, "std": (0.5, 0.5)}, "three means and three standard deviations"),
        ({"size": 8, "resize": 8, "std": (0.5, 0.0, 0.5)}, "three standard deviations above 0"),
    ],
)
def test_values_that_make_no_sense_are_refused(given, match):
    with pytest.raises(InputError, match=match):
        Preprocessing(**given)
