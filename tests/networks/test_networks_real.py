"""A real pretrained backbone, where `NEARBIT_WEIGHTS` names the folder that holds it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from nearbit.datasets import load_dataset
from nearbit.networks import BackboneSpec, Preprocessing, make_backbone, rebuild_backbone

pytestmark = pytest.mark.real

FIRST_ARTIFACT, DOGS = 2_660_000, range(2_085_000, 2_114_000)
"""WordNet numbers: in ImageNet, animals come before artifacts, and dogs are in one stretch."""


def named_folder(variable: str, name: str) -> Path:
    named = os.environ.get(variable)
    if not named:
        pytest.skip(f"{variable} is not set: no real backbone was run")
    place = Path(named) / name
    if not place.exists():
        pytest.skip(f"{variable} holds no {name}: no real backbone was run")
    return place


def unit_features(backbone, images):
    backbone.eval()
    with torch.no_grad():
        batches = [backbone(torch.from_numpy(images[start : start + 16])) for start in range(0, len(images), 16)]
    return torch.nn.functional.normalize(torch.cat(batches), dim=1)


def test_a_pretrained_backbone_puts_like_images_next_to_each_other(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed: no real backbone was run")
    backbone = make_backbone(f"hf:{named_folder('NEARBIT_WEIGHTS', 'mobilenet_v2')}")
    dataset = load_dataset(named_folder("NEARBIT_DATA", "imagenet-check"), cache=tmp_path)
    assert (backbone.spec.name, backbone.spec.feature_dim) == ("hf:mobilenet_v2", 1280)
    preprocessing = Preprocessing(size=224, resize=256, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear")
    assert backbone.preprocessing == preprocessing

    images = np.stack([preprocessing.apply(dataset.source.read(row, at_least=256)) for row in range(len(dataset))])
    features = unit_features(backbone, images)
    assert features.shape == (200, 1280)
    assert bool(torch.isfinite(features).all())

    numbers = np.array([int(name.removeprefix("n")) for name in dataset.classes])[dataset.labels.argmax(axis=1)]
    nearest = (features @ features.T).fill_diagonal_(-1).argmax(dim=1).numpy()
    animals, dogs = numbers < FIRST_ARTIFACT, np.isin(numbers, DOGS)
    assert (animals == animals[nearest]).mean() > 0.85
    assert dogs[nearest][dogs].mean() > 0.5
    assert dogs[nearest][~dogs].mean() < 0.06

    mirrored = unit_features(backbone, np.ascontiguousarray(images[::5, :, :, ::-1]))
    assert (mirrored @ features.T).argmax(dim=1).tolist() == list(range(0, 200, 5))

    spec = BackboneSpec(**json.loads(json.dumps(backbone.spec.__dict__)))
    again = rebuild_backbone(spec, Preprocessing.from_dict(preprocessing.to_dict()))
    again.load_state_dict(backbone.state_dict())
    assert torch.equal(unit_features(again, images[:16]), features[:16])
    assert again.fingerprint() == backbone.fingerprint()
