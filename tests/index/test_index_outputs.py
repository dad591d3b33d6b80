"""Outputs kept beside the codes: rounded little, ordering ties, refused where they do not fit."""

import numpy as np
import pytest

import oracles
from nearbit.codes import pack, signs_of
from nearbit.errors import IndexFileError, InputError
from nearbit.index import create_index, open_index
from nearbit.index.storage.outputs import stored

N_BITS = 12


def outputs_of(n, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, N_BITS)) * rng.uniform(0.1, 5, (n, 1))).astype(np.float32)


def ranked(query, query_code, items, codes, k, rerank, score):
    """Return the ids in the order that a search with outputs should give, by plain loops."""
    first = oracles.top_k(query_code, codes, N_BITS, max(k, rerank))
    by_score = sorted(first[:rerank], key=lambda pair: (-score(query, items[pair[0]]), pair[1], pair[0]))
    others = sorted(first[rerank:], key=lambda pair: (pair[1], -score(query, items[pair[0]]), pair[0]))
    return (by_score + others)[:k]


@pytest.mark.parametrize("kind", ["int8", "float16"])
@pytest.mark.parametrize("rerank", [None, 1, 5, 30, 100])
def test_ties_and_first_ranks_are_ordered_by_inner_product(tmp_path, kind, rerank):
    outputs = outputs_of(40)
    outputs[7] = outputs[3]  # a full tie: then by id
    codes = pack(signs_of(outputs))
    outputs[[5, 9, 11, 20, 21]] = 0  # equal scores at several distances
    with create_index(tmp_path / "a.index", N_BITS, outputs=kind) as index:
        ids = index.add(codes, outputs=outputs).tolist()
        kept = dict(zip(ids, index.kept_outputs(ids), strict=True))
        queries = outputs_of(5, seed=1)
        found = index.search(pack(signs_of(queries)), k=10, outputs=queries, rerank=rerank)
        again = index.search(pack(signs_of(queries)), k=10, outputs=queries, rerank=rerank)
    assert np.array_equal(found.ids, again.ids)
    by_id = dict(zip(ids, codes, strict=True))

    def score(a, b):
        return round(sum(float(x) * float(y) for x, y in zip(a, b, strict=True)), 4)

    for number, query in enumerate(queries):
        expected = ranked(query, pack(signs_of(query[None]))[0], kept, by_id, 10, rerank or 0, score)
        assert found.pairs(number) == expected


def test_rounding_stays_within_half_a_step():
    outputs = outputs_of(200)
    outputs[0], outputs[1, 0] = 0, 3e38
    for kind, step in (("int8", 1 / 127), ("float16", 2**-10)):
        kept = stored(outputs, kind)
        back = kept.rows.astype(np.float64) * kept.scales[:, None]
        largest = np.abs(outputs.astype(np.float64)).max(axis=1, keepdims=True)
        assert (np.abs(back - outputs) <= largest * step * 0.5001 + 1e-300).all()
        assert kept.rows.dtype == kind
        assert np.isfinite(kept.rows.astype(np.float64)).all()


def test_outputs_live_and_die_with_their_items(tmp_path):
    outputs = outputs_of(6)
    codes = pack(signs_of(outputs))
    with create_index(tmp_path / "a.index", N_BITS, outputs="int8") as index:
        index.add(codes, outputs=outputs)
        index.remove([2, 3])
        index.add(codes[:1], ids=[1], outputs=outputs[5:], replace=True)
        index.update([4], metadata=[{"path": "x"}])
        assert index.verify() == []
    with open_index(tmp_path / "a.index") as index:
        assert index.outputs == "int8"
        assert index.stats()["outputs"] == "int8"
        assert np.allclose(index.kept_outputs([4, 1]), outputs[[3, 5]], atol=0.1)
        with pytest.raises(InputError, match="holds no item 2"):
            index.kept_outputs([1, 2])
        with index._store.write() as connection:
            connection.execute("DELETE FROM outputs WHERE id = 4")
            connection.execute("INSERT INTO outputs VALUES (77, 1.0, x'00', 0)")
        assert index.verify() == [
            "item 4: its outputs are missing",
            "item 77: outputs of an item that is not there",
            "item 77: its outputs should have 12 bytes",
        ]


def test_a_filter_and_a_radius_come_before_the_order(tmp_path):
    outputs = np.ones((4, N_BITS), np.float32) * [[1], [2], [3], [4]]
    with create_index(tmp_path / "a.index", N_BITS, outputs="float16") as index:
        index.add(pack(signs_of(outputs)), outputs=outputs, metadata=[{"labels": ["ab"[n % 2]]} for n in range(4)])
        query = {"codes": pack(signs_of(outputs[:1])), "outputs": outputs[:1]}
        assert index.search(**query, k=4).ids.tolist() == [[4, 3, 2, 1]]
        assert index.search(**query, k=4, where={"labels": "a"}).ids.tolist() == [[3, 1, -1, -1]]
        assert index.search(**query, k=None, radius=0).ids.tolist() == [[4, 3, 2, 1]]
        assert index.search(**query, k=2).ids.tolist() == [[2, 1]]
        assert index.search(**query, k=2, rerank=3).ids.tolist() == [[3, 2]]
        assert index.search(query["codes"][:0], outputs=outputs[:0]).ids.shape == (0, 10)


def test_outputs_that_do_not_fit_are_refused(tmp_path):
    outputs = outputs_of(2)
    codes = pack(signs_of(outputs))
    with pytest.raises(InputError, match="kept as 'int8', 'float16' or None, not 'int4'"):
        create_index(tmp_path / "a.index", N_BITS, outputs="int4")
    with create_index(tmp_path / "a.index", N_BITS) as index:
        with pytest.raises(InputError, match="this index keeps no outputs: make one"):
            index.add(codes, outputs=outputs)
        with pytest.raises(InputError, match="this index keeps no outputs to compare"):
            index.search(codes, outputs=outputs)
        with pytest.raises(InputError, match="keeps no outputs: build it"):
            index.kept_outputs([1])
    with pytest.raises(IndexFileError, match="keeps no outputs, not int8"):
        create_index(tmp_path / "a.index", N_BITS, outputs="int8", exist_ok=True)
    broken = outputs.copy()
    broken[0, 0] = np.nan
    with create_index(tmp_path / "b.index", N_BITS, outputs="int8") as index:
        with pytest.raises(InputError, match=r"add needs those of every item, outputs=\(2, 12\)"):
            index.add(codes)
        for wrong, match in (
            (outputs[:1], r"real numbers \(2, 12\), a row a code, not float32 \(1, 12\)"),
            (outputs[:, :8], r"not float32 \(2, 8\)"),
            (broken, "some are NaN, infinite"),
            (outputs.astype(str), "must be real numbers"),
        ):
            with pytest.raises(InputError, match=match):
                index.add(codes, outputs=wrong)
        assert len(index) == 0
        index.add(codes, outputs=outputs)
        with pytest.raises(InputError, match="a row a query"):
            index.search(codes, outputs=outputs[:1])
        with pytest.raises(InputError, match="rerank needs outputs"):
            index.search(codes, rerank=5)
        with pytest.raises(InputError, match="rerank must be a whole number of at least 1"):
            index.search(codes, outputs=outputs, rerank=0)


def test_outputs_beyond_float32_are_refused(tmp_path):
    with create_index(tmp_path / "a.index", 4, outputs="int8") as index:
        with pytest.raises(InputError, match="finite as float32"):
            index.add(np.zeros((1, 1), np.uint8), outputs=[[1e300, 1.0, 1.0, 1.0]])
        assert len(index) == 0
