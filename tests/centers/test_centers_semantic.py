"""Semantic centers: the loss, the search, the published procedure, the assignment of words and the trade-off."""

import itertools

import numpy as np
import pytest

import oracles
from class_similarity import plain_loss, similarity_of
from nearbit.centers import (
    SEMANTIC_CENTERS,
    SHCOptions,
    bernoulli_centers,
    gilbert_varshamov_distance,
    make_centers,
    min_distance_of,
    published_shc_centers,
    random_signs,
    semantic_by_assignment,
    semantic_centers,
    semantic_loss,
    separated_centers,
    similarity_correlation,
    trade_off,
)
from nearbit.centers.semantic import kernels as kernels
from nearbit.centers.semantic.quadratic_assignment import assigned_words
from nearbit.centers.semantic.target import rounded
from nearbit.errors import InputError
from nearbit.progress import silent

QUICK = 0.05


SIZES = [(2, 1, 1), (2, 12, 12), (3, 2, 1), (4, 2, 1), (8, 3, 1), (10, 48, 20), (20, 12, 4), (30, 65, 20), (5, 100, 30)]


def quickly(kind, similarity, n_bits, least, seed=3):
    """Return centers of a kind with little effort."""
    rng = np.random.default_rng(seed)
    if kind == "shc":
        return SEMANTIC_CENTERS[kind](similarity, n_bits, rng, least)
    find = {"semantic": semantic_centers, "assigned": semantic_by_assignment}[kind]
    return find(similarity, n_bits, rng, min_distance=least, effort=QUICK)


@pytest.mark.parametrize("kind", SEMANTIC_CENTERS)
@pytest.mark.parametrize(("n_classes", "n_bits", "least"), SIZES)
def test_centers_keep_their_distance_and_are_the_same_for_a_seed(kind, n_classes, n_bits, least):
    similarity = similarity_of(n_classes, group=2)
    centers = quickly(kind, similarity, n_bits, least)
    assert centers.shape == (n_classes, n_bits)
    assert centers.dtype == np.int8
    assert min(oracles.all_sign_distances(centers.tolist())) >= least
    assert np.array_equal(centers, quickly(kind, similarity, n_bits, least))


def test_make_centers_makes_centers_that_follow_a_similarity():
    similarity = similarity_of(6, group=2)
    found = {"semantic": semantic_centers, "assigned": semantic_by_assignment}
    for kind, find in found.items():
        rng = np.random.default_rng(0)
        made = make_centers(kind, n_classes=6, n_bits=8, rng=rng, similarity=similarity, min_distance=2)
        assert np.array_equal(made, find(similarity, 8, np.random.default_rng(0), min_distance=2))


@pytest.mark.parametrize("find", [semantic_centers, semantic_by_assignment])
def test_the_default_distance_is_the_published_one(find):
    centers = find(similarity_of(30), 24, np.random.default_rng(0), effort=QUICK)
    assert min(oracles.all_sign_distances(centers.tolist())) >= gilbert_varshamov_distance(30, 24)


@pytest.mark.parametrize("find", [semantic_centers, semantic_by_assignment])
def test_where_the_published_distance_is_out_of_reach_the_default_is_what_is_reached(find):
    assert gilbert_varshamov_distance(5, 3) == 2  # of which there are only four words
    similarity = similarity_of(5, group=2)
    centers = find(similarity, 3, np.random.default_rng(0), effort=1)
    assert min(oracles.all_sign_distances(centers.tolist())) == 1
    words = itertools.permutations(itertools.product((-1, 1), repeat=3), 5)
    assert semantic_loss(centers, similarity) == pytest.approx(min(plain_loss(chosen, similarity) for chosen in words))


@pytest.mark.parametrize(("n_classes", "n_bits", "least"), [(3, 3, 1), (4, 3, 2), (4, 3, 1), (3, 4, 2)])
def test_small_searches_find_the_best_centers_there_are(n_classes, n_bits, least):
    similarity = similarity_of(n_classes, seed=4, group=2)
    words = list(itertools.product((-1, 1), repeat=n_bits))
    allowed = (
        chosen
        for chosen in itertools.permutations(words, n_classes)
        if min(oracles.all_sign_distances(chosen)) >= least
    )
    best = min(plain_loss(chosen, similarity) for chosen in allowed)
    centers = semantic_centers(similarity, n_bits, np.random.default_rng(0), min_distance=least, effort=QUICK)
    assert semantic_loss(centers, similarity) == pytest.approx(best)


