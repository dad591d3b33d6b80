"""From images to outputs: order kept, nothing dropped silently, the same numbers from the cache and in any batches."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from model_makers import random_model
from nearbit.codes import pack, signs_of
from nearbit.datasets import ArrayImages
from nearbit.encoding import pipeline, torch_backend
from nearbit.encoding.pipeline import EncodeRequest, decoded_chunks, plain_reader
from nearbit.encoding.torch_backend import encode_images
from nearbit.errors import ImageError, InputError
from tiny_data import tiny_dataset, tiny_labels, tiny_pixels

PIXELS = tiny_pixels(tiny_labels())


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture
def calls(monkeypatch):
    """The sizes of the batches that networks are run on."""
    sizes, run_batches = [], torch_backend.run_batches

    def counted(module, pixels, device):
        sizes.append(len(pixels))
        return run_batches(module, pixels, device)

    monkeypatch.setattr(torch_backend, "run_batches", counted)
    return sizes


def one_by_one(model, images):
    """Return the outputs of images run through the network one at a time."""
    with torch.no_grad():
        rows = [
            model.network(torch.from_numpy(model.preprocessing.apply(Image.fromarray(image)))[None]) for image in images
        ]
    return torch.cat(rows).numpy()


def test_outputs_come_in_the_order_given(model):
    order = np.random.default_rng(0).permutation(30)
    expected = one_by_one(model, PIXELS)
    assert np.allclose(model.outputs(list(PIXELS[order])), expected[order], atol=1e-4)
    assert model.outputs(list(PIXELS)).dtype == np.float32


def test_codes_are_the_packed_signs_of_outputs(model):
    codes = model.encode(list(PIXELS))
    assert codes.dtype == np.uint8
    assert np.array_equal(codes, pack(signs_of(model.outputs(list(PIXELS)))))
    assert len(np.unique(codes, axis=0)) > 1


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_of_any_size_give_the_same_codes_but_for_outputs_near_zero(model, monkeypatch, batch):
    expected = one_by_one(model, PIXELS)
    monkeypatch.setattr(torch_backend, "CPU_PIXELS", batch * model.preprocessing.size**2)
    outputs = model.outputs(list(PIXELS))
    assert np.allclose(outputs, expected, atol=1e-4)
    sure = np.abs(expected) > 1e-4
    assert sure.mean() > 0.99
    assert np.array_equal(signs_of(outputs)[sure], signs_of(expected)[sure])


@pytest.mark.parametrize("chunk", [1, 4, 30, 31])
def test_chunks_of_any_size_keep_the_order(model, monkeypatch, chunk):
    monkeypatch.setattr(torch_backend, "CHUNK", chunk)
    assert np.allclose(model.outputs(list(PIXELS)), one_by_one(model, PIXELS), atol=1e-4)


def test_paths_pillow_images_and_arrays_mix_in_one_list(model, tmp_path):
    Image.fromarray(PIXELS[0]).save(tmp_path / "a.png")
    mixed = [tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(PIXELS[0]), PIXELS[0], PIXELS[1]]
    outputs = model.outputs(mixed)
    assert np.allclose(outputs, one_by_one(model, PIXELS)[[0, 0, 0, 0, 1]], atol=1e-4)
    assert not np.allclose(outputs[4], outputs[0], atol=1e-2)
    assert np.array_equal(model.encode(mixed), pack(signs_of(outputs)))
    grey = PIXELS[0, :, :, 0]
    assert np.array_equal(model.encode([grey]), model.encode([np.repeat(grey[:, :, None], 3, axis=2)]))


@pytest.mark.parametrize("mode", ["I;16", "RGBA", "LA", "1", "P", "CMYK", "L"])
def test_a_pillow_image_is_read_as_the_file_it_would_be(model, tmp_path, mode):
    image = Image.fromarray(PIXELS[3])
    if mode == "I;16":
        image = Image.fromarray(PIXELS[3, :, :, 0].astype(np.uint16) * 257)
    elif mode == "RGBA":
        image.putalpha(Image.fromarray(PIXELS[4, :, :, 1]))
    else:
        image = image.convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    assert np.array_equal(model.outputs([image]), model.outputs([path]))
    with Image.open(path) as opened:
        assert np.array_equal(model.outputs([opened]), model.outputs([path]))


def test_a_pillow_image_is_turned_as_its_exif_says(model, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS[3]).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as opened:
        assert np.array_equal(model.outputs([opened]), model.outputs([tmp_path / "a.png"]))
    assert not np.array_equal(model.outputs([PIXELS[3]]), model.outputs([tmp_path / "a.png"]))


def test_images_that_cannot_be_read_are_named_and_nothing_is_returned(model, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"<html>")
    with pytest.raises(ImageError, match=r"2 of 3 images cannot be read: .*bad\.jpg: a web page.*no\.jpg: no such"):
        model.encode([PIXELS[0], tmp_path / "bad.jpg", tmp_path / "no.jpg"])
    cut = (tmp_path / "cut.png").resolve()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:3000])
    with Image.open(cut) as opened, pytest.raises(ImageError, match="image 1: truncated or damaged"):
        model.encode([PIXELS[0], opened])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([5], "must be a path, a Pillow image or a uint8 array, not int"),
        ([PIXELS[0].astype(np.float32)], r"must be uint8 \(height, width, 3\)"),
        ([PIXELS[0, :, :, :2]], r"not uint8 \(12, 12, 2\)"),
        ([np.zeros((0, 5, 3), np.uint8)], r"not uint8 \(0, 5, 3\)"),
        ([np.zeros((2, 2, 3, 1), np.uint8)], r"not uint8 \(2, 2, 3, 1\)"),
        ("photo.jpg", "expected a list of images, came one image: put it in a list"),
        (PIXELS[0], "came one image"),
        (PIXELS[0, :, :, 0], "came one image"),
        (Image.fromarray(PIXELS[0]), "came one image"),
    ],
)
def test_what_is_no_list_of_images_is_refused(model, images, message):
    with pytest.raises(InputError, match=message):
        model.encode(images)


def test_an_array_of_images_is_a_list_of_images(model):
    assert np.array_equal(model.encode(PIXELS), model.encode(list(PIXELS)))


def test_no_images_give_no_codes(model):
    assert model.encode([]).shape == (0, 2)
    assert model.outputs([]).shape == (0, 12)
    encoded = model.encode_dataset(tiny_dataset(), [])
    assert (encoded.outputs.shape, encoded.rows.shape, encoded.problems) == ((0, 12), (0,), ())


class Failing:
    """The images of the tiny data set, of which some rows cannot be read."""

    def __init__(self, rows):
        self.rows, self.images = rows, ArrayImages(PIXELS)

    def __len__(self):
        return len(self.images)

    def read(self, row, at_least=None):
        if row in self.rows:
            raise ImageError(f"damaged {row}")
        return self.images.read(row, at_least)


@pytest.mark.parametrize("cached", [False, True])
def test_a_data_set_lists_what_it_cannot_read_and_keeps_the_rest_in_order(model, tmp_path, cached):
    dataset = replace(tiny_dataset(), source=Failing({4, 20}))
    asked = [20, 29, 4, 0, 7]
    encoded = model.encode_dataset(dataset, asked, cache=tmp_path if cached else None)
    assert encoded.rows.tolist() == [29, 0, 7]
    assert [(one.path, one.reason) for one in encoded.problems] == [("tiny/20", "damaged 20"), ("tiny/4", "damaged 4")]
    assert np.allclose(encoded.outputs, one_by_one(model, PIXELS[[29, 0, 7]]), atol=1e-4)
    nothing = model.encode_dataset(dataset, [4], cache=tmp_path if cached else None)
    assert (nothing.outputs.shape, len(nothing.problems)) == ((0, 12), 1)


def test_rows_of_equal_content_that_cannot_be_read_are_all_listed(model, tmp_path):
    dataset = tiny_dataset()
    digests = list(dataset.digests)
    digests[5] = digests[4]
    dataset = replace(dataset, digests=tuple(digests), source=Failing({4, 5}))
    encoded = model.encode_dataset(dataset, [3, 4, 5], cache=tmp_path)
    assert encoded.rows.tolist() == [3]
    assert [one.path for one in encoded.problems] == ["tiny/4", "tiny/5"]


@pytest.mark.parametrize("regime", ["scratch", "frozen"])
def test_what_is_in_the_cache_is_the_same_and_computes_nothing(tmp_path, calls, regime):
    model, dataset = random_model(regime=regime), tiny_dataset()
    plain = model.encode_dataset(dataset)
    calls.clear()
    first = model.encode_dataset(dataset, cache=tmp_path)
    assert sum(calls) == 30
    calls.clear()
    second = model.encode_dataset(replace(dataset, source=Failing(set(range(30)))), cache=tmp_path)
    assert calls == []
    for encoded in (first, second):
        assert encoded.outputs.tobytes() == plain.outputs.tobytes()
        assert np.array_equal(encoded.rows, plain.rows)


def test_only_what_is_missing_is_computed(model, tmp_path, calls):
    dataset = tiny_dataset()
    model.encode_dataset(dataset, range(10), cache=tmp_path)
    calls.clear()
    encoded = model.encode_dataset(dataset, [25, 3, 12, 25], cache=tmp_path)
    assert calls == [2]
    assert np.allclose(encoded.outputs, one_by_one(model, PIXELS[[25, 3, 12, 25]]), atol=1e-4)


def test_another_model_shares_no_features(tmp_path, calls):
    for regime in ("scratch", "frozen"):
        for values in ({}, {"seed": 1}, {"image_size": 9}):
            random_model(regime=regime, **values).encode_dataset(tiny_dataset(), range(5), cache=tmp_path)
    assert calls == [5] * 6


def test_models_of_one_frozen_backbone_share_its_features_and_others_share_nothing(tmp_path, calls):
    for regime, expected in (("frozen", [5]), ("scratch", [5, 5])):
        calls.clear()
        for n_bits in (12, 16):
            model = random_model(n_bits=n_bits, regime=regime)
            encoded = model.encode_dataset(tiny_dataset(), range(5), cache=tmp_path / regime)
            assert np.allclose(encoded.outputs, one_by_one(model, PIXELS[:5]), atol=1e-4)
        assert calls == expected


@pytest.mark.parametrize("regime", ["scratch", "frozen"])
def test_a_damaged_cache_file_is_computed_again(tmp_path, calls, regime):
    model, dataset = random_model(regime=regime), tiny_dataset()
    plain = model.encode_dataset(dataset, cache=tmp_path)
    (file,) = tmp_path.rglob("*.rows")
    content = bytearray(file.read_bytes())
    content[-6] ^= 64
    file.write_bytes(content)
    calls.clear()
    again = model.encode_dataset(dataset, cache=tmp_path)
    assert calls == [30]
    assert again.outputs.tobytes() == plain.outputs.tobytes()


def test_an_interrupted_run_keeps_its_chunks(model, tmp_path, monkeypatch, calls):
    monkeypatch.setattr(torch_backend, "CHUNK", 8)
    dataset = tiny_dataset()
    plain = model.encode_dataset(dataset)
    calls.clear()

    def stop(stage, done, total):
        if done == 16:
            raise KeyboardInterrupt("now")

    with pytest.raises(KeyboardInterrupt, match="now"):
        model.encode_dataset(dataset, cache=tmp_path, progress=stop)
    again = model.encode_dataset(dataset, cache=tmp_path)
    assert calls == [8, 8, 8, 6]
    assert again.outputs.tobytes() == plain.outputs.tobytes()


def test_progress_ends_at_the_whole(model, monkeypatch):
    monkeypatch.setattr(torch_backend, "CHUNK", 8)
    seen = []
    model.encode_dataset(tiny_dataset(), progress=lambda *now: seen.append(now))
    assert seen == [("Encoding", done, 30) for done in (8, 16, 24, 30)]


def test_encoding_leaves_the_network_in_evaluation_mode(model):
    model.network.train()
    before = model.outputs(list(PIXELS[:4]))
    assert not model.network.backbone.training
    assert np.array_equal(before, model.outputs(list(PIXELS[:4])))


def test_decoding_stops_when_its_reader_is_closed(monkeypatch):
    """Both threads stand still at an image of the second chunk until those behind it are called off."""
    monkeypatch.setenv("NEARBIT_THREADS", "2")
    read, called_off = [], threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            called_off.set()
            super().shutdown(wait=wait)

    def reader(row):
        read.append(row)
        if row >= 50:
            called_off.wait(20)
        return PIXELS[0]

    monkeypatch.setattr(pipeline, "ThreadPoolExecutor", Pool)
    chunks = decoded_chunks(reader, range(100_000), 50)
    assert len(next(chunks)) == 50
    chunks.close()
    assert called_off.is_set()
    assert len(read) <= 52


def test_a_reader_takes_the_place_of_the_plain_one(model):
    source = ArrayImages(PIXELS)
    job = EncodeRequest(source, [0, 1], ["a", "b"])
    plain = plain_reader(source, model.preprocessing)
    swapped = encode_images(
        model.network, model.preprocessing, job, device=torch.device("cpu"), reader=lambda row: plain(1 - row)
    )
    assert np.allclose(swapped.outputs, one_by_one(model, PIXELS[[1, 0]]), atol=1e-4)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_and_not_waited_for(model, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="not a regular file"):
        model.encode([tmp_path / "pipe.jpg"])


def test_nearbit_threads_bounds_the_readers(monkeypatch):
    monkeypatch.setenv("NEARBIT_THREADS", "1")
    seen = set()

    def read(row):
        time.sleep(0.001)
        seen.add(threading.get_ident())
        return np.zeros((3, 1, 1), np.uint8)

    assert sum(len(chunk) for chunk in decoded_chunks(read, range(20), 5)) == 20
    assert len(seen) == 1
