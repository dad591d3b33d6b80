"""Models: the folder of one, what is in it, exported ones, and classes that come later.

The public names are loaded when they are first used: whoever searches with an exported network needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearbit.model.add_class import add_class as add_class
    from nearbit.model.bundle import Model as Model
    from nearbit.model.bundle import load_model as load_model
    from nearbit.model.load import load_encoder as load_encoder

_HOME = {"Model": "bundle", "add_class": "add_class", "load_encoder": "load", "load_model": "bundle"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nearbit.model' has no attribute {name!r}")
    return getattr(import_module(f"nearbit.model.{_HOME[name]}"), name)
