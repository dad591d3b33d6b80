"""The files of a model folder, checked before anything is built of them: hashes, shapes, finite weights."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from nearbit.centers import CenterState
from nearbit.encoding.preprocessing import AnyInput
from nearbit.errors import BundleError
from nearbit.files.tensors import header_of, tensors_read
from nearbit.json_text import parse_json
from nearbit.model.manifest import (
    NETWORK,
    SEEN,
    SPLIT,
    UNFIT,
    check_declared,
    check_size,
    checked_bytes,
    declared,
    read_array,
    read_class_signs,
    read_signs,
)
from nearbit.networks import Backbone, BackboneSpec, Head, rebuild_backbone
from nearbit.networks.bounded import bounded_building, check_config, shapes_alone

Shapes = dict[str, tuple[int, ...]]

WEIGHTS, SIMILARITY = "weights.safetensors", "similarity.npy"
ARRAYS = ("centers", "tie_break", "codebook", "assignment")
KNOWN_FILES = frozenset({WEIGHTS, NETWORK, SPLIT, SEEN, SIMILARITY, *(f"{name}.npy" for name in ARRAYS)})

CODE_KEYS = ("auto_map", "attn_implementation", "_attn_implementation", "experts_implementation", "quantization_config")
"""Settings of a transformers configuration that can name code to be fetched or imported."""


def weight_shapes(folder: Path) -> Shapes:
    """Return the shape of each weight by name as the header of their file says, without reading a weight.

    Raises:
        BundleError: there is no such file, or it is none of weights.
    """
    path = folder / WEIGHTS
    header = parse_json(header_of(path, BundleError), f"the header of {path}", BundleError)
    try:
        entries = {str(name): entry for name, entry in header.items() if name != "__metadata__"}
        return {name: tuple(int(side) for side in entry["shape"]) for name, entry in entries.items()}
    except UNFIT as error:
        raise BundleError(f"{path} is not a safetensors file, or a damaged one: {error}") from error


def read_weights(folder: Path, files: dict[str, str]) -> dict[str, Tensor]:
    """Return the weights of the network; raise `BundleError` where one is not finite."""
    content = checked_bytes(folder, files, WEIGHTS)
    with tensors_read(str(folder / WEIGHTS), BundleError):
        weights = load_tensors(content)
    for name, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise BundleError(f"{folder / WEIGHTS}: {name} holds values that are not finite")
    return weights


def read_centers(folder: Path, files: dict[str, str], n_classes: int, n_bits: int) -> CenterState:
    """Return the centers; raise `BundleError` where an array has another shape or type than the model's."""
    if ("codebook.npy" in files) != ("assignment.npy" in files):
        raise BundleError(f"{folder}: a codebook and an assignment belong together")
    codebook = assignment = None
    if "codebook.npy" in files:
        shape = _codebook_shape(folder, files, n_bits)
        codebook = read_signs(folder, files, "codebook.npy", shape)
        assignment = _read_assignment(folder, files, (shape[0], n_classes), shape[1])
    return CenterState(
        centers=read_class_signs(folder, files, n_classes, n_bits),
        tie_break=read_signs(folder, files, "tie_break.npy", (n_bits,)),
        codebook=codebook,
        assignment=assignment,
    )


def read_similarity(folder: Path, files: dict[str, str], n_classes: int) -> npt.NDArray[np.float64] | None:
    """Return the similarity that the centers followed, if there is one; raise `BundleError` where it does not fit."""
    if SIMILARITY not in files:
        return None
    dtype, shape = declared(folder, files, SIMILARITY)
    fits = dtype == np.float64 and shape == (n_classes, n_classes)
    array = read_array(folder, files, SIMILARITY) if fits else None
    if array is None or array.shape != shape or array.dtype != dtype or not np.isfinite(array).all():
        expected = f"finite float64 {(n_classes, n_classes)}"
        raise BundleError(f"{folder / SIMILARITY} must be {expected}, not {dtype} {shape}")
    return np.asarray(array)


def _codebook_shape(folder: Path, files: dict[str, str], n_bits: int) -> tuple[int, int, int]:
    _, shape = declared(folder, files, "codebook.npy")
    if len(shape) != 3 or shape[0] * shape[2] != n_bits:
        raise BundleError(f"{folder}: a codebook {shape} is not (heads, words, bits of a head) of {n_bits} bits")
    return shape[0], shape[1], shape[2]


def _read_assignment(folder: Path, files: dict[str, str], shape: tuple[int, int], words: int) -> npt.NDArray[np.int64]:
    check_declared(folder, files, "assignment.npy", np.dtype(np.int64), shape)
    assignment = read_array(folder, files, "assignment.npy")
    if assignment.dtype != np.int64 or assignment.shape != shape:
        raise BundleError(f"{folder}: the assignment must be int64 {shape}, not {assignment.shape}")
    if assignment.min(initial=0) < 0 or assignment.max(initial=0) >= words:
        raise BundleError(f"{folder}: the assignment names codewords that the codebook has not")
    return assignment


def check_network(
    folder: Path,
    spec: BackboneSpec,
    preprocessing: AnyInput,
    head: dict[str, Any],
    shapes: Shapes,
    own: Backbone | None = None,
) -> None:
    """Raise `BundleError` unless the weights fit the network that the description asks for.

    All of it is built without memory for it, so that a hostile one cannot ask for any.
    """
    check_size(folder, preprocessing)
    for key in CODE_KEYS:
        if spec.config.get(key) is not None:
            raise BundleError(f"{folder}: the backbone's configuration sets {key!r}, which can name code to run")
    with shapes_alone():
        expected = _expected("head.", Head(spec.feature_dim, **head))
        _check_shapes(folder, expected, shapes)
        if spec.name.startswith("timm:"):  # its networks are only built with memory for them
            return
        expected |= _expected("backbone.", own or build_bounded(folder, spec, preprocessing, shapes))
    _check_shapes(folder, expected, shapes)
    unknown = sorted(set(shapes) - set(expected))
    if unknown:
        raise BundleError(f"{folder}: {unknown[0]} has no place in the network ({len(unknown)} such weights)")


def build_bounded(folder: Path, spec: BackboneSpec, preprocessing: AnyInput, shapes: Shapes) -> Backbone:
    """Return the backbone that is described, with random weights; `BundleError` where the given ones are far fewer."""
    try:
        check_config(spec.config, len(shapes))
        with bounded_building(len(shapes), sum(math.prod(shape) for shape in shapes.values())):
            return rebuild_backbone(spec, preprocessing)
    except BundleError as error:
        raise BundleError(f"{folder}: {error}") from error


def _expected(prefix: str, module: nn.Module) -> Shapes:
    return {prefix + name: tuple(value.shape) for name, value in module.state_dict().items()}


def _check_shapes(folder: Path, expected: Shapes, given: Shapes) -> None:
    for name, shape in expected.items():
        if given.get(name) != shape:
            came = f"has the shape {given[name]}" if name in given else "is missing"
            raise BundleError(f"{folder}: {name} {came}, expected {shape}")
