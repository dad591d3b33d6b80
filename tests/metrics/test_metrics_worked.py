"""Average precision by hand: the published examples under each definition of the field, in plain fractions."""

import numpy as np
import pytest

from nearbit import metrics
from nearbit.codes import pack
from nearbit.metrics import average_precision_by, convention_named, tie_aware_average_precision

QUERY = pack([[1] * 6])
RANKED = pack([[-1] * turned + [1] * (6 - turned) for turned in range(5)])
"""Five items at distances 0 to 4: nothing ties, so every definition sees this one order."""


@pytest.mark.parametrize(
    ("hits", "found", "at_most_k", "relevant"),
    [
        ("+-+--", 5 / 6, 5 / 6, 5 / 6),  # the example of DeepHash-pytorch's issue 33, cut after three
        ("+----", 1, 1, 1),
        ("+--+-", 1, 1 / 2, 1 / 2),  # missing the second relevant item: 1 by what is found, a half by the others
        ("+-+++", 5 / 6, 5 / 9, 5 / 12),
        ("+++++", 1, 1, 3 / 5),
        ("---++", 0, 0, 0),
    ],
)
def test_definitions_within_three_ranks(hits, found, at_most_k, relevant):
    data = (QUERY, [0], RANKED, [0 if hit == "+" else 1 for hit in hits], 6)
    for divisor, expected in (("found", found), ("at most k", at_most_k), ("relevant", relevant)):
        assert tie_aware_average_precision(*data, k=3, divisor=divisor)[0] == pytest.approx(expected, abs=1e-12)
    by_name = average_precision_by(*data, convention=convention_named("deephash-pytorch"), k=3)
    assert by_name[0] == pytest.approx(found, abs=1e-12)


def test_the_same_codes_are_worth_a_half_or_one_by_what_a_query_without_hits_counts():
    queries = np.repeat(QUERY, 2, axis=0)  # the second looks for what lies beyond the first three ranks
    for name, expected in (("deephash-pytorch", 1 / 2), ("hashnet", 1.0), ("pytorch-metric-learning", 1 / 2)):
        report = metrics.evaluate_codes(queries, [0, 1], RANKED, [0, 2, 2, 2, 1], n_bits=6, convention=name, k=3)
        assert report.map_by_convention == pytest.approx(expected)


def test_what_is_found_is_worth_more_the_fewer_ranks_are_counted():
    data = (QUERY, [0], RANKED, [0, 1, 0, 1, 0], 6)
    field = convention_named("deephash-pytorch")
    values = [average_precision_by(*data, convention=field, k=k)[0] for k in (1, 3, 5)]
    assert values == pytest.approx([1, 5 / 6, (1 + 2 / 3 + 3 / 5) / 3])
    assert values[0] > values[1] > values[2]
