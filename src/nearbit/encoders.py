"""The old address of `nearbit.model.load`, which keeps working."""

from nearbit.model.load import load_encoder as load_encoder
