"""Models with random weights, made without training."""

from dataclasses import replace

import numpy as np
import torch

from nearbit.centers import CenterState, centers_from, make_codebook
from nearbit.model.bundle import Model
from nearbit.networks import HashNetwork, Head, make_backbone
from tiny_data import tiny_dataset, tiny_split


def random_model(*, n_bits=12, seed=0, split=True, image_size=8, regime="scratch"):
    """Return a small model of three classes whose outputs are spread on both sides of 0."""
    torch.manual_seed(seed)
    backbone = make_backbone("small", image_size=image_size)
    head = Head(backbone.spec.feature_dim, n_bits, "linear")
    torch.nn.init.normal_(head.layers[0].weight)
    torch.nn.init.normal_(head.layers[0].bias)
    rng = np.random.default_rng(seed)
    codebook = make_codebook(6, n_bits, rng)
    assignment = np.tile(np.arange(3), (len(codebook), 1))
    centers = centers_from(codebook, assignment)
    return Model(
        network=HashNetwork(backbone, head).eval(),
        head={"kind": "linear", "hidden": 16, "dropout": 0.5},
        n_bits=n_bits,
        classes=("a", "b", "ü"),
        method="crh",
        method_options={"margin": 0.2, "scale": None},
        centers=CenterState(centers=centers, tie_break=centers[0], codebook=codebook, assignment=assignment),
        split=tiny_split(tiny_dataset()) if split else None,
        record={"regime": regime, "options": {"seed": seed}, "loss": 0.1},
    )


def model_of_far_centers(n_classes, n_bits):
    """A model with random weights. In each bit half of its centers are +1: no word is over n_bits / 2 from all."""
    blocks = {2: [[1, 1, 1], [-1, -1, -1]], 4: [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]}[n_classes]
    state = CenterState(
        centers=np.array(blocks, np.int8).repeat(n_bits // 3, axis=1), tie_break=np.ones(n_bits, np.int8)
    )
    return replace(random_model(n_bits=n_bits), centers=state, classes=tuple("abcd"[:n_classes]))
