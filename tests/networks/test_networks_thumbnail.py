"""The backbone without weights: colors and edges where they lie, by plain loops."""

import math

import numpy as np
import torch

from nearbit.networks import make_backbone


def described(pixels):
    """Return the features of one image uint8 `(3, 64, 64)`, field by field."""
    values = pixels.astype(np.float64) / 255
    colors = [
        values[c, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8].mean() for c in range(3) for y in range(8) for x in range(8)
    ]
    grey = np.pad(values.mean(axis=0), 1, mode="edge")
    across = (
        grey[:-2, 2:] - grey[:-2, :-2] + 2 * (grey[1:-1, 2:] - grey[1:-1, :-2]) + grey[2:, 2:] - grey[2:, :-2]
    ) / 8
    down = (grey[2:, :-2] - grey[:-2, :-2] + 2 * (grey[2:, 1:-1] - grey[:-2, 1:-1]) + grey[2:, 2:] - grey[:-2, 2:]) / 8
    edges = []
    for turn in range(8):
        seen = np.maximum(math.cos(math.pi * turn / 4) * across + math.sin(math.pi * turn / 4) * down, 0)
        edges += [seen[16 * y : 16 * y + 16, 16 * x : 16 * x + 16].mean() for y in range(4) for x in range(4)]
    return np.concatenate([np.array(colors) * 4 / math.sqrt(192), np.array(edges) / np.linalg.norm(edges)])


def test_features_are_colors_and_edges_of_the_fields():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64), np.uint8)
    backbone = make_backbone("thumbnail").eval()
    assert (backbone.spec.feature_dim, backbone.spec.pretrained) == (320, True)
    found = backbone(torch.from_numpy(pixels)).numpy()
    assert np.allclose(found, np.stack([described(one) for one in pixels]), atol=1e-5)


def test_an_image_of_one_color_has_no_edges():
    found = make_backbone("thumbnail")(torch.full((1, 3, 64, 64), 255, dtype=torch.uint8))
    assert np.allclose(found[0, :192], 4 / math.sqrt(192))
    assert np.allclose(found[0, 192:], 0, atol=1e-4)
