"""The planner: the bounds at which one search takes over from another, by value."""

import pytest

from nearbit.index.engine.layout import SMALL_INDEX, give_up_at, is_narrow


@pytest.mark.parametrize(("plan", "most"), [("rings", 300), ("table", 125)])
def test_a_query_gives_up_at_a_fixed_share_of_the_codes(plan, most):
    assert give_up_at(plan, 1000) == most


@pytest.mark.parametrize(("kind", "share"), [("plain", 4), ("rings", 50), ("table", 50)])
def test_a_filter_is_narrow_up_to_and_including_its_share_of_the_rows(kind, share):
    allowed = SMALL_INDEX // share
    assert is_narrow(kind, allowed, SMALL_INDEX)
    assert not is_narrow(kind, allowed + 1, SMALL_INDEX)


def test_every_filter_of_a_small_index_is_narrow():
    assert is_narrow("plain", SMALL_INDEX - 1, SMALL_INDEX - 1)
    assert not is_narrow("plain", SMALL_INDEX, SMALL_INDEX)
