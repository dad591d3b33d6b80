"""The files of a model folder, checked before anything is built of them: hashes, shapes, finite weights."""

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
from nearbit.networks import BackboneSpec, Head, rebuild_backbone
from nearbit.preprocessing import Preprocessing
from nearbit.sealed import check_signs, check_size, checked_bytes

FORMAT_VERSION = 1
WEIGHTS, SPLIT, SIMILARITY = "weights.safetensors", "split.json", "similarity.npy"
ARRAYS = ("centers", "tie_break", "codebook", "assignment")
KNOWN_FILES = frozenset({WEIGHTS, SPLIT, SIMILARITY, *(f"{name}.npy" for name in ARRAYS)})

CODE_KEYS = ("auto_map", "attn_implementation", "_attn_implementation", "experts_implementation", "quantization_config")
"""Settings of a transformers configuration that can name code to be fetched or imported."""


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
    check_signs(folder, "centers", state.centers, (n_classes, n_bits))
    check_signs(folder, "tie_break", state.tie_break, (n_bits,))
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


def _check_codebook(folder: Path, codebook: Any, assignment: Any, n_classes: int, n_bits: int) -> None:
    heads, words, head_bits = codebook.shape
    check_signs(folder, "codebook", codebook, (heads, words, head_bits))
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
    check_size(folder, preprocessing)
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
