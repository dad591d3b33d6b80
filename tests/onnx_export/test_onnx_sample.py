"""The images that an exported network is compared and calibrated on: spread, apart, and always the same."""

from dataclasses import replace

import numpy as np
import pytest

from nearbit.encoding.preprocessing import Preprocessing
from nearbit.errors import InputError
from nearbit.onnx_export.sample import built_in_pixels, chosen_rows, fits, pixels_of, spread
from tiny_data import tiny_dataset, tiny_split


@pytest.mark.parametrize(("n", "most"), [(0, 3), (1, 3), (3, 3), (4, 3), (100, 7), (1000, 256)])
def test_spread_rows_are_of_the_rows_in_order_and_even(n, most):
    rows = np.arange(n) * 2 + 5
    found = spread(rows, most)
    assert len(found) == min(n, most)
    assert set(found.tolist()) <= set(rows.tolist())
    assert found[:1].tolist() == rows[:1].tolist()
    assert (np.diff(found) > 0).all()
    if n > most:
        gaps = np.diff(found) / 2
        assert gaps.max() - gaps.min() <= 1


def test_of_a_split_that_fits_queries_are_compared_and_training_images_calibrate():
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    rows = chosen_rows(dataset, split)
    assert (rows.compared.tolist(), rows.calibration.tolist()) == (split.query.tolist(), split.train.tolist())
    assert rows.words == "query images"


@pytest.mark.parametrize("case", ["none", "of others", "no query"])
def test_without_a_split_that_fits_all_images_are_used_and_none_twice(case):
    dataset = tiny_dataset()
    split = None if case == "none" else tiny_split(tiny_dataset(seed=1) if case == "of others" else dataset)
    if case == "no query":
        split = replace(split, query=split.query[:0])
    rows = chosen_rows(dataset, split)
    assert not set(rows.compared.tolist()) & set(rows.calibration.tolist())
    assert len(rows.compared) + len(rows.calibration) == len(dataset)
    assert rows.words == "images"


def test_why_a_split_does_not_fit_is_said():
    assert fits(tiny_split(tiny_dataset()), tiny_dataset()) is None
    assert "are not those that the split was made for" in fits(tiny_split(tiny_dataset()), tiny_dataset(seed=1))


@pytest.mark.parametrize(("size", "resize"), [(1, 1), (8, 8), (28, 32)])
def test_built_in_pixels_are_many_and_always_the_same(size, resize):
    preprocessing = Preprocessing(size=size, resize=resize)
    pixels = built_in_pixels(preprocessing)
    assert pixels.shape == (68, 3, size, size)
    assert np.array_equal(pixels, built_in_pixels(preprocessing))
    assert len(np.unique(pixels.reshape(68, -1), axis=0)) >= (60 if size > 1 else 20)


def test_pixels_of_rows_are_those_of_the_preprocessing_and_of_no_rows_refused():
    dataset, preprocessing = tiny_dataset(), Preprocessing(size=8, resize=8)
    pixels = pixels_of(dataset, np.array([3, 1]), preprocessing)
    for row, found in zip((3, 1), pixels, strict=True):
        assert np.array_equal(found, preprocessing.apply(dataset.source.read(row)))
    with pytest.raises(InputError, match="tiny has too few readable images"):
        pixels_of(dataset, np.array([], np.int64), preprocessing)
