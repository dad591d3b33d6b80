"""The hash network: a backbone and a head."""

from torch import Tensor, nn

from nearbit.networks.backbones import Backbone
from nearbit.networks.heads import Head


class HashNetwork(nn.Module):
    """Pixels to outputs: uint8 `(n, 3, size, size)` to float `(n, n_bits)`, before tanh."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, pixels: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.backbone(pixels))
        return outputs
