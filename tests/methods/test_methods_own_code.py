"""Runs of a method that is not nearbit's own are named by its code: another loss under the same name is another run."""

import importlib
import sys
from dataclasses import replace
from functools import partial

import pytest

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


def test_functions_of_a_notebook_count_by_what_they_do():
    def made(factor, *, lines=0, helper="1"):
        space = {"__name__": "__main__"}
        text = "\n" * lines + f"WEIGHT = {factor}\ndef helped():\n    return {helper}\n"
        text += "def loss(outputs, labels, targets, task, options):\n    return outputs.mean() * WEIGHT * helped()\n"
        exec(compile(text, "cell", "exec"), space)
        return code_digest(replace(METHODS["csq"], name="own", loss=space["loss"]))

    assert made(1) == made(1, lines=7)
    assert len({made(1), made(2), made(1, helper="2")}) == 3
    assert code_digest(replace(METHODS["csq"], name="own", make_centers=partial(int, 3))) is None


def test_runs_of_other_code_have_other_names(written):
    dataset = tiny_dataset()
    options, split = TrainOptions(image_size=8, epochs=1, device="cpu"), tiny_split(dataset)

    def key(factor):
        own = written(own=METHOD.format(more="from own_loss import loss"), own_loss=LOSS.format(factor=factor))
        return plan(dataset, split, method=own, n_bits=12, options=options).key()

    assert key(1) == key(1) != key(2)
