"""Every method, and those of the examples: loss, gradients, schedules, options; the docs of our own.

What applies to all stands beside what applies to those with centers, and to those that compare images with each other.
"""

import math
import re
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hinge import HINGE
from triplets import TRIPLETS

import oracles
from nearbit.centers import csq_centers, hadamard_centers, similarity_from_embeddings
from nearbit.datasets.splits.protocols import PROTOCOLS
from nearbit.errors import InputError
from nearbit.methods import BASELINES, CSQ, METHODS, CSQOptions, Memory, Method, Targets, Task, find_method
from nearbit.methods.method import check_number
from nearbit.methods.presets import PRESETS
from nearbit.training import TrainOptions
from nearbit.training.options import resolve_schedule

DOCS = Path(__file__).parents[2] / "docs" / "methods"
ALL = {**METHODS, "hinge": HINGE, "triplets": TRIPLETS}
CENTERED = [name for name, method in ALL.items() if method.make_centers is not None]
WITHOUT = [name for name, method in ALL.items() if method.make_centers is None]
BESIDE = [name for name in WITHOUT if ALL[name].module is None and ALL[name].needs_labels]
"""Methods that have no centers and compare images with each other."""
REASSIGNS = {"ech": {"base": "crh"}, "dpn": {"update_every": 1}}
"""The options with which a method changes its centers, where its own do not."""

TASKS = [
    Task(n_classes=n_classes, n_bits=n_bits, multi_label=multi_label)
    for n_classes, n_bits in ((2, 1), (2, 12), (10, 48), (5, 16), (40, 6), (100, 64))
    for multi_label in (False, True)
]


def start_of(method, task, seed=0):
    """Return the centers at the start; where they follow a similarity, of one that is drawn."""
    given = {"effort": 0.05} if "effort" in {option.name for option in fields(method.options)} else {}
    if method.similarity is not None:
        vectors = np.random.default_rng(99).normal(size=(task.n_classes, 8))
        task = replace(task, similarity=similarity_from_embeddings(vectors, scaling="plain"))
    return method.first_centers(task, method.with_options(given), np.random.default_rng(seed))


def targets_of(state, dtype=torch.float32, method=None, task=None):
    """Return what a loss looks at; its own weights too where it has some."""
    arrays = {name: torch.tensor(array, dtype=dtype) for name, array in state.arrays().items()}
    targets = Targets(**{name: array for name, array in arrays.items() if name in Targets._fields})
    if method is None or method.module is None:
        return targets
    torch.manual_seed(0)
    return targets._replace(module=method.module(task, method.options).to(dtype))


