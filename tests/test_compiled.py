"""NumPy works until machine code is there: when kernels are loaded, when they are compiled, and when neither."""

import sys
import threading
import types

import numpy as np
import pytest

from nearbit import compiled, jit
from nearbit.codes import as_words, binarize
from nearbit.errors import InputError
from nearbit.index.asymmetric_search import nearest_rows
from nearbit.index.engine.structure import build_structure
from nearbit.index.engine.weighted.weights import weighted

SHORT, LOADING, LONG = 0.01, compiled.LOADING_SECONDS, compiled.COMPILING_SECONDS


@pytest.fixture
def family(monkeypatch):
    """A family of one kernel, with the number of its warmings; nothing of it is kept on disk."""
    monkeypatch.setenv("NEARBIT_COMPILE", "auto")
    monkeypatch.setattr(compiled, "lives_long", lambda: False)
    monkeypatch.setattr(jit, "is_kept", lambda name: False)
    monkeypatch.setattr(jit, "note_kept", lambda name: noted.append(name))
    noted, module = [], types.ModuleType("warming_of_a_test")
    module.calls = noted

    def warm():
        noted.append("warm")
        yield

    module.warm = warm
    monkeypatch.setitem(sys.modules, module.__name__, module)
    made = compiled.Family("test", module.__name__)
    yield made, noted
    wait()


def wait():
    for thread in [*compiled._COMPILER]:
        thread.join()


def test_numpy_does_short_work_and_nothing_is_compiled(family):
    one, calls = family
    assert [one.serves(SHORT) for _ in range(20)] == [False] * 20
    assert not compiled.is_compiling()
    assert not one.is_loaded
    assert calls == []


def test_kept_code_is_loaded_once_numpy_has_worked_as_long_as_that_takes(family, monkeypatch):
    one, calls = family
    monkeypatch.setattr(jit, "is_kept", lambda name: name == "test")
    assert not one.serves(LOADING / 2)
    assert one.serves(LOADING / 2)
    assert one.is_loaded
    assert one.serves(0.0)
    assert calls == ["warm", "test"]


def test_long_work_compiles_aside_and_goes_on_with_numpy_meanwhile(family):
    one, calls = family
    assert not one.serves(LONG - 0.1)
    assert calls == []
    assert not one.serves(LONG)
    wait()
    assert one.serves(SHORT)
    assert calls == ["warm", "test"]


def test_a_process_that_lives_long_compiles_at_once(family, monkeypatch):
    one, _ = family
    monkeypatch.setattr(compiled, "lives_long", lambda: True)
    assert not one.serves(SHORT)
    wait()
    assert one.serves(SHORT)


def test_while_kernels_are_compiled_numpy_answers(family, monkeypatch):
    one, _ = family
    go_on = threading.Event()

    def warm():
        assert go_on.wait(60)
        yield

    monkeypatch.setattr(sys.modules["warming_of_a_test"], "warm", warm)
    compiled.prepare(one)
    assert compiled.is_compiling()
    assert not one.serves(LONG)
    go_on.set()
    wait()
    assert not compiled.is_compiling()
    assert one.serves(SHORT)


def test_the_user_may_overrule(family, monkeypatch):
    one, calls = family
    monkeypatch.setenv("NEARBIT_COMPILE", "never")
    compiled.prepare(one)
    assert not one.serves(10 * LONG)
    assert calls == []
    monkeypatch.setenv("NEARBIT_COMPILE", "now")
    assert one.serves(0.0)
    assert calls == ["warm", "test"]
    monkeypatch.setenv("NEARBIT_COMPILE", "never")
    assert not one.serves(0.0)
    monkeypatch.setenv("NEARBIT_COMPILE", "soon")
    with pytest.raises(InputError, match="NEARBIT_COMPILE must be auto, now or never, not 'soon'"):
        one.serves(0.0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_cannot_be_compiled_is_left_to_numpy_and_the_next_family_is_tried(family, monkeypatch):
    one, _ = family

    def broken():
        yield
        raise RuntimeError("no compiler")

    monkeypatch.setattr(sys.modules["warming_of_a_test"], "warm", broken)
    compiled.prepare(one)
    wait()
    assert not one.serves(10 * LONG)
    assert not compiled.is_compiling()


def test_a_note_on_disk_tells_what_is_kept(tmp_path, monkeypatch):
    note = tmp_path / "note.json"
    monkeypatch.setattr(jit, "_note", lambda family: note)
    monkeypatch.setattr(jit, "_KERNELS", [])
    assert not jit.is_kept("test")
    jit.note_kept("test")
    assert jit.is_kept("test")
    note.write_text('["/nowhere/kernel.nbi"]')
    assert not jit.is_kept("test")


def signatures():
    return {kernel.py_func.__qualname__ + kernel.py_func.__module__: len(kernel.signatures) for kernel in jit._KERNELS}


@pytest.mark.parametrize("layout", ["plain", "rings", "table"])
def test_what_is_warm_compiles_nothing_more_for_real_work(layout, monkeypatch):
    monkeypatch.setenv("NEARBIT_COMPILE", "now")
    for family in (compiled.SEARCH, compiled.BUILDING, compiled.WEIGHTED):
        family.load()
    before = signatures()
    assert before
    rng = np.random.default_rng(0)
    for n_bits in (12,) if layout == "table" else (12, 64, 200):
        outputs = rng.normal(size=(2500, n_bits)).astype(np.float32)
        words, asked = as_words(binarize(outputs)), weighted(outputs[:300])
        built = build_structure(words, n_bits, layout=layout)
        removed = rng.random(2500) < 0.1
        for k, radius in ((5, None), (None, 3), (3000, None)):
            built.nearest(words[:300], k=k, radius=radius, excluded=removed)
            built.nearest(words[:1], k=k, radius=radius, allowed=np.arange(0, 2500, 2))
            nearest_rows(built, words, asked, k, asked.limits(radius), excluded=removed)
    assert signatures() == before