def test_more_effort_and_another_seed_give_other_centers_and_a_smaller_loss():
    similarity = similarity_of(40)
    losses = [
        semantic_loss(semantic_centers(similarity, 16, np.random.default_rng(0), effort=effort), similarity)
        for effort in (0.001, 0.02, 1)
    ]
    assert losses[0] > losses[1] > losses[2]
    a, b = (semantic_centers(similarity, 16, np.random.default_rng(seed), effort=QUICK) for seed in (1, 2))
    assert not np.array_equal(a, b)


def test_the_search_beats_separated_centers_and_the_published_procedure_at_the_same_distance():
    similarity = similarity_of(60)
    start = separated_centers(60, 32, np.random.default_rng(0))
    published = published_shc_centers(similarity, start, min_distance=8, options=SHCOptions.released())
    found = semantic_centers(similarity, 32, np.random.default_rng(0), min_distance=8, effort=0.2)
    assert min(oracles.all_sign_distances(found.tolist())) >= 8
    assert semantic_loss(found, similarity) < semantic_loss(published, similarity) < semantic_loss(start, similarity)


def test_classes_are_not_told_apart_by_their_numbers():
    similarity = similarity_of(20)
    order = np.random.default_rng(1).permutation(20)
    found = [
        semantic_loss(semantic_centers(given, 16, np.random.default_rng(0)), given)
        for given in (similarity, similarity[np.ix_(order, order)])
    ]
    assert found[0] == pytest.approx(found[1], rel=0.1)


def test_the_search_goes_on_from_a_start_and_never_returns_worse():
    similarity = similarity_of(20)
    start = semantic_centers(similarity, 16, np.random.default_rng(0), min_distance=4)
    again = semantic_centers(similarity, 16, np.random.default_rng(1), min_distance=4, start=start, effort=0.001)
    assert np.array_equal(again, start)
    far = separated_centers(20, 16, np.random.default_rng(0), min_distance=4)
    found = semantic_centers(similarity, 16, np.random.default_rng(1), min_distance=4, start=far)
    assert semantic_loss(found, similarity) < semantic_loss(far, similarity)


def test_a_start_of_nearer_words_than_the_published_rule_asks_for_is_searched_from():
    similarity, start = similarity_of(20), bernoulli_centers(20, 16, np.random.default_rng(2))
    assert 0 < min_distance_of(start) < gilbert_varshamov_distance(20, 16)
    found = semantic_centers(similarity, 16, np.random.default_rng(1), start=start, effort=QUICK)
    assert min(oracles.all_sign_distances(found.tolist())) >= min_distance_of(start)
    assert semantic_loss(found, similarity) <= semantic_loss(start, similarity)
    twice = np.concatenate([start[:19], start[:1]])
    with pytest.raises(InputError, match="two centers 0 bits apart, but 1 are asked for"):
        semantic_centers(similarity, 16, np.random.default_rng(1), start=twice)


