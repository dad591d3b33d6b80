"""ResNets have the parameters of the published ones, by name and by number; the small network is small."""

import pytest
import torch

from nearbit.errors import InputError
from nearbit.networks import ResNet
from nearbit.networks.backbones import SmallCNN

PUBLISHED = {
    "resnet18": ((2, 2, 2, 2), False, 512, 11_176_512),
    "resnet34": ((3, 4, 6, 3), False, 512, 21_284_672),
    "resnet50": ((3, 4, 6, 3), True, 2048, 23_508_032),
}


def published_shapes(depths, bottleneck):
    """Return the names and shapes of torchvision's parameters without the classifier, written out block by block."""
    shapes, last = {}, 64

    def conv(name, channels_out, channels_in, size):
        shapes[f"{name}.weight"] = (channels_out, channels_in, size, size)

    def norm(name, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    conv("conv1", 64, 3, 7)
    norm("bn1", 64)
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        widths = (width, width, 4 * width) if bottleneck else (width, width)
        sizes = (1, 3, 1) if bottleneck else (3, 3)
        for number in range(depth):
            block, channels = f"layer{stage + 1}.{number}", last
            for layer, (channels_out, size) in enumerate(zip(widths, sizes, strict=True), start=1):
                conv(f"{block}.conv{layer}", channels_out, channels, size)
                norm(f"{block}.bn{layer}", channels_out)
                channels = channels_out
            if number == 0 and (stage > 0 or bottleneck):
                conv(f"{block}.downsample.0", widths[-1], last, 1)
                norm(f"{block}.downsample.1", widths[-1])
            last = widths[-1]
    return shapes


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_shapes_and_numbers_of_parameters(name):
    depths, bottleneck, feature_dim, count = PUBLISHED[name]
    with torch.device("meta"):
        network = ResNet(name)
    found = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert found == published_shapes(depths, bottleneck)
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert network.feature_dim == feature_dim


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_stage_halves_the_image_in_its_first_3x3_convolution(name):
    with torch.device("meta"):
        network = ResNet(name)
    inner = "conv2" if name == "resnet50" else "conv1"
    for stage in (1, 2, 3, 4):
        layer = getattr(network, f"layer{stage}")
        strides = [getattr(block, inner).stride for block in layer]
        assert strides == [(1, 1) if stage == 1 else (2, 2)] + [(1, 1)] * (len(layer) - 1)
        if name == "resnet50":
            assert all(block.conv1.stride == block.conv3.stride == (1, 1) for block in layer)


@pytest.mark.parametrize(("size", "batch"), [(32, 2), (33, 1), (1, 1)])
def test_features_for_any_image_size(size, batch):
    network = ResNet("resnet18").eval()
    with torch.no_grad():
        assert network(torch.zeros(batch, 3, size, size)).shape == (batch, 512)


@pytest.mark.parametrize(("name", "last", "channels"), [("resnet18", "bn2", 64), ("resnet50", "bn3", 256)])
def test_shortcuts_carry_the_input_through_a_block_that_adds_nothing(name, last, channels):
    block = ResNet(name).layer1[1].eval()
    torch.nn.init.zeros_(getattr(block, last).weight)
    x = torch.randn(1, channels, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(block(x), x.relu())


def test_an_unknown_resnet_is_refused():
    with pytest.raises(InputError, match="unknown ResNet 'resnet101'; known: resnet18, resnet34, resnet50"):
        ResNet("resnet101")


@pytest.mark.parametrize("size", [1, 8, 17])
def test_the_small_network_takes_any_size_and_is_small(size):
    network = SmallCNN().eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 3, size, size)).shape == (2, SmallCNN.feature_dim)
    assert sum(parameter.numel() for parameter in network.parameters()) < 600_000
