"""DSAH: dual semantic asymmetric hashing, the words of classes found anew from codes and two regressions of labels.

A reconstruction: the paper's text was not at hand.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nearbit.centers import CenterState, Generator, distinct_words, random_signs, regressed_words, regression_centers
from nearbit.errors import InputError
from nearbit.losses import class_structure
from nearbit.methods.method import Method, Schedule, Targets, Task, check_number


@dataclass(frozen=True, kw_only=True)
class DSAHOptions:
    """Options of DSAH; the constants are ours.

    Attributes:
        code_weight: how much the mean codes of a class count in its next word; 0 keeps to the regressions.
        label_weight: weight of the regression of the class.
        contrast_weight: weight of the regression of the class against all classes.
        pair_weight: weight of the term that draws outputs of one class to each other.
    """

    code_weight: float = 1.0
    label_weight: float = 1.0
    contrast_weight: float = 1.0
    pair_weight: float = 0.1

    def __post_init__(self) -> None:
        for name in ("code_weight", "label_weight", "contrast_weight", "pair_weight"):
            check_number(name, getattr(self, name))
        if self.label_weight == 0 and self.contrast_weight == 0:
            raise InputError(
                "label_weight and contrast_weight are both 0: words would follow the codes alone, and classes merge. "
                "Give one of them"
            )


def _check(task: Task, options: DSAHOptions) -> None:
    if task.multi_label:
        raise InputError(
            "dsah has one word a class and is for one label an image, and some of these images have several: take a "
            "method for several labels (crh, ech, ics, mds)"
        )


def _centers(task: Task, options: DSAHOptions, rng: Generator) -> CenterState:
    centers = regression_centers(
        task.n_classes,
        task.n_bits,
        rng,
        label_weight=options.label_weight,
        contrast_weight=options.contrast_weight,
    )
    return CenterState(centers=centers, tie_break=random_signs((task.n_bits,), rng))


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: DSAHOptions) -> Tensor:
    return class_structure(outputs, labels, targets.centers, pair_weight=options.pair_weight)


def _reassign(
    state: CenterState, class_means: npt.NDArray[np.float64], epoch: int, options: DSAHOptions, rng: Generator
) -> CenterState:
    words = regressed_words(
        state.centers,
        class_means,
        code_weight=options.code_weight,
        label_weight=options.label_weight,
        contrast_weight=options.contrast_weight,
    )
    return replace(state, centers=distinct_words(words, class_means, rng))


DSAH = Method(
    name="dsah",
    title="DSAH (reconstruction): words of classes found anew from their codes and two regressions of labels",
    citation="Lu et al., Dual Semantic Asymmetric Hashing, arXiv 2110.12478, Information Sciences 589, 2022",
    options=DSAHOptions(),
    make_centers=_centers,
    loss=_loss,
    distinct=True,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=2e-2, linear_factor=0.05, least_steps=720),
        "fine-tuned": Schedule(epochs=90, batch_size=64, learning_rate=1e-3, backbone_factor=0.01),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
    reassign=_reassign,
    check=_check,
)
