"""Is one method better than another? Their difference at one length, with its interval and p."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from nearbit.compare.bootstrap import N_SAMPLES, Values, paired_differences, two_sided_p
from nearbit.compare.folder import CellResult
from nearbit.compare.statistics import Group, Row
from nearbit.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much better one row is than another at one length.

    Attributes:
        first, second: the rows.
        n_bits: the length.
        difference: mean of `first` minus mean of `second`: over queries, then over seeds.
        low, high: 95 % interval of the difference: percentiles of the samples.
        p: two-sided: twice the share of samples on the far side of 0, at most 1: 2 (b + 1) / (B + 1), where b of the B
            samples are not above 0, or not below 0, whichever are fewer.
        seeds: the seeds that both rows have done.
        seeds_won: those where the mean of `first` is larger.
        resampled: "seeds and queries", or "queries" where there is one seed only.
    """

    first: Row
    second: Row
    n_bits: int
    difference: float
    low: float
    high: float
    p: float
    seeds: tuple[int, ...]
    seeds_won: int
    resampled: str

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name, ready for JSON."""
        return {
            "first": self.first._asdict(),
            "second": self.second._asdict(),
            "n_bits": self.n_bits,
            "difference": self.difference,
            "interval": [self.low, self.high],
            "p": self.p,
            "seeds": list(self.seeds),
            "seeds_won": self.seeds_won,
            "resampled": self.resampled,
        }


def differences_of(
    pairs: Sequence[tuple[Group, Group]], *, rng: np.random.Generator, n_samples: int = N_SAMPLES
) -> tuple[list[Difference], list[str]]:
    """Return the difference of each pair of groups of one length, and in words why pairs were left out.

    Pairs of the same seeds and splits are compared on the same samples. Deterministic for a state of `rng`.

    Args:
        pairs: groups of equal length.
        rng: the source of randomness.
        n_samples: how many samples are drawn.
    """
    paired: list[_Paired] = []
    notes: list[str] = []
    kept: dict[CellResult, Values] = {}
    for first, second in pairs:
        try:
            paired.append(_pair(first, second, kept))
        except DataError as error:
            notes.append(str(error))
    found: dict[tuple[Row, Row], Difference] = {}
    for _, alike in groupby(sorted(paired, key=_Paired.material), key=_Paired.material):
        for difference in _compare(list(alike), rng, n_samples):
            found[difference.first, difference.second] = difference
    return [found[pair.first.row, pair.second.row] for pair in paired], notes


def shared_seeds(first: Group, second: Group) -> tuple[int, ...]:
    """Return the seeds that both groups have done.

    Raises:
        DataError: there is none, or the two were measured on different splits, which cannot be paired.
    """
    own, other = _by_seed(first), _by_seed(second)
    seeds = tuple(sorted(own.keys() & other.keys()))
    title = f"{first.row.name} and {second.row.name} at {first.n_bits} bits are not compared"
    if not seeds:
        raise DataError(f"{title}: no seed is done for both")
    for seed in seeds:
        hashes = [cells[seed].facts.get("split_hash") for cells in (own, other)]
        if hashes[0] != hashes[1] or hashes[0] is None:
            raise DataError(
                f"{title}: expected one split for both, and their split hashes at seed {seed} differ: delete the cells "
                "of one of them and run the comparison again"
            )
    return seeds


@dataclass(frozen=True, kw_only=True, eq=False)
class _Paired:
    """Two groups with the difference of their values of each query `(n_query,)`, for each seed that both have done."""

    first: Group
    second: Group
    seeds: tuple[int, ...]
    hashes: tuple[str, ...]
    differences: tuple[Values, ...]

    def material(self) -> tuple[tuple[int, ...], tuple[str, ...], tuple[int, ...]]:
        """Return what pairs have in common that can be compared on the same samples."""
        return self.seeds, self.hashes, tuple(map(len, self.differences))


def _pair(first: Group, second: Group, kept: dict[CellResult, Values]) -> _Paired:
    """Return a pair with its differences; `kept` holds what was read of files before."""
    seeds = shared_seeds(first, second)
    own, other = _by_seed(first), _by_seed(second)
    differences = []
    for seed in seeds:
        values = [_average_precision(cells[seed], kept) for cells in (own, other)]
        if values[0].shape != values[1].shape:
            raise DataError(
                f"{first.row.name} and {second.row.name} at {first.n_bits} bits are not compared: expected the same "
                f"queries at seed {seed}, and they have {len(values[0])} and {len(values[1])}: delete the cells of one "
                "of them and run the comparison again"
            )
        differences.append(values[0] - values[1])
    hashes = tuple(str(own[seed].facts["split_hash"]) for seed in seeds)
    return _Paired(first=first, second=second, seeds=seeds, hashes=hashes, differences=tuple(differences))


def _compare(pairs: Sequence[_Paired], rng: np.random.Generator, n_samples: int) -> list[Difference]:
    """Return the differences of pairs of the same material."""
    seeds = pairs[0].seeds
    arrays = [np.stack([pair.differences[place] for pair in pairs]) for place in range(len(seeds))]
    same_queries = len(set(pairs[0].hashes)) == 1
    samples = paired_differences(arrays, same_queries=same_queries, rng=rng, n_samples=n_samples)
    means = np.stack([array.mean(axis=1) for array in arrays])
    ends = np.quantile(samples, (0.025, 0.975), axis=0)
    return [
        Difference(
            first=pair.first.row,
            second=pair.second.row,
            n_bits=pair.first.n_bits,
            difference=float(means[:, place].mean()),
            low=float(ends[0, place]),
            high=float(ends[1, place]),
            p=two_sided_p(samples[:, place]),
            seeds=seeds,
            seeds_won=int((means[:, place] > 0).sum()),
            resampled="queries" if len(seeds) == 1 else "seeds and queries",
        )
        for place, pair in enumerate(pairs)
    ]


def _by_seed(group: Group) -> Mapping[int, CellResult]:
    return {result.cell.seed: result for result in group.of_status("done")}


def _average_precision(result: CellResult, kept: dict[CellResult, Values]) -> Values:
    if result not in kept:
        try:
            kept[result] = np.asarray(result.arrays()["average_precision"], np.float64)
        except KeyError as error:
            raise DataError(
                f"cells/{result.arrays_path.name} holds no average precision: delete it and repeat the comparison"
            ) from error
    return kept[result]
