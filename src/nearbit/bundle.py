"""The old address of `nearbit.model.bundle`, which keeps working."""

from nearbit.model.bundle import Model as Model
from nearbit.model.bundle import load_model as load_model
