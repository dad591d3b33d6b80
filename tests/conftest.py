"""One thread for torch and BLAS in all tests: their networks are tiny, and waiting threads slow them down.

Kernels are compiled before they are asked, so that each test knows which form it tests; those of NumPy's form say
`monkeypatch.setenv("NEARBIT_COMPILE", "never")`, those of the choice "auto".
"""

import os
from pathlib import Path

import pytest

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("NEARBIT_COMPILE", "now")

HERE = Path(__file__).parent
PORTABLE = (
    "centers",
    "cli/test_cli_unseen.py",
    "losses",
    "methods",
    "metrics/test_metrics_kernels.py",
    "networks",
    "onnx_export/test_onnx_export.py",
    "model/test_add_class.py",
    "encoding",
    "test_examples.py",
    "test_indexing.py",
    "training",
)
"""Tests of what trains, encodes or adds up: `make portable` runs them under other instruction sets, too."""


def pytest_collection_modifyitems(items):
    for item in items:
        place = item.path.relative_to(HERE) if item.path.is_relative_to(HERE) else item.path
        if any(place.is_relative_to(one) for one in PORTABLE):
            item.add_marker("portable")


@pytest.fixture(scope="session")
def milvus():
    """A running Milvus, for all tests of the session."""
    import milvus_server

    with milvus_server.started() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql():
    """A running PostgreSQL, for all tests of the session that ask for it."""
    import postgresql_server

    with postgresql_server.started() as server:
        yield server
