"""A network's backbone in 8 bits: weights by channel, activations by the ranges that real images give."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.encoding.preprocessing import PIXELS, Pixels
from nearbit.errors import InputError
from nearbit.model.onnx import BATCH

OPERATIONS = ["Add", "Clip", "Conv", "MaxPool", "MatMul"]
"""Operations of backbones that become 8-bit; the head, a small part of the work, stays in float32."""


def quantized(content: bytes, calibration: Pixels) -> bytes:
    """Return an `.onnx` network with the backbone in 8 bits: unsigned activations, signed weights by channel.

    Args:
        content: of the float32 network.
        calibration: pixels uint8 `(n, 3, size, size)` of images like those that will be encoded.

    Raises:
        InputError: there are no images to calibrate with.
    """
    if not len(calibration):
        raise InputError("int8 needs images like those that will be encoded, to see how large values become: name them")
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder, _quiet_quantizer():
        path = Path(folder) / "network.onnx"
        quantize_static(
            onnx.load_from_string(content),
            path,
            _reader(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATIONS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return _marked(path)


def _marked(path: Path) -> bytes:
    import onnx

    proto = onnx.load(path)
    proto.ClearField("metadata_props")
    proto.graph.ClearField("value_info")
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _reader(calibration: Pixels) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """The calibration images, a batch at a time."""

        def __init__(self) -> None:
            self._batches = iter(np.split(calibration, range(BATCH, len(calibration), BATCH)))

        def get_next(self) -> dict[str, Pixels] | None:
            """Return the next inputs, None at the end."""
            batch = next(self._batches, None)
            return None if batch is None else {PIXELS: batch}

    return Reader()


@contextmanager
def _quiet_quantizer() -> Iterator[None]:
    """Keep advice about the network's form, which torch's exporter has already given it, off the screen."""
    logger = logging.getLogger()
    disabled = logger.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
