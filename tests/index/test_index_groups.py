"""Pairs within a radius, the groups they join, and clusters: what plain loops find, by every plan."""

import numpy as np
import pytest

from nearbit.codes import as_words, unpack
from nearbit.errors import InputError
from nearbit.index import create_index, open_index
from nearbit.index.engine.majorities import majorities, nearest_centers
from nearbit.index.engine.near_pairs import near_pairs, part_masks, with_distinct_places
from nearbit.index.engine.structure import build_structure

LENGTHS = (1, 8, 12, 20, 63, 64, 65, 128)


def some_codes(kind, n, n_bits, seed=0):
    """Return codes: near a few centers, scattered, or all equal."""
    rng = np.random.default_rng(seed)
    noise = {"near": 0.04, "scattered": 0.5, "equal": 0.0}[kind]
    centers = rng.random((1 if kind == "equal" else 4, n_bits)) < 0.5
    return np.packbits(centers[rng.integers(0, len(centers), n)] ^ (rng.random((n, n_bits)) < noise), axis=1)


def loop_pairs(codes, ids, n_bits, radius):
    """Return (distance, smaller id, larger id) of all near pairs, ranked, by a plain loop."""
    signs = unpack(codes, n_bits)
    found = []
    for one in range(len(ids)):
        for other in range(one + 1, len(ids)):
            distance = int((signs[one] != signs[other]).sum())
            if distance <= radius:
                found.append((distance, *sorted((int(ids[one]), int(ids[other])))))
    return sorted(found)


def loop_groups(codes, ids, n_bits, radius):
    """Return the groups, the largest first, by walking from item to item."""
    near = {int(number): set() for number in ids}
    for _, one, other in loop_pairs(codes, ids, n_bits, radius):
        near[one].add(other)
        near[other].add(one)
    left, found = set(near), []
    while left:
        reached, waiting = set(), [min(left)]
        while waiting:
            item = waiting.pop()
            if item not in reached:
                reached.add(item)
                waiting.extend(near[item])
        left -= reached
        if len(reached) > 1:
            found.append(sorted(reached))
    return sorted(found, key=lambda group: (-len(group), group[0]))


def listed(pairs):
    return list(zip(pairs.distances.tolist(), pairs.first.tolist(), pairs.second.tolist(), strict=True))


