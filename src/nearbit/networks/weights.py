"""Loading pretrained weights from a safetensors file into a backbone, with nothing missing and nothing ignored."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nearbit.errors import DataError
from nearbit.files.tensors import header_of, tensors_read

CLASSIFIERS = ("fc.", "classifier.", "head.fc.", "head.")
COUNTERS = "num_batches_tracked"


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; raise `DataError` for a missing or damaged file."""
    if not path.is_file():
        raise DataError(f"there is no weights file {path}: give a .safetensors file")
    header_of(path, DataError)
    with tensors_read(f"{path} (convert other formats to safetensors first)", DataError):
        return load_file(path)


def load_weights(module: nn.Module, path: Path) -> None:
    """Load the weights of a backbone; a classifier in the file is left out.

    Args:
        module: the backbone, with the parameter names of torchvision and timm.
        path: a safetensors file.

    Raises:
        DataError: a parameter is missing, has another shape, is not finite, or has no place in the backbone.
    """
    given = {name.removeprefix("module."): value for name, value in read_safetensors(path).items()}
    expected = module.state_dict()
    given = {name: value for name, value in given.items() if name in expected or not name.startswith(CLASSIFIERS)}
    missing = [name for name in expected if name not in given and not name.endswith(COUNTERS)]
    unknown = [name for name in given if name not in expected]
    if missing or unknown:
        raise DataError(
            f"{path} does not fit the backbone: {len(missing)} parameters are missing "
            f"(first: {missing[:3]}), {len(unknown)} have no place (first: {unknown[:3]})"
        )
    for name, value in given.items():
        if value.shape != expected[name].shape:
            raise DataError(
                f"{path}: {name} must have the shape {tuple(expected[name].shape)}, not {tuple(value.shape)}"
            )
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise DataError(f"{path}: {name} holds values that are not finite")
    module.load_state_dict(given, strict=False)
