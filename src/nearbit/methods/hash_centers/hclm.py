"""HCLM and sHCLM: words from the best points on a sphere, given to classes by their likeness, and a plain softmax."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nearbit.centers import (
    Centers,
    CenterState,
    Generator,
    distinct_words,
    random_signs,
    separated_centers,
    similarity_from_distances,
    similarity_from_shared_images,
    swapped_words,
    tammes_points,
)
from nearbit.losses import balanced_proxies, code_triplets, proxy_softmax
from nearbit.methods.closed_form.projections import iterative_quantization
from nearbit.methods.method import (
    Method,
    Schedule,
    Similarity,
    Targets,
    Task,
    TrainingImages,
    check_choice,
    check_number,
    refuse_idle,
)

ROUNDS = 50
"""Of the rotation, as in ITQ."""


@dataclass(frozen=True, kw_only=True)
class HCLMOptions:
    """Options of HCLM.

    Attributes:
        triplet_weight: weight of the triplet term; 0, as in HCLM alone, leaves it out.
        triplet_margin: of the triplet term, in bits; not published.
        assignment: "semantic" (sHCLM: like classes get near words) or "random" (HCLM).
        similarity: what says how alike classes are, where every image has one label: the logits of a "classifier", or
            the "features" of a pretrained backbone. With several labels it is how often two stand together.
        proxies: "published" (points on the sphere, rotated to signs) or "separated" (nearbit's words, farther apart).
    """

    triplet_weight: float = 0.0
    triplet_margin: float = 2.0
    assignment: Literal["semantic", "random"] = "semantic"
    similarity: Literal["classifier", "features"] = "classifier"
    proxies: Literal["published", "separated"] = "published"

    def __post_init__(self) -> None:
        check_number("triplet_weight", self.triplet_weight)
        check_number("triplet_margin", self.triplet_margin)
        check_choice("assignment", self.assignment, ("semantic", "random"))
        check_choice("similarity", self.similarity, ("classifier", "features"))
        check_choice("proxies", self.proxies, ("published", "separated"))
        if self.assignment == "random":
            refuse_idle(self, "words are assigned at random", "similarity")
        if not self.triplet_weight:
            refuse_idle(self, "triplet_weight is 0", "triplet_margin")


def _check(task: Task, options: HCLMOptions) -> None:
    if task.multi_label:
        refuse_idle(options, "images have several labels, which say how alike classes are", "similarity")


def _similarity(images: TrainingImages, task: Task, options: HCLMOptions) -> Similarity | None:
    """Return how alike classes are; None where all pairs are equally so, and words are given at random."""
    if options.assignment == "random" or task.n_classes == 2:
        return None
    if task.multi_label:
        found = similarity_from_shared_images(images.labels)
    elif options.similarity == "features":
        found = similarity_from_distances(images.features(), images.labels)
    else:
        found = similarity_from_distances(images.logits(None), images.labels)
    beside = found[~np.eye(len(found), dtype=bool)]
    return found if np.ptp(beside) > 1e-6 else None


def proxy_words(n_classes: int, n_bits: int, rng: Generator) -> Centers:
    """Return the signs of Tammes points after ITQ's rotation, equal words repaired: int8 `(n_classes, n_bits)`.

    Source: HCLM (Morgado et al., IJCV 2020). Deterministic for a given `rng`, on one machine.
    """
    points = tammes_points(n_classes, n_bits, rng)
    first, _ = np.linalg.qr(rng.standard_normal((n_bits, n_bits)))
    rotated = points @ iterative_quantization(points, first, ROUNDS)
    return distinct_words(np.where(rotated >= 0, 1, -1).astype(np.int8), rotated, rng)


def _centers(task: Task, options: HCLMOptions, rng: Generator) -> CenterState:
    make = proxy_words if options.proxies == "published" else separated_centers
    words = make(task.n_classes, task.n_bits, rng)
    if task.similarity is not None and options.assignment == "semantic":
        centers = swapped_words(words, task.similarity, rng)
    else:
        centers = words[rng.permutation(len(words))]
    return CenterState(centers=centers, tie_break=random_signs((task.n_bits,), rng))


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: HCLMOptions) -> Tensor:
    if task.multi_label:
        loss = balanced_proxies(outputs, labels, targets.centers, _weights(task, outputs))
    else:
        loss = proxy_softmax(outputs, labels, targets.centers)
    if options.triplet_weight:
        loss = loss + options.triplet_weight * code_triplets(outputs, labels, margin=options.triplet_margin)
    return loss


def _weights(task: Task, like: Tensor) -> Tensor:
    """Return the weight of each label where it is there: the share of images without it; a half where that is unknown.

    So the images with a label and those without it weigh the same in all.
    """
    if task.label_shares is None:
        return torch.full((task.n_classes,), 0.5, dtype=like.dtype, device=like.device)
    return 1 - torch.as_tensor(task.label_shares, dtype=like.dtype, device=like.device)


HCLM = Method(
    name="hclm",
    title="sHCLM and HCLM: words from the best points on a sphere, given to classes by likeness, and a plain softmax",
    citation="Morgado et al., Deep Hashing with Hash-Consistent Large Margin Proxy Embeddings, IJCV 2020, "
    "arXiv 2007.13912",
    options=HCLMOptions(),
    make_centers=_centers,
    loss=_loss,
    distinct=True,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=2e-2, linear_factor=0.05, least_steps=720),
        "fine-tuned": Schedule(epochs=90, batch_size=64, learning_rate=1e-3, backbone_factor=0.01),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
    similarity=_similarity,
    follows=lambda options: options.assignment != "random",
    center_options=("assignment", "proxies"),
    similarity_options=("similarity",),
    check=_check,
)
