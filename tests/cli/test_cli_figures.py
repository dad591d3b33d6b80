"""What `nearbit evaluate` and `nearbit inspect` tell (figures, curves, grades, health), and the files they refuse."""

import re
import shutil

import numpy as np
import pytest

from tiny_data import TINY


def test_evaluate_a_model_on_its_split(as_json, nearbit, place):
    about = as_json("evaluate", "a.model", "photos")
    assert 0 <= about["tie_aware_map"] <= 1
    assert about["model"] == "a.model"
    assert (about["method"], about["seed"], about["head"]) == ("crh", 0, "linear")
    status, out, _ = nearbit("evaluate", "a.model", "photos")
    assert status == 0
    assert ["tie_aware_map", f"{about['tie_aware_map']:.4f}"] in [line.split() for line in out.splitlines()]


def test_evaluate_codes_made_elsewhere(as_json, nearbit, refused, place):
    codes = np.array([[0b1010_0000], [0b0101_0000], [0b1010_0000]], np.uint8)
    labels = np.array([0, 1, 0])
    np.savez(
        place / "codes.npz", query_codes=codes[:2], query_labels=labels[:2], database_codes=codes,
        database_labels=labels, n_bits=4,
    )  # fmt: skip
    about = as_json("evaluate", "--codes", "codes.npz")
    assert (about["tie_aware_map"], about["n_bits"], about["n_database"]) == (1.0, 4, 3)
    about = as_json("evaluate", "--codes", "codes.npz", "--convention", "hashnet", "-k", "1")
    assert (about["map_by_convention"], about["convention"], about["k"]) == (1.0, "hashnet", 1)
    status, out, _ = nearbit("evaluate", "--codes", "codes.npz", "--convention", "hashnet")
    assert (status, out.count("divisor: found")) == (0, 1)
    assert "0 is not in the range x>=1" in refused("evaluate", "--codes", "codes.npz", "--convention", "csq", "-k", "0")
    assert "-k counts the ranks of a convention" in refused("evaluate", "--codes", "codes.npz", "-k", "3")
    assert "Did you mean 'hashnet'" in refused("evaluate", "a.model", "photos", "--convention", "hashnett")
    assert "asymmetric_tie_aware_map" not in about
    with np.load(place / "codes.npz") as file:
        arrays = dict(file)
    outputs = np.array([[0.1, -1, 1, -1], [-1, 1, -1, 1]])
    np.savez(place / "outputs.npz", **arrays, query_outputs=outputs)
    about = as_json("evaluate", "--codes", "outputs.npz")
    assert about["asymmetric_tie_aware_map"] == 1.0
    assert "asymmetric_tie_aware_map" in about["conventions"]
    np.savez(place / "outputs.npz", **arrays, query_outputs=-outputs)
    assert "codes must be the signs of the query_outputs" in refused("evaluate", "--codes", "outputs.npz")
    for option in (["--device", "cpu"], ["--download"], ["--split-file", "x.csv"], ["--label-level", "fine"]):
        assert f"{option[0]} goes with MODEL and DATA" in refused("evaluate", "--codes", "codes.npz", *option)
    (place / "empty.npz").touch()
    np.save(place / "plain.npy", codes)
    (place / "plain.npy").rename(place / "plain.npz")
    for name in ("empty", "plain"):
        assert "cannot be read as an .npz file" in refused("evaluate", "--codes", f"{name}.npz")
    assert "--verify checks an index" in refused("inspect", "codes.npz", "--verify")


def test_evaluate_draws_plots(as_json, place):
    pytest.importorskip("matplotlib")
    codes = np.array([[0b1010_0000], [0b0101_0000]], np.uint8)
    np.savez(
        place / "codes.npz", query_codes=codes, query_labels=[0, 1], database_codes=codes, database_labels=[0, 1],
        n_bits=4,
    )  # fmt: skip
    about = as_json("evaluate", "--codes", "codes.npz", "--plots", "plots")
    assert [(place / path).read_bytes()[:4] for path in about["plots"]] == [b"\x89PNG"] * 3


def test_inspect_draws_how_centers_changed(as_json, refused, place):
    pytest.importorskip("matplotlib")
    about = as_json("inspect", "a.model", "--plot", "drawn/centers.png")
    assert (place / "drawn" / "centers.png").read_bytes()[:4] == b"\x89PNG"
    assert about["center_history"]["epoch"] == [1, 2]
    assert len(about["center_history"]["centers_changed"]) == 2
    as_json("train", "photos", *TINY, "--method", "csq", "-o", "csq.model")
    assert as_json("inspect", "csq.model")["center_history"] is None
    assert "no history of them to draw" in refused("inspect", "csq.model", "--plot", "x.png")
    assert "and a.index is none" in refused("inspect", "a.index", "--plot", "x.png")


