"""Backbones by name: made, refused, rebuilt; fingerprints; libraries that are not installed."""

import re
import sys
from dataclasses import asdict, replace

import pytest
import torch
from torch import nn

from nearbit.errors import BundleError, InputError, MissingExtraError
from nearbit.extras import install_hint
from nearbit.networks import (
    Backbone,
    BackboneSpec,
    Preprocessing,
    backbone_of,
    make_backbone,
    rebuild_backbone,
)
from nearbit.networks.backbones import SmallCNN

DIMS = {"small": SmallCNN.feature_dim, "resnet18": 512, "resnet34": 512, "resnet50": 2048}


def pixels(size=8, n=2):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def features(backbone, given):
    with torch.no_grad():
        return backbone.eval()(given)


@pytest.mark.parametrize("name", sorted(DIMS))
def test_a_backbone_made_new_and_rebuilt_with_its_weights(name):
    backbone = make_backbone(name, image_size=32)
    assert backbone.spec == BackboneSpec(
        name=name, feature_dim=DIMS[name], pretrained=False, source="random", config={}
    )
    assert (backbone.preprocessing.size, backbone.preprocessing.resize) == (32, 32)
    first = features(backbone, pixels(32))
    assert first.shape == (2, DIMS[name])
    again = rebuild_backbone(
        BackboneSpec(**asdict(backbone.spec)), Preprocessing.from_dict(backbone.preprocessing.to_dict())
    )
    again.load_state_dict(backbone.state_dict())
    assert torch.equal(features(again, pixels(32)), first)
    assert again.fingerprint() == backbone.fingerprint()


def test_pixels_are_normalized_by_the_preprocessing():
    backbone = Backbone(
        torch.nn.Flatten(),
        Preprocessing(size=2, resize=2, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0)),
        BackboneSpec(name="small", feature_dim=12, pretrained=False, source="", config={}),
    )
    given = pixels(2, 1)
    expected = [
        (int(given[0, c, y, x]) / 255 - mean) / std
        for c, (mean, std) in enumerate(((0.1, 0.5), (0.2, 1.0), (0.3, 2.0)))
        for y in range(2)
        for x in range(2)
    ]
    assert torch.allclose(backbone(given)[0], torch.tensor(expected), atol=1e-6)
    assert backbone.state_dict() == {}


def test_a_fingerprint_changes_with_weights_and_preprocessing_and_with_nothing_else():
    backbone = make_backbone("small", image_size=8)
    start = backbone.fingerprint()
    assert len(start) == 64
    features(backbone, pixels())
    backbone.train()
    assert backbone.fingerprint() == start
    moved = Backbone(backbone.module, backbone.preprocessing, replace(backbone.spec, source="elsewhere"))
    assert moved.fingerprint() == start
    changes = ({"size": 9, "resize": 9}, {"resize": 9}, {"mean": (0, 0, 0)}, {"std": (1, 1, 1)})
    for change in (*changes, {"interpolation": "bicubic"}):
        other = Backbone(backbone.module, replace(backbone.preprocessing, **change), backbone.spec)
        assert other.fingerprint() != start, change
    with torch.no_grad():
        next(iter(backbone.module.parameters())).view(-1)[0] += 1e-3
    changed = backbone.fingerprint()
    assert changed != start
    next(iter(backbone.module.buffers())).view(-1)[0] += 1
    assert backbone.fingerprint() not in (start, changed)


def test_random_weights_follow_torchs_seed():
    prints = []
    for seed in (1, 1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            prints.append(make_backbone("small").fingerprint())
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet-18", r" Did you mean 'resnet18'\?"),
        ("resnet19", r" Did you mean 'resnet18'\?"),
        ("ResNet-34", r" Did you mean 'resnet34'\?"),
        ("smal", r" Did you mean 'small'\?"),
        ("efficientnet", ""),
        ("hf:", ""),
        ("timm:", ""),
        ("", ""),
    ],
)
def test_an_unknown_name_is_refused_with_the_near_one(name, hint):
    with pytest.raises(InputError, match=rf"^unknown backbone '{name}'; known: small, resnet18, .*hf:FOLDER\.{hint}$"):
        make_backbone(name)


@pytest.mark.parametrize(
    ("name", "match"), [("small", "'small' is trained from scratch"), ("hf:folder", "brings its own weights")]
)
def test_weights_for_a_backbone_that_takes_none_are_refused(tmp_path, name, match):
    with pytest.raises(InputError, match=match):
        make_backbone(name, weights=tmp_path / "w.safetensors")


def test_an_image_size_of_nothing_is_refused():
    with pytest.raises(InputError, match="1 <= size <= resize, not size 0"):
        make_backbone("small", image_size=0)


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("timm:resnet18", "timm", "timm"), ("hf:nowhere", "transformers", "hf")]
)
def test_a_library_that_is_not_installed_is_named_with_the_command(monkeypatch, name, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    match = re.escape(f"the package {package}, which is not installed: {install_hint(extra, package)}")
    with pytest.raises(MissingExtraError, match=match):
        make_backbone(name)
    spec = BackboneSpec(name=name, feature_dim=1, pretrained=True, source="", config={})
    with pytest.raises(MissingExtraError, match=match):
        rebuild_backbone(spec, Preprocessing(size=8, resize=8))


@pytest.mark.parametrize("name", ["resnet200", "hf:", "os:system"])
def test_a_model_of_an_unknown_backbone_is_refused(name):
    spec = BackboneSpec(name=name, feature_dim=1, pretrained=True, source="", config={})
    with pytest.raises(BundleError, match=f"unknown backbone '{name}': update nearbit"):
        rebuild_backbone(spec, Preprocessing(size=8, resize=8))


def channels_lie_last(backbone):
    seen = []
    backbone.module.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    given = pixels(32)
    backbone.train()(given)
    backbone.eval()(given)
    return seen


def test_channels_lie_last_while_a_backbone_of_convolutions_trains():
    assert channels_lie_last(make_backbone("small", image_size=32)) == [True, False]
    assert channels_lie_last(make_backbone("resnet18", image_size=32)) == [True, False]


def test_the_maps_of_a_module_of_the_users_lie_as_it_takes_them_for_granted():
    module = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3, 2), nn.Flatten())
    backbone = backbone_of(module, image_size=32)
    assert channels_lie_last(backbone) == [False, False]
