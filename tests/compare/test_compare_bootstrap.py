import numpy as np
import pytest

from nearbit.compare import bootstrap
from nearbit.compare.bootstrap import paired_differences, two_sided_p
from nearbit.errors import InputError


def rng_of(seed=0):
    return np.random.default_rng(seed)


def samples_of(differences, *, same_queries=False, seed=0, n_samples=499):
    return paired_differences(differences, same_queries=same_queries, rng=rng_of(seed), n_samples=n_samples)


def drawn_differences(rng, *, n_seeds, n_query, seed_deviation=0.0, shift=0.0):
    """Return differences of one pair: `shift`, plus noise of the seed, plus noise of each query."""
    return [shift + rng.normal(0, seed_deviation or 1e-12) + rng.normal(0, 1, (1, n_query)) for _ in range(n_seeds)]


def expected_variance(arrays, *, same_queries):
    """Return the variance of a bootstrap sample in closed form, by the law of total variance, for one pair."""
    n_seeds = len(arrays)
    rows = [array[0] for array in arrays]
    of_seeds = np.var([row.mean() for row in rows], ddof=1) if n_seeds > 1 else 0.0
    within = np.mean([row.var() / len(row) for row in rows])
    if not same_queries:
        return of_seeds / n_seeds + within / n_seeds
    between = np.mean([[np.mean((a - a.mean()) * (b - b.mean())) / len(a) for a in rows] for b in rows])
    return of_seeds / n_seeds + within / n_seeds + between * (n_seeds - 1) / n_seeds


@pytest.mark.parametrize("same_queries", [False, True])
@pytest.mark.parametrize("n_seeds", [1, 2, 4])
def test_samples_have_the_mean_and_variance_of_their_definition(same_queries, n_seeds):
    rng = rng_of(3)
    hard = rng.normal(0, 1, (1, 30))
    arrays = [hard + rng.normal(0.2, 0.5, (1, 30)) + rng.normal(0, 0.2) for _ in range(n_seeds)]
    samples = samples_of(arrays, same_queries=same_queries, n_samples=20_000)[:, 0]
    variance = expected_variance(arrays, same_queries=same_queries)
    assert samples.mean() == pytest.approx(np.mean(arrays), abs=5 * np.sqrt(variance / 20_000))
    assert samples.var() == pytest.approx(variance, rel=0.06)


def test_queries_shared_by_seeds_are_not_taken_for_more_queries_than_they_are():
    hard = rng_of(1).normal(0, 1, (1, 50))
    apart, shared = (samples_of([hard] * 5, same_queries=same, n_samples=4000).var() for same in (False, True))
    assert shared == pytest.approx(5 * apart, rel=0.15)


@pytest.mark.parametrize("same_queries", [False, True])
def test_equal_methods_differ_by_nothing(same_queries):
    samples = samples_of([np.zeros((2, 7))] * 3, same_queries=same_queries)
    assert not samples.any()
    assert two_sided_p(samples[:, 0]) == 1


@pytest.mark.parametrize("same_queries", [False, True])
def test_swapped_methods_have_the_negated_samples(same_queries):
    arrays = [rng_of(seed).normal(0.1, 1, (3, 20)) for seed in range(3)]
    forth = samples_of(arrays, same_queries=same_queries)
    back = samples_of([-array for array in arrays], same_queries=same_queries)
    np.testing.assert_array_equal(forth, -back)
    assert [two_sided_p(column) for column in forth.T] == [two_sided_p(column) for column in back.T]


@pytest.mark.parametrize(("n_seeds", "seed_deviation"), [(1, 0.0), (5, 0.1)])
def test_p_is_about_uniform_where_nothing_differs_and_the_interval_covers(n_seeds, seed_deviation):
    rng, found, covered = rng_of(11), [], 0
    for repeat in range(300):
        arrays = drawn_differences(rng, n_seeds=n_seeds, n_query=60, seed_deviation=seed_deviation, shift=0.3)
        samples = samples_of(arrays, seed=repeat, n_samples=199)[:, 0]
        low, high = np.quantile(samples, (0.025, 0.975))
        covered += low <= 0.3 <= high
        found.append(two_sided_p(samples - 0.3))
    assert covered >= 0.89 * 300
    assert np.mean(np.array(found) <= 0.05) < 0.1
    assert 0.4 < np.mean(found) < 0.75
    assert 0.3 < np.mean(np.array(found) <= 0.5) + 0.1 < 0.7


def test_a_large_difference_has_the_smallest_p():
    samples = samples_of(drawn_differences(rng_of(2), n_seeds=3, n_query=40, shift=3.0))
    assert two_sided_p(samples[:, 0]) == 2 / 500


@pytest.mark.parametrize(
    ("samples", "expected"),
    [([1, 2, 3], 2 * 1 / 4), ([-1, 2, 3, 4], 2 * 2 / 5), ([-1, -2, 3, -4], 2 * 2 / 5), ([0, 0, 0], 1.0), ([0], 1.0)],
)
def test_p_counts_the_far_side_of_zero(samples, expected):
    assert two_sided_p(samples) == expected


def test_all_pairs_are_compared_on_the_same_samples():
    arrays = [rng_of(seed).normal(0, 1, (2, 15)) for seed in range(3)]
    both = samples_of(arrays)
    chained = samples_of([array.sum(axis=0, keepdims=True) for array in arrays])
    np.testing.assert_allclose(both.sum(axis=1), chained[:, 0], atol=1e-12)


@pytest.mark.parametrize("same_queries", [False, True])
def test_drawing_in_small_steps_gives_the_same_samples(monkeypatch, same_queries):
    arrays = [rng_of(seed).normal(0, 1, (2, 15)) for seed in range(3)]
    whole = samples_of(arrays, same_queries=same_queries)
    monkeypatch.setattr(bootstrap, "DRAWN_AT_ONCE", 40)
    np.testing.assert_allclose(samples_of(arrays, same_queries=same_queries), whole, atol=1e-12)


def test_a_state_of_the_generator_gives_the_same_samples_and_another_gives_others():
    arrays = [rng_of(4).normal(0, 1, (1, 15))]
    np.testing.assert_array_equal(samples_of(arrays, seed=5), samples_of(arrays, seed=5))
    assert (samples_of(arrays, seed=5) != samples_of(arrays, seed=6)).any()


def test_seeds_may_have_different_numbers_of_queries_and_weigh_the_same():
    samples = samples_of([np.zeros((1, 100)), np.ones((1, 1))], n_samples=4000)
    assert samples.mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("differences", "same_queries", "n_samples", "message"),
    [
        ([], False, 9, "one or more seeds, not \\[\\]"),
        ([np.zeros((1, 0))], False, 9, "one or more seeds"),
        ([np.zeros(4)], False, 9, "must be \\(n_pairs, n_query\\)"),
        ([np.zeros((1, 4)), np.zeros((2, 4))], False, 9, "must be \\(n_pairs, n_query\\)"),
        ([np.zeros((1, 4)), np.zeros((1, 5))], True, 9, "must have as many each, not \\[4, 5\\]"),
        ([np.zeros((1, 4))], False, 0, "n_samples must be a whole number of at least 1, not 0"),
    ],
)
def test_differences_of_a_wrong_shape_are_refused(differences, same_queries, n_samples, message):
    with pytest.raises(InputError, match=message):
        samples_of(differences, same_queries=same_queries, n_samples=n_samples)
