"""Build the wheel and the source distribution into dist/, check them, and publish them.

    python tools/release.py check
    TWINE_PASSWORD=… python tools/release.py publish [--repository testpypi]

`check` is what `make dist` does. `publish` is for a person: it asks for a tag, a clean tree, a section of the changelog
and a token, checks everything once more, and uploads after the version was typed. How: CONTRIBUTING.md.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from check_wheel import check_contents

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
IN_SOURCES = (
    "PKG-INFO",
    "LICENSE",
    "NOTICE",
    "README.md",
    "CHANGELOG.md",
    "pyproject.toml",
    "src/nearbit/__init__.py",
    "src/nearbit/datasets/formats/digits.npz",
    "tests/conftest.py",
    "docs/index.md",
)
RELEASED = re.compile(r"\d+\.\d+\.\d+(rc\d+)?")
TOKEN = "TWINE_PASSWORD"


def main() -> None:
    """Check, or check and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="build both into dist/ and check them")
    publish_options = commands.add_parser("publish", help="check, then upload with a token")
    publish_options.add_argument("--repository", default="pypi", help="a repository that twine knows, such as testpypi")
    options = parser.parse_args()
    if options.command == "publish":
        version = version_to_publish(ROOT, os.environ)
        files = check()
        require(version_of(files[0]) == version, f"git says {version}, the build {version_of(files[0])}")
        publish(version, files, options.repository)
    else:
        check()


def check() -> list[Path]:
    """Build the source distribution, and the wheel from it; check both, and leave them in dist/. Return their paths."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        left = ROOT / "src" / "nearbit.egg-info"
        was_there = left.exists()
        run(sys.executable, "-m", "build", "--outdir", name, str(ROOT))
        if not was_there:
            shutil.rmtree(
                left, ignore_errors=True
            )  # beside the sources it would tell another version than is installed
        files = sorted(made.iterdir(), key=lambda path: path.suffix != ".whl")
        require([path.suffix for path in files] == [".whl", ".gz"], f"built {[path.name for path in files]}")
        wheel, sources = files
        check_contents(wheel)
        check_sources(sources)
        require(version_of(wheel) == version_of(sources), f"{wheel.name} and {sources.name} are of two versions")
        run(sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sources))
        DIST.mkdir(parents=True, exist_ok=True)
        for old in DIST.glob("nearbit-*"):
            old.unlink()
        kept = [Path(shutil.copy(path, DIST)) for path in files]
    for path in kept:
        sys.stderr.write(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes, checked\n")
    return kept


def check_sources(path: Path) -> None:
    """Check that the source distribution holds what a build and a packager need, and no file twice."""
    with tarfile.open(path) as file:
        names = [name.partition("/")[2] for name in file.getnames()]
    for needed in IN_SOURCES:
        require(needed in names, f"{needed} is missing in {path.name}")
    require(len(names) == len(set(names)), f"{path.name} holds a file twice")


def version_of(path: Path) -> str:
    """Return the version in the name of a wheel or a source distribution."""
    return path.name.removesuffix(".tar.gz").split("-")[1]


def version_to_publish(root: Path, environment: "os._Environ[str] | dict[str, str]") -> str:
    """Return the version that the tag of a clean checkout says; leave with what is missing for a release."""
    require(not git(root, "status", "--porcelain"), "there are changes that are not committed: commit or stash them")
    tags = [tag for tag in git(root, "tag", "--points-at", "HEAD").split() if RELEASED.fullmatch(tag.removeprefix("v"))]
    require(len(tags) == 1, f"HEAD has {tags or 'no tag'} of a version, expected one: git tag -a v1.2.3")
    version = tags[0].removeprefix("v")
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    days = re.findall(rf"^## {re.escape(version.partition('rc')[0])}, (.+)$", changes, re.MULTILINE)
    require(len(days) == 1, f"CHANGELOG.md has no section '## {version}, {date.today().isoformat()}'")
    dated = "rc" in version or re.fullmatch(r"\d{4}-\d{2}-\d{2}", days[0]) is not None
    require(dated, f"CHANGELOG.md says of {version}: {days[0]!r}, expected the day (2026-12-31)")
    require(bool(environment.get(TOKEN)), f"no token: set {TOKEN} to an API token of the registry")
    return version


def publish(version: str, files: list[Path], repository: str) -> None:
    """Upload the checked files, once the version was typed: what is published cannot be taken back."""
    sys.stderr.write(f"{', '.join(path.name for path in files)} to {repository}. Type the version to upload: ")
    require(input().strip() == version, "that is not the version; nothing was uploaded")
    environment = {"TWINE_USERNAME": "__token__", **os.environ}
    command = ["twine", "upload", "--non-interactive", "--repository", repository, *map(str, files)]
    done = subprocess.run([sys.executable, "-m", *command], env=environment, check=False)
    require(done.returncode == 0, "the upload failed; the lines above say why")


def git(root: Path, *words: str) -> str:
    """Return what a command of git prints."""
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"git {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def run(*command: str) -> None:
    """Run a program, without this environment's Python path, or leave with what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, env=kept, capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def require(condition: bool, message: str) -> None:
    """Leave with the message unless the condition holds."""
    if not condition:
        sys.exit(f"release: {message}")


if __name__ == "__main__":
    main()
