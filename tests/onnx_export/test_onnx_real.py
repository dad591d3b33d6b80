"""A real pretrained backbone and real images, where `NEARBIT_WEIGHTS` and `NEARBIT_DATA` name folders of them."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model_makers import random_model
from nearbit.datasets import load_dataset
from nearbit.networks import HashNetwork, Head, make_backbone
from nearbit.onnx_export import export_onnx

pytestmark = pytest.mark.real
for _name in ("onnx", "onnxscript", "onnxruntime", "transformers"):
    pytest.importorskip(_name, reason=f"{_name} is not installed")


def real_folder(variable, name):
    named = os.environ.get(variable)
    if not named or not (Path(named) / name).exists():
        pytest.skip(f"{variable} names no folder with {name}: no real network was exported")
    return Path(named) / name


def test_a_real_backbone_is_exported_and_keeps_its_bits_and_most_of_them_in_8(tmp_path):
    backbone = make_backbone(f"hf:{real_folder('NEARBIT_WEIGHTS', 'mobilenet_v2')}", image_size=128)
    dataset = load_dataset(real_folder("NEARBIT_DATA", "imagenet-check"), cache=tmp_path)
    torch.manual_seed(0)
    head = Head(backbone.spec.feature_dim, 64, "hidden")
    model = replace(random_model(n_bits=64, split=False), network=HashNetwork(backbone, head).eval(), head=head.spec)
    exact = export_onnx(model, dataset=dataset)
    assert (exact.parity.n_images, exact.parity.equal_bits) == (100, 1)
    short = export_onnx(model, int8=True, dataset=dataset)
    assert 0.9 < short.parity.equal_bits < 1
    assert short.retrieval.not_measured == "the model records no split"
    assert len(short.model.content) < 0.7 * len(exact.model.content)
    images = [dataset.source.read(row) for row in range(0, 200, 40)]
    near = short.model.outputs(images)
    assert np.corrcoef(near.ravel(), model.outputs(images, device="cpu").ravel())[0, 1] > 0.97
