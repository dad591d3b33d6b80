"""The homes that the contract is tested on: each starts its engine once, or says loudly why it cannot."""

import itertools

import pytest

import milvus_server
import postgresql_server
from nearbit.index import create_index

NUMBERS = itertools.count(1)


class PlaceInHome:
    """A place for one index in a home.

    Attributes:
        scheme: "file", or that of its addresses.
        place: where the index lies, as `open_index` takes it.
    """

    def __init__(self, scheme, new_place):
        self.scheme, self._new_place, self.place = scheme, new_place, new_place()

    def create(self, n_bits, **options):
        return create_index(self.place, n_bits, **options)

    def another(self):
        """Return another place in the same home."""
        return PlaceInHome(self.scheme, self._new_place)


def in_file(request):
    folder = request.getfixturevalue("tmp_path")
    return lambda: folder / f"{next(NUMBERS)}.index"


def in_postgresql(request):
    server = request.getfixturevalue("postgresql")
    return lambda: postgresql_server.address(server, f"index{next(NUMBERS)}")


def in_milvus(request):
    server = request.getfixturevalue("milvus")
    request.addfinalizer(lambda: milvus_server.forget(server))
    return lambda: milvus_server.address(server, next(NUMBERS))


HOMES = {"file": in_file, "postgresql": in_postgresql, "milvus": in_milvus}
"""By scheme: takes a `request`, whose fixtures it may use; returns what gives a new place each time it is called."""


SLOW = {"milvus"}
"""A collection of Milvus takes seconds to make."""


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in HOMES])
def home(request):
    """A place for a new index in each home in turn."""
    return PlaceInHome(request.param, HOMES[request.param](request))
