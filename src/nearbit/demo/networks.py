"""The networks of the demo: planned, taken from the folder or trained, with an estimate of the time that is left."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from nearbit.datasets import Dataset, Split
from nearbit.demo.stories import Story
from nearbit.model.bundle import Model, load_model
from nearbit.progress import Progress, about
from nearbit.training import AnyRun, plan
from nearbit.training.checkpoint_folder import remove_own


@dataclass(frozen=True, eq=False)
class Network:
    """One network to train: of which chapter, by which method, at how many bits; where it lies, and its run."""

    story: Story
    method: str
    n_bits: int
    path: Path
    run: AnyRun

    @property
    def name(self) -> str:
        """Return what it is called while it is trained."""
        return f"{self.story.name}, {self.method}, {self.n_bits} bits"


def planned(story: Story, folder: Path, data: Dataset, split: Split, bits: Sequence[int], seed: int) -> list[Network]:
    """Return the networks of a chapter: each method at each length."""
    options = replace(story.options, seed=seed)
    return [
        Network(
            story,
            method,
            n_bits,
            folder / f"{story.name}-{method}-{n_bits}.model",
            plan(data, split, method=method, n_bits=n_bits, options=options),
        )
        for method in story.methods
        for n_bits in story.bits or bits
    ]


def models_of(networks: Sequence[Network], progress: Progress, tell: Callable[[str], None]) -> list[Model]:
    """Return the model of each network: that of the folder if it is the very same, else a new one, saved there.

    Args:
        networks: all of them.
        progress: called during training.
        tell: called with a line for people before each training.
    """
    found = [_found(network) for network in networks]
    missing = [network for network, model in zip(networks, found, strict=True) if model is None]
    left = TimeLeft(network.story.seconds[network.method] for network in missing)
    models = []
    for network, model in zip(networks, found, strict=True):
        if model is None:
            tell(f"network {left.number} of {len(missing)} ({network.name}): {left.words()}")
            model = _trained(network, progress)
            left.one_done()
        models.append(model)
    return models


def _found(network: Network) -> Model | None:
    if not network.path.is_dir():
        return None
    model = load_model(network.path)
    return model if model.record.get("run_key") == network.run.key() else None


def _trained(network: Network, progress: Progress) -> Model:
    checkpoint = network.path.with_name(network.path.name + ".checkpoint")
    model = network.run.train(checkpoint, lambda stage, done, total: progress(f"{network.name}: {stage}", done, total))
    model.save(network.path)
    remove_own(checkpoint)
    return model


@final
class TimeLeft:
    """Estimates how long the trainings that are left take: by what is expected of each, and by how long others took."""

    def __init__(self, expected: Iterable[float], clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with the seconds that are expected of each training, in order."""
        self._expected = list(expected)
        self._clock, self._began = clock, clock()
        self._done = 0

    @property
    def number(self) -> int:
        """The number of the training that is under way, from 1."""
        return self._done + 1

    def one_done(self) -> None:
        """Take notice that a training is over."""
        self._done += 1

    def seconds(self) -> float:
        """Return how long the trainings that are not done will take together."""
        left = sum(self._expected[self._done :])
        if not self._done:
            return left
        return left * (self._clock() - self._began) / sum(self._expected[: self._done])

    def words(self) -> str:
        """Return that in words; before anything was measured, what an idle core takes."""
        return f"{about(self.seconds())} {'left' if self._done else 'on an idle core'}"
