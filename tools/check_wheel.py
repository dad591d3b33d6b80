"""Build the wheel, install it in a fresh environment without development packages, and walk the road with it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "src")
NEEDED = ("py.typed", "datasets/formats/digits.npz", "datasets/formats/digits.LICENSE.txt", "cli/main.py")
DEVELOPMENT = ("pytest", "hypothesis", "mypy", "ruff")


def main() -> None:
    """Check the wheel; leave with an error at the first thing that is wrong."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        wheel = build(place)
        check_contents(wheel)
        walk(install(wheel, place), place / "work")
    sys.stderr.write("the wheel works\n")


def build(place: Path) -> Path:
    """Build the wheel from a copy of the sources, so that nothing stale of an earlier build gets into it."""
    copy = place / "source"
    copy.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / name, copy / name)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(place / "dist"), str(copy))
    (wheel,) = (place / "dist").iterdir()
    return wheel


def check_contents(wheel: Path) -> None:
    """Check that the wheel holds the package with its data and licences, and nothing else."""
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    for needed in NEEDED:
        require(f"nearbit/{needed}" in names, f"{needed} is missing in the wheel")
    for licence in ("LICENSE", "NOTICE"):
        require(any(name.endswith(f"licenses/{licence}") for name in names), f"{licence} is missing in the wheel")
    strangers = [name for name in names if not name.startswith(("nearbit/", "nearbit-"))]
    require(not strangers, f"the wheel holds {strangers[:3]}")


def install(wheel: Path, place: Path) -> Path:
    """Install the wheel in a new environment, with the torch that is installed here; return its folder of programs."""
    environment = place / "environment"
    venv.create(environment, with_pip=True)
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    constraints = place / "constraints.txt"
    tested = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in tested if not line.startswith("torch==")]
    constraints.write_text("\n".join([*kept, f"torch=={version('torch')}\n"]), encoding="utf-8")
    run(str(programs / "python"), "-m", "pip", "install", "--quiet", "-c", str(constraints), str(wheel))
    return programs


def walk(programs: Path, work: Path) -> None:
    """Train, index, search and evaluate in the new environment."""
    work.mkdir()
    python, nearbit = str(programs / "python"), str(programs / "nearbit")
    for name in DEVELOPMENT:
        found = run(python, "-c", f"import importlib.util; print(importlib.util.find_spec({name!r}))", cwd=work)
        require(found.strip() == "None", f"{name} is in the environment")
    where = run(python, "-c", "import nearbit; print(nearbit.__file__)", cwd=work)
    require(str(ROOT) not in where, f"nearbit was imported from {where}")
    require("Usage: nearbit" in run(nearbit, "--help", cwd=work), "nearbit --help says nothing")
    require(answer(nearbit, "doctor", cwd=work)["problems"] == [], "nearbit doctor found problems")
    tiny = ("--image-size", "8", "--epochs", "3", "--bits", "16", "--device", "cpu")
    model = answer(nearbit, "train", "digits", *tiny, "-o", "digits.model", cwd=work)
    require(model["validation_map"] > 0.2, f"the model learned too little: {model['validation_map']}")
    index = answer(nearbit, "index", "add", "digits.index", "digits", "--model", "digits.model", cwd=work)
    require(index["items"] == 1797, f"the index holds {index['items']} of 1797 items")
    near = answer(nearbit, "search", "digits.index", "--id", "1", "-k", "3", cwd=work)
    require(len(near["results"][0]["neighbours"]) == 3, "the search found less than 3 items")
    figures = answer(nearbit, "evaluate", "digits.model", "digits", cwd=work)
    require(figures["tie_aware_map"] > 0.2, f"the model retrieves too little: {figures['tie_aware_map']}")


def answer(*command: str, cwd: Path) -> dict[str, Any]:
    """Run a command with --json and return its object."""
    value: dict[str, Any] = json.loads(run(*command, "--json", cwd=cwd))
    return value


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a program, without this environment's Python path; return its standard output, or leave with its error."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if cwd is not None:
        kept["NEARBIT_CACHE"] = str(cwd / "cache")
    done = subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def require(condition: bool, message: str) -> None:
    """Leave with the message unless the condition holds."""
    if not condition:
        sys.exit(f"wheel check: {message}")


if __name__ == "__main__":
    main()
