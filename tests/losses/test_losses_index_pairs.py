"""MISH's terms: the order of probes, what is chosen and what it costs by plain loops, and who gets a gradient."""

from itertools import product

import numpy as np
import pytest
import torch

from nearbit.losses.pairwise.index_pairs import (
    Chosen,
    bit_distances,
    false_candidates,
    far_neighbours,
    pair_term,
    part_masks,
    probes,
    through_signs,
)


def drawn(n, n_bits, seed=0):
    return torch.tensor(np.random.default_rng(seed).choice([-1.0, 1.0], (n, n_bits)))


def differ(one, other, bits):
    return sum(1 for bit in bits if one[bit] != other[bit])


@pytest.mark.parametrize(("n_bits", "n_parts"), [(12, 1), (12, 2), (12, 3), (32, 2), (20, 2), (7, 3), (48, 3)])
def test_each_bit_is_in_one_part_and_parts_are_of_nearly_one_size(n_bits, n_parts):
    masks = part_masks(n_bits, n_parts)
    assert masks.shape == (n_parts, n_bits)
    assert (masks.sum(dim=0) == 1).all()
    sizes = masks.sum(dim=1)
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("n_parts", [1, 2, 3])
@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5, 12])
def test_probes_find_all_codes_with_a_near_part_and_so_all_within_the_radius(n_parts, radius):
    masks = part_masks(12, n_parts)
    parts = [[bit for bit in range(12) if masks[part, bit]] for part in range(n_parts)]
    anchor = [1] * 12
    order = probes(radius, n_parts)
    deepest = {part: max((depth for at, depth in order if at == part), default=-1) for part in range(n_parts)}
    for code in product((-1, 1), repeat=12):
        found = any(differ(anchor, code, parts[part]) == depth for part, depth in order)
        assert found == any(differ(anchor, code, parts[part]) <= deepest[part] for part in range(n_parts))
        if differ(anchor, code, range(12)) <= radius:
            assert found  # by the pigeonhole principle


def test_distances_are_counts_of_bits():
    one, other = drawn(5, 12), drawn(7, 12, 1)
    expected = [[differ(a, b, range(12)) for b in other.tolist()] for a in one.tolist()]
    assert bit_distances(one, other).tolist() == expected


def test_a_false_candidate_is_the_farthest_that_its_probe_finds_beyond_the_radius():
    signs, memory, masks = drawn(40, 12), drawn(60, 12, 1), part_masks(12, 2)
    radii = torch.full((40,), 4)
    torch.manual_seed(0)
    chosen = false_candidates(signs, memory, radii, masks)
    assert len(chosen.rows) > 10
    for at, row, part, depth in zip(*(value.tolist() for value in chosen), strict=True):
        bits = [bit for bit in range(12) if part[bit]]
        wrong = [
            differ(signs[at], code, range(12))
            for code in memory
            if differ(signs[at], code, bits) == depth and differ(signs[at], code, range(12)) > 4
        ]
        assert differ(signs[at], memory[row], bits) == depth
        assert differ(signs[at], memory[row], range(12)) == max(wrong)
        assert (bits, depth) in [([bit for bit in range(12) if masks[p, bit]], d) for p, d in probes(4, 2)]


def test_codes_within_the_radius_such_as_equal_ones_are_never_false_candidates():
    signs, masks = drawn(6, 12), part_masks(12, 2)
    assert len(false_candidates(signs, signs[:1].repeat(9, 1), torch.full((6,), 12), masks).rows) == 0
    same = signs[:1].repeat(6, 1)
    assert len(false_candidates(same, same, torch.zeros(6, dtype=torch.long), masks).rows) == 0


def test_a_far_neighbor_is_the_farthest_of_the_nearest_where_it_is_beyond_the_limit():
    signs, memory = drawn(30, 12), drawn(50, 12, 1)
    for limit in (0, 2, 3, 12):
        chosen = far_neighbours(signs, memory, 5, limit)
        kept = []
        for at, one in enumerate(signs.tolist()):
            nearest = sorted(differ(one, other, range(12)) for other in memory.tolist())[:5]
            if nearest[-1] > limit:
                kept.append((at, nearest[-1]))
        found = [
            (at, differ(signs[at], memory[row], range(12)))
            for at, row in zip(chosen.anchors.tolist(), chosen.rows.tolist(), strict=True)
        ]
        assert found == kept


@pytest.mark.parametrize("apart", [True, False])
def test_the_term_by_plain_loops_moves_the_bits_of_its_parts_and_no_anchor(apart):
    rng = np.random.default_rng(2)
    signs, masks = drawn(4, 12).requires_grad_(), part_masks(12, 2)
    chosen = Chosen(torch.tensor([0, 2, 3]), torch.tensor([5, 5, 1]), masks[[0, 1, 1]], torch.tensor([3, 2, 6]))
    outputs = torch.tensor(rng.normal(size=(3, 12))).requires_grad_()
    asked = []

    def encode(rows):
        asked.append(rows.tolist())
        return outputs

    found = pair_term(signs.detach(), chosen, encode, apart=apart)
    assert asked == [[5, 5, 1]]
    expected = 0.0
    again = np.where(outputs.detach().numpy() >= 0, 1, -1)
    counted = []
    for pair, (at, bits, bound) in enumerate([(0, range(6), 3), (2, range(6, 12), 2), (3, range(6, 12), 6)]):
        distance = differ(signs[at].tolist(), again[pair].tolist(), bits)
        counted.append(distance <= bound if apart else distance > bound)
        likeness = sum(signs[at, bit].item() * again[pair, bit] for bit in bits) / 6
        expected += (likeness if apart else -likeness) / 4 if counted[-1] else 0
    assert found.item() == pytest.approx(expected, abs=1e-12)
    found.backward()
    assert signs.grad is None
    moved = outputs.grad != 0
    assert torch.equal(moved, chosen.parts & torch.tensor(counted)[:, None])


def test_no_pair_costs_nothing_and_nothing_is_encoded():
    empty = torch.zeros(0, dtype=torch.long)
    chosen = Chosen(empty, empty, torch.zeros(0, 12, dtype=torch.bool), empty)
    assert pair_term(drawn(4, 12), chosen, lambda rows: pytest.fail("encoded"), apart=True).item() == 0


def test_signs_pass_the_gradient_of_tanh():
    outputs = torch.tensor([-2.0, 0.0, 0.5], dtype=torch.float64, requires_grad=True)
    signs = through_signs(outputs)
    assert signs.tolist() == pytest.approx([-1, 1, 1])
    signs.sum().backward()
    assert torch.allclose(outputs.grad, 1 - outputs.detach().tanh() ** 2)
