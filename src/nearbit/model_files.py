"""The files of a model folder, checked before anything is built of them: hashes, shapes, finite weights."""

import hashlib
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from nearbit.centers import CenterState
from nearbit.errors import BundleError
from nearbit.files import json_digest
from nearbit.networks import BackboneSpec, Head, Preprocessing, rebuild_backbone

FORMAT_VERSION = 1
WEIGHTS, SPLIT, SIMILARITY = "weights.safetensors", "split.json", "similarity.npy"
ARRAYS = ("centers", "tie_break", "codebook", "assignment")
KNOWN_FILES = frozenset({WEIGHTS, SPLIT, SIMILARITY, *(f"{name}.npy" for name in ARRAYS)})
LARGEST_SIDE = 8192
"""Side of an image, in pixels, above which a model's preprocessing is refused."""

CODE_KEYS = ("auto_map", "attn_implementation", "_attn_implementation", "experts_implementation", "quantization_config")
"""Settings of a transformers configuration that can name code to be fetched or imported."""


def seal(description: dict[str, Any]) -> dict[str, Any]:
    """Return a description as JSON will hold it (keys are texts there), with its own SHA-256 under "digest"."""
    written: dict[str, Any] = json.loads(json.dumps(description))
    return written | {"digest": json_digest(written)}


def read_description(folder: Path) -> dict[str, Any]:
    """Return what `bundle.json` says, after checking that this nearbit can read it and that it was not altered.

    Raises:
        BundleError: no model, not a model, a newer format, or altered.
    """
    path = folder / "bundle.json"
    if not path.is_file():
        raise BundleError(
            f"there is no model at {folder}: expected a folder with a bundle.json, as `nearbit train` writes"
        )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if not isinstance(description, dict) or description.get("kind") != "nearbit-model":
        raise BundleError(f"{path} does not describe a nearbit model")
    if description.get("format_version") != FORMAT_VERSION:
        raise BundleError(
            f"{folder} has the model format {description.get('format_version')!r}; this nearbit reads up to "
            f"{FORMAT_VERSION}: update nearbit"
        )
    if description.pop("digest", None) != json_digest(description):
        raise BundleError(f"{path} was altered or damaged: its content is not what its digest says")
    return description


def check_files(folder: Path, files: dict[str, str]) -> None:
    """Raise `BundleError` where a model names files that no model has, such as paths outside its folder."""
    unknown = sorted(set(files) - KNOWN_FILES)
    if unknown:
        raise BundleError(f"{folder}: bundle.json names {unknown[0]!r}, which is no file of a model")


def checked_bytes(folder: Path, files: dict[str, str], name: str) -> bytes:
    """Return the content of one file; raise `BundleError` where it is missing or not the one that was saved."""
    path = folder / name
    try:
        if not path.is_file():
            raise BundleError(f"{path} is missing")
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != files.get(name):
        raise BundleError(f"{path} was altered or damaged: its SHA-256 is not the one in bundle.json")
    return content


def read_weights(folder: Path, files: dict[str, str]) -> dict[str, Tensor]:
    """Return the weights of the network; raise `BundleError` where one is not finite."""
    weights = load_tensors(checked_bytes(folder, files, WEIGHTS))
    for name, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise BundleError(f"{folder / WEIGHTS}: {name} holds values that are not finite")
    return weights


def read_centers(folder: Path, files: dict[str, str], n_classes: int, n_bits: int) -> CenterState:
    """Return the centers; raise `BundleError` where an array has another shape or type than the model's."""
    arrays = {
        name: np.load(BytesIO(checked_bytes(folder, files, f"{name}.npy")), allow_pickle=False)
        for name in ARRAYS
        if f"{name}.npy" in files
    }
    state = CenterState(**arrays)
    _check_signs(folder, "centers", state.centers, (n_classes, n_bits))
    _check_signs(folder, "tie_break", state.tie_break, (n_bits,))
    if (state.codebook is None) != (state.assignment is None):
        raise BundleError(f"{folder}: a codebook and an assignment belong together")
    if state.codebook is not None and state.assignment is not None:
        _check_codebook(folder, state.codebook, state.assignment, n_classes, n_bits)
    return state


def read_similarity(folder: Path, files: dict[str, str], n_classes: int) -> npt.NDArray[np.float64] | None:
    """Return the similarity that the centers followed, if there is one; raise `BundleError` where it does not fit."""
    if SIMILARITY not in files:
        return None
    array = np.load(BytesIO(checked_bytes(folder, files, SIMILARITY)), allow_pickle=False)
    if array.dtype != np.float64 or array.shape != (n_classes, n_classes) or not np.isfinite(array).all():
        expected = f"finite float64 {(n_classes, n_classes)}"
        raise BundleError(f"{folder / SIMILARITY} must be {expected}, not {array.dtype} {array.shape}")
    return np.asarray(array)


def _check_signs(folder: Path, name: str, array: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.int8 or array.shape != shape:
        came = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise BundleError(f"{folder / name}.npy must be int8 {shape}, not {came}")
    if not np.isin(array, (-1, 1)).all():
        raise BundleError(f"{folder / name}.npy must hold -1 and +1 only")


def _check_codebook(folder: Path, codebook: Any, assignment: Any, n_classes: int, n_bits: int) -> None:
    heads, words, head_bits = codebook.shape
    _check_signs(folder, "codebook", codebook, (heads, words, head_bits))
    if heads * head_bits != n_bits:
        raise BundleError(f"{folder}: a codebook of {heads} heads of {head_bits} bits is not one of {n_bits} bits")
    if assignment.dtype != np.int64 or assignment.shape != (heads, n_classes):
        raise BundleError(f"{folder}: the assignment must be int64 {(heads, n_classes)}, not {assignment.shape}")
    if assignment.min() < 0 or assignment.max() >= words:
        raise BundleError(f"{folder}: the assignment names codewords that the codebook has not")


def check_network(
    folder: Path, spec: BackboneSpec, preprocessing: Preprocessing, head: dict[str, Any], weights: dict[str, Tensor]
) -> None:
    """Raise `BundleError` unless the weights fit the network that the description asks for.

    What the description sizes freely is built without memory for it, so that a hostile one cannot ask for any.
    """
    for value in (preprocessing.size, preprocessing.resize):
        if not isinstance(value, int) or value > LARGEST_SIDE:
            raise BundleError(f"{folder}: image sizes must be whole numbers up to {LARGEST_SIDE}, not {value!r}")
    for key in CODE_KEYS:
        if spec.config.get(key) is not None:
            raise BundleError(f"{folder}: the backbone's configuration sets {key!r}, which can name code to run")
    with torch.device("meta"):
        _check_shapes(folder, "head.", Head(spec.feature_dim, **head), weights)
        if spec.name.startswith("hf:"):
            _check_shapes(folder, "backbone.", rebuild_backbone(spec, preprocessing), weights)


def _check_shapes(folder: Path, prefix: str, module: nn.Module, weights: dict[str, Tensor]) -> None:
    for name, expected in module.state_dict().items():
        given = weights.get(prefix + name)
        if given is None or given.shape != expected.shape:
            came = "is missing" if given is None else f"has the shape {tuple(given.shape)}"
            raise BundleError(f"{folder}: {prefix + name} {came}, expected {tuple(expected.shape)}")
