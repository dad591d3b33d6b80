"""A release: version from git in every kind of checkout, and nothing published that is not whole."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nearbit.encoding import versions

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def release():
    """Give tools/release.py as a module."""
    sys.path.insert(0, str(ROOT / "tools"))
    yield importlib.import_module("release")
    sys.path.remove(str(ROOT / "tools"))


def git(folder, *words):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    """Give a checkout with one commit and a changelog."""
    git(tmp_path, "init", "-q")
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n## 1.2.3, 2026-12-31\n\n- All.\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "all")
    return tmp_path


TOKEN = {"TWINE_PASSWORD": "t"}


def test_a_tagged_clean_checkout_with_a_dated_section_may_be_published(release, checkout):
    git(checkout, "tag", "v1.2.3")
    assert release.version_to_publish(checkout, TOKEN) == "1.2.3"


def test_a_candidate_needs_the_section_but_no_day(release, checkout):
    (checkout / "CHANGELOG.md").write_text("## 1.3.0, not released yet\n")
    git(checkout, "commit", "-q", "-a", "-m", "more")
    git(checkout, "tag", "v1.3.0rc1")
    assert release.version_to_publish(checkout, TOKEN) == "1.3.0rc1"


@pytest.mark.parametrize(
    ("tag", "changes", "environment", "message"),
    [
        (None, None, TOKEN, "HEAD has no tag of a version"),
        ("nightly", None, TOKEN, "HEAD has no tag of a version"),
        ("v1.2.4", None, TOKEN, "CHANGELOG.md has no section '## 1.2.4, "),
        ("v1.2.3", "## 1.2.3, not released yet\n", TOKEN, "says of 1.2.3: 'not released yet', expected the day"),
        ("v1.2.3", None, {}, "no token: set TWINE_PASSWORD"),
    ],
)
def test_what_is_not_whole_is_not_published(release, checkout, tag, changes, environment, message):
    if changes is not None:
        (checkout / "CHANGELOG.md").write_text(changes)
        git(checkout, "commit", "-q", "-a", "-m", "changes")
    if tag is not None:
        git(checkout, "tag", tag)
    with pytest.raises(SystemExit, match=re.escape(message)):
        release.version_to_publish(checkout, environment)


def test_changes_that_are_not_committed_are_not_published(release, checkout):
    git(checkout, "tag", "v1.2.3")
    (checkout / "new.txt").write_text("x")
    with pytest.raises(SystemExit, match="changes that are not committed"):
        release.version_to_publish(checkout, TOKEN)


def test_another_version_than_that_of_the_build_is_not_uploaded(release, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda: "1.2.4")
    monkeypatch.setattr(release.subprocess, "run", lambda *_, **__: pytest.fail("uploaded"))
    with pytest.raises(SystemExit, match="that is not the version; nothing was uploaded"):
        release.publish("1.2.3", [Path("nearbit-1.2.3.tar.gz")], "pypi")


def test_the_version_is_written_nowhere_but_in_git():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert "version" not in project["project"]
    first = re.search(r"^## (\S+), ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    fallback = project["tool"]["setuptools_scm"]["fallback_version"]
    assert fallback == f"{first.group(1)}.dev0", "the changelog is at another version than the fallback"


@pytest.mark.parametrize(
    ("version", "key"),
    [
        ("0.1.0", "0.1.0"),
        ("0.1.dev398+g17338c2", "0.1.0"),
        ("0.1.0.dev0", "0.1.0"),
        ("0.2.1.dev3+g1.d20261126", "0.2.1"),
        ("1.2.3rc1", "1.2.3"),
    ],
)
def test_a_commit_does_not_make_kept_features_worthless(monkeypatch, version, key):
    monkeypatch.setattr(versions, "version", lambda name: version if name == "nearbit" else "7")
    assert versions.deciding_versions() == {"nearbit": key, "torch": "7", "numpy": "7", "pillow": "7"}
    assert versions.library_versions()["nearbit"] == version


@pytest.mark.slow
def test_wheel_and_sources_are_built_and_checked(release, monkeypatch, tmp_path):
    pytest.importorskip("build", reason="needs build and twine")
    pytest.importorskip("twine", reason="needs build and twine")
    monkeypatch.setattr(release, "DIST", ROOT / "build" / "test-dist")
    wheel, sources = release.check()
    assert release.version_of(wheel) == release.version_of(sources)
    for path in (wheel, sources):
        path.unlink()
