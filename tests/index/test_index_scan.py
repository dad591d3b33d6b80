"""The compiled scan: at the ends of its runs, chunks and samples it finds what NumPy finds by looking at every code."""

import numpy as np
import pytest

from nearbit.codes import as_words
from nearbit.index.engine.scan_kernels import CHUNK, FIRST, MASK, RUN
from nearbit.index.engine.structure import build_structure

SIZES = (1, MASK - 1, MASK + 1, RUN - 1, RUN, RUN + 1, CHUNK - 1, CHUNK + MASK, CHUNK + RUN + 1, FIRST, FIRST + 1)


def agree(codes, queries, n_bits, **limits):
    """Assert that the scan finds what NumPy finds."""
    structure = build_structure(as_words(codes), n_bits, layout="plain")
    limits = {"k": None, "radius": None} | limits
    scanned = structure.nearest(as_words(queries), plan="scan", **limits)
    looked_at = structure.nearest(as_words(queries), plan="numpy", **limits)
    for name in ("offsets", "ids", "distances"):
        np.testing.assert_array_equal(getattr(scanned, name), getattr(looked_at, name))


@pytest.mark.parametrize("n_bits", [12, 64, 128, 192, 256, 320])
@pytest.mark.parametrize("n", SIZES)
def test_the_scan_finds_the_codes_at_every_end(n_bits, n):
    rng = np.random.default_rng(n)
    codes = np.packbits(rng.random((n, n_bits)) < 0.5, axis=1)
    near = codes[[0, n // 2, n - 1]]
    for k in (1, 100):
        agree(codes, near, n_bits, k=k)
    agree(codes, near, n_bits, radius=n_bits // 3)


@pytest.mark.parametrize("k", [1, 100, 5000])
def test_codes_in_the_order_of_their_classes_are_ranked_as_any(k):
    rng = np.random.default_rng(0)
    n, n_bits = 3 * FIRST + 5, 64
    centers = rng.random((9, n_bits)) < 0.5
    classes = np.arange(n) * 9 // n
    codes = np.packbits(centers[classes] ^ (rng.random((n, n_bits)) < 0.05), axis=1)
    agree(codes, codes[:: n // 7], n_bits, k=k)


def test_a_distance_of_all_the_bits_that_a_code_can_have_is_found_without_more():
    n_bits = 65_535
    codes = np.packbits(np.ones((3, n_bits), np.uint8), axis=1)
    queries = np.zeros_like(codes[:1])
    agree(codes, queries, n_bits, k=5)
