"""Comparing models to the last bit."""

import numpy as np
import torch


def assert_same(one, other):
    """Assert that two models have the same weights, centers and history, all but the seconds."""
    first, second = one.network.state_dict(), other.network.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    arrays, others = one.centers.arrays(), other.centers.arrays()
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        assert np.array_equal(array, others[name]), name
    assert history_of(one) == history_of(other)
    assert one.record["selected_epoch"] == other.record["selected_epoch"]
    assert one.head == other.head
    assert one.model_id == other.model_id


def history_of(model):
    """Return the history without the seconds."""
    return [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in model.record["history"]]
