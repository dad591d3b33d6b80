"""The published procedure of SHC and each of its variants, against plain loops."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import oracles
from class_similarity import plain_loss, similarity_of
from nearbit.centers import SHCOptions, published_shc_centers, random_signs, separated_centers
from nearbit.errors import InputError


def plain_shc(similarity, start, limit, options):
    """Return H after the cycles of SHC, by loops over classes, from equations 23 to 38; every product anew."""
    n_classes, n_bits = start.shape
    h = start.T.astype(float)
    lam, alpha = np.full(h.shape, options.first_multiplier), np.zeros((n_classes, n_classes))
    outcomes = []

    def step(i):
        gradient = 2 / n_bits**2 * (m @ m.T @ h[:, i]) - 2 / n_bits * (m @ similarity[:, i])
        gradient = gradient + lam[:, i] + options.rho * (h[:, i] - m[:, i])
        others = np.zeros(n_bits)
        for j in range(n_classes):
            if j == i:
                continue
            others += 2 * options.mu * h[:, j] - 2 * alpha[i, j] * h[:, j]
            if options.gram_term == "outer":
                others += options.beta * 2 * h[:, j] * (h[:, j] @ h[:, i])
            else:
                others += options.beta * 2 * (h[:, j] @ h[:, j]) * h[:, i]
            others -= options.beta * 2 * (limit - k[i, j]) * h[:, j]
        moved = h[:, i] - (gradient + others / options.divide_by) / options.eta
        proposed = h.copy()
        proposed[:, i] = [1 if value >= 0 else -1 for value in moved]
        distances = oracles.all_sign_distances(proposed.T.tolist())
        if not options.accept_only_feasible or n_bits - 2 * min(distances) <= limit:
            h[:] = proposed

    for _ in range(options.cycles):
        m = np.linalg.inv(2 / n_bits**2 * h @ h.T + options.rho * np.eye(n_bits)) @ (
            2 / n_bits * h @ similarity + lam + options.rho * h
        )
        k = np.maximum(limit - h.T @ h + alpha / options.beta, 0)
        if options.sweep == "class":
            order = [i for i in range(n_classes) for _ in range(options.inner)]
        else:
            order = [i for _ in range(options.inner) for i in range(n_classes)]
        for i in order:
            step(i)
        lam = lam + options.rho * (h - m)
        for i in range(n_classes):
            for j in range(n_classes):
                if i != j and (
                    options.multiplier_update == "all" or (options.multiplier_update, j) == ("last", n_classes - 1)
                ):
                    alpha[i, j] += options.beta * (limit - h[:, i] @ h[:, j] - k[i, j])
        outcomes.append(h.T.astype(int))
    losses = [plain_loss(centers, similarity) for centers in outcomes]
    return outcomes[-1] if options.keep == "last" else outcomes[int(np.argmin(losses))]


VARIANTS = {
    "paper": SHCOptions.paper(),
    "released": SHCOptions.released(),
    "steep": SHCOptions(eta=0.05, beta=1e-3, mu=0.01),
    "last column": SHCOptions(eta=0.05, beta=1e-2, mu=0.01, multiplier_update="last"),
    "bracket": SHCOptions(eta=0.05, beta=1e-2, mu=0.01, gram_term="inner"),
    "divided": SHCOptions(eta=0.05, divide_by=100.0, sweep="round"),
    "feasible": SHCOptions(eta=0.05, mu=0.01, accept_only_feasible=True, keep="best"),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("begin", ["far", "near", "one pair near"])
def test_the_published_procedure_is_that_of_plain_loops(name, begin):
    options, similarity = replace(VARIANTS[name], cycles=4), similarity_of(8, group=2)
    rng = np.random.default_rng(5)
    start = random_signs((8, 12), rng) if begin == "near" else separated_centers(8, 12, rng, min_distance=4)
    if begin == "one pair near":
        start[1] = start[0]
        start[1, :3] *= -1
    found = published_shc_centers(similarity, start, min_distance=4, options=options)
    assert np.array_equal(found, plain_shc(similarity, start, 12 - 8, options))


def test_once_a_step_has_parted_the_only_near_pair_the_others_move_too():
    similarity, start = similarity_of(8, group=2), separated_centers(8, 16, np.random.default_rng(0), min_distance=4)
    start[1] = start[0]
    start[1, 0] *= -1
    options = SHCOptions(cycles=4, eta=0.05, mu=0.01, accept_only_feasible=True)
    found = published_shc_centers(similarity, start, min_distance=2, options=options)
    assert (found != start).any(axis=1).all()
    assert np.array_equal(found, plain_shc(similarity, start, 16 - 4, options))


def test_the_variants_of_the_published_procedure_differ():
    similarity, rng = similarity_of(20), np.random.default_rng(0)
    start = random_signs((20, 16), rng)
    base = SHCOptions(eta=0.05, mu=0.01, beta=1e-2)
    plain = published_shc_centers(similarity, start, options=base)
    changes = [
        {"gram_term": "inner"}, {"divide_by": 1e4}, {"accept_only_feasible": True}, {"multiplier_update": "none"},
        {"sweep": "round"}, {"cycles": 1},
    ]  # fmt: skip
    for change in changes:
        assert not np.array_equal(plain, published_shc_centers(similarity, start, options=replace(base, **change))), (
            change
        )


def test_an_infeasible_start_is_returned_where_only_feasible_steps_are_taken():
    start = np.ones((6, 8), np.int8)
    options = SHCOptions.released()
    assert np.array_equal(
        published_shc_centers(similarity_of(6, group=2), start, min_distance=2, options=options), start
    )


def test_the_benchmark_takes_the_same_steps():
    path = Path(__file__).parents[2] / "benchmarks" / "centers_published.py"
    spec = importlib.util.spec_from_file_location("centers_published", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    similarity, start = similarity_of(10, group=3), separated_centers(10, 16, np.random.default_rng(0))
    options = replace(SHCOptions.released(), cycles=3)
    found = published_shc_centers(similarity, start, min_distance=4, options=options)
    assert not np.array_equal(found, start)
    assert np.array_equal(module.published_shc(similarity, 16, 4, start, cycles=3), found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cycles": 0}, "cycles must be a whole number of at least 1, not 0"),
        ({"cycles": float("nan")}, "cycles must be a whole number of at least 1, not nan"),
        ({"inner": float("nan")}, "inner must be a whole number of at least 1, not nan"),
        ({"eta": 0}, "eta must be a number above 0, not 0"),
        ({"sweep": "row"}, "sweep must be one of class, round, not 'row'"),
        ({"keep": "first"}, "keep must be one of last, best, not 'first'"),
    ],
)
def test_options_of_the_published_procedure_are_checked(change, message):
    with pytest.raises(InputError, match=message):
        SHCOptions(**change)


def test_a_start_and_a_distance_must_fit_the_published_procedure():
    similarity = similarity_of(6, group=2)
    with pytest.raises(InputError, match="start has 5 classes, but the similarity 6"):
        published_shc_centers(similarity, random_signs((5, 8), np.random.default_rng(0)))
    with pytest.raises(InputError, match="min_distance must be a whole number of at least 1 and below 9, not 9"):
        published_shc_centers(similarity, random_signs((6, 8), np.random.default_rng(0)), min_distance=9)
