"""The command line, run in this process with a cache of its own."""

import json

import pytest

from nearbit.cli.main import run


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def nearbit(capsys):
    """Run a command; return its exit status, standard output and standard error."""

    def call(*arguments):
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.fixture
def as_json(nearbit):
    """Run a command with --json that must succeed; return the one object on standard output."""

    def call(*arguments):
        status, out, err = nearbit(*arguments, "--json")
        assert status == 0, err
        assert len(out.splitlines()) == 1
        return json.loads(out)

    return call


@pytest.fixture
def refused(nearbit):
    """Run a command that must be refused as a user's mistake; return the one line on standard error."""

    def call(*arguments):
        status, out, err = nearbit(*arguments)
        assert status == 2, out + err
        assert out == ""
        assert err.count("\n") == 1
        assert err.startswith("nearbit: ")
        assert "Traceback" not in err
        again, out, err_json = nearbit(*arguments, "--json")
        assert again == 2
        error = json.loads(out)["error"]
        assert sorted(error) == ["message", "type"]
        assert err_json == err
        return err

    return call
