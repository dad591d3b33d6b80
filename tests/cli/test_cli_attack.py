"""`nearbit attack` on the command line."""

import pytest

SHORT = ["--steps", "3", "--device", "cpu"]


def test_the_clean_figure_stands_beside_the_attacked_one(nearbit, as_json, place):
    about = as_json("attack", "a.model", "photos", *SHORT, "--eps", "20")
    assert {"clean_map", "adversarial_map", "bits_changed", "eps", "n_query", "errors_file"} <= set(about)
    assert about["clean_map"] == as_json("evaluate", "a.model", "photos", "--device", "cpu")["tie_aware_map"]
    assert (about["eps"], about["step_size"], about["clean_t_map"]) == (20.0, 1.0, None)
    status, out, _ = nearbit("attack", "a.model", "photos", *SHORT)
    assert status == 0
    assert "mAP, clean" in out
    assert "mAP, attacked" in out
    assert "t-MAP" not in out


def test_a_targeted_attack_shows_t_map_beside_map(nearbit, place):
    status, out, _ = nearbit("attack", "a.model", "photos", *SHORT, "--targeted", "--queries", "3")
    assert status == 0
    assert [name in out for name in ("mAP, clean", "t-MAP, clean", "t-MAP, attacked", "3 queries")] == [True] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "hag", "--targeted"], "has no target"),
        (["--eps", "-1"], "--eps"),
        (["--step-size", "-1"], "step_size must be a number of at least 0"),
    ],
)
def test_wrong_options_are_one_line(refused, place, options, message):
    assert message in refused("attack", "a.model", "photos", *options)


def test_an_exported_network_gives_no_gradients(nearbit, refused, place):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    assert nearbit("export", "a.model", "-o", "a.onnx", "--onnx")[0] == 0
    assert "without gradients" in refused("attack", "a.onnx", "photos")


def test_inspect_and_evaluate_say_how_codes_lie_around_centers(nearbit, as_json, place):
    condition = as_json("inspect", "a.model")["center_condition"]
    assert 0 <= condition["share_within"] <= 1
    assert "nearer than a quarter of the least center distance" in nearbit("inspect", "a.model")[1]
    about = as_json("evaluate", "a.model", "photos", "--device", "cpu")
    assert about["center_condition"]["n_items"] == about["n_query"] + about["n_database"]
    assert about["guaranteed_map"] <= about["lowest_map"]
    assert "to their own center" in nearbit("evaluate", "a.model", "photos", "--device", "cpu")[1]
