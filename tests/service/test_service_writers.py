"""Several services that change one index: what one is doing when the other comes is done whole before."""

import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from service_site import N_BITS, TOKEN, FakeEncoder, png, running, write_index

from nearbit.errors import IndexBusyError
from nearbit.index import create_index, open_index, replace_index
from nearbit.index.index import Index
from nearbit.service import collection
from nearbit.service.collection import Collection
from nearbit.service.images.originals import Originals
from nearbit.service.routes import write
from nearbit.service.service import Service
from nearbit.service.settings import ServiceOptions
from nearbit.service.words import Words

BEARER = {"Authorization": f"Bearer {TOKEN}"}
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


@pytest.fixture
def replaced_meanwhile(tmp_path, monkeypatch):
    """A service whose index gives its place to one of another model while the first request is encoded."""
    monkeypatch.setattr("nearbit.service.collection.LOOK_SECONDS", 0.0)
    path, new, left = write_index(tmp_path), tmp_path / "new.index", ["the index"]
    usual, model = FakeEncoder.outputs, FakeEncoder()
    with create_index(new, N_BITS, model_id="other") as index:
        index.add(np.zeros((1, 2), np.uint8))

    def outputs(self, images):
        if left:
            left.pop()
            replace_index(path, new)
        return usual(self, images)

    with running(ServiceOptions(index=path, token=TOKEN, allow_write=True)) as site:
        monkeypatch.setattr(FakeEncoder, "outputs", outputs)
        monkeypatch.setattr(Words, "outputs", lambda self, text: (model, model.outputs([np.zeros((2, 2, 3))])[0]))
        site.index = path
        yield site


@pytest.mark.parametrize("place", ["items", "search/image", "search/text?text=birds"])
def test_what_a_model_made_reaches_no_index_of_another_one_that_came_meanwhile(replaced_meanwhile, place):
    site = replaced_meanwhile
    answer = site.get(place, **BEARER) if "text" in place else site.form(place, IMAGE, headers=BEARER)
    assert (answer.status, answer.code) == (409, "other_model")
    with open_index(site.index, read_only=True) as index:
        assert (index.model_id, len(index)) == ("other", 1)


def test_what_was_read_before_a_change_is_not_kept_for_after_it(tmp_path, monkeypatch):
    """More items are kept than may be, so that others take their place, as the state of the index changes."""
    monkeypatch.setattr(collection, "KEPT_ITEMS", 2)
    monkeypatch.setattr(collection, "LOOK_SECONDS", 0.0)
    path, usual = write_index(tmp_path), collection.items_of
    served = Parts(path).collection
    served.rendered([1, 2, 3])

    def read_then_changed(index, ids):
        found = usual(index, ids)
        monkeypatch.setattr(collection, "items_of", usual)
        with open_index(path) as other:
            other.update([4], metadata=[{"labels": ["new"]}])
        another_request = threading.Thread(target=served.labels)
        another_request.start()
        another_request.join()
        return found

    monkeypatch.setattr(collection, "items_of", read_then_changed)
    served.rendered([4])
    assert b'"labels":["new"]' in served.rendered([4])[0].json
    served.close()
