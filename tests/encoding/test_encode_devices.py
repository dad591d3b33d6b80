"""Devices: their names, networks that move there and back, and in what numbers a GPU convolves."""

from contextlib import ExitStack, nullcontext

import numpy as np
import pytest
import torch

from nearbit.encoding import torch_backend
from nearbit.encoding.torch_backend import find_device, placed, whole_floats
from nearbit.errors import InputError


def test_devices_by_name():
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("cuda:99", "quantum", ""):
        with pytest.raises(InputError, match=f"device '{name}' is not there .*take auto, cpu"):
            find_device(name)


class Moves(torch.nn.Linear):
    """A layer that says it moves."""

    def __init__(self, *, too_large=False):
        super().__init__(2, 2)
        self.seen, self.too_large = [], too_large

    def to(self, device):
        self.seen.append(device.type)
        if self.too_large and device.type == "meta":
            raise torch.OutOfMemoryError
        return self


def test_a_network_comes_back_from_a_device_whatever_happens():
    layer = Moves()
    with pytest.raises(KeyboardInterrupt, match="pressed"), placed(layer, torch.device("meta")):
        raise KeyboardInterrupt("pressed")
    assert layer.seen == ["meta", "cpu"]
    layer = Moves(too_large=True)
    with pytest.raises(InputError, match="too little memory for the network"), placed(layer, torch.device("meta")):
        pass
    assert layer.seen == ["meta", "cpu"]


def is_rounded():
    """Whether torch rounds convolutions on GPUs, by the switch that it has."""
    cudnn = torch.backends.cudnn
    return cudnn.conv.fp32_precision == "tf32" if hasattr(cudnn, "conv") else cudnn.allow_tf32


def test_convolutions_are_whole_on_a_gpu_until_the_last_block_ends():
    gpu, before = torch.device("cuda"), is_rounded()
    with whole_floats(torch.device("cpu")):
        assert is_rounded() == before
    with ExitStack() as second:
        with whole_floats(gpu):
            second.enter_context(whole_floats(gpu))
            assert not is_rounded()
        assert not is_rounded()
    assert is_rounded() == before


def test_a_module_may_ask_for_switches_of_its_own_meanwhile():
    before = torch.backends.cudnn.allow_tf32
    with whole_floats(torch.device("cuda")):
        assert torch.backends.cudnn.allow_tf32 is False
        with torch.backends.cudnn.flags(enabled=False):
            assert not torch.backends.cudnn.enabled
        assert not is_rounded()
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="this torch has no such switch")
@pytest.mark.parametrize("asked", ["tf32", "ieee"])
def test_convolutions_are_whole_whatever_was_asked_for_before(asked):
    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    try:
        convolutions.fp32_precision = asked
        with whole_floats(torch.device("cuda")):
            assert convolutions.fp32_precision == "ieee"
        assert convolutions.fp32_precision == asked
    finally:
        convolutions.fp32_precision = before


def test_batches_run_in_whole_floats(monkeypatch):
    asked = []
    monkeypatch.setattr(torch_backend, "whole_floats", lambda device: asked.append(device) or nullcontext())
    torch_backend.run_batches(torch.nn.Flatten(), np.zeros((3, 3, 8, 8), np.uint8), torch.device("cpu"))
    assert asked == [torch.device("cpu")]
