"""CIMON: without labels, from pairs whose similarity features suggest, and from two views of each image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nearbit.centers import Generator
from nearbit.losses.pairwise.pseudo_pairs import Distances, pseudo_similarity, view_contrast, weighted_similarity_loss
from nearbit.methods.method import Method, Schedule, Targets, Task, TrainingImages, check_number
from nearbit.methods.unlabelled.grouping import centered_unit_rows, clusters_of, distances_of


@dataclass(frozen=True, kw_only=True)
class CIMONOptions:
    """Options of CIMON.

    Attributes:
        similar_share: the share of pairs that count as similar: it decides the threshold of distances.
        threshold: the cosine distance itself up to which pairs are similar, in the place of a share; 0.1 in the code.
        clusters: how many.
        contrast_weight: weight of the loss between the two views.
        temperature: of that loss.
    """

    similar_share: float = 0.02
    threshold: float | None = None
    clusters: int = 70
    contrast_weight: float = 0.3
    temperature: float = 0.5

    def __post_init__(self) -> None:
        check_number("similar_share", self.similar_share, is_positive=True, below=1)
        check_number("contrast_weight", self.contrast_weight)
        check_number("temperature", self.temperature, is_positive=True)
        if self.threshold is not None:
            check_number("threshold", self.threshold)
        check_number("clusters", self.clusters, at_least=1, whole=True)


def _prepare(
    images: TrainingImages, task: Task, options: CIMONOptions, rng: Generator
) -> Mapping[str, npt.NDArray[Any]]:
    """Return features, clusters and distances of each view that is known before: two of frozen features, else one."""
    material = images.plain_views()[:2]
    arrays: dict[str, npt.NDArray[Any]] = {}
    for number, features in enumerate(material):
        rows = centered_unit_rows(features)
        lie = distances_of(rows, rng, similar_share=options.similar_share, threshold=options.threshold)
        arrays[f"features_{number}"] = rows
        arrays[f"clusters_{number}"] = clusters_of(rows, options.clusters, rng)
        arrays[f"distances_{number}"] = np.array(lie)
    return arrays


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: CIMONOptions) -> Tensor:
    assert targets.rows is not None  # noqa: S101 - the trainer always gives them
    views = outputs.tanh().chunk(2)
    rows, prepared = targets.rows[: len(views[0])], targets.prepared
    loss = options.contrast_weight * view_contrast(views[0], views[1], temperature=options.temperature)
    numbers = [number for number in (0, 1) if f"features_{number}" in prepared]
    for number in numbers:
        lie = Distances(*prepared[f"distances_{number}"].tolist())
        clusters = prepared[f"clusters_{number}"][rows]
        similarity, weights = pseudo_similarity(prepared[f"features_{number}"][rows], clusters, lie)
        for codes in views:
            loss = loss + 2 / len(numbers) * weighted_similarity_loss(codes, similarity, weights)
    return loss


CIMON = Method(
    name="cimon",
    title="CIMON: pairs that features suggest and two views of each image, without labels",
    citation="Luo et al., CIMON: Towards High-quality Hash Codes, IJCAI 2021",
    options=CIMONOptions(),
    loss=_loss,
    prepare=_prepare,
    views=2,
    needs_labels=False,
    head="hidden",
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=1e-3, least_steps=720),
        "fine-tuned": Schedule(epochs=150, batch_size=24, learning_rate=1e-4, backbone_factor=0.1),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=1e-3),
    },
)
