"""Runs of a second: tiny data with a small network from scratch, or with frozen features of a random ResNet."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from nearbit.networks import ResNet
from nearbit.training import TrainOptions, train
from tiny_data import tiny_dataset, tiny_split

SCRATCH = TrainOptions(image_size=8, epochs=3, batch_size=8, validate_every=1, learning_rate=0.005, device="cpu")


@pytest.fixture(scope="session")
def frozen(tmp_path_factory):
    """Options of frozen features of a ResNet-18 whose random weights stand for pretrained ones."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    torch.manual_seed(1)
    save_file(ResNet("resnet18").state_dict(), path)
    return replace(SCRATCH, backbone="resnet18", weights=path, image_size=32, hidden=16)


@pytest.fixture(scope="session")
def feature_cache(tmp_path_factory):
    """A cache of features that all tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run(frozen, feature_cache):
    """Train on tiny data: run("crh", "scratch", seed=1, …)."""

    def run_one(method="crh", regime="scratch", *, data=None, split=None, n_bits=12, multi_label=False, **given):
        dataset = data or tiny_dataset(multi_label=multi_label)
        extra = {
            name: given.pop(name) for name in ("progress", "checkpoint", "method_options", "callbacks") if name in given
        }
        options = replace(SCRATCH if regime == "scratch" else frozen, **given)
        return train(
            dataset, split or tiny_split(dataset), method=method, n_bits=n_bits, options=options, cache=feature_cache,
            **extra,
        )  # fmt: skip

    return run_one
