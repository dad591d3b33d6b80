"""Codes without training: a pretrained backbone and a closed form of its features, for who wants to search at once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.datasets import Dataset, Split
from nearbit.methods import ITQ, RANDOM, Baseline
from nearbit.methods.closed_form.projections import TooFewDirectionsError
from nearbit.model.bundle import Model
from nearbit.progress import Progress, silent
from nearbit.training import TrainOptions, plan

N_BITS = 128
"""Code length where none is asked for: codes that nobody trained need more bits than trained ones to say as much."""
FEWEST_DIRECTIONS = 16
"""Features that vary in fewer directions say too little of images to come: random directions do better then."""
MOST = 10_000
"""So many images, evenly spread, are enough to find directions by."""


def untrained_model(
    dataset: Dataset,
    backbone: str,
    *,
    n_bits: int = N_BITS,
    device: str = "auto",
    cache: str | Path | None = None,
    progress: Progress = silent,
) -> Model:
    """Return a model that nobody trained: signs of the features of a pretrained backbone, projected by ITQ.

    Labels are not looked at. Images too few to vary in as many directions as there are bits get a frame in the place
    of ITQ's rotation; those that vary in fewer than 16, random directions. Deterministic.

    Args:
        dataset: the images that will be searched; at most 10,000 of them are looked at.
        backbone: a pretrained one, see `nearbit.networks.make_backbone`.
        n_bits: length of the codes.
        device: "auto", "cpu", "cuda", …
        cache: a folder that keeps features by content.
        progress: called as images are encoded.

    Returns:
        The model; its method is "itq" or "random", and its record says `"untrained": True` and in how many directions
        its codes look (`n_directions`): fewer than it has bits where there were too few different images.

    Raises:
        InputError: a backbone without pretrained weights, or other options that cannot be met.
        TrainingError: fewer than 2 images.
    """
    plain = replace(dataset, labels=np.zeros((len(dataset), 0), np.bool_), classes=(), parents=None, given_parts=None)
    split, options = _all_of(plain), TrainOptions(backbone=backbone, device=device)
    n_different = len({plain.digests[row] for row in split.train.tolist()})

    def made(method: Baseline, **method_options: Any) -> Model:
        run = plan(
            plain, split, method=method, n_bits=n_bits, method_options=method_options, options=options, cache=cache
        )
        return run.train(None, progress)

    if n_different <= FEWEST_DIRECTIONS < n_bits:
        model = made(RANDOM)
    else:
        try:
            model = made(ITQ, frame_from=FEWEST_DIRECTIONS)
        except TooFewDirectionsError:  # more images, but so alike that they vary in fewer directions
            model = made(RANDOM)
    directions = int(np.linalg.matrix_rank(model.network.head.state_dict()["layers.0.weight"].numpy()))
    return replace(model, split=None, record=model.record | {"untrained": True, "n_directions": directions})


def _all_of(dataset: Dataset) -> Split:
    """Return a split that looks at images evenly spread over a data set, and at none for anything else."""
    none = np.empty(0, np.int64)
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), MOST)).round().astype(np.int64))
    return Split(
        train=rows,
        validation=none,
        query=none,
        database=none,
        dataset=dataset.name,
        recipe={"untrained": True},
        digests=dataset.digests,
        keys=dataset.keys,
        fingerprint=dataset.fingerprint,
    )
