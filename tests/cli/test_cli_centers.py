"""`nearbit centers`: the files it writes, the figures it prints, and what it refuses."""

import json
import sys

import numpy as np
import pytest

import oracles
from nearbit.centers import CENTERS, SEMANTIC_CENTERS, certify, semantic_loss


@pytest.fixture
def similarity(tmp_path):
    """Return the path of a similarity of eight classes in pairs."""
    matrix = np.where(np.arange(8)[:, None] // 2 == np.arange(8) // 2, 0.6, -0.1)
    matrix += 0.01 * np.cos(np.add.outer(np.arange(8), np.arange(8)))
    np.fill_diagonal(matrix, 1)
    np.save(tmp_path / "S.npy", matrix)
    return tmp_path / "S.npy"


def test_centers_and_certificate_are_written_and_agree(as_json, similarity, tmp_path):
    out, proof = tmp_path / "new" / "H.npy", tmp_path / "c.json"
    about = as_json(
        "centers", "semantic", "--similarity", similarity, "--bits", 12, "--min-distance", 4, "-o", out,
        "--certificate", proof,
    )  # fmt: skip
    centers = np.load(out, allow_pickle=False)
    assert (centers.dtype, centers.shape) == (np.int8, (8, 12))
    distances = oracles.all_sign_distances(centers.tolist())
    assert about["min_distance"] == min(distances) >= 4
    assert about["semantic_loss"] == semantic_loss(centers, np.load(similarity))
    assert (about["n_classes"], about["n_bits"], about["kind"]) == (8, 12, "semantic")
    assert about["seconds"] >= 0
    assert json.loads(proof.read_text()) == certify(centers, np.load(similarity)).to_dict()


def test_the_seed_decides(as_json, similarity, tmp_path):
    def made(seed, name):
        as_json("centers", "assigned", "--similarity", similarity, "--bits", 16, "--seed", seed, "-o", tmp_path / name)
        return (tmp_path / name).read_bytes()

    assert made(1, "a.npy") == made(1, "b.npy") != made(2, "c.npy")


def test_effort_is_what_the_search_takes(as_json, refused, similarity, tmp_path):
    from nearbit.centers import semantic_centers

    given = ("centers", "semantic", "--similarity", similarity, "--bits", 24)
    for effort in (0.01, 1.0):
        as_json(*given, "--effort", effort, "-o", tmp_path / "e.npy")
        expected = semantic_centers(np.load(similarity), 24, np.random.default_rng(0), effort=effort)
        assert np.array_equal(np.load(tmp_path / "e.npy"), expected)
    assert "--effort goes with semantic, not mds" in refused(
        "centers", "mds", "--classes", 5, "--bits", 8, "--effort", 2
    )


def test_without_a_similarity_the_number_of_classes_is_given(nearbit):
    status, out, err = nearbit("centers", "separated", "--classes", 10, "--bits", 16)
    assert (status, err) == (0, "")
    assert "minimum distance 8, the largest possible (proven)" in out
    assert "semantic loss" not in out


def test_kinds_without_a_similarity_are_measured_against_it(as_json, similarity, tmp_path):
    about = as_json("centers", "csq", "--similarity", similarity, "--bits", 12, "-o", tmp_path / "H")
    assert about["semantic_loss"] == semantic_loss(np.load(tmp_path / "H"), np.load(similarity))


def test_a_table_with_commas_and_an_asymmetric_one_are_read(as_json, nearbit, tmp_path, similarity):
    matrix = np.load(similarity)
    matrix[0, 1] = 0
    np.savetxt(tmp_path / "S.csv", matrix, delimiter=",")
    options = ("centers", "assigned", "--similarity", tmp_path / "S.csv", "--bits", 12)
    assert "not symmetric" in as_json(*options)["note"]
    assert "note: the similarity is not symmetric" in nearbit(*options)[1]


def test_the_trade_off_takes_the_effort(as_json, similarity, monkeypatch):
    asked = []
    monkeypatch.setattr("nearbit.centers.trade_off", lambda *_, effort, **__: asked.append(effort) or [])
    options = ("centers", "semantic", "--similarity", similarity, "--bits", 8, "--trade-off", "2:3", "--effort")
    for effort in (0.5, 2.0):
        as_json(*options, effort)
    assert asked == [0.5, 2.0]


def test_the_trade_off_and_the_three_ways_side_by_side(as_json, nearbit, similarity):
    options = ("centers", "semantic", "--similarity", similarity, "--bits", 8, "--trade-off", "2:4:2", "--compare")
    about = as_json(*options)
    assert [point["min_distance"] for point in about["trade_off"]] == [2, 4]
    assert about["trade_off"][0]["semantic_loss"] <= about["trade_off"][1]["semantic_loss"]
    assert [row["kind"] for row in about["compare"]] == list(SEMANTIC_CENTERS)
    assert about["compare"][0]["semantic_loss"] == about["semantic_loss"]
    lines = nearbit(*options)[1].splitlines()
    assert any(line.split() == ["min", "distance", "semantic", "loss"] for line in lines)
    assert any(line.startswith("shc ") for line in lines)


def test_the_plot_is_written(nearbit, similarity, tmp_path):
    pytest.importorskip("matplotlib")
    status, _, err = nearbit("centers", "csq", "--similarity", similarity, "--bits", 8, "--plot", tmp_path / "heat.png")
    assert (status, err) == (0, "")
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["S.npy", "heat.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["separated", "--bits", 8], "give --classes N, or --similarity FILE"),
        (["separated", "--classes", 8], "Missing option '--bits'"),
        (["separated", "--classes", 1, "--bits", 8], "1 is not in the range x>=2"),
        (["seperated", "--classes", 8, "--bits", 8], "Did you mean 'separated'?"),
        (["semantic", "--classes", 8, "--bits", 8], "nearbit: semantic centers need --similarity FILE"),
        (["shc", "--bits", 8], "nearbit: shc centers need --similarity FILE"),
        (["semantic", "--similarity", "S.npy", "--classes", 9, "--bits", 8], "has 8 classes, but 9 are expected"),
        (["semantic", "--similarity", "none.npy", "--bits", 8], "none.npy cannot be read as a table of numbers"),
        (["semantic", "--similarity", "objects.npy", "--bits", 8], "objects.npy cannot be read as a table of numbers"),
        (["semantic", "--similarity", "words.csv", "--bits", 8], "words.csv cannot be read as a table of numbers"),
        (["semantic", "--similarity", "S.npy", "--bits", 8, "--min-distance", 7], "at most 4 is possible (proven)"),
        (["shc", "--similarity", "S.npy", "--bits", 8, "--min-distance", 7], "at most 4 is possible (proven)"),
        (["semantic", "--similarity", "S.npy", "--bits", 8, "--trade-off", "1:9"], "at most 4 is possible (proven)"),
        (
            ["csq", "--classes", 8, "--bits", 8, "--min-distance", 2],
            "nearbit: --min-distance goes with separated, semantic, shc and assigned, not csq",
        ),
        (["seperated", "--classes", 8, "--bits", 8, "--min-distance", 2], "Did you mean 'separated'?"),
        (["separated", "--classes", 8, "--bits", 8, "--compare"], "go with semantic centers and --similarity"),
        (["separated", "--classes", 8, "--bits", 8, "--trade-off", "2:3"], "go with semantic centers and --similarity"),
        (["semantic", "--classes", 8, "--bits", 8, "--trade-off", "4"], "'4' must read FIRST:LAST"),
        (["semantic", "--classes", 8, "--bits", 8, "--trade-off", "5:4"], "'5:4' must go up"),
        (["semantic", "--classes", 8, "--bits", 8, "--trade-off", "1:2:1:7"], "'1:2:1:7' must read FIRST:LAST"),
        (
            ["separated", "--classes", 8, "--bits", 8, "--plot", "x.bmp"],
            "must end in .png or .svg or .pdf, not 'x.bmp'",
        ),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(refused, similarity, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    np.save("objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "words.csv").write_text("a,b\nc,d\n")
    before = sorted(tmp_path.iterdir())
    assert message in refused("centers", *arguments, "-o", "H.npy", "--certificate", "c.json")
    assert sorted(tmp_path.iterdir()) == before


def test_a_plot_without_matplotlib_is_refused_before_any_work(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("nearbit.centers.make_centers", lambda *_, **__: pytest.fail("centers were made"))
    options = ("--classes", 8, "--bits", 8, "-o", "H.npy", "--certificate", "c.json", "--plot", "x.png")
    message = refused("centers", "separated", *options)
    assert "the package matplotlib, which is not installed: pip install " in message
    assert not list(tmp_path.iterdir())


def test_a_distance_that_shc_can_keep_is_kept(nearbit, as_json, similarity):
    options = ("centers", "shc", "--similarity", similarity, "--bits", 12)
    assert as_json(*options, "--min-distance", 6)["min_distance"] >= 6
    for distance in (7, 12):
        assert "start" not in nearbit(*options, "--min-distance", distance)[2]


def test_the_help_names_every_kind(nearbit):
    words = set(nearbit("centers", "--help")[1].translate(str.maketrans(",.;()", "     ")).split())
    assert {*CENTERS, *SEMANTIC_CENTERS} <= words
