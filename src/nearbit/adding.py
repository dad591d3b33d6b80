"""The old address of `nearbit.model.add_class`, which keeps working."""

from nearbit.model.add_class import add_class as add_class
