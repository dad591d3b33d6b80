"""SHC: semantic hash centers, as alike as their classes, in three stages: similarity, centers, hash network."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from nearbit.centers import (
    Centers,
    CenterState,
    Generator,
    SHCOptions,
    mds_centers,
    published_shc_centers,
    published_start,
    random_signs,
    semantic_centers,
    similarity_from_logits,
    similarity_from_prototypes,
)
from nearbit.errors import InputError
from nearbit.losses import central_similarity, quantization, torch_centroids
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

SIMILARITY = ("similarity", "order", "classifier_epochs")
"""Options of which only the similarity is made."""


@dataclass(frozen=True, kw_only=True)
class SHCMethodOptions:
    """Options of SHC.

    Attributes:
        quantization_weight: weight of the quantization loss.
        similarity: "classifier" (what a classifier takes the training images for besides their class) or "prototypes"
            (cosines of the mean features of classes, for a pretrained backbone).
        order: how the classifier's logits become a similarity: as in the "paper", or as in the "released" code.
        classifier_epochs: passes over the training images for the classifier; None for as many as the hash network.
        centers: "search" (nearbit's search), "paper" or "released" (SHC's procedure by the paper, or by the released
            code); the ablations "distance" (MDS centers, no similarity) and "semantics" (no minimum distance but that
            words differ).
        min_distance: least distance of two centers, in bits; None for the published rule.
        effort: multiplies the number of sweeps of the search; above 0.
    """

    quantization_weight: float = 1e-4
    similarity: Literal["classifier", "prototypes"] = "classifier"
    order: Literal["paper", "released"] = "paper"
    classifier_epochs: int | None = None
    centers: Literal["search", "paper", "released", "distance", "semantics"] = "search"
    min_distance: int | None = None
    effort: float = 1.0

    def __post_init__(self) -> None:
        check_number("quantization_weight", self.quantization_weight)
        check_choice("similarity", self.similarity, ("classifier", "prototypes"))
        check_choice("order", self.order, ("paper", "released"))
        check_choice("centers", self.centers, ("search", "paper", "released", "distance", "semantics"))
        for name in ("classifier_epochs", "min_distance"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), at_least=1, whole=True)
        check_number("effort", self.effort, is_positive=True, why="it multiplies the number of sweeps of the search")
        if self.min_distance is not None and self.centers in ("distance", "semantics"):
            raise InputError(f"centers {self.centers!r} take no min_distance: leave it out")
        if self.centers == "distance":
            refuse_idle(self, "centers 'distance' follow no similarity", *SIMILARITY)
        if self.centers not in ("search", "semantics"):
            refuse_idle(self, f"centers {self.centers!r} are not searched", "effort")
        if self.similarity == "prototypes":
            refuse_idle(self, "prototypes need no classifier", "order", "classifier_epochs")


def _similarity(images: TrainingImages, task: Task, options: SHCMethodOptions) -> Similarity | None:
    if options.centers == "distance":
        return None
    if task.n_classes == 2:
        return np.array([[1.0, -1.0], [-1.0, 1.0]])  # two classes are as alike as they are: there is nothing to compare
    if options.similarity == "prototypes":
        return similarity_from_prototypes(images.features(), images.labels)
    logits = images.logits(options.classifier_epochs)
    return similarity_from_logits(logits, images.labels, order=options.order)


def _centers(task: Task, options: SHCMethodOptions, rng: Generator) -> CenterState:
    return CenterState(centers=_words(task, options, rng), tie_break=random_signs((task.n_bits,), rng))


def _words(task: Task, options: SHCMethodOptions, rng: Generator) -> Centers:
    if options.centers == "distance":
        return mds_centers(task.n_classes, task.n_bits, rng)
    if task.similarity is None:
        raise InputError("SHC's centers follow a similarity of classes: give one, or take centers 'distance'")
    if options.centers in ("paper", "released"):
        start = published_start(task.n_classes, task.n_bits, rng, options.min_distance)
        chosen = SHCOptions.paper() if options.centers == "paper" else SHCOptions.released()
        return published_shc_centers(task.similarity, start, min_distance=options.min_distance, options=chosen)
    least = 1 if options.centers == "semantics" else options.min_distance
    return semantic_centers(task.similarity, task.n_bits, rng, min_distance=least, effort=options.effort)


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: SHCMethodOptions) -> Tensor:
    centroids = torch_centroids(labels, targets.centers, targets.tie_break)
    return central_similarity(outputs, centroids) + options.quantization_weight * quantization(outputs)


SHC = Method(
    name="shc",
    title="SHC: centers as alike as their classes, under a minimum distance",
    citation="Chen et al., Deep Hashing with Semantic Hash Centers for Image Retrieval, ACM TOIS 2025, "
    "arXiv 2507.08404",
    options=SHCMethodOptions(),
    make_centers=_centers,
    loss=_loss,
    distinct=True,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=2e-2, linear_factor=0.15, least_steps=720),
        "fine-tuned": Schedule(epochs=300, batch_size=64, learning_rate=1e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
    similarity=_similarity,
    follows=lambda options: options.centers != "distance",
    center_options=("centers", "min_distance", "effort"),
    similarity_options=SIMILARITY,
)
