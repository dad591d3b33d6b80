"""A small convolutional network, trained from scratch on small images in seconds on a laptop."""

from torch import Tensor, nn


def _stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class SmallCNN(nn.Module):
    """Five 3×3 convolutions, three of which halve the image, then the mean over positions: 256 features."""

    feature_dim = 256

    def __init__(self) -> None:
        super().__init__()
        widths = ((3, 32, 1), (32, 64, 2), (64, 128, 2), (128, 128, 1), (128, 256, 2))
        self.stages = nn.Sequential(*[_stage(*width) for width in widths])

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images float `(n, 3, h, w)` to features `(n, 256)`."""
        features: Tensor = self.stages(images).mean(dim=(2, 3))
        return features
