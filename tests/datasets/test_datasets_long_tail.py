"""Long tails: the counts of LTHNet's tables, laws that hold for any data, what is refused, and the recipe."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_datasets_split import data, one_label

from nearbit.datasets import SplitSizes, load_split, make_split
from nearbit.datasets.splits.long_tail import Imbalance, zipf_counts
from nearbit.errors import DataError, InputError


@pytest.mark.parametrize(
    ("largest", "exponent", "total", "least"),
    [
        (500, 0.0, 50_000, 500),
        (500, 0.83, 3_732, 10),
        (500, 0.99, 2_598, 5),
        (100, 0.0, 10_000, 100),
        (1300, 0.845, 9_437, 26),
        (1300, 0.99, 6_834, 13),
    ],
)
def test_the_counts_are_those_of_the_tables_of_lthnet(largest, exponent, total, least):
    counts = zipf_counts(largest, 100, exponent)
    assert counts.tolist() == [int(largest * rank**-exponent + 1e-9) for rank in range(1, 101)]
    assert (counts.sum(), counts[0], counts[-1]) == (total, largest, least)


@pytest.mark.parametrize(("number", "total"), [(1, 50_000), (50, 3_732), (100, 2_598)])
def test_the_protocols_have_as_many_images_as_the_paper(number, total):
    labels = np.repeat(np.eye(100, dtype=bool), 600, axis=0)
    dataset = data(labels, name="cifar100", given_parts=(("train",) * 500 + ("query",) * 100) * 100)
    split = make_split(dataset, protocol=f"cifar100/lt-{number}")
    assert len(split.train) + len(split.validation) == total
    assert (len(split.query), len(split.database)) == (10_000, 50_000)
    kept = labels[split.train].sum(axis=0) + labels[split.validation].sum(axis=0)
    assert kept.max() == number * kept.min() == 500
    assert labels[split.validation].any(axis=0).all()
    assert np.isin(split.train, split.database).all()
    assert split.recipe["imbalance"]["factor"] == number
    with pytest.raises(DataError, match=f"the protocol cifar100/lt-{number} needs all 60,000 images"):
        make_split(one_label(5, 5, name="cifar100", given_parts=("train",) * 8 + ("query",) * 2),
                   protocol=f"cifar100/lt-{number}")  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(20, 60), min_size=2, max_size=6),
    st.sampled_from((1, 2, 3.5, 10)),
    st.integers(0, 3),
    st.sampled_from((None, 0.1, 0.3)),
)
def test_laws_of_a_long_tail(sizes, factor, seed, validation):
    dataset = one_label(*sizes)
    parts = SplitSizes(train="rest", validation=validation, query=0.2, database=0.2)
    whole, split = (make_split(dataset, seed=seed, sizes=parts, imbalance=one) for one in (None, factor))
    assert np.array_equal(split.query, whole.query)
    assert np.array_equal(split.database, whole.database)
    assert np.isin(split.train, whole.train).all()
    assert np.isin(split.validation, whole.validation).all()
    own = dataset.labels[split.train].sum(axis=0)
    kept = np.sort(own + dataset.labels[split.validation].sum(axis=0))[::-1]
    said = split.recipe["imbalance"]
    assert kept.tolist() == zipf_counts(said["largest"], len(sizes), said["exponent"]).tolist()
    assert kept[0] // factor == kept[-1]
    assert own.min() >= 1
    again = make_split(dataset, seed=seed, sizes=parts, imbalance=factor)
    assert again.hash == split.hash
    if validation and kept[-1] >= 2:
        assert dataset.labels[split.validation].any(axis=0).all()


def test_the_larger_classes_stay_the_larger_ones_and_the_seed_orders_equals():
    sizes = SplitSizes(train="rest", validation=None, query=1, database=1)
    split = make_split(one_label(22, 52, 32), sizes=sizes, imbalance=5)
    assert one_label(22, 52, 32).labels[split.train].sum(axis=0).tolist() == [10, 50, 18]
    equal = one_label(*[30] * 8)
    firsts = {
        int(equal.labels[make_split(equal, seed=seed, sizes=sizes, imbalance=5).train].sum(axis=0).argmax())
        for seed in range(12)
    }
    assert len(firsts) > 2


def test_a_class_too_small_for_its_place_lowers_the_others():
    sizes = SplitSizes(train="rest", validation=None, query=1, database=1)
    split = make_split(one_label(102, 12), sizes=sizes, imbalance=2)
    assert one_label(102, 12).labels[split.train].sum(axis=0).tolist() == [21, 10]


def test_a_long_tail_comes_back_from_its_file(tmp_path):
    split = make_split(one_label(40, 40, 40), imbalance=Imbalance(factor=4, exponent=1.2))
    split.save(tmp_path / "split.json")
    back = load_split(tmp_path / "split.json")
    assert back.hash == split.hash
    assert back.recipe["imbalance"] == {"factor": 4.0, "exponent": 1.2, "largest": split.recipe["imbalance"]["largest"]}
    assert "imbalance" not in make_split(one_label(40, 40, 40)).recipe


@pytest.mark.parametrize("bad", [0.5, -2, float("nan"), float("inf"), True, "50"])
def test_an_imbalance_that_is_none_is_refused(bad):
    with pytest.raises(InputError, match="the imbalance must be a number of at least 1, not"):
        make_split(one_label(20, 20), imbalance=bad)


def test_what_has_no_long_tail_is_refused():
    with pytest.raises(InputError, match="the exponent of an imbalance must be a number of at least 0, not -1"):
        Imbalance(factor=2, exponent=-1)
    with pytest.raises(DataError, match="some images have several labels, and a long tail is of classes that share no"):
        make_split(data(np.ones((20, 2), bool)), imbalance=2)
    with pytest.raises(DataError, match="with an imbalance of 100 the last of 2 classes would keep no image of the 1"):
        make_split(one_label(20, 20), imbalance=100)
    with pytest.raises(InputError, match="the protocol unseen@all keeps whole classes unseen: leave the imbalance out"):
        make_split(one_label(20, 20, 20), protocol="unseen@all", imbalance=2)
    with pytest.raises(InputError, match="the protocol cifar100/lt-50 has an imbalance of its own"):
        make_split(one_label(20, 20, name="cifar100"), protocol="cifar100/lt-50", imbalance=2)
    with pytest.raises(DataError, match="no image has a label, so there is nothing to split by"):
        make_split(data(np.zeros((20, 2), bool)), imbalance=2)
