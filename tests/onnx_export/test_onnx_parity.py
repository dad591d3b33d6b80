"""How far two networks are apart: counted by plain loops, exact at the edges, and refused when it is too far."""

import numpy as np
import pytest

from nearbit.errors import BundleError, InputError
from nearbit.onnx_export.parity import TOLERANCE, check_parity, compare_outputs


def pair(n=7, n_bits=13, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    before = rng.normal(size=(n, n_bits)).astype(np.float32)
    before[0, 0], before[1, 1] = 0, -0.0
    return before, (before + noise * rng.normal(size=before.shape)).astype(np.float32)


@pytest.mark.parametrize(("n", "n_bits"), [(7, 13), (1, 1), (3, 65), (40, 12)])
def test_figures_of_parity_are_those_of_plain_loops(n, n_bits):
    before, after = pair(max(n, 2), max(n_bits, 2))
    before, after = before[:n, :n_bits], after[:n, :n_bits]
    parity = compare_outputs(before, after, "x")
    changed, largest, squares = [], 0.0, 0.0
    for one, other in zip(before.tolist(), after.tolist(), strict=True):
        changed.append(sum((x >= 0) != (y >= 0) for x, y in zip(one, other, strict=True)))
        largest = max(largest, *(abs(x - y) for x, y in zip(one, other, strict=True)))
        squares += sum(x * x for x in one)
    assert parity.n_images == n
    assert parity.equal_bits == pytest.approx(1 - sum(changed) / (n * n_bits))
    assert parity.equal_codes == changed.count(0)
    assert parity.most_changed_bits == max(changed)
    assert parity.largest_difference == pytest.approx(largest)
    assert parity.typical_output == pytest.approx((squares / (n * n_bits)) ** 0.5)
    assert parity.tolerance == pytest.approx(TOLERANCE * parity.typical_output)


def test_equal_outputs_are_at_parity_even_if_all_are_zero():
    for outputs in (pair()[0], np.zeros((2, 3), np.float32)):
        parity = compare_outputs(outputs, outputs.copy(), "x")
        assert (parity.largest_difference, parity.equal_bits, parity.most_changed_bits) == (0, 1, 0)
        check_parity(parity)
        assert parity.lines()[0].endswith("100.00 % of the bits are equal")
        assert len(parity.lines()) == 2


@pytest.mark.parametrize(("step", "is_fine"), [(0.9, True), (1.1, False)])
def test_the_tolerance_is_a_thousandth_of_a_typical_output(step, is_fine):
    before = np.array([[2.0, -2.0], [2.0, 2.0]], np.float32)
    after = before.copy()
    after[1, 0] += step * 0.002
    parity = compare_outputs(before, after, "x")
    assert parity.is_exact is is_fine
    if is_fine:
        check_parity(parity)
    else:
        with pytest.raises(BundleError, match=r"is not the model: an output differs by 0\.0022, allowed are 0\.002"):
            check_parity(parity)


def test_a_bit_that_differs_near_zero_is_counted_and_allowed():
    before, after = np.array([[1.0, 1e-5]], np.float32), np.array([[1.0, -1e-5]], np.float32)
    parity = compare_outputs(before, after, "x")
    assert (parity.equal_bits, parity.equal_codes) == (0.5, 0)
    check_parity(parity)
    assert "1 codes differ, in at most 1 bits" in parity.lines()


def test_outputs_that_cannot_be_compared_are_refused():
    before, after = pair()
    with pytest.raises(InputError, match=r"at least one, not \(7, 13\) and \(6, 13\)"):
        compare_outputs(before, after[:6], "x")
    with pytest.raises(InputError, match=r"at least one, not \(0, 13\)"):
        compare_outputs(before[:0], after[:0], "x")
    for value in (np.nan, np.inf):
        after[2, 3] = value
        with pytest.raises(BundleError, match="an output is not finite"):
            compare_outputs(before, after, "x")
