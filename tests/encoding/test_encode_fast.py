"""The fastest way to run a network: which one is taken when, that it gives the same, and what memory holds."""

import os
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from model_makers import random_model
from nearbit.codes import signs_of
from nearbit.datasets import load_dataset
from nearbit.encoding import fast, pipeline
from nearbit.encoding.fast import RowCaches, chosen_way, encode_frozen, network_of, session_of
from nearbit.encoding.feature_cache import FeatureCache, FeatureStore
from nearbit.encoding.pipeline import EncodeRequest, encode_rows, in_blocks
from nearbit.encoding.preprocessing import FeatureInput, Preprocessing
from nearbit.errors import InputError, MissingExtraError
from nearbit.networks import backbone_of, make_backbone
from tiny_data import tiny_dataset

CPU = torch.device("cpu")
SEEN = Preprocessing(size=8, resize=8)
HAS_ONNX = all(fast.find_spec(name) is not None for name in fast.NEEDED)
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="needs nearbit[onnx]")


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv(fast.ENCODER, raising=False)


@pytest.fixture
def network():
    torch.manual_seed(3)
    backbone = make_backbone("small", image_size=8)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics of their own, so that folding has something to fold
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
    return backbone.eval()


def request_of(dataset, rows=None):
    rows = range(len(dataset)) if rows is None else rows
    keys, digests = [dataset.keys[row] for row in rows], [dataset.digests[row] for row in rows]
    return EncodeRequest(dataset.source, list(rows), keys, digests)


@needs_onnx
def test_onnx_runtime_gives_the_outputs_of_torch_but_for_rounding(network, monkeypatch):
    asked = {"what": "w", "device": CPU}
    by_torch = encode_frozen(network, SEEN, request_of(tiny_dataset()), way="torch", **asked).outputs
    monkeypatch.setattr(fast, "encode_images", None)  # torch has no part in it
    by_onnx = encode_frozen(network, SEEN, request_of(tiny_dataset()), way="onnx", **asked).outputs
    assert by_onnx.dtype == np.float32
    typical = np.sqrt((by_torch**2).mean())
    assert np.abs(by_torch - by_onnx).max() < 1e-4 * typical
    sure = np.abs(by_torch) > 1e-4 * typical
    assert np.array_equal(signs_of(by_torch)[sure], signs_of(by_onnx)[sure])
    assert sure.sum() > 1000


@needs_onnx
def test_many_images_go_to_onnx_runtime_and_few_to_torch(monkeypatch):
    many = -(-fast.WORTH_PIXELS // 64)
    assert chosen_way(SEEN, CPU, many, None, None) == "onnx"
    assert chosen_way(SEEN, CPU, many - 1, None, None) == "torch"
    assert chosen_way(SEEN, torch.device("cuda"), many, None, None) == "torch"
    assert chosen_way(FeatureInput(width=4), CPU, 10**9, None, None) == "torch"
    monkeypatch.setenv(fast.ENCODER, "onnx")
    assert chosen_way(SEEN, CPU, 1, None, None) == "onnx"
    monkeypatch.setenv(fast.ENCODER, "torch")
    assert chosen_way(SEEN, CPU, many, None, None) == "torch"


def test_without_onnx_runtime_torch_encodes_and_who_asks_for_it_is_told(monkeypatch):
    monkeypatch.setattr(fast, "find_spec", lambda name: None)
    assert chosen_way(SEEN, CPU, 10**9, None, None) == "torch"
    assert network_of(nn.Identity(), SEEN) is None
    monkeypatch.setenv(fast.ENCODER, "onnx")
    with pytest.raises(MissingExtraError, match="NEARBIT_ENCODER=onnx needs"):
        chosen_way(SEEN, CPU, 1, None, None)
    monkeypatch.setenv(fast.ENCODER, "tensorrt")
    with pytest.raises(InputError, match="must be auto, torch or onnx, not 'tensorrt'"):
        chosen_way(SEEN, CPU, 1, None, None)


@needs_onnx
def test_what_torch_computed_before_is_taken_as_it_is_and_caches_do_not_mix(network, tmp_path, monkeypatch):
    dataset = tiny_dataset()
    monkeypatch.setattr(fast, "WORTH_PIXELS", 20 * 64)
    caches = RowCaches(FeatureStore(tmp_path), "features", "w", CPU)
    digests = list(dataset.digests)
    caches.of("torch").add(digests[:-1], np.full((len(digests) - 1, 384), 7, np.float32))
    assert chosen_way(SEEN, CPU, len(digests), caches, digests) == "onnx"
    found = encode_frozen(network, SEEN, request_of(dataset), what="w", device=CPU, caches=caches)
    assert not (found.outputs == 7).all(axis=1).any()
    assert caches.of("torch").missing(digests) == [len(digests) - 1]
    caches.of("torch").add(digests[-1:], np.full((1, 384), 7, np.float32))
    again = encode_frozen(network, SEEN, request_of(dataset), what="w", device=CPU, caches=caches)
    assert (again.outputs == 7).all()


@needs_onnx
def test_a_network_is_made_once_and_kept_by_its_name(network, tmp_path, monkeypatch):
    made = []
    module_bytes = fast.module_bytes
    monkeypatch.setattr(fast, "module_bytes", lambda *given: made.append(1) or module_bytes(*given))
    first = session_of(network, SEEN, "w", tmp_path)
    assert session_of(network, SEEN, "w", tmp_path) is first
    fast._sessions.clear()  # another process
    other = session_of(network, SEEN, "w", tmp_path)
    assert len(made) == 1
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 8), dtype=np.uint8)
    assert np.array_equal(first.run(pixels), other.run(pixels))
    (file,) = (tmp_path / "networks").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    fast._sessions.clear()
    assert session_of(network, SEEN, "w", tmp_path) is not None
    session_of(network, SEEN, "another name", tmp_path)
    assert len(made) == 3


