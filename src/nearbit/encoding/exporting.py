"""A torch module as the content of an `.onnx` file: traced, and stripped of what tells of the machine."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import nn

from nearbit.encoding.preprocessing import NetworkInput
from nearbit.encoding.session import OUTPUTS
from nearbit.errors import MissingExtraError


def module_bytes(module: nn.Module, takes: NetworkInput) -> bytes:
    """Return a module, in evaluation mode, as the content of an `.onnx` file; the same module gives the same bytes.

    It holds operations and weights, and nothing of the machine and the program that it was made with. The module is
    moved to the CPU.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    _check_installed()
    inputs = torch.zeros(2, *takes.shape, dtype=getattr(torch, takes.dtype))
    with _quiet_exporter():
        program = torch.onnx.export(
            module.cpu().eval(),
            (inputs,),
            dynamo=True,
            dynamic_shapes=({0: "n"},),
            input_names=[takes.name],
            output_names=[OUTPUTS],
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave nothing")
    return stripped(program.model_proto)


def stripped(proto: Any) -> bytes:
    """Return an ONNX model without the metadata in which exporters keep source lines, paths and names of classes."""
    graph = proto.graph
    for one in (proto, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *proto.functions):
        one.ClearField("metadata_props")
        one.ClearField("doc_string")
    graph.ClearField("value_info")
    graph.name = "nearbit"
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _check_installed() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            import_module(package)
        except ImportError as error:
            raise MissingExtraError(package, "onnx", "exporting to ONNX") from error


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep what torch's exporter says of its own code and of packages that no export of ours needs to itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