def test_words_that_are_nearer_than_those_at_hand_are_not_assigned():
    """What one random choice of words reaches, another need not: then the words at hand are given to the classes."""
    similarity, start = similarity_of(20), separated_centers(20, 16, np.random.default_rng(0))
    found = assigned_words(similarity, start, min_distance_of(start), np.random.default_rng(0), QUICK, silent)
    assert min_distance_of(found) >= min_distance_of(start)
    beyond = assigned_words(similarity, start, 17, np.random.default_rng(0), QUICK, silent)
    assert sorted(beyond.tolist()) == sorted(start.tolist())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_distance": 12}, r"cannot have a minimum distance of 12: at most \d+ is possible \(proven\)"),
        ({"min_distance": 0}, "at least 1, not 0"),
        ({"effort": 0}, "effort must be a number above 0, not 0"),
        ({"effort": float("nan")}, "effort must be a number above 0"),
        ({"start": np.ones((20, 8), np.int8)}, r"start must have the shape \(20, 16\), not \(20, 8\)"),
        ({"start": np.ones((20, 16), np.int8), "min_distance": 2}, "two centers 0 bits apart, but 2 are asked for"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        semantic_centers(similarity_of(20), 16, np.random.default_rng(0), **options)


def test_more_classes_than_words_are_refused():
    with pytest.raises(InputError, match="5 classes need 5 distinct words, but 2 bits have only 4"):
        semantic_centers(similarity_of(5, group=2), 2, np.random.default_rng(0))


def test_progress_is_reported_to_its_end():
    seen = []
    semantic_centers(
        similarity_of(10, group=3), 16, np.random.default_rng(0), effort=QUICK, progress=lambda *at: seen.append(at)
    )
    assert seen[-1][1] == seen[-1][2] == len(seen)


def energy(target, scale, centers):
    """Return the sum over pairs i < j of (target - scale · product)², by loops."""
    pairs = itertools.combinations(range(len(target)), 2)
    products = {(i, j): int(np.dot(centers[i].astype(int), centers[j].astype(int))) for i, j in pairs}
    return sum((int(target[i, j]) - scale * product) ** 2 for (i, j), product in products.items())


@pytest.mark.parametrize("n_words", [6, 9])
def test_the_cost_of_an_exchange_is_the_difference_of_energies(n_words):
    target, scale, _ = rounded(similarity_of(6, group=2), 12)
    words = random_signs((n_words, 12), np.random.default_rng(2)).astype(np.int16)
    columns = np.ascontiguousarray(words.T)
    for own, other in itertools.permutations(range(n_words), 2):
        if own >= 6:
            continue
        products = []
        for word in (own, other):
            out = np.empty(6, np.int16)
            kernels.products_of(words[word], np.ascontiguousarray(columns[:, :6]), out)
            products.append(out)
        after = words.copy()
        after[[own, other]] = words[[other, own]]
        expected = energy(target, scale, after) - energy(target, scale, words)
        assert kernels._exchange_cost(own, other, target, scale, *products) == expected


def test_a_flip_brings_up_to_date_all_that_depends_on_it():
    target, scale, _ = rounded(similarity_of(6, group=2), 5)
    columns = np.ascontiguousarray(random_signs((6, 5), np.random.default_rng(2)).T.astype(np.int16))
    overlaps = columns.astype(np.int64) @ columns.T.astype(np.int64)

    def prepared():
        word, products, fields = np.empty(5, np.int64), np.empty(6, np.int16), np.empty(5, np.int64)
        kernels._prepare(3, target, scale, columns, word, products, np.empty(6, np.int16), fields)
        return word, products, fields

    kept = prepared()
    for bit in (0, 4, 2, 4, 1):
        kernels._flip(bit, 3, scale, columns, overlaps, *kept)
        assert np.array_equal(overlaps, columns.astype(np.int64) @ columns.T.astype(np.int64))
        assert all(np.array_equal(old, new) for old, new in zip(kept, prepared(), strict=True))


def test_the_cost_of_a_flip_is_the_difference_of_energies():
    target, scale, _ = rounded(similarity_of(6, group=2), 5)
    words = random_signs((6, 5), np.random.default_rng(2)).astype(np.int16)
    columns = np.ascontiguousarray(words.T)
    overlaps = columns.astype(np.int64) @ columns.T.astype(np.int64)
    word, products, rest, fields = np.empty(5, np.int64), *(np.empty(6, np.int16) for _ in "pr"), np.empty(5, np.int64)
    for own, bit, other in itertools.product(range(6), range(5), range(5)):
        kernels._prepare(own, target, scale, columns, word, products, rest, fields)
        after = words.copy()
        after[own, sorted({bit, other})] *= -1
        expected = energy(target, scale, after) - energy(target, scale, words)
        other_sign = word[other] if other != bit else 0
        cost = kernels.flip_cost(scale, 6, word[bit], fields[bit], other_sign, fields[other], overlaps[bit, other])
        assert cost == expected


def test_sweeps_without_heat_never_raise_the_energy_nor_break_what_they_keep():
    target, scale, _ = rounded(similarity_of(20), 16)
    words = separated_centers(20, 16, np.random.default_rng(0), min_distance=4).astype(np.int16)
    columns, places = np.ascontiguousarray(words.T), np.arange(20)
    overlaps = columns.astype(np.int64) @ columns.T.astype(np.int64)
    state, before = np.array([7], np.uint64), energy(target, scale, words)
    for _ in range(12):
        kernels.flip_sweep(target, scale, 16 - 8, columns, overlaps, 1e-9, 2, state)
        after = energy(target, scale, columns.T)
        assert after <= before
        kernels.exchange_sweep(target, scale, columns, places, 20, 1e-9, state)
        before = energy(target, scale, columns.T)
        assert before <= after
        assert np.array_equal(overlaps, columns.astype(np.int64) @ columns.T.astype(np.int64))
        assert min(oracles.all_sign_distances(columns.T.tolist())) >= 4
    for bit in range(16):  # nothing is left to gain by one bit, unless it brought two words too near
        for own in range(20):
            turned = columns.T.copy()
            turned[own, bit] *= -1
            near = min(oracles.sign_distance(turned[own], turned[j]) for j in range(20) if j != own) < 4
            assert near or energy(target, scale, turned) >= before


def test_similarities_beyond_what_the_search_can_hold_are_refused():
    with pytest.raises(InputError, match="scale the similarity into -1 to 1"):
        semantic_centers(similarity_of(6, group=2) * 1e4, 16, np.random.default_rng(0))


def test_as_many_classes_as_sums_of_residuals_allow_are_rounded_and_one_more_is_refused():
    column = np.zeros((65537, 1), np.float32)  # one column of what would be 16 GiB: only the rows are counted
    assert rounded(column[:65536], 1).target.shape == (65536, 1)
    with pytest.raises(InputError, match="at most 65536 classes, not 65537"):
        rounded(column, 1)


def test_centers_for_a_larger_distance_count_where_the_search_for_a_smaller_one_finds_nothing_better(monkeypatch):
    similarity = similarity_of(6, group=2)
    good = semantic_centers(similarity, 8, np.random.default_rng(0), min_distance=2)
    poor = separated_centers(6, 8, np.random.default_rng(0), min_distance=2)
    monkeypatch.setattr(
        "nearbit.centers.semantic.search.semantic_centers",
        lambda *_, min_distance, effort: good if min_distance == 2 else poor,
    )
    best, worst = (semantic_loss(centers, similarity) for centers in (good, poor))
    assert best < worst
    assert trade_off(similarity, 8, [1, 2, 3], np.random.default_rng(0)) == [(1, best), (2, best), (3, worst)]


def test_a_trade_off_never_falls_with_the_distance():
    similarity = similarity_of(30)
    curve = trade_off(similarity, 16, [6, 2, 4, 4], np.random.default_rng(0), effort=0.2)
    assert [point.min_distance for point in curve] == [2, 4, 6]
    losses = [point.semantic_loss for point in curve]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1]
    with pytest.raises(InputError, match="at least one minimum distance"):
        trade_off(similarity, 16, [], np.random.default_rng(0))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("semantic", {}, "'semantic' centers follow a similarity of classes: give one"),
        ("assigned", {}, "'assigned' centers follow a similarity"),
        ("csq", {"similarity": np.eye(4)}, "'csq' centers follow no similarity: leave it out"),
        ("csq", {"min_distance": 2}, "'csq' centers take no min_distance"),
        ("semantic", {"similarity": np.eye(3)}, "has 3 classes, but 4 are expected"),
        ("semantik", {}, "Did you mean 'semantic'?"),
    ],
)
def test_make_centers_refuses_what_a_kind_does_not_use(kind, options, message):
    with pytest.raises(InputError, match=message):
        make_centers(kind, n_classes=4, n_bits=8, rng=np.random.default_rng(0), **options)


