"""Modules import only from layers to their left, the search side never loads torch, nothing runs foreign code."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nearbit

SOURCE = Path(nearbit.__file__).parent
LAYERS = (
    (
        "extras",
        "errors",
        "given",
        "keywords",
        "json_text",
        "names",
        "files",
        "progress",
        "threads",
        "pool",
        "jit",
        "compiled",
        "codes",
        "metrics",
    ),
    ("centers", "index"),
    ("reading", "datasets", "encoding"),
    ("losses", "networks", "attacks"),
    ("methods",),
    ("model", "training"),
    (
        "reference",
        "untrained",
        "evaluation",
        "robustness",
        "onnx_export",
        "indexing",
        "watching",
        "reencoding",
        "shards",
        "searching",
        "report",
        "grouping",
        "demo",
        "compare",
        "bits",
        "estimators",
    ),
    ("service", "cli"),
    ("bundle", "encoders", "adding"),
)
"""From left to right; within a layer, too, a module imports only from those named before it. Last, old addresses."""

ROOMS = {
    "metrics": ("counting", "*"),
    "centers": (
        "state", "coding", "hadamard", "bernoulli", "csq", "separated", "mds_kernels", "mds", "orthohash", "centroid",
        "codebook", "reassignment", "spare", "nearest_spare", "label_regression", "tammes", "semantic", "nested",
        "label_sets", "certificate",
    ),
    "index": (
        "showing", "results", "offers", "engine", "storage", "arguments", "live", "asymmetric_search", "grouping",
        "clustering", "any_index", "stats", "verify", "changes", "index", "homes", "opening", "replacing", "exchange",
    ),
    "datasets": (
        "decoding", "check_cache", "known_files", "images", "dataset", "arrays", "listing", "check", "scan", "assemble",
        "download", "shards", "formats", "load", "splits",
    ),
    "encoding": (
        "versions", "preprocessing", "inputs", "feature_cache", "pipeline", "session", "torch_backend", "exporting",
        "fast",
    ),
    "model": (
        "manifest", "arrays", "hub", "text_part", "by_text", "description", "measured", "seen", "bundle", "onnx", "*",
    ),
    "training": ("distributed", "seeds", "inputs", "*"),
    "grouping": ("same_codes", "same_pictures", "duplicates", "clusters", "pages", "tables"),
    "cli": ("*", "commands", "main"),
}  # fmt: skip
"""Inside a room, from left to right too: folders and files; "*" stands for all that are not named."""

ORDER = [name for layer in LAYERS for name in layer]
NO_TORCH = (
    "extras", "errors", "given", "keywords", "json_text", "names", "files", "progress", "threads", "pool", "jit",
    "compiled", "codes",
    "metrics", "centers", "index", "reading", "datasets", "encoding.preprocessing", "encoding.inputs",
    "encoding.versions", "encoding.feature_cache", "encoding.pipeline", "encoding.session",
    "model.manifest", "model.onnx", "indexing",
)  # fmt: skip
"""What a machine without torch uses."""

MODULES = sorted(SOURCE.rglob("*.py"))


def layer_of(module):
    """Return the place of a module such as nearbit.index.storage.store; -1 for the package itself."""
    parts = module.split(".")
    name = parts[1] if len(parts) > 1 else ""
    if name == "":
        return -1
    return next((place for place, known in enumerate(ORDER) if name == known or name.startswith(f"{known}_")), None)


def imports_of(path):
    """Yield every module that a file imports, wherever in it: nearbit.x for `from nearbit import x`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [f"nearbit.{alias.name}" for alias in node.names] if node.module == "nearbit" else [node.module]
            yield from names


def name_of(path):
    """Return the dotted name of a module file."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_named(path):
    """Say whether a file is neither the package itself nor the command `python -m nearbit`."""
    return path.parent != SOURCE or path.name not in ("__init__.py", "__main__.py")


@pytest.mark.parametrize("path", [path for path in MODULES if is_named(path)], ids=name_of)
def test_a_module_imports_only_from_layers_to_its_left(path):
    place = layer_of(name_of(path))
    assert place is not None, f"{path.name} is in no layer: name it in LAYERS"
    for name in imports_of(path):
        if name.split(".")[0] == "nearbit" and name != "nearbit.__version__":
            other = layer_of(name)
            assert other is not None, f"{name} is in no layer: name it in LAYERS"
            assert other <= place, f"{name_of(path)} imports {name}, which is to its right"


def place_in_room(module):
    """Return the room of a module and its place there; None for a room without an order of its own."""
    parts = module.split(".")
    order = ROOMS.get(parts[1]) if len(parts) > 2 else None
    if order is None:
        return None
    assert parts[2] in order or "*" in order, f"{module} has no place in its room: name it in ROOMS"
    return parts[1], order.index(parts[2] if parts[2] in order else "*")


@pytest.mark.parametrize("path", [path for path in MODULES if path.name != "__init__.py"], ids=name_of)
def test_a_module_imports_only_from_its_left_inside_a_room(path):
    own = place_in_room(name_of(path))
    for name in imports_of(path) if own else ():
        other = place_in_room(name)
        if other is not None and other[0] == own[0]:
            assert other[1] <= own[1], f"{name_of(path)} imports {name}, which is to its right"


def circles(graph):
    """Yield the modules that import themselves by way of others."""
    for start in graph:
        reached, waiting = set(), [start]
        while waiting:
            for name in graph.get(waiting.pop(), ()):
                if name not in reached:
                    reached.add(name)
                    waiting.append(name)
        if start in reached:
            yield start


def test_no_module_imports_itself_by_way_of_others():
    known = {name_of(path) for path in MODULES}
    graph = {}
    for path in filter(is_named, MODULES):
        own = name_of(path)
        found = {
            name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) for name in targets(node, known)
        }
        graph[own] = found - {own, "nearbit"}
    assert list(circles(graph)) == []


def targets(node, known):
    """Return the modules that one import statement names: `from package import module` names the module."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names} & known
    if not isinstance(node, ast.ImportFrom):
        return set()
    return {
        f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in known else node.module for alias in node.names
    } & known


