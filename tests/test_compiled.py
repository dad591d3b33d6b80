"""Compiled kernels are kept on disk, and a change in any module with kernels makes all of them compile anew."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nearbit

SOURCE = Path(nearbit.__file__).parent
CODE = """
import numpy as np
from nearbit.metrics import tie_aware_average_precision
codes = np.array([[128], [128], [0]], np.uint8)
print(tie_aware_average_precision(codes[:1], [0], codes, [0, 1, 1], 1)[0])
from nearbit.metrics import kernels
print(sum(kernels.grouped_histograms.stats.cache_hits.values()))
"""


def run(folder):
    environment = os.environ | {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    value, hits = done.stdout.split()
    return float(value), int(hits)


def test_a_change_of_an_inner_kernel_is_never_missed(tmp_path):
    shutil.copytree(SOURCE, tmp_path / "nearbit", ignore=shutil.ignore_patterns("__pycache__"))
    assert run(tmp_path) == (0.75, 0)
    assert run(tmp_path) == (0.75, 1)
    inner = tmp_path / "nearbit" / "metrics" / "counting_kernels.py"
    text = inner.read_text()
    assert text.count("np.uint16(ones(column[i] ^ word))") == 2
    inner.write_text(text.replace("np.uint16(ones(column[i] ^ word))", "np.uint16(0)"))
    value, hits = run(tmp_path)
    assert hits == 0
    assert 0 < value < 0.75


def test_kernels_live_in_modules_that_are_looked_at():
    for file in SOURCE.rglob("*.py"):
        decorators = {
            name.id
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.FunctionDef)
            for name in node.decorator_list
            if isinstance(name, ast.Name)
        }
        if decorators & {"compiled", "lean"}:
            assert file.stem.endswith("kernels") or file.name == "compiled.py", f"{file} must be named …kernels.py"
