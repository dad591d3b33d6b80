"""nearbit: image search with learned binary codes.

The public names below are loaded when they are first used, so that `import nearbit` is instant and a search server
never loads torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearbit import centers as centers
    from nearbit import codes as codes
    from nearbit import compare as compare
    from nearbit import estimators as estimators
    from nearbit import losses as losses
    from nearbit import methods as methods
    from nearbit import metrics as metrics
    from nearbit.centers import make_centers as make_centers
    from nearbit.compare.front import compare_methods as compare_methods
    from nearbit.compare.front import open_comparison as open_comparison
    from nearbit.datasets import Dataset as Dataset
    from nearbit.datasets import Split as Split
    from nearbit.datasets import SplitSizes as SplitSizes
    from nearbit.datasets import from_features as from_features
    from nearbit.datasets import from_images as from_images
    from nearbit.datasets import from_torch as from_torch
    from nearbit.datasets import load_dataset as load_dataset
    from nearbit.datasets import load_images as load_images
    from nearbit.datasets import load_split as load_split
    from nearbit.datasets import make_split as make_split
    from nearbit.errors import NearbitError as NearbitError
    from nearbit.evaluation import evaluate as evaluate
    from nearbit.index import Index as Index
    from nearbit.index import Results as Results
    from nearbit.index import create_index as create_index
    from nearbit.index import open_index as open_index
    from nearbit.metrics import evaluate_codes as evaluate_codes
    from nearbit.model.bundle import Model as Model
    from nearbit.model.bundle import load_model as load_model
    from nearbit.networks import backbone_of as backbone_of
    from nearbit.robustness import AttackOptions as AttackOptions
    from nearbit.robustness import attack as attack
    from nearbit.searching import search as search
    from nearbit.training import TrainOptions as TrainOptions
    from nearbit.training import train as train

__version__: str
"""The version of what is installed, made from tags of git when it was built; read when it is first asked for."""

_HOME = {
    "AttackOptions": "robustness",
    "Dataset": "datasets",
    "Index": "index",
    "Model": "model.bundle",
    "NearbitError": "errors",
    "Results": "index",
    "Split": "datasets",
    "SplitSizes": "datasets",
    "TrainOptions": "training",
    "backbone_of": "networks",
    "compare_methods": "compare.front",
    "attack": "robustness",
    "create_index": "index",
    "evaluate": "evaluation",
    "evaluate_codes": "metrics",
    "from_features": "datasets",
    "from_images": "datasets",
    "from_torch": "datasets",
    "load_dataset": "datasets",
    "load_model": "model.bundle",
    "load_split": "datasets",
    "make_centers": "centers",
    "make_split": "datasets",
    "load_images": "datasets",
    "open_comparison": "compare.front",
    "open_index": "index",
    "search": "searching",
    "train": "training",
}

_ROOMS = ("centers", "codes", "compare", "estimators", "losses", "methods", "metrics")
"""Rooms of the package that are reached as `nearbit.codes` and the like."""

__all__ = ["__version__", *_HOME, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"nearbit.{name}")
    if name == "__version__":
        return _version()
    if name not in _HOME:
        raise AttributeError(f"module 'nearbit' has no attribute {name!r}")
    value = getattr(import_module(f"nearbit.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def _version() -> str:
    """Return the version of the installed package."""
    from importlib.metadata import version

    return version("nearbit")


def __dir__() -> list[str]:
    return sorted(__all__)
