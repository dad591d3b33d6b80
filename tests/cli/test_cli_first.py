"""No one waits for a compiler: with an empty cache of machine code, one-shot commands compile nothing."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from nearbit.index import create_index

COUNTED = """
import json, sys
from nearbit.cli.main import run
status = run(json.loads(sys.argv[1]))
compiled = None
if "numba" in sys.modules:
    from nearbit import jit
    compiled = [kernel.py_func.__name__ for kernel in jit._KERNELS if kernel.signatures]
print(json.dumps({"status": status, "compiled": compiled}))
"""


@pytest.fixture
def command(tmp_path):
    """Run a command in a process of its own; return what it wrote, what it compiled and what was kept of that."""

    def call(*arguments, mode="auto"):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NEARBIT_COMPILE": mode}
        given = json.dumps([str(argument) for argument in arguments])
        done = subprocess.run(
            [sys.executable, "-c", COUNTED, given], env=environment, capture_output=True, text=True, check=True
        )
        lines = done.stdout.splitlines()
        about = json.loads(lines[-1])
        assert about["status"] == 0, done.stderr
        kept = [file.name for file in (tmp_path / "cache").rglob("*.nbi")]
        return json.loads("\n".join(lines[:-1]) or "null"), about["compiled"], kept

    return call


@pytest.fixture
def index(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "some.index"
    with create_index(path, n_bits=64) as made:
        metadata = [{"labels": [("wren", "robin")[number % 2]]} for number in range(120_000)]
        made.add(rng.integers(0, 256, (120_000, 8), dtype=np.uint8), metadata=metadata)
    return path


def test_one_shot_searches_compile_nothing(command, index):
    for more in ([], ["--label", "wren"], ["--radius", "20"], ["-k", "500"]):
        found, compiled, kept = command("search", index, "--id", "5", "--json", *more)
        assert found
        assert not compiled
        assert not kept


def test_upkeep_of_an_index_compiles_nothing(command, index):
    for arguments in (
        ["inspect", index, "--json"],
        ["index", "compact", index, "--json"],
        ["index", "stats", index, "--json"],
    ):
        _, compiled, kept = command(*arguments)
        assert not compiled
        assert not kept


def test_an_evaluation_compiles_nothing(command, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "codes.npz"
    codes, labels = rng.integers(0, 256, (400, 8), dtype=np.uint8), rng.integers(0, 5, 400)
    several = np.eye(5, dtype=np.bool_)[labels] | np.eye(5, dtype=np.bool_)[labels[::-1]]
    for own in (labels, several):
        np.savez(
            path, query_codes=codes[:40], query_labels=own[:40], database_codes=codes, database_labels=own, n_bits=64
        )
        found, compiled, kept = command("evaluate", "--codes", path, "--json")
        assert found
        assert not compiled
        assert not kept


def test_what_is_asked_to_compile_does(command, index):
    _, compiled, kept = command("search", index, "--id", "5", "--json", mode="now")
    assert compiled
    assert len(kept) == len(compiled)


@pytest.mark.slow
def test_a_command_compiles_ahead(command, index):
    said, compiled, kept = command("warm", "--json")
    assert {"scan", "search_rings", "nearest_pivot"} <= set(compiled)
    assert len(kept) >= len(compiled)
    assert {one["was"] for one in said["kernels"]} == {"compiled"}
    said, _, _ = command("warm", "--json")
    assert {one["was"] for one in said["kernels"]} == {"kept already"}
    _, compiled, _ = command("search", index, "--id", "5", "--json")
    assert not compiled  # NumPy is done before kept code would be loaded
