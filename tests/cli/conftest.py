"""The command line, run in this process with a cache of its own."""

import json
import shutil

import pytest

from hub_stand_in import hub_on_loopback
from model_makers import random_model
from nearbit.cli.main import run
from tiny_data import TINY, write_folder


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


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The stand-in, as the client's own settings name it; the folder to work in is a new one."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="skipped: no huggingface_hub (extra [hub])")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    with hub_on_loopback() as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.address)
        template = f"{served.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield served


@pytest.fixture(scope="session")
def road(tmp_path_factory):
    """A folder of 24 PNG files and one that is damaged, with a model and an index of it."""
    folder = tmp_path_factory.mktemp("road")
    photos = write_folder(folder / "photos")
    (photos / "a" / "damaged.png").write_bytes((photos / "a" / "000.png").read_bytes()[:60])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEARBIT_CACHE", str(folder / "cache"))
        assert run(["train", str(photos), *TINY, "-o", str(folder / "a.model")]) == 0
        assert run(["index", str(folder / "a.index"), str(photos), "--model", str(folder / "a.model")]) == 0
    return folder


@pytest.fixture
def place(road, tmp_path, monkeypatch):
    """A copy of the road of one's own."""
    shutil.copytree(road, tmp_path / "road")
    monkeypatch.chdir(tmp_path / "road")
    return tmp_path / "road"


@pytest.fixture
def photos_and_model(tmp_path, monkeypatch):
    """A folder with photos of three classes and a model of random weights, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos", per_class=3)
    random_model().save("a.model")
    return tmp_path
