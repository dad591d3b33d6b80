"""A small convolutional network, trained from scratch on small images in seconds on a laptop."""

import torch
from torch import Tensor, nn

WIDTHS = (24, 48, 96, 192)


def _stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class SmallCNN(nn.Module):
    """Four 3×3 convolutions, three of which halve the image, then mean and maximum over positions: 384 features.

    The maximum keeps what stands in one place only, which counts where an image holds several things.
    """

    feature_dim = 2 * WIDTHS[-1]

    def __init__(self) -> None:
        super().__init__()
        before = (3, *WIDTHS)
        self.stages = nn.Sequential(
            *[_stage(before[place], width, 1 if place == 0 else 2) for place, width in enumerate(WIDTHS)]
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images float `(n, 3, h, w)` to features `(n, 384)`."""
        maps: Tensor = self.stages(images)
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