def test_evaluate_grades_by_a_hierarchy(as_json, refused, place):
    codes = np.array([[0b1010_0000], [0b0101_0000]] * 60, np.uint8)
    np.savez(
        place / "codes.npz", query_codes=codes[:2], query_labels=[0, 1], database_codes=codes,
        database_labels=[0, 1] * 60, n_bits=4,
    )  # fmt: skip
    (place / "tree.csv").write_text("0,things\n1,things\nthings,all\n")
    about = as_json("evaluate", "--codes", "codes.npz", "--hierarchy", "tree.csv")
    assert about["hierarchical_ndcg_at_100"] == pytest.approx(1.0)
    assert about["mahp_at_2500"] is None
    assert "hierarchical_ndcg_at_100" in about["conventions"]
    numbers = np.array([3, 10**9] * 60)
    np.savez(
        place / "far.npz", query_codes=codes[:2], query_labels=numbers[:2], database_codes=codes,
        database_labels=numbers, n_bits=4,
    )  # fmt: skip
    (place / "far.csv").write_text("3,things\n1000000000,things\n")
    far = as_json("evaluate", "--codes", "far.npz", "--hierarchy", "far.csv")
    assert far["hierarchical_ndcg_at_100"] is not None
    assert set(far["per_class"]) == {"3", "1000000000"}
    wrong = {
        "0,things\n": "does not give the class '1' a parent",
        "0,a,b\n": "line 1: expected class,parent, each class once; found 3 fields",
        "0,a\n0,b\n": "line 2: .* found a second parent of one name",
        "0,1\n1,0\n": "in a circle",
    }
    for text, message in wrong.items():
        (place / "tree.csv").write_text(text)
        assert re.search(message, refused("evaluate", "--codes", "codes.npz", "--hierarchy", "tree.csv"))
    assert "no.csv: cannot be read: No such file or directory" in refused(
        "evaluate", "--codes", "codes.npz", "--hierarchy", "no.csv"
    )
    assert "with --codes name a file" in refused("evaluate", "--codes", "codes.npz", "--hierarchy", "given")


def test_evaluate_takes_a_tree_with_the_parent_first(as_json, nearbit, refused, place):
    codes = np.array([[0b1010_0000], [0b0101_0000], [0b0101_1000]] * 40, np.uint8)
    np.savez(
        place / "codes.npz", query_codes=codes[:3], query_labels=[0, 1, 2], database_codes=codes,
        database_labels=[0, 1, 2] * 40, n_bits=5,
    )  # fmt: skip
    (place / "tree.csv").write_text("0,x\n1,y\n2,y\nx,all\ny,all\n")
    (place / "is_a.txt").write_text("x 0\ny 1\ny 2\nall x\n\nall y\n")
    tables = [as_json("evaluate", "--codes", "codes.npz", "--hierarchy", name) for name in ("tree.csv", "is_a.txt")]
    assert tables[0]["hierarchical_ndcg_at_100"] == tables[1]["hierarchical_ndcg_at_100"]
    wrong = {
        "x 0\nx 1 2\n": r"line 2: expected PARENT CHILD, came 'x 1 2'",
        "x 0\ny 0\n": r"line 2: '0' lies below 'x' already, and here below 'y'; grades need a tree",
    }
    for text, message in wrong.items():
        (place / "is_a.txt").write_text(text)
        assert re.search(message, refused("evaluate", "--codes", "codes.npz", "--hierarchy", "is_a.txt"))
    (place / "is_a.txt").write_text("0,x\n1, y\ny 2\nall x\ny,all\n")
    mixed = as_json("evaluate", "--codes", "codes.npz", "--hierarchy", "is_a.txt")
    assert mixed["hierarchical_ndcg_at_100"] == tables[0]["hierarchical_ndcg_at_100"]
    (place / "outline.txt").write_text("all\n-- x\n---- crab\n-- y\n---- eel\n---- ray\n")
    (place / "class_names.txt").write_text("0 crab\n1 eel\n2 ray\n")
    outline = as_json("evaluate", "--codes", "codes.npz", "--hierarchy", "outline.txt")
    assert outline["hierarchical_ndcg_at_100"] == tables[0]["hierarchical_ndcg_at_100"]
    said = nearbit("evaluate", "--codes", "codes.npz", "--hierarchy", "outline.txt")[2]
    assert "the names that class_names.txt gives to the numbers in their names: '0' is the node 'crab'" in said
    (place / "tree.csv").rename(place / "given")
    named = as_json("evaluate", "--codes", "codes.npz", "--hierarchy", "./given")
    assert named["hierarchical_ndcg_at_100"] == tables[0]["hierarchical_ndcg_at_100"]
    (place / "given").unlink()
    (place / "given").mkdir()
    assert "takes the superclasses of DATA" in refused("evaluate", "--codes", "codes.npz", "--hierarchy", "given")


