"""The certificate of centers: every figure by plain loops, the words, and the picture of the distances."""

import json
import statistics

import numpy as np
import pytest

import oracles
from nearbit.centers import certify, hadamard_centers, random_signs, semantic_loss, similarity_correlation
from nearbit.errors import InputError
from nearbit.report.plots import centers_heat_map, leaf_order


@pytest.mark.parametrize(("n_classes", "n_bits"), [(2, 1), (3, 12), (20, 16), (40, 4), (9, 70)])
def test_figures_are_those_of_plain_loops(n_classes, n_bits):
    centers = random_signs((n_classes, n_bits), np.random.default_rng(0))
    distances = oracles.all_sign_distances(centers.tolist())
    bits = [abs(statistics.mean(column)) for column in centers.T.tolist()]
    rows = [abs(statistics.mean(row)) for row in centers.tolist()]
    proof = certify(centers)
    assert (proof.n_classes, proof.n_bits) == (n_classes, n_bits)
    assert (proof.min_distance, proof.max_distance) == (min(distances), max(distances))
    assert proof.mean_distance == pytest.approx(statistics.mean(distances))
    assert proof.distances == {d: distances.count(d) for d in sorted(set(distances))}
    assert proof.duplicates == distances.count(0)
    assert (proof.bit_balance_worst, proof.bit_balance_mean) == pytest.approx((max(bits), statistics.mean(bits)))
    assert (proof.row_balance_worst, proof.row_balance_mean) == pytest.approx((max(rows), statistics.mean(rows)))
    expected = statistics.mean(distances) + min(distances) - statistics.pvariance(distances)
    assert proof.mds_objective == pytest.approx(expected)
    assert (proof.semantic_loss, proof.correlation, proof.note) == (None, None, None)


def test_the_frame_is_that_of_the_bounds():
    proof = certify(hadamard_centers(10, 16))
    assert (proof.gilbert_varshamov, proof.plotkin, proof.proven_upper_bound) == (6, 8, 8)
    assert proof.hamming >= 8
    assert proof.best_known == 8
    assert "minimum distance 8, the largest possible (proven)" in proof.lines()
    assert any(line.startswith("distance that MDS and SHC ask for: 6, met") for line in proof.lines())


def test_a_distance_below_the_bound_says_so():
    centers = random_signs((10, 16), np.random.default_rng(0))
    least = min(oracles.all_sign_distances(centers.tolist()))
    assert 0 < least < 6
    lines = certify(centers).lines()
    assert lines[:2] == ["10 centers of 16 bits", f"minimum distance {least} of at most 8 (proven)"]
    assert any(line.endswith("6, missed") for line in lines)


def test_shared_centers_and_more_classes_than_words_are_said():
    proof = certify(random_signs((6, 2), np.random.default_rng(0)))
    assert proof.duplicates > 0
    assert proof.proven_upper_bound is proof.best_known is proof.gilbert_varshamov is proof.plotkin is None
    lines = proof.lines()
    assert lines[1] == "minimum distance 0: there are more classes than words"
    assert f"{proof.duplicates} pairs of classes share a center: they cannot be told apart" in lines


def test_a_similarity_adds_loss_correlation_and_note():
    centers = random_signs((6, 12), np.random.default_rng(0))
    similarity = np.random.default_rng(1).uniform(-0.9, 0.9, (6, 6))
    np.fill_diagonal(similarity, 1)
    proof = certify(centers, similarity)
    assert proof.semantic_loss == semantic_loss(centers, similarity)
    assert proof.correlation == similarity_correlation(centers, similarity)
    assert "not symmetric" in proof.note
    assert proof.lines()[-1] == f"note: {proof.note}"
    assert (
        f"semantic loss {proof.semantic_loss:.5f}, correlation with the similarity {proof.correlation:.4f}"
        in proof.lines()
    )
    assert certify(hadamard_centers(6, 8), similarity).correlation is None
    assert any("no correlation" in line for line in certify(hadamard_centers(6, 8), similarity).lines())


def test_a_certificate_is_ready_for_json():
    proof = certify(random_signs((40, 4), np.random.default_rng(0)))
    again = json.loads(json.dumps(proof.to_dict(), allow_nan=False))
    assert again == proof.to_dict()
    assert {int(distance): count for distance, count in again["distances"].items()} == proof.distances


@pytest.mark.parametrize("centers", [np.ones((1, 4)), np.zeros((2, 4)), [1, -1]])
def test_what_are_no_centers_is_refused(centers):
    with pytest.raises(InputError, match="centers must"):
        certify(centers)


def test_a_similarity_of_other_classes_is_refused():
    with pytest.raises(InputError, match="has 3 classes, but 4 are expected"):
        certify(random_signs((4, 4), np.random.default_rng(0)), np.eye(3))


def test_leaves_of_groups_are_beside_each_other():
    groups = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
    similarity = np.where(groups[:, None] == groups, 0.9, -0.3) - 5
    order = leaf_order(-similarity)
    assert sorted(order.tolist()) == list(range(9))
    assert [len(set(groups[order][start : start + 3])) for start in (0, 3, 6)] == [1, 1, 1]


@pytest.mark.parametrize("n_classes", [2, 10])
def test_a_heat_map_is_a_picture(tmp_path, n_classes):
    pytest.importorskip("matplotlib")
    centers = random_signs((n_classes, 8), np.random.default_rng(0))
    similarity = np.random.default_rng(1).uniform(-1, 1, (n_classes, n_classes))
    assert centers_heat_map(centers, similarity, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in centers_heat_map(centers, None, tmp_path / "a.svg").read_bytes()
    with pytest.raises(InputError, match=r"must end in \.png or \.svg or \.pdf, not 'a.txt'"):
        centers_heat_map(centers, None, tmp_path / "a.txt")
