"""One thread for torch and BLAS in all tests: their networks are tiny, and waiting threads slow them down.

Kernels are compiled before they are asked, so that each test knows which form it tests; those of NumPy's form say
`monkeypatch.setenv("NEARBIT_COMPILE", "never")`, those of the choice "auto".

What the environment of the one who runs the tests says to nearbit and to git does not reach them, but for `KEPT`; no
proxy stands between them and their own servers. What Hypothesis tries is the same each time, and no example has a limit
of time; `--hypothesis-profile=search` tries others.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

KEPT = ("NEARBIT_COMPILE", "NEARBIT_DATA", "NEARBIT_FUZZ_CASES", "NEARBIT_MILVUS", "NEARBIT_TEST_", "NEARBIT_WEIGHTS")
"""How the variables begin that are said to the tests themselves."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

for name in list(os.environ):
    is_of_nearbit = name.startswith("NEARBIT_") and not name.startswith(KEPT)
    if is_of_nearbit or name == "HF_HUB_OFFLINE" or name.upper() in PROXIES:
        del os.environ[name]
os.environ |= {"NO_PROXY": "127.0.0.1,localhost", "GIT_CONFIG_GLOBAL": os.devnull}
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("NEARBIT_COMPILE", "now")

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("search"), derandomize=True)
settings.load_profile("repeatable")

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


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep what can be computed again in a folder of the session, for those that name none of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEARBIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


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
