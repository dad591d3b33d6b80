"""The command that installs an extra follows from how nearbit was installed; it never names a published package."""

import json
from importlib.metadata import PackageNotFoundError, PathDistribution

import pytest

from nearbit import extras
from nearbit.errors import MissingExtraError
from nearbit.extras import hint_for, install_hint

METADATA = """Metadata-Version: 2.4
Name: nearbit
Version: 0.1.0
Requires-Dist: click>=8.1
Provides-Extra: serve
Requires-Dist: fastapi>=0.165; extra == "serve"
Requires-Dist: uvicorn>=0.54; extra == "serve"
Requires-Dist: server-of-another; extra == "serve-more"
"""


@pytest.fixture
def installed(tmp_path):
    """Return a distribution as an installer leaves it, with or without a note of its origin."""

    def make(origin=None):
        folder = tmp_path / "nearbit-0.1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(METADATA)
        if origin is not None:
            (folder / "direct_url.json").write_text(json.dumps(origin))
        return PathDistribution(folder)

    return make


def test_a_clone_that_is_installed_editable_is_installed_so_again(installed, tmp_path, monkeypatch):
    clone = tmp_path / "my clone"
    clone.mkdir()
    found = installed({"url": clone.as_uri(), "dir_info": {"editable": True}})
    assert hint_for(found, "serve", "fastapi") == f"pip install -e '{clone}[serve]'"
    monkeypatch.chdir(clone)
    assert hint_for(found, "serve", "fastapi") == "pip install -e '.[serve]'"


def test_a_folder_or_a_wheel_is_installed_again(installed, tmp_path):
    assert hint_for(installed({"url": tmp_path.as_uri(), "dir_info": {}}), "onnx", "onnx") == (
        f"pip install '{tmp_path}[onnx]'"
    )
    wheel = tmp_path / "nearbit-0.1.0-py3-none-any.whl"
    wheel.touch()
    (tmp_path / "nearbit-0.1.0.dist-info" / "direct_url.json").write_text(
        json.dumps({"url": wheel.as_uri(), "archive_info": {"hash": "sha256=0"}})
    )
    found = PathDistribution(tmp_path / "nearbit-0.1.0.dist-info")
    assert hint_for(found, "onnx", "onnx") == f"pip install '{wheel}[onnx]'"


def test_a_repository_is_installed_at_the_same_state(installed):
    origin = {"url": "https://example.org/nearbit.git", "vcs_info": {"vcs": "git", "commit_id": "abc", "x": 1}}
    assert hint_for(installed(origin | {"subdirectory": "python"}), "serve", "fastapi") == (
        "pip install 'nearbit[serve] @ git+https://example.org/nearbit.git@abc#subdirectory=python'"
    )


def test_an_archive_is_installed_from_its_address(installed):
    found = installed({"url": "https://example.org/nearbit.tar.gz", "archive_info": {}})
    assert hint_for(found, "hf", "transformers") == (
        "pip install 'nearbit[hf] @ https://example.org/nearbit.tar.gz'"
    )  # fmt: skip


@pytest.mark.parametrize("gone", [False, True])
def test_where_nothing_tells_of_the_origin_the_packages_are_named(installed, tmp_path, gone):
    found = installed({"url": (tmp_path / "gone").as_uri(), "dir_info": {"editable": True}} if gone else None)
    assert hint_for(found, "serve", "fastapi") == "pip install 'fastapi>=0.165' 'uvicorn>=0.54'"
    assert hint_for(found, "serve-more", "x") == "pip install server-of-another"
    assert hint_for(found, "unknown", "the-package") == "pip install the-package"


def test_a_package_that_was_never_installed_names_what_is_missing(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", absent)
    assert install_hint("serve", "fastapi") == "pip install fastapi"
    assert str(MissingExtraError("fastapi", "serve", "nearbit serve")) == (
        "nearbit serve needs the package fastapi, which is not installed: pip install fastapi"
    )