MOST_MODULES = 20


def test_no_folder_holds_more_modules_than_one_can_take_in():
    for folder in {path.parent for path in MODULES} - {SOURCE}:
        names = sorted(path.name for path in folder.glob("*.py"))
        assert len(names) <= MOST_MODULES, f"{folder.relative_to(SOURCE)} holds {len(names)} modules: make rooms in it"


def needs_no_torch(path):
    """Say whether a file is of the side that works without torch."""
    return any(f"{name_of(path)}.".startswith(f"nearbit.{name}.") for name in NO_TORCH)


@pytest.mark.parametrize("path", list(filter(needs_no_torch, MODULES)), ids=name_of)
def test_the_search_side_never_imports_torch(path):
    heavy = {
        name for name in imports_of(path) if name.split(".")[0] in ("torch", "torchvision", "transformers", "timm")
    }
    assert not heavy


def loaded_by(code):
    """Return the top names of the modules that a fresh Python has loaded after running `code`."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sorted(sys.modules))"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name.split(".")[0] for name in lines[-1].split()}


def test_the_search_side_never_loads_torch():
    loaded = loaded_by("import nearbit.codes, nearbit.metrics, nearbit.centers, nearbit.index")
    assert "numpy" in loaded
    assert not loaded & {"torch", "transformers", "timm", "PIL", "numba"}


def test_an_index_is_inspected_with_the_centers_of_its_model_and_without_torch(tmp_path):
    from model_makers import random_model
    from nearbit.index import create_index

    model = random_model(n_bits=12)
    model.save(tmp_path / "a.model")
    with create_index(tmp_path / "a.index", n_bits=12, model_id=model.model_id) as index:
        index.add(np.zeros((3, 2), np.uint8))
        index.set_notes({"model_path": "a.model"})
    code = f"from nearbit.cli.main import run\nassert run(['inspect', {str(tmp_path / 'a.index')!r}, '--json']) == 0"
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sorted(sys.modules))"]
    about, modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert not {name.split(".")[0] for name in modules.split()} & {"torch", "scipy", "transformers"}
    centers = model.centers.centers.astype(int)
    apart = [int((one != other).sum()) for row, one in enumerate(centers) for other in centers[:row]]
    assert json.loads(about)["health"]["center_margin"] == min(apart)


def test_the_service_never_loads_torch_unless_images_are_encoded():
    pytest.importorskip("starlette")
    loaded = loaded_by("import nearbit.service.serving")
    assert "starlette" in loaded
    assert not loaded & {"torch", "transformers", "timm", "numba", "scipy", "fastapi", "pydantic"}


def test_the_package_loads_nothing_heavy():
    loaded = loaded_by("import nearbit")
    assert not loaded & {"torch", "numba", "scipy", "faiss", "numpy", "PIL", "click", "safetensors"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["search", "--help"],
        ["serve", "--help"],
        ["index", "add", "--help"],
        ["nonsense"],
    ],
)
def test_help_loads_nothing_heavy(arguments):
    loaded = loaded_by(f"from nearbit.cli.main import run\nrun({arguments!r})")
    assert "click" in loaded
    assert not loaded & {"torch", "numpy", "scipy", "numba", "PIL", "safetensors", "tqdm", "starlette"}


FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_KEYWORDS = {"allow_pickle": True, "weights_only": False, "trust_remote_code": True, "shell": True}


def hazards(path):
    """Yield what in a file could run foreign code: pickle and its kin, eval, and the switches that allow them."""
    yield from (name for name in imports_of(path) if name.split(".")[0] in FORBIDDEN_IMPORTS)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            yield node.func.id
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        owner = node.func.value.id if called and isinstance(node.func.value, ast.Name) else ""
        if (owner, called) in {("torch", "load"), ("torch", "save"), ("os", "system")}:
            yield f"{owner}.{called}"
        for keyword in node.keywords:
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            if keyword.arg in FORBIDDEN_KEYWORDS and value is not (not FORBIDDEN_KEYWORDS[keyword.arg]):
                yield f"{keyword.arg} is not {not FORBIDDEN_KEYWORDS[keyword.arg]}"
        is_numpy_load = (owner, called) == ("np", "load")
        if is_numpy_load and not any(keyword.arg == "allow_pickle" for keyword in node.keywords):
            yield "np.load without allow_pickle=False"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_can_run_foreign_code(path):
    assert list(hazards(path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from joblib import load", "eval('1')", "np.load(f)", "np.load(f, allow_pickle=True)",
        "np.load(f, allow_pickle=flag)", "torch.load(f)", "f(weights_only=False)", "f(trust_remote_code=True)",
    ],
)  # fmt: skip
def test_the_check_for_foreign_code_finds_it(tmp_path, line):
    file = tmp_path / "module.py"
    file.write_text(line)
    assert list(hazards(file))
