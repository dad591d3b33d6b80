"""Runs of a method that is not nearbit's own are named by its code: another loss under the same name is another run."""

import importlib
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from nearbit.methods import BASELINES, METHODS
from nearbit.methods.own_code import code_digest
from nearbit.training import TrainOptions, plan
from tiny_data import tiny_dataset, tiny_split

METHOD = """
from dataclasses import replace
from nearbit.methods import CSQ
{more}
OWN = replace(CSQ, name="own", loss=loss)
"""
LOSS = "def loss(outputs, labels, targets, task, options):\n    return (outputs * {factor}).mean()\n"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write modules by name and import the first one: written(own=…, own_loss=…); returns its method."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def write(**texts):
        for name in names:
            sys.modules.pop(name, None)
        for name, text in texts.items():
            path = tmp_path / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            names.extend([name, name.partition(".")[0]])
        importlib.invalidate_caches()
        return importlib.import_module(names[0]).OWN

    yield write
    for name in names:
        sys.modules.pop(name, None)


def test_the_methods_of_nearbit_have_none():
    assert {name for name, method in {**METHODS, **BASELINES}.items() if code_digest(method)} == set()
    assert code_digest(replace(METHODS["csq"], name="other", options=METHODS["csq"].with_options({}))) is None


def test_a_loss_in_the_module_beside_it_or_where_that_takes_from_counts(written):
    method = METHOD.format(more="from own_loss import loss")
    beside = "from own_parts import factor\n" + LOSS.format(factor="factor()")
    parts = "def factor():\n    return {}\n"
    digests = [
        code_digest(written(own=method, own_loss=loss, own_parts=part))
        for loss, part in [
            (beside, parts.format(1)), (beside, parts.format(1)), (beside, parts.format(2)),
            (LOSS.format(factor=0), parts.format(1)),
        ]
    ]  # fmt: skip
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_every_module_of_its_package_counts(written):
    method = METHOD.format(more="from pack.inner import loss")
    files = {"own": method, "pack.__init__": "", "pack.inner": LOSS.format(factor=1), "pack.data": "TABLE = [1]\n"}
    digests = {code_digest(written(**files | {"pack.data": f"TABLE = [{number}]\n"})) for number in (1, 1, 2)}
    assert len(digests) == 2


def of_cell(text, *, lines=0, before=""):
    """The digest of a method whose loss is `loss` of a text that is run as a cell of a notebook is."""
    space = {"__name__": "__main__", "partial": partial, "CSQ": METHODS["csq"], "np": np}
    exec(compile("\n" * lines + before + text, "cell", "exec"), space)
    return code_digest(replace(METHODS["csq"], name="own", loss=space["loss"], module=space.get("M")))


HEAD = "def loss(outputs, labels, targets, task, options"


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("M = lambda a: 1\nloss = lambda *given: 2\n", ("a: 1", "a: 3")),
        (f"W = 1\n{HEAD}):\n    return outputs * W\n", ("W = 1", "W = 2")),
        (f"W = [1, 2]\n{HEAD}):\n    return outputs * W[0]\n", ("[1, 2]", "[3, 2]")),
        (f"W = np.array([1.0])\n{HEAD}):\n    return outputs * W\n", ("[1.0]", "[2.0]")),
        (f"{HEAD}, w=1.0):\n    return outputs * w\n", ("w=1.0", "w=2.0")),
        (f"def f(w, {HEAD[9:]}):\n    return w\nloss = partial(f, 1)\n", ("partial(f, 1)", "partial(f, 2)")),
        (f"def mk(w):\n    {HEAD}):\n        return outputs * w\n    return loss\nloss = mk(1)\n", ("mk(1)", "mk(2)")),
        (f"def h(x):\n    return x\n{HEAD}):\n    return h(outputs)\n", ("return x", "return -x")),
        (f"def h(x):\n    return x\n{HEAD}):\n    return sum(h(x) for x in outputs)\n", ("return x", "return -x")),
        (f"class M:\n    def f(self):\n        return 1\n{HEAD}):\n    return 0\n", ("return 1", "return 2")),
        (
            f"class M:\n    @property\n    def f(self):\n        return 1\n{HEAD}):\n    return 0\n",
            ("return 1", "return 2"),
        ),
    ],
)
def test_functions_of_a_notebook_count_by_what_they_do(text, other):
    assert of_cell(text) == of_cell(text, lines=7) == of_cell(text, before="UNUSED = 3\n")
    assert of_cell(text.replace(*other)) != of_cell(text) is not None


def test_functions_of_libraries_count_by_their_names_and_are_not_read():
    assert code_digest(replace(METHODS["csq"], name="own", loss=torch.nn.functional.mse_loss)) is None
    assert code_digest(replace(METHODS["csq"], name="own", make_centers=partial(int, 3))) is None


def test_a_digest_is_the_same_in_every_process(tmp_path):
    text = f"def h(x):\n    return x in {{'alpha', 'beta', 'gamma'}}\nT = (h, 'x')\n{HEAD}):\n    return T[0](task)\n"
    script = tmp_path / "own.py"
    script.write_text(
        "from dataclasses import replace\nfrom nearbit.methods import METHODS\n"
        f"from nearbit.methods.own_code import code_digest\n{text}"
        "print(code_digest(replace(METHODS['csq'], name='own', loss=loss)))\n"
    )
    found = set()
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, script],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


def test_runs_of_other_code_have_other_names(written):
    dataset = tiny_dataset()
    options, split = TrainOptions(image_size=8, epochs=1, device="cpu"), tiny_split(dataset)

    def key(factor):
        own = written(own=METHOD.format(more="from own_loss import loss"), own_loss=LOSS.format(factor=factor))
        return plan(dataset, split, method=own, n_bits=12, options=options).key()

    assert key(1) == key(1) != key(2)
