"""The examples run and print what their page says; a method goes in as the page for contributors says."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import train_hinge
from hinge import HINGE, HingeOptions
from hinge_loss import hinge_loss

import nearbit as nb
import oracles
from nearbit.methods import Targets, Task
from nearbit.metrics import tie_aware_average_precision
from tiny_data import TINY, tiny_dataset, tiny_split

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
SHORT = ("evaluate_codes", "hash_centers", "recommend_items", "search_an_index")


def test_every_example_stands_on_their_page():
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    files = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.py")}
    assert set(re.findall(r"\]\(([\w/]+\.py)\)", page)) == files
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*SHORT, "minimal_crh"}


@pytest.mark.parametrize("name", SHORT)
def test_an_example_prints_what_its_page_says(name, capsys):
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert f"$ python examples/{name}.py\n{capsys.readouterr().out}```" in page


def test_the_minimal_example_learns_and_says_so(capsys):
    found = runpy.run_path(str(EXAMPLES / "minimal_crh.py"))["main"]()
    assert found > 0.9
    assert re.fullmatch(r"a \d finds .*; tie-aware mAP of 100 queries: \d\.\d\d\n", capsys.readouterr().out)


def test_the_average_precision_of_the_minimal_example_is_that_of_the_library():
    average_precision = runpy.run_path(str(EXAMPLES / "minimal_crh.py"))["tie_aware_average_precision"]
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(0, 256, (60, 1)).astype(np.uint8), rng.integers(0, 3, 60)
    expected = tie_aware_average_precision(codes[:5], labels[:5], codes[5:], labels[5:], 8)
    for query in range(5):
        distances = np.bitwise_count(codes[query] ^ codes[5:])[:, 0]
        found = average_precision(distances, labels[5:] == labels[query])
        assert found == pytest.approx(expected[query], rel=1e-12)


@pytest.mark.slow
def test_the_example_of_a_method_trains_it_beside_csq(capsys):
    train_hinge.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["hinge", "csq"]
    assert all(float(line.split()[-1]) > 0.9 for line in lines)


@pytest.mark.parametrize("margin", [0.0, 1.0, 2.5])
def test_hinge_loss_by_a_plain_loop(margin):
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(0, 2, (4, 12)), rng.choice([-1.0, 1.0], (4, 12))
    terms = [max(margin - u * t, 0) for u, t in zip(outputs.flat, targets.flat, strict=True)]
    found = hinge_loss(torch.tensor(outputs), torch.tensor(targets), margin).item()
    assert found == pytest.approx(sum(terms) / len(terms), rel=1e-12)


def test_hinge_with_several_labels_takes_the_majority_of_their_centers():
    task = Task(n_classes=3, n_bits=12, multi_label=True)
    state = HINGE.make_centers(task, HINGE.options, np.random.default_rng(0))
    labels = [[1, 1, 0], [0, 0, 1], [1, 1, 1]]
    outputs = np.random.default_rng(1).normal(size=(3, 12))
    targets = Targets(torch.tensor(state.centers).double(), torch.tensor(state.tie_break).double())
    own = [oracles.centroid(row, state.centers.tolist(), state.tie_break.tolist()) for row in labels]
    terms = [max(0.5 - u * t, 0) for u, t in zip(outputs.flat, np.array(own).flat, strict=True)]
    given = (torch.tensor(outputs), torch.tensor(labels).double(), targets, task, HingeOptions(margin=0.5))
    assert HINGE.loss(*given).item() == pytest.approx(sum(terms) / len(terms), rel=1e-12)


def test_a_method_of_ones_own_trains_and_its_model_opens_without_it(tmp_path):
    dataset = tiny_dataset()
    options = nb.TrainOptions(image_size=8, epochs=12, batch_size=8, learning_rate=0.005, device="cpu", select="last")
    model = nb.train(dataset, tiny_split(dataset), method=HINGE, n_bits=12, options=options)
    assert model.record["validation_map"] > 0.9
    assert model.method_options == {"margin": 1.0}
    model.save(tmp_path / "hinge.model")
    opened = nb.load_model(tmp_path / "hinge.model")
    assert opened.method == "hinge"
    images = [dataset.source.read(row) for row in range(3)]
    assert np.array_equal(opened.encode(images), model.encode(images))


def as_in_the_package(root):
    """Put the example's loss and method into a copy of the package, its tests and documents, as CONTRIBUTING says."""
    for folder in ("src", "tests", "docs", "examples"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", root)
    package, example = root / "src" / "nearbit", root / "examples" / "add_a_method"
    shutil.copy(example / "hinge_loss.py", package / "losses" / "hinge_loss.py")
    method = (example / "hinge.py").read_text(encoding="utf-8")
    moved = method.replace("from hinge_loss import", "from nearbit.losses.hinge_loss import")
    (package / "methods" / "hinge.py").write_text(moved, encoding="utf-8")
    paper = "Cortes and Vapnik, *Support-Vector Networks*, Machine Learning 1995."
    table = "\n".join(f"| {regime} | {one.epochs} | {one.batch_size} |" for regime, one in HINGE.schedules.items())
    parts = ["# Hinge", paper, "`margin`", table, "## Differs from the authors' code", "[Measured](../results.md)"]
    (root / "docs" / "methods" / "hinge.md").write_text("\n\n".join(parts), encoding="utf-8")
    add_line(
        root / "docs" / "methods" / "README.md",
        "| [mds](mds.md)",
        "| [hinge](hinge.md) | fixed | a hinge | majority |\n",
    )
    add_line(
        package / "methods" / "__init__.py",
        "from nearbit.methods.hash_centers.mds",
        "from nearbit.methods.hinge import HINGE\n",
    )
    table = package / "methods" / "__init__.py"
    text = table.read_text(encoding="utf-8")
    assert text.count("        ORTHOHASH,\n") == 1
    table.write_text(text.replace("        ORTHOHASH,\n", "        ORTHOHASH,\n        HINGE,\n"), encoding="utf-8")


def add_line(path, before, line):
    """Put a line before the one that begins in a given way."""
    text = path.read_text(encoding="utf-8")
    assert text.count(f"\n{before}") == 1
    path.write_text(text.replace(f"\n{before}", f"\n{line}{before}"), encoding="utf-8")


@pytest.mark.slow
def test_a_method_goes_into_the_package_as_contributors_are_told(tmp_path, monkeypatch):
    as_in_the_package(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "src"))
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "cache"))
    tests = [
        "tests/methods/test_methods_contract.py",
        "tests/training/test_training_contract.py",
        "tests/test_layers.py",
    ]
    command = [
        sys.executable,
        "-m",
        "pytest",
        *tests,
        "-m",
        "slow or not slow",
        "-k",
        "hinge",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 40
    trained = [sys.executable, "-m", "nearbit", "train", "digits", "--method", "hinge", *TINY, "-o", "hinge.model"]
    subprocess.run(trained, cwd=tmp_path, check=True, capture_output=True)
    assert nb.load_model(tmp_path / "hinge.model").method == "hinge"
