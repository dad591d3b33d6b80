"""From a trained model to a network for ONNX Runtime: traced, stripped, compared with the model, and only then kept."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nearbit.datasets import Dataset
from nearbit.encoding.exporting import module_bytes
from nearbit.encoding.feature_cache import FloatRows
from nearbit.encoding.preprocessing import of_pixels
from nearbit.encoding.torch_backend import run_batches
from nearbit.keywords import suggesting
from nearbit.model.bundle import Model
from nearbit.model.onnx import OnnxModel, Session
from nearbit.onnx_export.int8 import quantized
from nearbit.onnx_export.parity import Parity, check_parity, compare_outputs
from nearbit.onnx_export.retrieval import Retrieval, compare_retrieval
from nearbit.onnx_export.sample import built_in_inputs, chosen_rows, inputs_of
from nearbit.progress import Progress, silent
from nearbit.threads import n_threads

LIBRARIES = ("nearbit", "torch", "onnx", "onnxscript", "onnxruntime", "numpy", "pillow")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What came of an export.

    Attributes:
        model: the exported network.
        parity: how far its outputs are from the source's.
        retrieval: for int8 what it costs in mean average precision; None for float32, whose codes are the same.
    """

    model: OnnxModel
    parity: Parity
    retrieval: Retrieval | None


@suggesting
def export_onnx(
    model: Model,
    *,
    int8: bool = False,
    dataset: Dataset | None = None,
    cache: str | Path | None = None,
    progress: Progress = silent,
) -> Exported:
    """Return a network for ONNX Runtime that maps pixels to the outputs of a model, for any number of images at once.

    Args:
        model: the source.
        int8: make weights and activations of the backbone 8-bit numbers: smaller and faster, at the cost of some bits.
        dataset: images to compare on, and for int8 to measure the range of activations with; for int8 needed. By
            default built-in images and noise; for a model of features, noise.
        cache: a folder that keeps outputs by content, for mean average precision.
        progress: called as images are encoded.

    Raises:
        BundleError: the network that came out is not, up to rounding, the model.
        InputError: `int8` without a data set, with too few images, or of a model of features.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    takes = model.preprocessing
    if int8:
        of_pixels(takes, "int8, which makes the backbone smaller,")
    content = network_bytes(model)
    if dataset is None:
        sample, inputs = built_in_inputs(takes, model.network.head)
        calibration = inputs[:0]
    else:
        rows = chosen_rows(dataset, model.split)
        sample, inputs = f"{rows.words} of {dataset.name}", inputs_of(dataset, rows.compared, takes)
        calibration = inputs_of(dataset, rows.calibration, takes) if int8 else inputs[:0]
    if int8:
        content = quantized(content, calibration)
    exported = _wrapped(model, content, "int8" if int8 else "float32", n_threads())
    parity = compare_outputs(_source_outputs(model, inputs), exported.session.run(inputs), sample)
    if not int8:
        check_parity(parity)
    retrieval = compare_retrieval(model, exported, dataset, cache, progress) if int8 and dataset is not None else None
    found = {"parity": parity.to_dict(), "retrieval": None if retrieval is None else retrieval.to_dict()}
    recorded = replace(exported, about=exported.about | found)
    return Exported(model=recorded, parity=parity, retrieval=retrieval)


def network_bytes(model: Model) -> bytes:
    """Return the network of a model as the content of an `.onnx` file; see `module_bytes`."""
    return module_bytes(model.network, model.preprocessing.takes)


def _source_outputs(model: Model, inputs: npt.NDArray[Any]) -> FloatRows:
    return run_batches(model.network.cpu().eval(), inputs, torch.device("cpu"))


def _wrapped(model: Model, content: bytes, precision: str, threads: int) -> OnnxModel:
    about = {
        "method": model.method,
        "backbone": model.network.backbone.spec.name,
        "head": model.head,
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    return OnnxModel(
        session=Session(content, takes=model.preprocessing.takes, n_outputs=model.n_bits, threads=threads),
        content=content,
        precision=precision,
        source_model_id=model.model_id,
        n_bits=model.n_bits,
        classes=model.classes,
        preprocessing=model.preprocessing,
        centers=np.asarray(model.centers.centers),
        about=about,
    )
