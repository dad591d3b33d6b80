"""What is built of a foreign description stops where it is far larger than its weights."""

import threading

import pytest
import torch
from torch import nn

from nearbit.errors import BundleError
from nearbit.networks.bounded import bounded_building, check_config


class Chain(nn.Module):
    """So many layers; it counts those that were made."""

    def __init__(self, n, width=1):
        super().__init__()
        self.made = 0
        for number in range(n):
            self.register_parameter(f"w{number}", nn.Parameter(torch.empty(width)))
            self.made += 1


def test_what_fits_its_weights_is_built():
    with bounded_building(2, 100):
        module = Chain(100)
    assert module.made == 100


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (lambda: Chain(10**7), "weights"),
        (lambda: Chain(3, 2**24), "values"),
        (lambda: nn.Sequential(*(nn.Identity() for _ in range(20_000))), "layers"),
    ],
)
def test_what_is_far_larger_than_its_weights_is_stopped(build, kind):
    with (
        pytest.raises(BundleError, match=f"has far more {kind} than the 2 tensors given"),
        torch.device("meta"),
        bounded_building(2, 100),
    ):
        build()
    assert build is not None
    assert len(nn.Sequential(*(nn.Identity() for _ in range(20_000)))) == 20_000, "no bound stays behind"


def test_other_threads_are_not_bounded():
    built = []
    with bounded_building(0, 0):
        other = threading.Thread(target=lambda: built.append(Chain(5000)))
        other.start()
        other.join()
    assert built[0].made == 5000


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"num_hidden_layers": 12, "hidden_size": 768, "image_size": 224, "qkv_bias": True, "layer_norm_eps": 1e-12},
        {"vocab_size": 256_000, "depths": [2, 2, 18, 2], "id2label": {"0": "tench"}, "rope_theta": 1e9, "x": None},
        {"text_config": {"num_hidden_layers": 24}, "vision_config": {"num_hidden_layers": 24}},
    ],
)
def test_configurations_of_real_networks_pass(config):
    check_config(config, 5)
