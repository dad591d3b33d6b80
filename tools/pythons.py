"""Run the tests that need no torch with each Python that nearbit supports, and with the lowest dependencies.

Each Python that is found gets an environment of its own with the newest versions of the dependencies except torch; the
first one gets another with those of `constraints-lowest.txt`. A Python that is not found is named and skipped.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.11", "3.12", "3.13")
LOWEST = "constraints-lowest.txt"
WHERE = (
    "centers",
    "datasets",
    "index",
    "metrics",
    "test_codes.py",
    "test_commands.py",
    "test_compiled.py",
    "test_dependencies.py",
    "test_extras.py",
    "test_files.py",
    "test_json_text.py",
    "test_layers.py",
    "test_threads.py",
)
"""Of these the files that do not import torch."""

TOOLS = ("pytest", "pytest-xdist", "hypothesis")


def main() -> None:
    """Test each Python; leave with an error where a test failed."""
    failed = []
    for version in VERSIONS:
        python = found(version)
        if python is None:
            sys.stderr.write(f"SKIPPED: Python {version}, because none is found\n")
            continue
        for constraints in [None, LOWEST] if version == VERSIONS[0] else [None]:
            name = f"Python {version}" + (f" with {constraints}" if constraints else "")
            if not passes(name, python, constraints):
                failed.append(name)
    if failed:
        raise SystemExit(f"tests failed with {'; '.join(failed)}")


def found(version: str) -> str | None:
    """Return an interpreter of a version: of the path, or of pyenv, whether it is switched on there or not."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [shutil.which(f"python{version}"), *sorted(kept.glob(f"{version}.*/bin/python"), reverse=True)]
    return next((str(place) for place in places if place is not None and is_version(str(place), version)), None)


def is_version(python: str, version: str) -> bool:
    """Say whether an interpreter runs and is of that version (a shim of pyenv may stand for none)."""
    asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


def passes(name: str, python: str, constraints: str | None) -> bool:
    """Make an environment, install what is needed but torch, and say whether the tests pass in it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        own = str(Path(folder) / ("Scripts" if os.name == "nt" else "bin") / "python")
        pip = [own, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        bounds = [] if constraints is None else ["-c", str(ROOT / constraints)]
        subprocess.run([*pip, *bounds, *requirements(), *TOOLS], check=True)
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NUMBA_CACHE_DIR": str(Path(folder) / "numba")}
        command = [own, "-m", "pytest", "-n", "auto", "--maxprocesses", "4", "-p", "no:cacheprovider", *tests()]
        sys.stderr.write(f"{name}: {python}\n")
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    sys.stderr.write(f"{name}: {'passed' if not status else 'FAILED'} (without torch)\n")
    return not status


def requirements() -> list[str]:
    """Return what nearbit needs, without torch."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        wanted: list[str] = tomllib.load(file)["project"]["dependencies"]
    return [one for one in wanted if not one.startswith("torch")]


def tests() -> list[str]:
    """Return the test files that do not import torch."""
    files = [file for name in WHERE for file in test_files(ROOT / "tests" / name)]
    return [str(file) for file in files if not re.search(r"^\s*(import|from) torch\b", file.read_text("utf-8"), re.M)]


def test_files(place: Path) -> Iterator[Path]:
    """Yield a file, or the test files of a folder."""
    return iter([place]) if place.is_file() else iter(sorted(place.rglob("test_*.py")))


if __name__ == "__main__":
    main()
