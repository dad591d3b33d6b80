"""Networks exported for ONNX Runtime: reading them, and encoding with them without torch."""

from nearbit.encoding.session import BATCH, OUTPUTS, Session
from nearbit.model.onnx.model import OnnxModel, check_device, check_export_target, load_onnx_model, own_network

__all__ = [
    "BATCH",
    "OUTPUTS",
    "OnnxModel",
    "Session",
    "check_device",
    "check_export_target",
    "load_onnx_model",
    "own_network",
]