class ByHand(nn.Module):
    """Cannot be exported: what it does depends on what it is given."""

    def forward(self, images):
        return images.mean(dim=(2, 3)) * (2.0 if float(images.sum()) > 0 else 1.0)


@needs_onnx
def test_what_cannot_be_exported_is_run_by_torch_with_a_warning():
    backbone = backbone_of(ByHand(), image_size=8)
    with pytest.warns(UserWarning, match="cannot be made for ONNX Runtime, so PyTorch encodes, more slowly"):
        found = encode_frozen(backbone, SEEN, request_of(tiny_dataset()), what="w", device=CPU, way="onnx")
    with warnings.catch_warnings():  # once
        warnings.simplefilter("error")
        again = encode_frozen(backbone, SEEN, request_of(tiny_dataset()), what="w", device=CPU, way="onnx")
    assert found.outputs.tobytes() == again.outputs.tobytes()
    with pytest.warns(UserWarning, match="the model holds no network for ONNX Runtime"):
        assert network_of(backbone, SEEN) is None


@needs_onnx
def test_a_network_that_computes_something_else_is_not_taken(network, tmp_path, monkeypatch):
    torch.manual_seed(4)
    content = fast.module_bytes(make_backbone("small", image_size=8), SEEN.takes)
    monkeypatch.setattr(fast, "module_bytes", lambda *given: content)
    with pytest.warns(UserWarning, match="its outputs differ by"):
        assert session_of(network, SEEN, "w", tmp_path) is None
    assert not (tmp_path / "networks").exists()


@needs_onnx
def test_an_interrupted_encoding_goes_on_with_the_same_rows(tmp_path, monkeypatch):
    model, dataset = random_model(regime="frozen"), tiny_dataset()
    monkeypatch.setenv(fast.ENCODER, "onnx")
    model.encode_dataset(dataset, range(11), cache=tmp_path)
    files = set((tmp_path / "features").rglob("*.rows"))
    whole = model.encode_dataset(dataset, cache=tmp_path)
    assert files < set((tmp_path / "features").rglob("*.rows"))
    assert whole.outputs.tobytes() == model.encode_dataset(dataset, cache=tmp_path).outputs.tobytes()
    assert np.allclose(whole.outputs, random_model(regime="frozen").encode_dataset(dataset).outputs, atol=1e-4)


@pytest.mark.parametrize("sizes", [[], [3], [5, 5, 5], [1, 9, 2, 4, 4], [16]])
def test_blocks_are_the_same_however_rows_come(sizes, monkeypatch):
    monkeypatch.setattr(pipeline, "BLOCK", 4)
    rows = np.arange(2 * sum(sizes), dtype=np.float32).reshape(-1, 2)
    parts = np.split(rows, np.cumsum(sizes)[:-1]) if sizes else []
    blocks = list(in_blocks(parts))
    assert [len(block) for block in blocks] == [len(rows[start : start + 4]) for start in range(0, len(rows), 4)]
    assert not blocks or np.array_equal(np.concatenate(blocks), rows)


