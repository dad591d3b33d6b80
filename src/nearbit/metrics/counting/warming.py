"""Small comparisons that call every kernel of the metrics once for each form of its arguments."""

from collections.abc import Iterator

import numpy as np


def warm() -> Iterator[None]:
    """Call all kernels; compile or load one at each step."""
    from nearbit.metrics.counting import kernels, order_kernels

    codes, counts, places = np.zeros((1, 1), np.uint64), np.zeros((1, 2), np.int64), np.zeros(1, np.int64)
    graded, ones, limits = np.zeros((1, 2, 2), np.int64), np.ones(1, np.uint32), np.ones(1, np.int64)
    lists = np.zeros(65, np.int64)
    kernels.grouped_histograms(codes, codes, places, limits, ones, counts, counts)
    yield
    kernels.listed_histograms(codes, codes, ones, codes, lists, codes, codes, ones, counts, counts)
    yield
    kernels.keyed_histograms(codes, codes, codes, codes, ones, counts, counts)
    yield
    order_kernels.ordered_sums(
        codes, codes, np.empty((2, 0), np.int64), ones, codes, codes, limits, counts, counts, graded,
        np.zeros((1, 1)), counts[:, :1].copy(),
    )  # fmt: skip
    yield
    kernels.graded_histograms(codes, codes, codes, codes, True, np.empty((0, 0), np.int64), graded)
    yield
