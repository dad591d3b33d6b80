"""One function reads JSON from outside: `nearbit.json_text`; what else reads JSON is named here, with the reason."""

import ast
from pathlib import Path

import nearbit

SOURCE = Path(nearbit.__file__).parent
OWN_VALUES = {
    "json_text.py",  # the one reader
    "networks/backbones.py",  # there and back, as a file would keep a value
    "training/runs/difference.py",  # there and back
    "compare/bench.py",  # there and back
    "training/checkpoint.py",  # text that the same run wrote, behind a checksum
    "training/stages/tuning.py",  # text that a run of the same machine wrote, behind a checksum
    "model/manifest.py",  # there and back
    "extras.py",  # what the installer of packages noted
}


def reads_json(path: Path) -> bool:
    """Say whether a file calls json.loads or json.load, or imports one of them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.loads", "json.load"):
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "json":
            return True
    return False


def test_json_from_outside_is_read_by_one_function() -> None:
    found = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if reads_json(path)}
    assert "json_text.py" in found
    assert found - OWN_VALUES == set()
    assert OWN_VALUES - found == set()
