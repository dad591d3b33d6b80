"""A network in ONNX Runtime, checked to be one of ours: pixels or features in, a fixed number of float32 out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nearbit.encoding.feature_cache import FloatRows
from nearbit.encoding.preprocessing import NetworkInput
from nearbit.errors import BundleError, MissingExtraError

OUTPUTS = "outputs"
BATCH = 16
TYPES = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}


@final
class Session:
    """A network that ONNX Runtime runs on the CPU; safe to call from several threads at once.

    Only ONNX's own operations are known to it, and a file that refers to other files is refused.

    Args:
        content: of the `.onnx` file.
        takes: what it must be given.
        n_outputs: how many it must give of an image.
        threads: how many of them compute.

    Raises:
        BundleError: it is no such network, or cannot be run.
        MissingExtraError: ONNX Runtime is not installed.
    """

    def __init__(self, content: bytes, *, takes: NetworkInput, n_outputs: int, threads: int) -> None:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.takes, self.n_outputs = takes, n_outputs
        with _named_errors("cannot be loaded"):
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._check()

    def _check(self) -> None:
        takes = self.takes
        expected = [(takes.name, TYPES[takes.dtype], list(takes.shape)), (OUTPUTS, "tensor(float)", [self.n_outputs])]
        given = [*self._session.get_inputs(), *self._session.get_outputs()]
        found = [(one.name, one.type, list(one.shape[1:])) for one in given]
        if found != expected or any(isinstance(one.shape[0], int) for one in given):
            raise BundleError(f"the network takes and gives {found}, expected {expected}, for any number of images")

    def run(self, inputs: npt.NDArray[Any]) -> FloatRows:
        """Return the outputs float32 `(n, n_outputs)` of pixels uint8 `(n, 3, size, size)` or of features."""
        parts = [np.zeros((0, self.n_outputs), np.float32)]
        with _named_errors("cannot be run"):
            for start in range(0, len(inputs), BATCH):
                batch = inputs[start : start + BATCH]
                parts.append(self._session.run([OUTPUTS], {self.takes.name: batch})[0])
                if parts[-1].shape != (len(batch), self.n_outputs):
                    raise BundleError(
                        f"the network gives {parts[-1].shape} for {len(batch)} images of {self.n_outputs} outputs"
                    )
        return np.concatenate(parts)


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "onnx", "a network exported for ONNX Runtime") from error
    return onnxruntime


@contextmanager
def _named_errors(what: str) -> Iterator[None]:
    """Turn what ONNX Runtime raises within the block into a `BundleError`."""
    try:
        yield
    except BundleError:
        raise
    except Exception as error:  # the errors of ONNX Runtime have no other base
        raise BundleError(f"the network {what} by ONNX Runtime: {' '.join(str(error).split())[:300]}") from error
