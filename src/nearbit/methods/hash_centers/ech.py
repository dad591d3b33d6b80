"""ECH, expected-center hashing: nearbit's own. Where an image may be of several classes, its code says so."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nearbit.centers import (
    CenterState,
    Generator,
    check_prefixes,
    means_of_classes,
    nested_centers,
    random_signs,
    words_of_sets,
)
from nearbit.errors import InputError
from nearbit.losses import central_similarity, quantization, torch_words_of_sets
from nearbit.methods.hash_centers.crh import CRH
from nearbit.methods.hash_centers.shc import SHC
from nearbit.methods.method import (
    Committee,
    Method,
    Similarity,
    Targets,
    Task,
    TrainingImages,
    check_choice,
    check_number,
)

Base = Literal["shc", "crh", "sets"]


@dataclass(frozen=True, kw_only=True)
class ECHOptions:
    """Options of ECH.

    Attributes:
        base: whose centers and loss the hash network has: "shc", "crh", "sets" (each set of labels has a word: SHC's
            search, for which sets that share a label are alike), or "auto": SHC where every image has one label, sets
            where some have several (SHC then trains towards majorities of centers, half of whose bits are ties).
        members: how many classifiers say what an image may be.
        member_epochs: passes of each over the training images, at least 240 steps.
        member_hidden, member_dropout: units of the hidden layer of each, and dropout behind it.
        nested: shorter lengths, such as "16,32" or (16, 32), whose first bits are good codes too; none by default.
    """

    base: Literal["auto", "shc", "crh", "sets"] = "auto"
    members: int = 3
    member_epochs: int = 40
    member_hidden: int = 1024
    member_dropout: float = 0.8
    nested: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "nested", _lengths(self.nested))
        check_choice("base", self.base, ("auto", "shc", "crh", "sets"))
        for name in ("members", "member_epochs", "member_hidden"):
            check_number(name, getattr(self, name), at_least=1, whole=True)
        check_number("member_dropout", self.member_dropout, below=1)
        if self.nested and self.base == "crh":
            raise InputError("nested lengths need centers that are searched, and CRH's are from a codebook: base shc")


def _lengths(given: Any) -> tuple[int, ...]:
    """Return lengths as they may be typed (16, "16,32", [16, 32]) as whole numbers."""
    values = given.split(",") if isinstance(given, str) else given if isinstance(given, list | tuple) else [given]
    try:
        lengths = tuple(int(value) for value in values)
    except (OverflowError, TypeError, ValueError):
        lengths = (0,)
    if any(length < 1 or isinstance(value, bool | float) for length, value in zip(lengths, values, strict=False)):
        raise InputError(f"nested must be whole numbers of bits, at least 1, such as 16,32, not {given!r}")
    return lengths


def _base(task: Task, options: ECHOptions) -> Base:
    if options.base == "auto":
        return "sets" if task.multi_label else "shc"
    return options.base


def _check(task: Task, options: ECHOptions) -> None:
    if options.nested:
        check_prefixes(options.nested, task.n_bits, task.n_classes if _base(task, options) == "shc" else 2)


def _centers(task: Task, options: ECHOptions, rng: Generator) -> CenterState:
    if _base(task, options) == "crh":
        return CRH.first_centers(task, CRH.options, rng)
    known = task.label_sets
    if _base(task, options) == "shc" or known is None or len(known.sets) < 2:
        return _words_of_classes(task, options, rng)
    assert task.similarity is not None  # noqa: S101 - `_similarity` finds one for these centers
    words = words_of_sets(known.sets, task.similarity, task.n_bits, rng, prefixes=options.nested)
    tie_break = random_signs((task.n_bits,), rng)
    means, centers = means_of_classes(known, words, tie_break)
    return CenterState(
        centers=centers,
        tie_break=tie_break,
        label_sets=known.sets[: len(words)],
        set_words=words,
        class_means=means,
    )


def _words_of_classes(task: Task, options: ECHOptions, rng: Generator) -> CenterState:
    if not options.nested or task.similarity is None:
        return SHC.first_centers(task, SHC.options, rng)
    centers = nested_centers(task.similarity, task.n_bits, options.nested, rng)
    return CenterState(centers=centers, tie_break=random_signs((task.n_bits,), rng))


def _similarity(images: TrainingImages, task: Task, options: ECHOptions) -> Similarity | None:
    if _base(task, options) == "crh" or SHC.similarity is None:
        return None
    return SHC.similarity(images, task, SHC.options)


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: ECHOptions) -> Tensor:
    if _base(task, options) == "crh":
        return CRH.loss(outputs, labels, targets, task, CRH.options)
    if targets.label_sets is None or targets.set_words is None:
        return SHC.loss(outputs, labels, targets, task, SHC.options)
    words = torch_words_of_sets(labels, targets.label_sets, targets.set_words)
    loss: Tensor = central_similarity(outputs, words) + SHC.options.quantization_weight * quantization(outputs)
    return loss


def _reassign(
    state: CenterState, class_means: npt.NDArray[np.float64], epoch: int, options: ECHOptions, rng: Generator
) -> CenterState:
    """Reassign as CRH does; centers that come from no codebook are SHC's, which stay."""
    if state.codebook is None or CRH.reassign is None:
        return state
    return CRH.reassign(state, class_means, epoch, CRH.options, rng)


def _committee(options: ECHOptions) -> Committee:
    return Committee(
        members=options.members,
        epochs=options.member_epochs,
        least_steps=240,
        learning_rate=2e-2,
        hidden=options.member_hidden,
        dropout=options.member_dropout,
    )


ECH = Method(
    name="ech",
    title="ECH: codes joined with the expected center, what classifiers say that an image may be",
    citation="nearbit; search of centers and loss follow SHC (arXiv 2507.08404), or CRH (arXiv 2511.12162)",
    options=ECHOptions(),
    make_centers=_centers,
    loss=_loss,
    distinct=True,
    schedules={"frozen": SHC.schedules["frozen"]},
    reassign=_reassign,
    similarity=_similarity,
    committee=_committee,
    check=_check,
)