def test_the_health_of_codes_is_told_of_models_indexes_and_files(as_json, nearbit, refused, place):
    about = as_json("evaluate", "a.model", "photos")
    assert about["health"]["center_margin"] >= 0
    assert about["health"]["n_items"] == about["n_database"]
    np.savez(place / "one.npz", codes=np.zeros((9, 1), np.uint8), n_bits=4)
    about = as_json("inspect", "one.npz", "-k", "3")
    assert (about["kind"], about["items"], about["health"]["distinct_codes"], about["health"]["k"]) == (
        "codes",
        9,
        1,
        3,
    )
    status, out, _ = nearbit("inspect", "one.npz")
    assert status == 0
    assert "1 distinct codes stand for 9 items" in out
    np.savez(place / "none.npz", n_bits=4)
    assert "missing: codes or database_codes" in refused("inspect", "none.npz")


def test_inspect_an_index(as_json, nearbit, place):
    about = as_json("inspect", "a.index", "--verify")
    assert (about["kind"], about["items"], about["verified"]) == ("index", 24, "all is well")
    assert about["labels"] == {"a": 8, "b": 8, "c": 8}
    assert about["notes"] == {"model_path": "a.model"}
    health = about["health"]
    assert (health["n_items"], health["k"]) == (24, 10)
    assert 0 < health["share_in_largest_groups"] <= 1
    assert health["center_margin"] >= 0
    assert health["center_spread"] >= 0
    status, out, _ = nearbit("inspect", "a.index")
    assert any(line.startswith("advice: ") for line in out.splitlines())
    assert status == 0
    assert "items: 24" in out.splitlines()


def test_a_foreign_file_of_codes_is_refused_with_what_is_missing(refused, place):
    np.savez(place / "codes.npz", query_codes=np.zeros((1, 1), np.uint8))
    assert "missing: query_labels, database_codes, database_labels, n_bits" in refused(
        "evaluate", "--codes", "codes.npz"
    )
    (place / "codes.npz").write_bytes(b"PK\3\4 not a zip")
    assert "cannot be read as an .npz file" in refused("evaluate", "--codes", "codes.npz")
    np.savez(
        place / "codes.npz", query_codes=np.array([{}]), query_labels=[0], database_codes=[0], database_labels=[0],
        n_bits=8,
    )  # fmt: skip
    assert "cannot be read as an .npz file of plain arrays" in refused("evaluate", "--codes", "codes.npz")
    assert "no.npz" in refused("evaluate", "--codes", "no.npz")


def test_inspect_measures_an_index_around_the_centers_of_its_own_model_only(as_json, place):
    assert as_json("inspect", "a.index")["health"]["center_margin"] is not None
    as_json("train", "photos", *TINY, "--seed", "5", "-o", "a.model", "--overwrite")
    assert as_json("inspect", "a.index")["health"]["center_margin"] is None
    shutil.rmtree(place / "a.model")
    assert as_json("inspect", "a.index")["health"]["center_margin"] is None


def test_figures_can_be_asked_for(as_json, nearbit, refused, place):
    codes = np.arange(40, dtype=np.uint8)[:, None]
    np.savez(
        place / "codes.npz", query_codes=codes[:9], query_labels=np.arange(9) % 3, database_codes=codes,
        database_labels=np.arange(40) % 3, n_bits=8,
    )  # fmt: skip
    whole = as_json("evaluate", "--codes", "codes.npz")
    about = as_json("evaluate", "--codes", "codes.npz", "--figures", "precision, ndcg_at_100")
    assert about["precision_at_10"] == whole["precision_at_10"]
    assert {"tie_aware_map", "ndcg_at_100"} <= set(about)
    assert "map_database_order" not in about
    assert "map_database_order" not in nearbit("evaluate", "--codes", "codes.npz", "--figures", "precision")[1]
    assert "Did you mean 'precision'?" in refused("evaluate", "--codes", "codes.npz", "--figures", "precison")
    assert "give both, or neither" in refused("evaluate", "--codes", "codes.npz", "--figures", "hierarchy")
    model = as_json("evaluate", "a.model", "photos", "--figures", "tie-aware")
    assert "asymmetric_tie_aware_map" not in model
    assert model["tie_aware_map"] == as_json("evaluate", "a.model", "photos")["tie_aware_map"]
