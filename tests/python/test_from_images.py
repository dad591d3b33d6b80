"""Pixels in arrays and tensors, and torch data sets, as data sets."""

import numpy as np
import pytest
import torch
from PIL import Image

import nearbit as nb
from nearbit.errors import DataError, ImageError, InputError
from tiny_data import tiny_labels, tiny_pixels, write_folder

LABELS = tiny_labels()
PIXELS = tiny_pixels(LABELS)
NUMBERS = LABELS.argmax(axis=1)


class Pairs:
    """A torch data set in all that counts: a length, and pairs of an image and a label."""

    classes = ("red", "green", "blue")

    def __init__(self, make, labels=NUMBERS):
        self.make, self.labels = make, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        return self.make(row), self.labels[row]


@pytest.mark.parametrize(
    "given",
    [PIXELS, PIXELS.transpose(0, 3, 1, 2), torch.from_numpy(PIXELS), torch.from_numpy(PIXELS).permute(0, 3, 1, 2)],
)
def test_channels_may_be_first_or_last(given):
    dataset = nb.from_images(given, NUMBERS)
    assert all(np.array_equal(np.asarray(dataset.source.read(row)), PIXELS[row]) for row in range(len(PIXELS)))
    assert dataset.digests == nb.from_images(PIXELS).digests
    assert np.array_equal(dataset.labels, LABELS)


def test_where_both_forms_fit_a_tensor_has_channels_first_and_an_array_last():
    narrow = np.random.default_rng(0).integers(0, 255, (2, 3, 5, 3), dtype=np.uint8)
    assert nb.from_images(narrow).source.pixels.shape == (2, 3, 5, 3)
    assert np.array_equal(nb.from_images(torch.from_numpy(narrow)).source.pixels, narrow.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("given", [PIXELS[..., 0], PIXELS[..., :1], PIXELS[:, None, :, :, 0]])
def test_greyscale_has_one_channel_or_none(given):
    assert nb.from_images(given).source.pixels.shape == PIXELS.shape[:3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (PIXELS / np.float32(255), r"uint8, 0 to 255, not float32: \(pixels \* 255\)"),
        (PIXELS.astype(np.int64), "not int64"),
        (PIXELS[..., :2], r"must have the shape .*not \(30, 12, 12, 2\)"),
        (PIXELS[0, 0], r"not \(12, 3\)"),
        (PIXELS[:0], "at least one row"),
    ],
)
def test_pixels_of_another_form_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        nb.from_images(given)


@pytest.mark.parametrize(
    "make",
    [
        lambda row: PIXELS[row],
        lambda row: Image.fromarray(PIXELS[row]),
        lambda row: torch.from_numpy(PIXELS[row]).permute(2, 0, 1),
    ],
)
def test_a_torch_data_set_trains_like_files(make):
    dataset = nb.from_torch(Pairs(make))
    assert dataset.classes == ("red", "green", "blue")
    assert dataset.name == "Pairs"
    assert dataset.digests == nb.from_images(PIXELS).digests
    options = nb.TrainOptions(image_size=8, epochs=1, batch_size=8, device="cpu")
    model = nb.train(dataset, nb.make_split(dataset), method="csq", n_bits=8, options=options)
    assert np.array_equal(model.encode(PIXELS), nb.codes.binarize(model.encode_dataset(dataset).outputs))


def test_labels_of_a_torch_data_set_may_be_tensors_names_or_vectors():
    make = PIXELS.__getitem__
    for labels in (torch.from_numpy(NUMBERS), list(np.array(Pairs.classes)[NUMBERS]), LABELS, torch.from_numpy(LABELS)):
        assert np.array_equal(nb.from_torch(Pairs(make, labels)).labels, LABELS)


def test_a_torch_data_set_that_gives_another_image_each_time_is_found_out():
    rng = np.random.default_rng(0)
    dataset = nb.from_torch(Pairs(lambda row: rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)))
    with pytest.raises(ImageError, match="leave random transforms out"):
        dataset.source.read(0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Pairs(lambda row: torch.zeros(3, 8, 8)), "the image of item 0: pixels must be uint8"),
        (Pairs(lambda row: "a.jpg"), "the image of item 0 must be a Pillow image"),
        ([PIXELS[0]], r"item 0 of the data set must be a pair \(image, label\), not ndarray"),
        (iter(()), "with a length and items, not tuple_iterator"),
    ],
)
def test_what_is_no_such_data_set_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        nb.from_torch(given)


def test_a_real_torch_data_set():
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(PIXELS).permute(0, 3, 1, 2), torch.from_numpy(NUMBERS))
    assert nb.from_torch(pairs, classes=["a", "b", "c"]).label_names(29) == ("c",)


def test_a_model_is_evaluated_on_a_folder_by_its_path(tmp_path):
    folder = write_folder(tmp_path / "photos")
    dataset = nb.load_dataset(folder)
    options = nb.TrainOptions(image_size=8, epochs=1, batch_size=8, device="cpu")
    model = nb.train(dataset, nb.make_split(dataset), method="csq", n_bits=8, options=options)
    by_path = nb.evaluate(model, str(folder), device="cpu")
    assert by_path.report.figures == nb.evaluate(model, dataset, device="cpu").report.figures
    write_folder(tmp_path / "photos", seed=1)
    with pytest.raises(DataError, match="are not those that the split was made for"):
        nb.evaluate(model, folder)
