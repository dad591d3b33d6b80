"""The memory of outputs and its momentum encoder: by plain loops, resumed, in the record, and out of the way."""

import numpy as np
import pytest
import torch
from same_models import assert_same, history_of

import oracles
from nearbit.losses import memory_pairs
from nearbit.methods import MDS, MDSOptions, MemoryTerm
from nearbit.training import trainer
from nearbit.training.terms.memory_bank import MemoryBank

PAIRS = {"pair_weight": 1.0, "pair_after": 1}


class Broken(Exception):
    """Raised from the progress callback."""


def after(number):
    """Return a progress callback that ends training after an epoch."""

    def progress(stage, done, total):
        if stage.startswith("Training") and done == number:
            raise Broken(stage)

    return progress


def test_rows_twin_and_term_are_those_of_plain_loops():
    rng = np.random.default_rng(0)
    features, weights = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    labels = np.eye(2)[[0, 1, 0, 1, 0]]
    module = torch.nn.Linear(3, 4, bias=False)
    module.weight.data.copy_(torch.tensor(weights))
    term = MemoryTerm(loss=memory_pairs, weight=3.0, after=1, momentum=0.75)
    memory = MemoryBank(term, module, (5, 2), 4, torch.device("cpu"))
    twin, rows, known = weights.tolist(), [[0.0] * 4] * 5, [[0.0] * 2] * 5
    for epoch in range(3):
        memory.begin(epoch)
        values = []
        for batch in ([4, 1], [0, 2, 3]):
            module.weight.data.add_(0.5 + epoch)  # the optimizer moved it
            weights = weights + 0.5 + epoch
            twin = [
                [0.75 * a + 0.25 * b for a, b in zip(*pair, strict=True)] for pair in zip(twin, weights, strict=True)
            ]
            inputs = torch.tensor(features[batch]).float()
            outputs = module(inputs)
            found = memory.term(inputs, outputs, torch.tensor(labels[batch]).float(), np.array(batch))
            for row in batch:
                rows[row] = [sum(a * b for a, b in zip(line, features[row], strict=True)) for line in twin]
                known[row] = labels[row].tolist()
            assert np.allclose(memory.outputs.tolist(), rows, rtol=1e-5)
            assert memory.labels.tolist() == known
            if epoch == 0:
                assert found is None
                continue
            expected = oracles.memory_pairs(outputs.tolist(), labels[batch].tolist(), rows, known)
            assert found.item() == pytest.approx(3 * expected, rel=1e-5)
            values += [expected] * len(batch)
        assert memory.figures() == ({"memory_loss": pytest.approx(sum(values) / 5, rel=1e-5)} if epoch else {})


def test_the_twin_begins_as_the_module_an_epoch_before_the_term_and_never_moves_it():
    module = torch.nn.Linear(3, 4)
    memory = MemoryBank(MDS.memory(MDSOptions(pair_weight=1.0)), module, (5, 2), 4, torch.device("cpu"))
    module.weight.data.fill_(7.0)
    for epoch in range(8):
        memory.begin(epoch)
        given = (torch.ones(2, 3), module(torch.ones(2, 3)), torch.eye(2), np.array([0, 1]))
        assert memory.term(*given) is None
        assert not memory.outputs.any()
    memory.begin(8)
    assert torch.equal(memory.momentum_encoder.weight, module.weight)
    assert memory.term(*given) is None
    assert memory.labels.sum() == 2
    memory.begin(9)
    memory.term(*given).backward()
    assert memory.momentum_encoder.weight.grad is None
    assert module.weight.grad is not None
    assert torch.equal(module.weight.data, torch.full((4, 3), 7.0))


@pytest.mark.parametrize(
    ("regime", "head"), [("frozen", "hidden"), pytest.param("scratch", "linear", marks=pytest.mark.slow)]
)
def test_a_run_with_a_memory_resumes_to_the_last_bit(run, tmp_path, monkeypatch, regime, head):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    settings = {"epochs": 4, "head": head, "method_options": PAIRS}
    undisturbed = run("mds", regime, **settings)
    for number in (2, 3, 4):
        with pytest.raises(Broken, match="Training"):
            run("mds", regime, checkpoint=tmp_path, progress=after(number), **settings)
    assert_same(run("mds", regime, checkpoint=tmp_path, **settings), undisturbed)


def test_the_record_says_what_the_term_was_in_the_epochs_that_had_it(run):
    history = run(
        "mds", "frozen", head="linear", epochs=4, method_options={"pair_weight": 1.0, "pair_after": 2}
    ).record["history"]
    assert ["memory_loss" in epoch for epoch in history] == [False, False, True, True]
    assert all(np.log(2) < epoch["memory_loss"] < np.log(1 + np.e) for epoch in history[2:])


def test_pairs_change_the_model_and_without_them_it_is_as_if_there_were_none(run):
    given = {"head": "linear", "select": "last"}
    without = run("mds", "frozen", method_options={"pair_weight": 0}, **given)
    later, now = (run("mds", "frozen", method_options={"pair_weight": 1.0, "pair_after": n}, **given) for n in (9, 0))
    assert history_of(without) == history_of(later)
    weights = [model.network.state_dict()["head.layers.0.weight"] for model in (without, later, now)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_pairs_bring_the_images_of_a_class_together(run):
    given = {"head": "linear", "select": "last", "epochs": 12}
    last = {}
    for weight in (1e-6, 30.0):
        options = {"pair_after": 0, "pair_weight": weight}
        last[weight] = run("mds", "frozen", method_options=options, **given).record["history"][-1]["memory_loss"]
    assert last[30.0] < last[1e-6] - 1e-3
