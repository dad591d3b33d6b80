"""The planner: which search serves a query by what was measured, and the bounds where another one takes over."""

import numpy as np
import pytest

from nearbit.codes import as_words
from nearbit.index.engine import costs, parallel, rings, structure
from nearbit.index.engine.costs import Cost, Costs, cost_of
from nearbit.index.engine.distinct import distinct_share
from nearbit.index.engine.layout import SMALL_INDEX, is_narrow, most_probes

PRUNES = Cost(scan=1.0, own=0.5, look=0.01)
DOES_NOT = Cost(scan=1.0, own=1.0, look=0.01)
N_BITS = 64


def clustered(n, n_bits=N_BITS):
    """Return codes near ten centers."""
    rng = np.random.default_rng(0)
    centers = rng.random((10, n_bits)) < 0.5
    return np.packbits(centers[rng.integers(0, 10, n)] ^ (rng.random((n, n_bits)) < 0.05), axis=1)


def uniform(n, n_bits=N_BITS):
    return np.packbits(np.random.default_rng(1).random((n, n_bits)) < 0.5, axis=1)


def test_a_query_gives_up_the_table_at_a_fixed_share_of_the_codes():
    assert most_probes(1000) == 125


@pytest.mark.parametrize(("kind", "share"), [("plain", 4), ("rings", 50), ("table", 50)])
def test_a_filter_is_narrow_up_to_and_including_its_share_of_the_rows(kind, share):
    allowed = SMALL_INDEX // share
    assert is_narrow(kind, allowed, SMALL_INDEX)
    assert not is_narrow(kind, allowed + 1, SMALL_INDEX)


def test_every_filter_of_a_small_index_is_narrow():
    assert is_narrow("plain", SMALL_INDEX - 1, SMALL_INDEX - 1)
    assert not is_narrow("plain", SMALL_INDEX, SMALL_INDEX)


@pytest.mark.parametrize(
    ("cost", "most"), [(PRUNES, 100), (PRUNES._replace(look=0.0), 300), (PRUNES._replace(scan=0.001), 5)]
)
def test_a_query_gives_rings_up_where_a_scan_would_have_been_quicker_within_bounds(cost, most):
    assert cost.give_up_at(1000) == most


def test_what_a_look_costs_is_what_other_queries_take_more():
    assert cost_of(1.0, own=(2.0, 100.0), others=(5.0, 400.0)) == Cost(1.0, 2.0, 0.01)
    for others in ((5.0, 100.0), (1.5, 400.0)):  # as many looks, or no more time: there is nothing to divide
        assert cost_of(1.0, own=(2.0, 100.0), others=others).look == others[0] / others[1]


def test_few_queries_are_priced_as_single_ones():
    both = Costs(single=PRUNES, batch=DOES_NOT)
    assert both.of(costs.FEW_QUERIES) is PRUNES
    assert both.of(costs.FEW_QUERIES + 1) is DOES_NOT


@pytest.mark.parametrize(
    ("single", "batch", "asked"),
    [(PRUNES, DOES_NOT, ["rings", "scan"]), (DOES_NOT, PRUNES, ["scan", "rings"])],
)
def test_the_plan_follows_what_was_measured_and_the_results_do_not(monkeypatch, single, batch, asked):
    codes = as_words(clustered(3000))
    made = structure.build_structure(codes, N_BITS, layout="rings")
    wanted = [made.nearest(codes[:n], k=7, radius=None, plan="scan") for n in (1, 20)]
    monkeypatch.setattr(structure, "measure", lambda *_: Costs(single, batch))
    used = []
    for name in ("rings", "scan"):
        search = getattr(parallel, f"by_{name}")
        monkeypatch.setattr(
            parallel, f"by_{name}", lambda *a, name=name, search=search: used.append(name) or search(*a)
        )
    found = [made.nearest(codes[:n], k=7, radius=None) for n in (1, 20)]
    assert used == asked
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.distances, other.distances)


@pytest.mark.parametrize("look", [0.0, 1e-3, 1e9])
def test_queries_that_give_rings_up_find_the_same(monkeypatch, look):
    codes = as_words(clustered(3000))
    queries = np.concatenate([codes[:3], as_words(uniform(9))])
    made = structure.build_structure(codes, N_BITS, layout="rings")
    monkeypatch.setattr(structure, "measure", lambda *_: Costs(*[Cost(1.0, 0.5, look)] * 2))
    found, wanted = (made.nearest(queries, k=50, radius=None, plan=plan) for plan in (None, "scan"))
    np.testing.assert_array_equal(found.ids, wanted.ids)
    np.testing.assert_array_equal(found.distances, wanted.distances)


@pytest.mark.parametrize("n_bits", [21, 64, 100, 128])
def test_what_is_measured_is_measured_on_codes_of_the_length_at_hand(n_bits):
    made = structure.build_structure(as_words(clustered(500, n_bits)), n_bits, layout="rings")
    own, others = costs.sample(made.layout, n_bits)
    for queries in (own, others):
        assert queries.shape == (costs.SAMPLE, -(-n_bits // 64))
        np.testing.assert_array_equal(as_words(codes_of(queries, n_bits)), queries)
    for cost in made.costs:
        assert min(cost) > 0
        assert 1 <= cost.give_up_at(made.layout.n_places) <= made.layout.n_places


def codes_of(words, n_bits):
    """Return words as codes, with the unused bits of the last byte taken out."""
    packed = np.ascontiguousarray(words).view(np.uint8)[:, : -(-n_bits // 8)]
    return np.packbits(np.unpackbits(packed, axis=1)[:, :n_bits], axis=1)


def test_uniform_codes_get_no_rings_after_a_look_at_a_sample(monkeypatch):
    n = structure.SAMPLED_FROM
    assert structure.build_structure(as_words(clustered(n)), N_BITS).layout.kind == "rings"
    built = []
    whole = rings.ring_layout
    monkeypatch.setattr(rings, "ring_layout", lambda distinct, *a: built.append(distinct) or whole(distinct, *a))
    assert structure.build_structure(as_words(uniform(n)), N_BITS).layout.kind == "plain"
    assert [one.columns.shape[1] for one in built] == [rings.SAMPLE]


def test_scattered_codes_that_many_rows_share_are_still_kept_once(monkeypatch):
    monkeypatch.setattr(structure, "SAMPLED_FROM", 1000)
    monkeypatch.setattr(structure, "SMALL_INDEX", 1000)
    codes = np.repeat(as_words(uniform(5000)), 4, axis=0)
    made = structure.build_structure(codes, N_BITS)
    assert made.layout.n_places == 5000


@pytest.mark.parametrize(("copies", "share"), [(1, 1.0), (2, 0.5), (100, 0.01)])
@pytest.mark.parametrize("n_bits", [64, 128])
def test_the_share_of_distinct_codes_is_known_from_some(copies, share, n_bits):
    assert distinct_share(np.repeat(as_words(uniform(5000, n_bits)), copies, axis=0)) == pytest.approx(share)


def test_rows_of_which_none_are_looked_at_are_taken_for_distinct():
    assert distinct_share(np.zeros((0, 1), np.uint64)) == 1.0
