"""Compiled kernels are kept on disk, and a change in any module with kernels makes all of them compile anew."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nearbit

SOURCE = Path(nearbit.__file__).parent
INNER = """
from nearbit.jit import lean

@lean
def step(x):
    return x + 1
"""
OUTER = """
from nearbit.jit import jit
from nearbit.inner_kernels import step

@jit
def twice(x):
    return step(step(x))
"""
CALL = """
from nearbit.outer_kernels import twice
print(twice(5), sum(twice.stats.cache_hits.values()))
"""


def run(folder):
    environment = os.environ | {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run([sys.executable, "-c", CALL], env=environment, capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()]


def test_a_change_of_an_inner_kernel_is_never_missed(tmp_path):
    package = tmp_path / "nearbit"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(SOURCE / "jit.py", package)
    (package / "inner_kernels.py").write_text(INNER)
    (package / "outer_kernels.py").write_text(OUTER)
    assert run(tmp_path) == [7, 0]
    assert run(tmp_path) == [7, 1]
    (package / "inner_kernels.py").write_text(INNER.replace("x + 1", "x + 2"))
    assert run(tmp_path) == [9, 0]


def test_kernels_live_in_modules_that_are_looked_at():
    for file in SOURCE.rglob("*.py"):
        decorators = {
            name.id
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
            for name in node.decorator_list
            if isinstance(name, ast.Name)
        }
        if decorators & {"jit", "kernel", "lean"}:
            assert file.stem.endswith("kernels") or file.name == "jit.py", f"{file} must be named …kernels.py"
