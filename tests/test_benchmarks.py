"""The benchmark scripts run: small sizes, what they write can be read, and what they compare agrees."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearbit.metrics import evaluate_codes

FOLDER = Path(__file__).parent.parent / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_metrics_are_measured_beside_the_argsort_idiom(tmp_path, monkeypatch, capsys):
    metrics = script("metrics")
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    out = tmp_path / "results" / "metrics.json"
    metrics.main(["--out", str(out), "--rounds", "2", "--queries", "12", "--items", "300", "--sample", "12", "--large"])
    results = json.loads(out.read_text())
    for kind in ("single", "multi"):
        runs = results[kind]["runs"]
        assert {name: len(own) for name, own in runs.items()} == {
            "nearbit tie-aware": 2, "nearbit whole report": 2, "nearbit report, figures=": 2, "argsort idiom": 2,
            "radix line": 2,
        }  # fmt: skip
        values = results[kind]["map"]
        assert values["argsort idiom"] == pytest.approx(values["nearbit tie-aware"], abs=0.1)
        in_order = evaluate_codes(*metrics.make(12, 300, multi=kind == "multi"), n_bits=64).map_database_order
        assert values["radix line"] == pytest.approx(in_order, abs=1e-12)
        assert set(results[kind]["times_faster_than"]["radix line"]) == {name for name in runs if "nearbit" in name}
    assert (results["large"]["queries"], results["large"]["items"]) == (120, 3000)
    assert "skipped: torchmetrics is not installed" in capsys.readouterr().out


def test_the_check_of_conventions_says_what_it_skips(tmp_path, monkeypatch, capsys):
    conventions = script("conventions")
    monkeypatch.setattr(conventions, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["conventions.py", "--out", str(tmp_path / "out.json")])
    conventions.main()
    out = capsys.readouterr().out
    assert out.count("skipped: ") == 7
    assert "0 comparisons" in out


def test_a_function_of_a_repository_runs_alone(tmp_path):
    conventions = script("conventions")
    (tmp_path / "tools.py").write_text("import no_such_module\ndef half(x):\n    return x / two\n")
    assert conventions.function_of(tmp_path / "tools.py", "half", {"two": 2})(3) == 1.5


def test_false_findings_of_the_paired_bootstrap_are_shares(capsys):
    paired_bootstrap = script("paired_bootstrap")
    paired_bootstrap.main(["--repeats", "2"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    shares = [float(share) for words in lines if words[1:2] == ["seeds"] for share in words[2:]]
    assert len(shares) == 2 * len(paired_bootstrap.SEEDS) * len(paired_bootstrap.DEVIATIONS)
    assert set(shares) <= {0.0, 0.5, 1.0}


def test_a_head_is_trained_beside_a_bare_loop(tmp_path, capsys):
    training = script("training")
    out = tmp_path / "training.json"
    training.main(["--items", "300", "--width", "8", "--rounds", "2", "--out", str(out)])
    cases = json.loads(out.read_text())["cases"]
    assert list(cases) == list(training.CASES)
    assert all(len(case["rounds"]) == 2 and min(map(min, case["rounds"])) > 0 for case in cases.values())


def test_waiting_is_told_for_images_decoded_in_each_epoch_and_once(tmp_path, capsys):
    pipeline = script("pipeline")
    for number in range(4):
        folder = tmp_path / "images" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((9, 12, 3), number, np.uint8)).save(folder / f"{number}.png")
    out = tmp_path / "pipeline.json"
    few = ["--batch", "2", "--batches", "2", "--step", "0", "1", "--workers", "0", "--size", "8"]
    pipeline.main([str(tmp_path / "images"), *few, "--out", str(out)])
    told = json.loads(out.read_text())
    assert told["kept_mb"] == pytest.approx(9 * 12 * 3 / 1e6)
    assert [(row["images"], row["step_ms"]) for row in told["rows"]] == [
        ("anew", 0), ("kept", 0), ("bare loop", 0), ("anew", 1), ("kept", 1), ("bare loop", 1),
    ]  # fmt: skip
    assert all(0 <= row["waiting"] <= 1 for row in told["rows"])
    assert list(told["cores_to_keep_up"]["kept"]) == ["1 ms"]
    assert len(capsys.readouterr().out.splitlines()) == 9


def test_the_bare_loop_shows_the_images_of_its_plan(tmp_path):
    pipeline = script("pipeline")
    paths = []
    for number in range(3):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(np.full((9, 12, 3), number, np.uint8)).save(paths[-1])
    loop = pipeline.BareLoop(pipeline.BareImages(paths, 8), 0)
    for plan in ([np.array([2, 0]), np.array([1, 1])], [np.array([0, 1])]):
        batches = list(loop.batches(plan, 0, 0))
        assert [tuple(batch.shape) for batch in batches] == [(2, 3, 8, 8)] * len(plan)
        assert [batch[:, 0, 0, 0].tolist() for batch in batches] == [one.tolist() for one in plan]


def test_made_annotations_are_read_by_both_sides(tmp_path):
    annotations = script("annotations")
    annotations.make(tmp_path / "instances.json", 3)
    read = annotations.by_json(tmp_path / "instances.json")
    assert len(read["images"]) == 3
    assert len(read["annotations"]) == 21
    assert len(annotations.by_nearbit(tmp_path / "instances.json").problems) == 3


@pytest.fixture
def watch(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr("nearbit.compiled.FAMILIES", ())
    return script("watch")


STEADY = [1.0, 1.01, 0.99, 1.0, 1.0]


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        (STEADY, None, "new"),
        (STEADY, STEADY, "as before"),
        ([0.97] * 5, STEADY, "as before"),  # a small fall, however steady
        ([0.8] * 5, STEADY, "fell"),
        ([1.3] * 5, STEADY, "rose"),
        ([0.8] * 5, [0.7, 1.0, 1.3, 0.8, 1.2], "as before"),  # what was noisy may well be lower
        ([0.5, 0.8, 1.1, 0.6, 1.0], STEADY, "as before"),
        ([0.3], [1.0], "fell"),
    ],
)
def test_a_ratio_fell_where_it_is_lower_by_more_than_its_noise(watch, now, before, said):
    assert watch.verdict(now, before) == said


def test_ratios_are_kept_and_compared_with_what_was_kept(watch, tmp_path, capsys):
    kept = tmp_path / "watch.json"
    command = ["--small", "--rounds", "2", "--only", "filter 1 in 1000", "--committed", str(kept)]
    assert watch.main([*command, "--save"]) == 0
    about = json.loads(kept.read_text())
    name = "filter 1 in 1000 / unfiltered"
    assert {name: len(values) for name, values in about["ratios"].items()} == {name: 2}
    kept.write_text(json.dumps(about | {"processor": "an abacus", "ratios": {name: [1e9, 1e9]}}))
    capsys.readouterr()
    assert watch.main(command) == 1
    out = capsys.readouterr().out
    assert "the committed ratios are of another processor: an abacus" in out
    assert f"fell by more than their noise: {name} of 1" in out


def test_what_is_not_installed_is_skipped_by_name(watch, tmp_path, capsys, monkeypatch):
    def missing(*given):
        raise ModuleNotFoundError("No module named 'faiss'")

    monkeypatch.setitem(watch.ENTRIES, "search uniform, batch / faiss", missing)
    command = ["--small", "--only", "uniform, batch", "--committed", str(tmp_path / "none.json")]
    assert watch.main(command) == 0
    assert "skipped: No module named 'faiss'" in capsys.readouterr().out


def test_duplicates_are_measured_beside_brute_force(tmp_path, capsys):
    duplicates, out = script("duplicates"), tmp_path / "duplicates.json"
    codes = tmp_path / "codes.npz"
    np.savez(codes, database_codes=duplicates.make(0.02, 700), n_bits=np.array(64))
    options = ["--items", "300", "600", "--rounds", "1", "--sample", "20", "--codes", str(codes), "--out", str(out)]
    duplicates.main(options)
    written = json.loads(out.read_text())
    assert set(written["runs"]) == set(written["exponents"]) == {*duplicates.KINDS, "trained"}
    for runs in written["runs"].values():
        assert [run["items"] for run in runs] == [300, 600]
        assert all(run["seconds"]["nearbit"] > 0 and run["seconds"]["numpy"] > 0 for run in runs)
    assert written["runs"]["clusters, 2 %"][1]["near_pairs_of_distinct_codes"] > 0
    assert "exponents: uniform" in capsys.readouterr().out


def test_the_buckets_of_a_network_are_told_with_what_is_left_of_the_pass():
    exchange = script("exchange")
    row = exchange.measured("small", 32, 2, 1)
    weights = list(exchange.make_backbone("small", image_size=32).parameters())
    assert sum(row["MB"]) * 2**20 == 4 * sum(one.numel() + 1 for one in weights)
    assert all(0 <= left < 1 for left in row["left"])
    assert row["left"] == sorted(row["left"], reverse=True)
