"""What can be said of an image without any weights: where its colors and its edges lie."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, conv2d, normalize, pad, relu

from nearbit.encoding.preprocessing import Preprocessing

THUMBNAIL_SIZE = 64
COLOR_FIELDS, EDGE_FIELDS, DIRECTIONS = 8, 4, 8
COLOR_WEIGHT = 4 / math.sqrt(3 * COLOR_FIELDS**2)
"""What lets colors and edges vary about as much: a color has a variance of some 1/16, edges have length 1."""
FAINT = 1e-3
"""Edges of a length below this are noise of rounding, and stay as faint as they are."""


class Thumbnail(nn.Module):
    """Colors over 8 x 8 fields and directions of edges over 4 x 4 fields: 320 features.

    It has nothing to train and needs nothing fetched. It finds what looks alike, colors and outlines in their places,
    and knows nothing of what an image shows: a last resort where no pretrained network is to be had.
    """

    feature_dim = 3 * COLOR_FIELDS**2 + DIRECTIONS * EDGE_FIELDS**2

    def __init__(self) -> None:
        super().__init__()
        turns = [2 * math.pi * turn / DIRECTIONS for turn in range(DIRECTIONS)]
        across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8  # Sobel's
        kernels = torch.stack([math.cos(turn) * across + math.sin(turn) * across.T for turn in turns])
        self.kernels: Tensor
        self.register_buffer("kernels", kernels[:, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map pixels float `(n, 3, h, w)` from 0 to 1 to features `(n, 320)`."""
        colors = adaptive_avg_pool2d(images, COLOR_FIELDS).flatten(1)
        grey = pad(images.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        edges = adaptive_avg_pool2d(relu(conv2d(grey, self.kernels)), EDGE_FIELDS).flatten(1)
        return torch.cat([colors * COLOR_WEIGHT, normalize(edges, eps=FAINT)], dim=1)


def plain_pixels(size: int) -> Preprocessing:
    """Return the preprocessing that hands pixels on as they are, from 0 to 1."""
    return Preprocessing(size=size, resize=size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
