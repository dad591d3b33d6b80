"""The label code: what a classifier says an image shows, written as the word of that class."""

from dataclasses import dataclass

import torch

from nearbit.centers import Generator, separated_centers
from nearbit.methods.baseline import Baseline, Fitted
from nearbit.methods.method import TrainingImages, check_number
from nearbit.networks import Head


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Options of the label code.

    Attributes:
        classifier_epochs: passes over the training images for the classifier.
    """

    classifier_epochs: int = 40

    def __post_init__(self) -> None:
        check_number("classifier_epochs", self.classifier_epochs, at_least=1, whole=True)


def _fit(images: TrainingImages, n_bits: int, options: LabelOptions, rng: Generator) -> Fitted:
    n_classes = images.labels.shape[1]
    words = separated_centers(n_classes, n_bits, rng)
    classifier = images.classifier(options.classifier_epochs)
    head = Head(len(classifier.feature_mean), n_bits, "label", hidden=n_classes)
    head.feature_mean.copy_(classifier.feature_mean)
    head.feature_std.copy_(classifier.feature_std)
    head.layers[0].load_state_dict(classifier.layers[0].state_dict())
    head.layers[1].load_state_dict({"words": torch.from_numpy(words).float()})
    return Fitted(head, words)


LABEL = Baseline(
    name="label",
    title="The class that a classifier says, written as a word: what codes are worth that know nothing else",
    citation="Sablayrolles et al., How should we evaluate supervised hashing?, ICASSP 2017, arXiv 1609.06753",
    options=LabelOptions(),
    fit=_fit,
    needs_labels=True,
    trains_classifier=True,
)