def labels_for(task, n=6):
    """Return labels of images some of which share one, and some none; with several, the first image has two."""
    labels = torch.eye(task.n_classes)[torch.arange(n) % min(task.n_classes, n // 2)]
    if task.multi_label:
        labels[0, 1] = 1
    return labels


def loss_of(method, outputs, labels, targets, task):
    """Return the loss of a batch that is the whole data set; a head of two branches gives both."""
    memory = Memory(outputs.detach(), labels)
    given = torch.cat([outputs, outputs.flip(0)], dim=1) if method.head == "experts" else outputs
    return method.loss(given, labels, targets._replace(memory=memory), task, method.options)


@pytest.mark.parametrize("task", TASKS, ids=str)
@pytest.mark.parametrize("name", CENTERED)
def test_centers_at_the_start(name, task):
    method = ALL[name]

    state = start_of(method, task, 1)
    assert state.centers.shape == (0 if method.make_centers is None else task.n_classes, task.n_bits)
    assert state.tie_break.shape == (task.n_bits,)
    for array in (state.centers, state.tie_break):
        assert array.dtype == np.int8
        assert (np.abs(array) == 1).all()
    again = start_of(method, task, 1).arrays()
    assert set(again) == set(state.arrays())
    assert all(np.array_equal(array, again[key]) for key, array in state.arrays().items())
    if task.n_bits >= 12 and method.make_centers is not None:
        assert not np.array_equal(state.tie_break, start_of(method, task, 2).tie_break)


@pytest.mark.parametrize("task", TASKS, ids=str)
@pytest.mark.parametrize("name", CENTERED)
def test_loss_and_gradient_are_finite_also_at_zero(name, task):
    method = ALL[name]
    state = start_of(method, task)
    generator = torch.Generator().manual_seed(0)
    for values in (torch.randn(6, task.n_bits, generator=generator), torch.zeros(6, task.n_bits)):
        outputs = values.requires_grad_()
        loss = loss_of(method, outputs, labels_for(task), targets_of(state, method=method, task=task), task)
        loss.backward()
        assert loss.shape == ()
        assert 0 <= loss.item() < 1000
        assert bool(torch.isfinite(outputs.grad).all())
        if task.n_bits > 1 and (name in CENTERED or bool(values.any())):  # one output has no angle, 0 is like all
            assert float(outputs.grad.abs().sum()) > 0


@pytest.mark.parametrize("name", WITHOUT)
def test_a_method_without_centers_says_so(name):
    method, task = ALL[name], Task(n_classes=4, n_bits=12, multi_label=False)
    state = start_of(method, task)
    assert state.centers.shape == (0, 12)
    assert state.tie_break.shape == (12,)
    assert (method.reassign, method.similarity, method.centers_of, method.distinct) == (None, None, None, False)


@pytest.mark.parametrize("name", BESIDE)
def test_codes_alike_within_classes_cost_less_than_codes_alike_across_them(name):
    method, task = ALL[name], Task(n_classes=10, n_bits=48, multi_label=False)
    words = torch.tensor(3 * csq_centers(10, 48, np.random.default_rng(0)), dtype=torch.float32)
    numbers = torch.arange(20) // 2
    labels, targets = torch.eye(10)[numbers], targets_of(start_of(method, task))
    own = loss_of(method, words[numbers], labels, targets, task)
    other = loss_of(method, words[numbers.roll(1)], labels, targets, task)
    assert own < 0.9 * other


@pytest.mark.parametrize("classes", [[0, 0], [0, 1], [0, 0, 0, 0], [0, 1, 2, 3]], ids=str)
@pytest.mark.parametrize("name", BESIDE)
def test_a_batch_without_one_kind_of_pairs_has_a_finite_gradient(name, classes):
    method, task = ALL[name], Task(n_classes=4, n_bits=12, multi_label=False)
    outputs = torch.randn(len(classes), 12, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = loss_of(method, outputs, torch.eye(4)[classes], targets_of(start_of(method, task)), task)
    loss.backward()
    assert math.isfinite(loss.item())
    assert bool(torch.isfinite(outputs.grad).all())


@pytest.mark.parametrize("name", CENTERED)
def test_outputs_at_their_own_centers_cost_less_than_at_others(name):
    method, task = ALL[name], Task(n_classes=10, n_bits=48, multi_label=False)
    if name in ("dcwh", "lbhc", "mlh"):  # outputs beyond 1.1 are drawn back; a surrogate begins anywhere; two branches
        return
    state = start_of(method, task)
    targets, labels = targets_of(state, method=method, task=task), torch.eye(10)
    if method.centers_of is not None:
        targets = targets._replace(centers=torch.tensor(method.centers_of(targets.module, state).centers).float())
    own = method.loss(3 * targets.centers, labels, targets, task, method.options)
    other = method.loss(3 * targets.centers.roll(1, 0), labels, targets, task, method.options)
    assert own < 0.2 * other


@pytest.mark.parametrize("name", CENTERED)
def test_reassignment_keeps_the_form_of_the_centers(name):
    method, task = ALL[name], Task(n_classes=10, n_bits=48, multi_label=False)
    if method.reassign is None:
        return
    method = replace(method, options=method.with_options(REASSIGNS.get(name)))
    state = start_of(method, task)
    means = np.random.default_rng(1).uniform(-1, 1, (10, 48))
    new = method.reassign(state, means, 1, method.options, np.random.default_rng(2))
    assert {key: (array.shape, array.dtype) for key, array in new.arrays().items()} == {
        key: (array.shape, array.dtype) for key, array in state.arrays().items()
    }
    assert not np.array_equal(new.centers, state.centers)


@pytest.mark.parametrize("name", ALL)
def test_what_a_method_says_of_itself(name):
    method = ALL[name]
    assert method.name == name == name.lower()
    assert method.title
    assert any(character.isdigit() for character in method.citation)
    regimes = {"frozen", "fine-tuned", "scratch"} if method.committee is None else {"frozen"}
    assert set(method.schedules) == regimes
    for schedule in method.schedules.values():
        assert schedule.epochs >= 1
        assert schedule.batch_size >= 2
        assert 0 < schedule.learning_rate < 1
        assert 0 < schedule.backbone_factor <= 1
    assert is_dataclass(method.options)
    with pytest.raises(FrozenInstanceError, match="cannot assign"):
        setattr(method.options, fields(method.options)[0].name, 0)


@pytest.mark.parametrize("name", ALL)
def test_options_by_name(name):
    method = ALL[name]
    assert method.with_options(None) == method.with_options({}) == method.options
    known = next(option.name for option in fields(method.options) if isinstance(option.default, float))
    changed = method.with_options({known: 0.125})
    assert getattr(changed, known) == 0.125
    assert method.with_options(None) == method.options
    with pytest.raises(InputError, match=rf"{name} has no option '{known}s'.*Did you mean '{known}'\?"):
        method.with_options({f"{known}s": 1})


@pytest.mark.parametrize("bad", ["0.1", -1, float("nan"), float("inf"), True, [1]])
@pytest.mark.parametrize("name", ALL)
def test_an_option_with_a_wrong_value_is_refused(name, bad):
    for option in fields(ALL[name].options):
        if isinstance(option.default, str | tuple | bool):
            continue  # tried where the methods that have them are
        kind = "(whole )?number (above 0|of at least [012])( and below 1)?"
        with pytest.raises(InputError, match=f"{option.name} must be a {kind}, not "):
            ALL[name].with_options({option.name: bad})


@pytest.mark.parametrize("name", ALL)
def test_a_factor_of_all_that_a_loss_compares_is_above_0(name):
    for option in fields(ALL[name].options):
        if option.name.endswith(("scale", "temperature")):
            with pytest.raises(InputError, match=f"{option.name} must be a number above 0, not 0"):
                ALL[name].with_options({option.name: 0})


def test_numbers_of_options():
    check_number("x", 3, at_least=3, whole=True)
    check_number("x", 0)
    with pytest.raises(InputError, match="x must be a whole number of at least 3, not 2"):
        check_number("x", 2, at_least=3, whole=True)
    with pytest.raises(InputError, match=r"x must be a whole number of at least 0, not 2\.0"):
        check_number("x", 2.0, whole=True)
    with pytest.raises(InputError, match="x must be a number of at least 0, not None"):
        check_number("x", None)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_page_with_all_options_and_schedules(name):
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert [option.name for option in fields(METHODS[name].options) if f"`{option.name}`" not in page] == []
    for regime, schedule in METHODS[name].schedules.items():
        assert f"| {regime} | {schedule.epochs} | {schedule.batch_size} |" in page
    assert "## Differs from the authors' code" in page
    assert "(../results.md)" in page
    assert f"({name}.md)" in (DOCS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", METHODS)
def test_a_page_and_the_method_name_the_paper_alike(name):
    _, _, below = (DOCS / f"{name}.md").read_text(encoding="utf-8").partition("\n\n")
    start = below.partition("\n\n")[0]
    title = re.match(r"[\w .,]+, \*([^*]+)\*, ", start)
    asked = "below its heading a page names authors and *title* of the paper, or begins: nearbit's own."
    assert title is not None or start.startswith("nearbit's own."), f"{name}.md: {asked} It has {start!r}"
    assert (title[1] if title else "nearbit; ") in METHODS[name].citation


def test_a_paper_has_one_citation_wherever_it_stands():
    values = [*METHODS.values(), *BASELINES.values(), *PRESETS.values(), *PROTOCOLS.values()]
    found = [re.match(r"[^(]*?, arXiv (\d{4}\.\d{5})", value.citation) for value in values]
    cited = {(one[1], one[0]) for one in found if one is not None}
    assert {"2511.12162", "2507.08404", "1609.06753"} <= {number for number, _ in cited}
    assert len(dict(cited)) == len(cited)


def test_a_regime_without_a_schedule_is_named():
    alone = replace(
        CSQ, name="mine", schedules={"frozen": CSQ.schedules["frozen"], "scratch": CSQ.schedules["scratch"]}
    )
    assert alone.schedule_for("frozen") == CSQ.schedules["frozen"]
    with pytest.raises(
        InputError, match=r"the method mine has no schedule for networks that are fine-tuned, only for: fr"
    ):
        resolve_schedule(alone, TrainOptions(), "fine-tuned", "linear", 100)


def test_methods_are_found_by_name():
    assert all(find_method(name) is method for name, method in METHODS.items())
    assert all(isinstance(method, Method) for method in METHODS.values())
    with pytest.raises(InputError, match=r"unknown method 'crq'; known: .*Did you mean '(crh|csq)'\?"):
        find_method("crq")


@pytest.mark.parametrize("multi_label", [False, True])
def test_csq_loss_is_central_similarity_plus_weighted_quantization(multi_label):
    task = Task(n_classes=5, n_bits=16, multi_label=multi_label)
    state = CSQ.make_centers(task, CSQ.options, np.random.default_rng(0))
    assert np.array_equal(state.centers, hadamard_centers(5, 16))
    outputs = np.random.default_rng(3).normal(0, 1, (6, 16))
    labels = labels_for(task)
    centroids = [oracles.centroid(row, state.centers, state.tie_break) for row in labels.tolist()]
    main, rest = oracles.central_similarity(outputs, centroids), oracles.quantization(outputs)
    for options, weight in ((CSQ.options, 0.05), (CSQOptions(quantization_weight=2.0), 2.0)):
        found = CSQ.loss(torch.tensor(outputs), labels.double(), targets_of(state, torch.float64), task, options).item()
        assert math.isclose(found, main + weight * rest, rel_tol=1e-12)
