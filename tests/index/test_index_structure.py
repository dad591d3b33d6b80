"""The search structure: every plan finds what a plain loop finds, on awkward codes, limits, filters and exclusions."""

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
from nearbit.codes import as_words
from nearbit.errors import InputError
from nearbit.index.engine.structure import Structure, build_structure

LENGTHS = (1, 7, 8, 12, 16, 20, 32, 48, 63, 64, 65, 128, 200, 256, 1000)
TABLE_BITS = 20
PLANS = {"plain": ("numpy", "scan"), "rings": ("rings", "scan", "numpy"), "table": ("table", "scan", "numpy")}


def make_codes(kind, n, n_bits, rng):
    """Return codes: all identical, near three centers, or uniform."""
    centers = rng.random((3, n_bits)) < 0.5
    flipped = rng.random((n, n_bits)) < {"identical": 0.0, "clusters": 0.06, "uniform": 0.5}[kind]
    chosen = rng.integers(0, 1 if kind == "identical" else 3, n)
    return np.packbits(centers[chosen] ^ flipped, axis=1).reshape(n, -(-n_bits // 8))


def layouts(n_bits, n):
    """Return the layouts that can serve codes of this length."""
    return [kind for kind in PLANS if n and (kind != "table" or n_bits <= TABLE_BITS)]


def lists(found):
    """Return the (row, distance) pairs of each query."""
    pairs = list(zip(found.ids.tolist(), found.distances.tolist(), strict=True))
    return [pairs[start:stop] for start, stop in pairwise(found.offsets.tolist())]


def expected(queries, codes, n_bits, k, radius, rows):
    """Return the (row, distance) pairs of each query by a plain loop over some rows."""
    items = {int(row): codes[row] for row in rows}
    return [oracles.top_k(query, items, n_bits, k, radius) for query in queries]


@st.composite
def cases(draw):
    n_bits = draw(st.sampled_from(LENGTHS))
    n = draw(st.sampled_from((1, 2, 3, 30)))
    kind = draw(st.sampled_from(("identical", "clusters", "uniform")))
    k = draw(st.sampled_from((None, 1, 3, 29, 50)))
    radius = draw(st.sampled_from((0, 1, n_bits // 4, n_bits + 3) if k is None else (None, 0, n_bits // 3)))
    return n_bits, n, kind, k, radius, draw(st.booleans()), draw(st.booleans()), draw(st.integers(0, 2**32 - 1))


@given(cases())
@settings(max_examples=100, deadline=None)
def test_every_plan_finds_what_a_plain_loop_finds(case):
    n_bits, n, kind, k, radius, is_filtered, has_excluded, seed = case
    rng = np.random.default_rng(seed)
    codes = make_codes(kind, n, n_bits, rng)
    queries = np.concatenate([codes[:1], make_codes("uniform", 1, n_bits, rng)])
    allowed = np.flatnonzero(rng.random(n) < 0.5) if is_filtered else None
    excluded = rng.random(n) < 0.3 if has_excluded else None
    rows = np.arange(n) if allowed is None else allowed
    rows = rows if excluded is None else rows[~excluded[rows]]
    wanted = expected(queries, codes, n_bits, k, radius, rows)
    for layout in layouts(n_bits, n):
        structure = build_structure(as_words(codes), n_bits, layout=layout)
        for plan in PLANS[layout]:
            found = structure.nearest(
                as_words(queries), k=k, radius=radius, allowed=allowed, excluded=excluded, plan=plan
            )
            assert lists(found) == wanted, (layout, plan)


@pytest.mark.parametrize("n_bits", [12, 20, 64, 65, 256])
@pytest.mark.parametrize("kind", ["clusters", "uniform"])
def test_all_plans_agree_on_more_codes_than_a_block(n_bits, kind):
    rng = np.random.default_rng(n_bits)
    codes = make_codes(kind, 20_000, n_bits, rng)
    codes[10_000:12_000] = codes[0]
    queries = as_words(np.concatenate([codes[:3], make_codes("uniform", 3, n_bits, rng)]))
    words, excluded = as_words(codes), rng.random(len(codes)) < 0.1
    wide = np.flatnonzero(rng.random(len(codes)) < 0.9)
    built = {layout: build_structure(words, n_bits, layout=layout) for layout in layouts(n_bits, len(codes))}
    for limits in ({"k": 1, "radius": None}, {"k": 100, "radius": None}, {"k": 9000, "radius": None},
                   {"k": None, "radius": n_bits // 4}, {"k": 2500, "radius": 1}):  # fmt: skip
        for filters in ({}, {"excluded": excluded, "allowed": wide}):
            wanted = lists(built["plain"].nearest(queries, plan="numpy", **limits, **filters))
            for layout, structure in built.items():
                for plan in PLANS[layout]:
                    assert lists(structure.nearest(queries, plan=plan, **limits, **filters)) == wanted, (layout, plan)


def test_ties_at_the_last_rank_go_to_the_smallest_rows():
    codes = np.array([[3], [1], [0], [3], [2], [0]], np.uint8) << 4
    structure = build_structure(as_words(codes), 4)
    for plan in PLANS["plain"]:
        found = structure.nearest(as_words(np.array([[0]], np.uint8)), k=3, radius=None, plan=plan)
        assert lists(found) == [[(2, 0), (5, 0), (1, 1)]]


@pytest.mark.parametrize("layout", ["plain", "rings"])
def test_one_and_two_threads_agree(monkeypatch, layout):
    rng = np.random.default_rng(3)
    codes = make_codes("clusters", 60_000, 64, rng)
    words, queries = as_words(codes), as_words(make_codes("uniform", 300, 64, rng))
    answers = []
    for threads in ("1", "2"):
        monkeypatch.setenv("NEARBIT_THREADS", threads)
        structure = build_structure(words, 64, layout=layout)
        few = structure.nearest(queries[:60], k=70, radius=None, plan="scan")
        answers.append((lists(structure.nearest(queries, k=70, radius=None)), lists(few)))
    assert answers[0] == answers[1]
    assert answers[0][0][:60] == answers[0][1]


@pytest.mark.parametrize("n_bits", [1, 9, 12, 16, 20])
def test_addresses_are_the_codes_without_their_unused_bits(n_bits):
    from nearbit.index.engine.table import addresses_of

    codes = np.packbits(np.random.default_rng(0).random((50, n_bits)) < 0.5, axis=1)
    words = as_words(codes)[:, 0]
    addresses = addresses_of(words, n_bits)
    assert 0 <= addresses.min() <= addresses.max() < 2**n_bits
    for a in range(50):
        distances = [int(addresses[a] ^ addresses[b]).bit_count() for b in range(50)]
        assert distances == [oracles.hamming(codes[a], code, n_bits) for code in codes]


@pytest.mark.parametrize("layout", ["plain", "rings", "table"])
def test_a_structure_is_made_again_of_its_arrays(tmp_path, layout):
    rng = np.random.default_rng(1)
    codes = make_codes("clusters", 500, 12, rng)
    built = build_structure(as_words(codes), 12, layout=layout)
    for name, array in built.arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in tmp_path.iterdir()}
    again = Structure.from_arrays(mapped, 12)
    assert again.describe() == built.describe()
    assert again.describe()["layout"] == layout
    assert len(again) == 500
    query = as_words(codes[:5])
    assert lists(again.nearest(query, k=30, radius=None)) == lists(built.nearest(query, k=30, radius=None))


def test_arrays_that_do_not_fit_are_refused():
    arrays = build_structure(as_words(make_codes("clusters", 300, 64, np.random.default_rng(0))), 64, layout="rings")
    whole = arrays.arrays()
    with pytest.raises(InputError, match="needs columns and does_prune"):
        Structure.from_arrays({}, 64)
    for name in ("offsets", "rows", "masks", "group_cells", "cell_starts", "rings", "spans"):
        with pytest.raises(InputError, match=r"needs \w+ as"):
            Structure.from_arrays(whole | {name: whole[name][:-1]}, 64)
        with pytest.raises(InputError, match=f"needs {name} as"):
            Structure.from_arrays(whole | {name: whole[name].astype(np.float32)}, 64)
    with pytest.raises(InputError, match="that ascend from 0"):
        Structure.from_arrays(whole | {"cell_starts": whole["cell_starts"][::-1]}, 64)
    with pytest.raises(InputError, match="needs columns as uint64"):
        Structure.from_arrays(whole, 128)


def test_words_of_another_width_are_refused():
    with pytest.raises(InputError, match=r"codes of 65 bits .* must come as uint64 \(n, 2\), not uint64 \(3, 1\)"):
        build_structure(np.zeros((3, 1), np.uint64), 65)


def test_a_large_index_chooses_the_layout_that_suits_its_codes():
    rng = np.random.default_rng(7)
    for kind, n_bits, layout, plan in (
        ("clusters", 64, "rings", "rings"),
        ("uniform", 64, "plain", "scan"),
        ("uniform", 16, "table", "table"),
    ):
        words = as_words(make_codes(kind, 110_000, n_bits, rng))
        facts = build_structure(words, n_bits).describe()
        assert (facts["layout"], facts["plan"], facts["rows"]) == (layout, plan, 110_000)
        assert facts["distinct_codes"] in (None, len(np.unique(words)))
    assert build_structure(words[:99_999], 16).describe()["layout"] == "plain"


def test_given_leaders_are_used():
    rng = np.random.default_rng(2)
    centers = np.zeros((3, 64), np.bool_)
    centers[1, :4] = centers[2, 4:8] = True  # nearer to each other than pivots that are found
    codes = np.packbits(centers[rng.integers(0, 3, 2000)] ^ (rng.random((2000, 64)) < 0.01), axis=1)
    given = as_words(np.packbits(centers, axis=1))
    for pivots, count in ((None, 1), (given, 3)):
        structure = build_structure(as_words(codes), 64, pivots=pivots, layout="rings")
        assert structure.describe()["leaders"] == count
        found = structure.nearest(as_words(codes[:3]), k=5, radius=None)
        assert lists(found) == expected(codes[:3], codes, 64, 5, None, range(2000))


def test_a_small_index_is_searched_without_compiled_kernels():
    code = (
        "import sys, numpy as np\n"
        "from nearbit.index.engine.structure import build_structure\n"
        "words = np.arange(5000, dtype=np.uint64)[:, None]\n"
        "found = build_structure(words, 64).nearest(words[:9], k=3, radius=None, excluded=words[:, 0] % 2 == 0)\n"
        "print(found.ids[:3].tolist(), 'numba' in sys.modules)"
    )
    environment = os.environ | {"NEARBIT_COMPILE": "auto"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1, 3, 5] False"
