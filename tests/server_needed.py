"""What happens to the tests of a server that cannot be started: they are skipped, or fail where it has to be there."""

import os

import pytest


def missing(name, reason):
    """Skip loudly; fail where `NEARBIT_TEST_SERVERS`, a list of names with spaces between them, has the server."""
    if name in os.environ.get("NEARBIT_TEST_SERVERS", "").split():
        pytest.fail(reason)
    pytest.skip(reason)
