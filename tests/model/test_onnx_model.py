"""Exported networks encode as the arithmetic says, in any batches, from any thread, and by every kind of image."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from nearbit.codes import pack, signs_of
from nearbit.errors import ImageError, InputError, MissingExtraError
from onnx_makers import expected_outputs, hand_made
from tiny_data import dataset_of, tiny_dataset

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def images(n, size=8, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("n", [0, 1, 2, 16, 17, 33])
def test_outputs_of_any_number_of_images_are_those_of_the_arithmetic(n):
    model, given = hand_made(), images(n)
    outputs = model.outputs(list(given))
    assert outputs.shape == (n, 12)
    assert outputs.dtype == np.float32
    assert np.allclose(outputs, expected_outputs(given.transpose(0, 3, 1, 2), 12), rtol=1e-4, atol=0.05)


@pytest.mark.parametrize(("n_bits", "size"), [(1, 8), (8, 1), (12, 5), (65, 8), (130, 3)])
def test_codes_of_any_length_are_packed_signs(n_bits, size):
    model, given = hand_made(n_bits, size), images(9, size)
    outputs = expected_outputs(given.transpose(0, 3, 1, 2), n_bits)
    sure = np.abs(outputs).min() > 1e-3
    assert sure
    codes = model.encode(list(given))
    assert codes.shape == (9, -(-n_bits // 8))
    assert np.array_equal(codes, pack(signs_of(outputs.astype(np.float32))))


def test_paths_pillow_images_and_arrays_mix_for_an_exported_network(tmp_path):
    model, (one, two) = hand_made(), images(2)
    Image.fromarray(one).save(tmp_path / "a.png")
    codes = model.encode([tmp_path / "a.png", Image.fromarray(one), one, two])
    assert (codes[:3] == codes[0]).all()
    assert not np.array_equal(codes[0], codes[3])


def test_an_exported_network_names_the_images_that_it_cannot_read(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"<html>")
    with pytest.raises(ImageError, match=r"1 of 2 images cannot be read: .*bad\.jpg: a web page"):
        hand_made().encode([images(1)[0], tmp_path / "bad.jpg"])
    with pytest.raises(InputError, match="expected a list of images, came one image"):
        hand_made().encode(images(1)[0])


def test_rows_of_a_data_set_come_in_order_and_are_computed_once(tmp_path, monkeypatch):
    model, given = hand_made(), images(7)
    given[5] = given[2]
    dataset = dataset_of(given, np.zeros((7, 0), np.bool_), ())
    expected = model.outputs(list(given[[5, 0, 2]]))
    for _ in range(2):
        encoded = model.encode_dataset(dataset, [5, 0, 2], cache=tmp_path)
        assert np.allclose(encoded.outputs, expected, rtol=1e-5, atol=1e-2)
        assert encoded.rows.tolist() == [5, 0, 2]
        monkeypatch.setattr(type(model.session), "run", None)  # the second round asks the cache
    assert len(model.row_cache(tmp_path).missing(dataset.digests)) == 4


def test_rows_of_other_networks_are_kept_apart(tmp_path):
    dataset = tiny_dataset()
    hand_made(seed=0).encode_dataset(dataset, cache=tmp_path)
    other = hand_made(seed=1)  # of the same source, as a network traced by another release would be
    assert len(other.row_cache(tmp_path).missing(dataset.digests)) == len(dataset)


def test_many_threads_use_one_network_at_once():
    model, given = hand_made(), images(20)
    expected = model.outputs(list(given))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: model.outputs([given[row]])[0], list(range(20)) * 5))
    assert np.allclose(found, np.tile(expected, (5, 1)), rtol=1e-5, atol=1e-2)


def test_an_exported_network_runs_on_the_cpu_only(tmp_path):
    model = hand_made()
    assert len(model.outputs(list(images(1)), device="cpu")) == 1
    for call in (
        lambda: model.outputs(list(images(1)), device="cuda"),
        lambda: model.row_cache(tmp_path, "mps"),
        lambda: model.encode_dataset(tiny_dataset(), device="cuda:1"),
    ):
        with pytest.raises(InputError, match=r"an exported network runs on the CPU, not on '(cuda|mps)"):
            call()


def test_float32_keeps_the_id_of_its_source_and_int8_has_its_own():
    assert hand_made().model_id == "5" * 64
    ids = {hand_made(precision="int8", source=source, seed=seed).model_id for source in "56" for seed in (0, 1)}
    assert len(ids) == 4
    assert not ids & {"5", "6"}
    assert all(len(one) == 64 for one in ids)


def test_without_onnx_runtime_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"needs the package onnxruntime.*: pip install .*onnx"):
        hand_made()
