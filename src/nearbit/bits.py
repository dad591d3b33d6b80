"""`nearbit bits`: quality against code length for a data set, measured on validation images, and one length of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

from nearbit.codes import check_n_bits
from nearbit.datasets import Dataset, Split
from nearbit.errors import InputError
from nearbit.given import path_of
from nearbit.metrics.kept import share_of
from nearbit.model.bundle import Model
from nearbit.progress import Progress, silent
from nearbit.training import AUTO, AnyRun, TrainOptions, TwoStepRun, plan
from nearbit.training.checkpoint_folder import remove_empty, remove_own
from nearbit.training.context import RunContext
from nearbit.training.criterion import Criterion
from nearbit.training.runs.auto import AutoRun

WITHIN = 0.02
"""The shortest length within this share of the best figure is recommended."""

AUTO_AT = 64
"""The length nearest to it is where `auto` chooses the method, which then is trained at the others."""


class LengthFigure(NamedTuple):
    """What codes of one length give.

    Attributes:
        n_bits: the length.
        bytes_per_million: what the codes of a million images take.
        validation_map: tie-aware mAP of the validation images, as `Criterion` asks them.
        kept_share: that over the same of the float features by cosine; None where that is not known.
    """

    n_bits: int
    bytes_per_million: int
    validation_map: float
    kept_share: float | None


@dataclass(frozen=True, kw_only=True)
class LengthCurve:
    """Quality against length.

    Attributes:
        method: what was trained at each length.
        searched: what validation images searched: "train" or "validation".
        float_map: the figure of the float features by cosine on the same images; None where it is not known.
        figures: one a length, increasing.
        refused: lengths that the method cannot have here, with the reason.
    """

    method: str
    searched: str
    float_map: float | None
    figures: tuple[LengthFigure, ...]
    refused: dict[int, str]

    def recommended(self) -> LengthFigure:
        """Return the shortest length whose figure is within 2 % of the best one."""
        best = max(figure.validation_map for figure in self.figures)
        return next(figure for figure in self.figures if figure.validation_map >= (1 - WITHIN) * best)

    def reason(self) -> str:
        """Return the recommendation as one line."""
        chosen, best = self.recommended(), max(self.figures, key=lambda figure: figure.validation_map)
        if chosen is self.figures[-1] and len(self.figures) > 1:
            why = (
                f"no shorter one is within {WITHIN:.0%} of it, and it is the longest: a longer one may be better still"
            )
        elif chosen is best:
            why = f"no other is better, and none that is shorter is within {WITHIN:.0%} of it"
        else:
            why = f"it is the shortest within {WITHIN:.0%} of the best ({best.n_bits} bits, {best.validation_map:.4f})"
        return f"take {chosen.n_bits} bits (--method {self.method} --bits {chosen.n_bits}): {why}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready data."""
        return {
            "method": self.method,
            "searched": self.searched,
            "float_cosine_map": self.float_map,
            "lengths": [figure._asdict() for figure in self.figures],
            "refused": {str(n_bits): why for n_bits, why in self.refused.items()},
            "recommended_bits": self.recommended().n_bits,
            "reason": self.reason(),
        }


def length_curve(
    dataset: Dataset,
    split: Split,
    lengths: Sequence[int] = (16, 32, 64, 128),
    *,
    method: str = AUTO,
    options: TrainOptions | None = None,
    cache: str | Path | None = None,
    progress: Progress = silent,
) -> LengthCurve:
    """Train one method at several lengths, and score each on validation images; query images are not looked at.

    Interrupted, the same call goes on where it stopped: checkpoints lie in the cache until all lengths are done.

    Args:
        dataset: images with labels.
        split: its training and validation part are used.
        lengths: numbers of bits, at least one.
        method: a name; with "auto" the best at the length nearest to 64 is trained at the others.
        options: see `TrainOptions`.
        cache: a folder that keeps features and classifiers, which all lengths share, and checkpoints meanwhile.
        progress: called as training goes on.

    Raises:
        InputError: no lengths, no labelled validation images, or no length that the method can have.
    """
    ordered = sorted({check_n_bits(n_bits) for n_bits in lengths})
    if not ordered:
        raise InputError("give at least one code length")
    middle = min(ordered, key=lambda n_bits: abs(n_bits - AUTO_AT))
    first = plan(dataset, split, method=method, n_bits=middle, options=options, cache=cache)
    criterion = _criterion(first.context, middle)
    models: dict[int, Model] = {}
    chooser, checkpoints = _chooser(first), _Checkpoints(cache)
    if chooser is not None:
        models[middle] = checkpoints.trained(chooser, progress)
        method = models[middle].method
    refused: dict[int, str] = {}
    for n_bits in (n_bits for n_bits in ordered if n_bits not in models):
        try:
            if chooser is not None:
                run: AnyRun = chooser.planned(chooser.context, n_bits, method)
            else:
                run = plan(dataset, split, method=method, n_bits=n_bits, options=options, cache=cache)
            models[n_bits] = checkpoints.trained(run, progress)
        except InputError as error:
            refused[n_bits] = str(error)
    if not models:
        raise InputError(f"{method} can be trained at none of these lengths: {'; '.join(refused.values())}")
    reference = next(iter(models.values())).record["reference"]
    whole = None if reference is None else reference["float_cosine_map"]
    figures = tuple(_figure(n_bits, models[n_bits], whole) for n_bits in sorted(models))
    checkpoints.remove()
    return LengthCurve(method=method, searched=criterion.searched, float_map=whole, figures=figures, refused=refused)


@final
class _Checkpoints:
    """The checkpoints of some runs in the cache, which all stay until the last run is done: none is kept otherwise."""

    def __init__(self, cache: str | Path | None) -> None:
        self._cache = None if cache is None else path_of("cache", cache)
        self._folders: list[Path] = []

    def trained(self, run: AnyRun, progress: Progress) -> Model:
        """Return the model of a run, which goes on from its checkpoint where there is one."""
        folder = self._made(run)
        try:
            return run.train(folder, progress)
        finally:
            if folder is not None:
                remove_empty(folder)

    def remove(self) -> None:
        """Remove them."""
        for folder in self._folders:
            remove_own(folder)

    def _made(self, run: AnyRun) -> Path | None:
        if self._cache is None:
            return None
        folder = self._cache / "checkpoints" / run.key()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:  # a cache that cannot be written keeps nothing else either
            return None
        self._folders.append(folder)
        return folder


def _chooser(run: AnyRun) -> AutoRun | TwoStepRun | None:
    """Return the run if it chooses among methods, in one step or in the second of two; else None."""
    if isinstance(run, AutoRun) or (isinstance(run, TwoStepRun) and isinstance(run.second, AutoRun)):
        return run
    return None


def _criterion(context: RunContext, n_bits: int) -> Criterion:
    found = context.criterion(n_bits)
    if found is None:
        raise InputError(
            "lengths are compared on validation images with labels, and the split has none: make one that has "
            "(--validation)"
        )
    return found


def _figure(n_bits: int, model: Model, whole: float | None) -> LengthFigure:
    score = float(model.record["validation_map"])
    return LengthFigure(n_bits, 1_000_000 * -(-n_bits // 8), score, share_of(score, whole))
