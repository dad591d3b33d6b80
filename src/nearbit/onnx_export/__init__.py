"""Making networks for ONNX Runtime of trained models, and saying how far they are from them."""

from nearbit.onnx_export.export import Exported, export_onnx, network_bytes
from nearbit.onnx_export.parity import Parity, check_parity, compare_outputs
from nearbit.onnx_export.retrieval import Retrieval

__all__ = [
    "Exported",
    "Parity",
    "Retrieval",
    "check_parity",
    "compare_outputs",
    "export_onnx",
    "network_bytes",
]
