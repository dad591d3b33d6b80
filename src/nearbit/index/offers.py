"""What an index can do beyond what every home of one can (`nearbit.index.homes`)."""

from typing import Literal

Offer = Literal["weights", "outputs", "filters"]
"""Asymmetric search, kept outputs, and filters that it keeps by a key."""

ALL: frozenset[Offer] = frozenset({"weights", "outputs", "filters"})