def test_make_centers_passes_a_minimum_distance_to_separated_centers():
    with pytest.raises(InputError, match="cannot have a minimum distance of 9"):
        make_centers("separated", n_classes=10, n_bits=16, rng=np.random.default_rng(0), min_distance=9)


@pytest.mark.slow
def test_a_thousand_classes_keep_their_distance_and_follow_the_similarity():
    similarity = similarity_of(1000)
    centers = semantic_centers(similarity, 64, np.random.default_rng(0))
    distances = (64 - centers.astype(np.int32) @ centers.T.astype(np.int32)) // 2
    assert distances[~np.eye(1000, dtype=bool)].min() >= 21
    assert similarity_correlation(centers, similarity) > 0.3  # of separated centers it is about 0


@pytest.mark.parametrize("kind", SEMANTIC_CENTERS)
def test_an_impossible_distance_is_refused_with_the_proven_bound_by_every_kind(kind):
    given = {"n_classes": 8, "n_bits": 8, "similarity": similarity_of(8, group=2), "min_distance": 5}
    with pytest.raises(InputError, match=r"cannot have a minimum distance of 5: at most 4 is possible \(proven\)"):
        make_centers(kind, rng=np.random.default_rng(0), **given)


def test_the_published_procedure_starts_farther_apart_where_mds_centers_are_too_near(monkeypatch):
    similarity, least = similarity_of(8, group=2), 4
    near = np.array([[1 - 2 * (i >> b & 1) for b in range(8)] for i in range(8)], np.int8)
    monkeypatch.setattr("nearbit.centers.mds_centers", lambda *_: near)
    centers = SEMANTIC_CENTERS["shc"](similarity, 8, np.random.default_rng(0), least)
    assert min(oracles.all_sign_distances(centers.tolist())) >= least


def test_a_distance_that_is_possible_but_not_reached_is_refused_by_the_published_procedure():
    given = {"n_classes": 196, "n_bits": 24, "similarity": similarity_of(196, group=2), "min_distance": 9}
    with pytest.raises(InputError, match="8 is reached, and at most 10 is possible") as refusal:
        make_centers("shc", rng=np.random.default_rng(0), **given)
    assert "start" not in str(refusal.value)
