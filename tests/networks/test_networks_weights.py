"""Weights from a file: loaded whole, or refused with the reason."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nearbit.errors import DataError
from nearbit.networks import load_weights, make_backbone, read_safetensors


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)


@pytest.fixture
def weights():
    generator = torch.Generator().manual_seed(0)
    return {
        "conv1.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "bn1.weight": torch.randn(4, generator=generator),
        "bn1.bias": torch.randn(4, generator=generator),
        "bn1.running_mean": torch.randn(4, generator=generator),
        "bn1.running_var": torch.rand(4, generator=generator) + 1,
        "bn1.num_batches_tracked": torch.tensor(7),
    }


def loaded(tmp_path, weights):
    path = tmp_path / "w.safetensors"
    save_file(weights, path)
    module = Tiny()
    load_weights(module, path)
    return module.state_dict()


def same(found, weights):
    return all(torch.equal(found[name], value) for name, value in weights.items())


def test_all_weights_are_loaded(tmp_path, weights):
    assert same(loaded(tmp_path, weights), weights)


@pytest.mark.parametrize("extra", ["fc.weight", "fc.bias", "classifier.1.weight", "head.fc.weight", "head.weight"])
def test_a_classifier_is_left_out(tmp_path, weights, extra):
    assert same(loaded(tmp_path, weights | {extra: torch.full((5,), float("nan"))}), weights)


def test_the_prefix_of_parallel_training_is_taken_off(tmp_path, weights):
    given = {f"module.{name}": value for name, value in weights.items()} | {"module.fc.bias": torch.zeros(3)}
    assert same(loaded(tmp_path, given), weights)


def test_old_files_without_counters_load(tmp_path, weights):
    del weights["bn1.num_batches_tracked"]
    assert same(loaded(tmp_path, weights), weights)


def test_half_precision_is_widened(tmp_path, weights):
    half = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    found = loaded(tmp_path, half)
    assert found["conv1.weight"].dtype == torch.float32
    assert torch.equal(found["conv1.weight"], half["conv1.weight"].float())


def without(weights, name):
    return {key: value for key, value in weights.items() if key != name}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda w: without(w, "bn1.running_var"), r"1 parameters are missing \(first: \['bn1.running_var'\]\), 0 have"),
        (lambda w: w | {"layer9.weight": torch.zeros(1)}, r"0 parameters .* 1 have no place .*'layer9.weight'"),
        (lambda w: w | {"bn1.weight": torch.zeros(5)}, r"bn1.weight must have the shape \(4,\), not \(5,\)"),
        (lambda w: w | {"bn1.bias": torch.tensor([0, float("nan"), 0, 0])}, "bn1.bias holds values that are not"),
        (lambda w: w | {"bn1.bias": torch.tensor([0, float("inf"), 0, 0])}, "bn1.bias holds values that are not"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_is_changed(tmp_path, weights, change, match):
    path = tmp_path / "w.safetensors"
    save_file(change(weights), path)
    module = Tiny()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(DataError, match=match):
        load_weights(module, path)
    assert same(module.state_dict(), before)


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x02pickle", b"\xff" * 64])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not a safetensors file"):
        read_safetensors(path)


@pytest.mark.parametrize("name", ["none.safetensors", "."])
def test_a_missing_file_and_a_folder_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="there is no weights file"):
        read_safetensors(tmp_path / name)


def test_a_resnet_with_weights_says_where_they_came_from(tmp_path):
    path = tmp_path / "r18.safetensors"
    source = make_backbone("resnet18")
    save_file(source.module.state_dict() | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, path)
    backbone = make_backbone("resnet18", weights=path)
    assert (backbone.spec.pretrained, backbone.spec.source) == (True, "r18.safetensors")
    assert (source.spec.pretrained, source.spec.source) == (False, "random")
    assert (backbone.preprocessing.size, backbone.preprocessing.resize) == (224, 256)
    assert (source.preprocessing.size, source.preprocessing.resize) == (224, 224)
    assert same(backbone.module.state_dict(), source.module.state_dict())
    with pytest.raises(DataError, match=r"does not fit the backbone: [1-9]\d* parameters are missing"):
        make_backbone("resnet34", weights=path)
