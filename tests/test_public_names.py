"""The names that `import nearbit` offers."""

import subprocess
import sys

import pytest

import nearbit

NAMES = [
    "AttackOptions", "Dataset", "Index", "Model", "NearbitError", "Results", "Split", "SplitSizes", "TrainOptions",
    "__version__", "attack", "backbone_of", "centers", "codes", "compare", "compare_methods", "create_index",
    "estimators", "evaluate", "evaluate_codes", "from_features", "from_images", "from_torch", "load_dataset",
    "load_images", "load_model", "load_split", "losses", "make_centers", "make_split", "methods", "metrics",
    "open_comparison", "open_index", "search", "train",
]  # fmt: skip


def test_the_public_names_are_these():
    assert sorted(nearbit.__all__) == NAMES
    assert dir(nearbit) == NAMES  # and nothing that the module itself has imported


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_leads_to_something_documented(name):
    value = getattr(nearbit, name)
    assert isinstance(value, str) or value.__doc__


def test_names_for_type_checkers_are_the_names_for_python():
    import ast
    from pathlib import Path

    tree = ast.parse(Path(nearbit.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {alias.name: node.module for node in block.body for alias in node.names}
    rooms = dict.fromkeys(nearbit._ROOMS, "nearbit")
    assert declared == {name: f"nearbit.{home}" for name, home in nearbit._HOME.items()} | rooms


@pytest.mark.parametrize("room", ["codes", "metrics", "centers"])
def test_rooms_without_networks_are_reached_without_torch(room):
    code = f"import sys, nearbit as nb; nb.{room}.__doc__; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'nearbit' has no attribute 'trian'"):
        nearbit.trian  # noqa: B018


def test_the_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert nearbit.__version__ == version("nearbit")


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "nearbit", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"nearbit, version {nearbit.__version__}"