@pytest.mark.parametrize("cached", [False, True])
def test_no_more_than_a_block_is_held_while_outputs_are_made(tmp_path, monkeypatch, cached):
    monkeypatch.setattr(pipeline, "BLOCK", 8)
    given, gathered = [], []
    gather = FeatureCache.gather
    monkeypatch.setattr(FeatureCache, "gather", lambda self, asked: gathered.append(len(asked)) or gather(self, asked))
    dataset, cache = tiny_dataset(), FeatureCache(tmp_path, "k") if cached else None

    def finish(rows):
        given.append(len(rows))
        return rows[:, :2] * 2

    def compute(pixels):
        return pixels.reshape(len(pixels), -1)[:, :5].astype(np.float32)

    found = encode_rows(
        compute, pipeline.plain_reader(dataset.source, SEEN), request_of(dataset), finish=finish, cache=cache, chunk=3
    )
    expected = np.stack([SEEN.apply(dataset.source.read(row)).reshape(-1)[:2] * 2.0 for row in range(len(dataset))])
    assert np.array_equal(found.outputs, expected.astype(np.float32))
    assert given == [8, 8, 8, len(dataset) - 24]
    assert gathered == (given if cached else [])
    assert found.features is None


def test_features_are_kept_where_they_are_wanted(tmp_path):
    model, dataset = random_model(regime="frozen"), tiny_dataset()
    for cache in (None, tmp_path):
        found = model.encode_dataset(dataset, cache=cache, keep_features=True)
        features = encode_frozen(model.network.backbone, SEEN, request_of(dataset), what="w", device=CPU).outputs
        assert np.array_equal(found.features, features)
        assert model.encode_dataset(dataset, cache=cache).features is None


def test_rows_of_a_cache_are_read_as_they_are_asked_for(tmp_path):
    rng = np.random.default_rng(0)
    digests = [rng.bytes(32).hex() for _ in range(50)]
    rows = rng.random((50, 3), np.float32)
    cache = FeatureCache(tmp_path, "k")
    for start in range(0, 50, 7):
        cache.add(digests[start : start + 7], rows[start : start + 7])
    for opened in (cache, FeatureCache(tmp_path, "k")):
        assert len(opened) == 50
        for order in (np.arange(50), rng.permutation(50)[:20], np.array([6, 6, 0]), np.array([], np.int64)):
            assert np.array_equal(opened.gather([digests[row] for row in order]), rows[order])
    with pytest.raises(KeyError, match="00" * 32):
        cache.gather(["00" * 32])
    with pytest.raises(InputError, match="of the width 3, not 4"):
        cache.add(["00" * 32], np.zeros((1, 4), np.float32))
    next(cache.folder.iterdir()).unlink()
    with pytest.raises(InputError, match="was deleted or altered while it was in use"):
        cache.gather(digests)


def test_many_small_additions_are_sorted_in(tmp_path, monkeypatch):
    monkeypatch.setattr("nearbit.encoding.feature_cache.MOST_FRESH", 4)
    cache = FeatureCache(tmp_path, "k")
    digests = [f"{(row * 7919) % 100:02x}" + "00" * 31 for row in range(30)]  # zeros at the end are part of them
    for row, digest in enumerate(digests):
        cache.add([digest], np.array([[row]], np.float32))
    assert cache.missing([*digests, "ff" * 32]) == [30]
    assert cache.gather(digests)[:, 0].tolist() == list(range(30))
    cache.add(digests[:5], np.full((5, 1), 99, np.float32))
    assert cache.gather(digests[:5])[:, 0].tolist() == [99] * 5


@pytest.mark.real
@needs_onnx
def test_a_real_network_gives_the_same_codes_but_near_zero(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed: no real backbone was run")
    weights, data = os.environ.get("NEARBIT_WEIGHTS"), os.environ.get("NEARBIT_DATA")
    if not weights or not data:
        pytest.skip("NEARBIT_WEIGHTS or NEARBIT_DATA is not set: no real backbone was run")
    backbone = make_backbone(f"hf:{weights}/mobilenet_v2")
    dataset = load_dataset(f"{data}/imagenet-check", cache=tmp_path)
    request = request_of(dataset, range(min(40, len(dataset))))
    found = [
        encode_frozen(backbone, backbone.preprocessing, request, what="w", device=CPU, way=way).outputs
        for way in ("torch", "onnx")
    ]
    directions = np.random.default_rng(0).standard_normal((found[0].shape[1], 64)).astype(np.float32)
    outputs = [(rows - found[0].mean(axis=0)) @ directions for rows in found]
    typical = np.sqrt((outputs[0] ** 2).mean())
    assert np.abs(outputs[0] - outputs[1]).max() < 1e-3 * typical
    differ = signs_of(outputs[0]) != signs_of(outputs[1])
    assert np.abs(outputs[0][differ]).max(initial=0) < 1e-3 * typical