@pytest.mark.parametrize("n_bits", LENGTHS)
@pytest.mark.parametrize("kind", ["near", "scattered", "equal"])
@pytest.mark.parametrize("plan", ["parts", "search"])
def test_each_plan_finds_each_pair_once(n_bits, kind, plan):
    codes = some_codes(kind, 90, n_bits)
    words = as_words(codes)
    for wanted in ("plain", "rings", "table"):
        if wanted == "table" and n_bits > 20:
            continue
        layout = with_distinct_places(build_structure(words, n_bits, layout=wanted), words)
        distinct = np.ascontiguousarray(layout.columns.T).view(np.uint8)[:, : codes.shape[1]]
        for radius in {one for one in (0, 1, 3, n_bits // 3, n_bits - 1) if one < n_bits}:
            found = list(near_pairs(layout, n_bits, radius, plan))
            pairs = [
                (int(distance), int(one), int(other))
                for portion in found
                for one, other, distance in zip(*portion, strict=True)
            ]
            assert sorted(pairs) == loop_pairs(distinct, np.arange(len(distinct)), n_bits, radius), (wanted, radius)


@pytest.mark.parametrize("n_bits", LENGTHS)
def test_each_bit_lies_in_one_part(n_bits):
    for n_parts in (1, 2, 5, n_bits + 3):
        masks = part_masks(n_bits, n_parts)
        assert len(masks) == min(n_parts, n_bits)
        assert np.bitwise_count(masks).sum() == n_bits
        assert np.bitwise_count(np.bitwise_or.reduce(masks, axis=0)).sum() == n_bits
        whole = as_words(np.packbits(np.ones((1, n_bits), np.uint8), axis=1))[0]
        assert (np.bitwise_or.reduce(masks, axis=0) == whole).all()


@pytest.mark.parametrize("mode", ["now", "never"])
@pytest.mark.parametrize("n_bits", [12, 64, 100])
def test_pairs_and_groups_of_an_index_with_changes_are_those_of_a_loop(tmp_path, monkeypatch, n_bits, mode):
    monkeypatch.setenv("NEARBIT_COMPILE", mode)
    codes = some_codes("near", 120, n_bits)
    with create_index(tmp_path / "a.index", n_bits=n_bits) as index:
        ids = index.add(codes[:80], ids=np.arange(80)[::-1] * 3)
        assert listed(index.pairs(2)) == loop_pairs(codes[:80], ids, n_bits, 2)
        index.add(codes[80:100])
        index.remove([0, 30])
        index.add(codes[100:101], ids=[3], replace=True)
    with open_index(tmp_path / "a.index", read_only=True) as index:
        ids, now = index.codes()
        for radius in (0, 1, 4, n_bits):
            assert listed(index.pairs(radius)) == loop_pairs(now, ids, n_bits, radius), radius
            groups = index.groups(radius)
            assert [group.tolist() for group in groups] == loop_groups(now, ids, n_bits, radius), radius
            signs = dict(zip(ids.tolist(), unpack(now, n_bits), strict=True))
            for number in range(len(groups)):
                away = groups.distances[groups.offsets[number] : groups.offsets[number + 1]].tolist()
                first = signs[int(groups[number][0])]
                assert away == [int((signs[int(item)] != first).sum()) for item in groups[number]]


def test_a_chain_is_one_group_though_its_ends_are_far_apart():
    codes = np.packbits(np.tri(9, 8, -1, dtype=np.uint8), axis=1)
    with create_index(None, n_bits=8) as index:
        index.add(codes)
        groups = index.groups(1)
        assert [group.tolist() for group in groups] == [list(range(1, 10))]
        assert groups.distances.tolist() == list(range(9))
        assert len(index.pairs(1)) == 8


def test_an_empty_index_and_one_item_have_no_pairs():
    with create_index(None, n_bits=16) as index:
        for _ in range(2):
            assert len(index.pairs(16)) == 0
            assert len(index.groups(16)) == 0
            index.add(np.zeros((1 - len(index), 2), np.uint8))
        assert len(index.clusters()) == 1
        assert repr(index.groups(3)) == "Groups(0 groups of 0 items)"


def test_what_is_no_radius_is_refused():
    with create_index(None, n_bits=16) as index:
        index.add(np.zeros((3, 2), np.uint8))
        for wrong in (-1, 1.5, True, None, "3"):
            with pytest.raises(InputError, match=r"radius \(in bits\) must be a whole number of at least 0"):
                index.groups(wrong)
        with pytest.raises(InputError, match="more than 2 pairs lie within 0 bits of each other: ask for a smaller"):
            index.pairs(0, most=2)
        assert len(index.pairs(0, most=3)) == 3
        with pytest.raises(IndexError, match="group 1 of 1"):
            index.groups(0)[1]


def test_many_equal_codes_are_one_group_without_a_look_at_their_pairs():
    with create_index(None, n_bits=64) as index:
        index.add(np.repeat(some_codes("scattered", 2, 64), 60_000, axis=0))
        groups = index.groups(3)
        assert [len(group) for group in groups] == [60_000, 60_000]


def loop_majorities(codes, weights, k, n_bits):
    """Return centers as tuples of signs and the center of each code, by plain loops, in the manner described."""
    signs = [tuple(int(bit) for bit in row) for row in unpack(codes, n_bits)]

    def away(a, b):
        return sum(x != y for x, y in zip(a, b, strict=True))

    centers = [signs[int(np.argmax(weights))]]
    while len(centers) < k:
        worth = [
            weight * min(away(sign, center) for center in centers) for sign, weight in zip(signs, weights, strict=True)
        ]
        centers.append(signs[worth.index(max(worth))])
    while True:
        near = [min(range(len(centers)), key=lambda number: (away(sign, centers[number]), number)) for sign in signs]
        used = sorted(set(near))
        near = [used.index(number) for number in near]
        moved = []
        for number, old in enumerate(centers[one] for one in used):
            votes = [
                sum(weight * sign[bit] for sign, weight, own in zip(signs, weights, near, strict=True) if own == number)
                for bit in range(n_bits)
            ]
            moved.append(tuple((1 if vote > 0 else -1) if vote else bit for vote, bit in zip(votes, old, strict=True)))
        if moved == [centers[one] for one in used]:
            return moved, near
        centers = moved


@pytest.mark.parametrize("mode", ["now", "never"])
@pytest.mark.parametrize("n_bits", [8, 64, 70])
@pytest.mark.parametrize("k", [1, 3, 7])
def test_centers_are_those_of_plain_loops(monkeypatch, n_bits, k, mode):
    monkeypatch.setenv("NEARBIT_COMPILE", mode)
    codes = np.unique(some_codes("near", 60, n_bits), axis=0)
    weights = np.random.default_rng(1).integers(1, 9, len(codes))
    found = majorities(np.ascontiguousarray(as_words(codes).T), weights, k, 100)
    centers, near = loop_majorities(codes, weights.tolist(), k, n_bits)
    seen = unpack(np.ascontiguousarray(found.centers.T).view(np.uint8)[:, : codes.shape[1]], n_bits)
    assert [tuple(row.tolist()) for row in seen] == centers
    assert found.near.tolist() == near
    assert found.has_settled


def test_the_sum_of_distances_never_grows_and_few_rounds_say_so():
    columns = np.ascontiguousarray(as_words(some_codes("scattered", 400, 64)).T)
    weights = np.ones(columns.shape[1], np.int64)
    sums = [int(majorities(columns, weights, 9, rounds).distances.sum()) for rounds in range(12)]
    assert sums == sorted(sums, reverse=True)
    assert not majorities(columns, weights, 9, 1).has_settled
    near, away = nearest_centers(columns, columns[:, :5])
    assert away[:5].tolist() == [0] * 5
    assert near[:5].tolist() == [0, 1, 2, 3, 4]


def test_clusters_hold_every_item_once_the_typical_one_first():
    codes = some_codes("near", 300, 64)
    with create_index(None, n_bits=64) as index:
        ids = index.add(codes, ids=np.arange(300)[::-1])
        found = index.clusters(4)
        assert sorted(found.ids.tolist()) == sorted(ids.tolist())
        signs = dict(zip(ids.tolist(), unpack(codes, 64), strict=True))
        centers = unpack(found.centers, 64)
        sizes = np.diff(found.offsets)
        assert sorted(sizes.tolist(), reverse=True) == sizes.tolist()
        for number in range(len(found)):
            away = [(int((signs[int(item)] != centers[number]).sum()), int(item)) for item in found[number]]
            assert away == sorted(away)
            assert found.typical[number] == away[0][1]
        assert found.mean_distance == pytest.approx(np.mean(found.distances))
        assert len(index.clusters(1000)) == len(np.unique(codes, axis=0))
        for wrong, words in ((0, "at least 1"), (1.5, "at least 1"), (70_000, "at most 65535")):
            with pytest.raises(InputError, match=words):
                index.clusters(wrong)
