"""Several services that change one index: what one is doing when the other comes is done whole before."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from service_site import N_BITS, png

from nearbit.errors import IndexBusyError
from nearbit.index import create_index, open_index
from nearbit.index.index import Index
from nearbit.service.collection import Collection
from nearbit.service.images.originals import Originals
from nearbit.service.routes import write
from nearbit.service.service import Service

IMAGE = png((250, 3, 77))
OUTPUTS = np.ones(N_BITS, np.float32)


class Parts:
    """The parts of a service that a change of the index needs."""

    check_model = Service.check_model

    def __init__(self, path):
        self.own, self.collection = path, Collection(path, Originals(path, ()), writable=True)
        self.thumbnails = SimpleNamespace(forget=lambda item: None)

    def add(self):
        return write._add(self, IMAGE, OUTPUTS, {"labels": []})

    def remove(self, item_id):
        write._remove(self, item_id)


@pytest.fixture
def path(tmp_path):
    create_index(tmp_path / "a.index", N_BITS, model_id="fake").close()
    return tmp_path / "a.index"


@pytest.fixture
def two(path, monkeypatch):
    """Two services before one index, of which neither waits for the other: it is told that the other one writes."""
    monkeypatch.setattr("nearbit.index.index.BUSY_SECONDS", 0.0)
    parts = Parts(path), Parts(path)
    yield parts
    for one in parts:
        one.collection.close()


def in_the_middle(monkeypatch, owner, name, act, of=lambda one: True):
    """Let something happen just before the first call of a method, of the objects that are meant; return its errors."""
    usual, told = getattr(owner, name), []

    def late(self, *arguments, **options):
        if not of(self):
            return usual(self, *arguments, **options)
        monkeypatch.setattr(owner, name, usual)
        try:
            act()
        except IndexBusyError as error:
            told.append(error)
        return usual(self, *arguments, **options)

    monkeypatch.setattr(owner, name, late)
    return told


def missing_files(path):
    with open_index(path, read_only=True) as index:
        return [item.id for item in index if not (path.parent / item.path).is_file()]


def test_a_picture_that_comes_while_its_last_item_goes_keeps_its_file(path, two, monkeypatch):
    one, other = two
    first = one.add()
    told = in_the_middle(monkeypatch, Path, "unlink", one.add, lambda file: file.suffix == ".png")
    other.remove(first)
    assert missing_files(path) == []
    assert len(told) == 1
    one.add()
    assert missing_files(path) == []


def test_the_last_item_of_a_picture_that_goes_while_it_comes_again_leaves_the_file(path, two, monkeypatch):
    one, other = two
    first = one.add()
    told = in_the_middle(monkeypatch, Index, "add", lambda: other.remove(first))
    one.add()
    assert missing_files(path) == []
    assert len(told) == 1
