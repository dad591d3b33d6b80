"""Losses with weights of their own, learnt and real-valued centers, a head that remembers: trained, kept, resumed."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from same_models import assert_same, history_of
from test_training_resume import Interrupted, after_epoch

import nearbit as nb
from nearbit.errors import BundleError, InputError
from nearbit.files.writing import json_digest
from nearbit.methods import DCWH
from nearbit.training import trainer
from tiny_data import tiny_dataset

CLASSWISE = ("greedyhash", "dcwh", "idcwh", "lthnet")


@pytest.fixture
def every_epoch(monkeypatch):
    """Write a checkpoint after every epoch."""
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)


@pytest.mark.parametrize("regime", ["frozen", pytest.param("scratch", marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", CLASSWISE)
def test_a_resumed_run_ends_in_the_model_of_an_undisturbed_one(run, tmp_path, method, regime, every_epoch):
    settings = {"epochs": 5, "head": "auto" if method == "lthnet" else "linear"}
    options = {"lthnet": {"prototypes": 2}, "dcwh": {"update_every": 2}}.get(method, {})
    undisturbed = run(method, regime, method_options=options, **settings)
    for number in (2, 4):
        with pytest.raises(Interrupted, match="Training"):
            run(method, regime, checkpoint=tmp_path, method_options=options, progress=after_epoch(number), **settings)
    resumed = run(method, regime, checkpoint=tmp_path, method_options=options, **settings)
    assert_same(resumed, undisturbed)


def test_what_a_loss_has_learnt_is_in_its_checkpoint(run, tmp_path, every_epoch, monkeypatch):
    undisturbed = run("greedyhash", "frozen", epochs=4, head="linear")
    with pytest.raises(Interrupted, match="Training"):
        run("greedyhash", "frozen", epochs=4, head="linear", checkpoint=tmp_path, progress=after_epoch(3))
    monkeypatch.setattr(nb.methods.LossModule, "load_state_dict", lambda self, state: None)
    forgetful = run("greedyhash", "frozen", epochs=4, head="linear", checkpoint=tmp_path)
    assert history_of(forgetful) != history_of(undisturbed)


def test_the_real_valued_means_of_dcwh_are_in_its_checkpoint(run, tmp_path, every_epoch):
    seen = []

    def watched(state, means, epoch, options, rng):
        seen.append((epoch, state.class_means.copy()))
        return DCWH.reassign(state, means, epoch, options, rng)

    method = nb.methods.Method(**{**vars(DCWH), "reassign": watched})
    settings = {"epochs": 4, "head": "linear", "method_options": {"update_every": 1}}
    run(method, "frozen", **settings)
    undisturbed = dict(seen)
    seen.clear()
    with pytest.raises(Interrupted, match="Training"):
        run(method, "frozen", checkpoint=tmp_path, **settings, progress=after_epoch(4))
    seen.clear()
    run(method, "frozen", checkpoint=tmp_path, **settings)
    assert [epoch for epoch, _ in seen] == [3]
    assert np.array_equal(seen[0][1], undisturbed[3])
    assert len(np.unique(seen[0][1])) > 2


@pytest.mark.parametrize("method", CLASSWISE)
def test_what_only_the_loss_needs_is_not_in_the_model(run, tmp_path, method):
    model = run(method, "frozen")
    names = set(model.network.state_dict())
    assert all(name.startswith(("backbone.", "head.")) for name in names)
    model.save(tmp_path / "a.model")
    opened = nb.load_model(tmp_path / "a.model")
    assert set(opened.network.state_dict()) == names
    assert "class_means" not in opened.centers.arrays()
    assert not (tmp_path / "a.model" / "class_means.npy").exists()
    images = [tiny_dataset().source.read(row) for row in range(4)]
    assert np.array_equal(opened.encode(images), model.encode(images))


def test_the_centers_of_idcwh_are_the_signs_of_what_was_learnt_at_the_kept_epoch(run, monkeypatch):
    kept = []
    keep_best = trainer.Trainer._keep_best

    def watched(self, state, centers, record):
        kept.append(np.where(self._loss_module.centers.detach().numpy() >= 0, 1, -1))
        keep_best(self, state, centers, record)

    monkeypatch.setattr(trainer.Trainer, "_keep_best", watched)
    model = run("idcwh", "frozen", head="linear", epochs=6, learning_rate=0.05)
    assert np.array_equal(model.centers.centers, kept[model.record["selected_epoch"] - 1])
    changed = [epoch["centers_changed"] for epoch in model.record["history"]]
    assert changed[1:] == [int((a != b).any(axis=1).sum()) for a, b in pairwise(kept)]
    assert all("center_distance_min" in epoch for epoch in model.record["history"])


def test_the_learnt_centers_move_faster_than_the_head_by_their_factor(run):
    still = run("idcwh", "frozen", head="linear", epochs=6, method_options={"center_rate": 0.0})
    assert [epoch["centers_changed"] for epoch in still.record["history"]] == [0] * 6


@pytest.mark.parametrize("method", ["dcwh", "idcwh"])
def test_given_centers_are_refused_where_they_would_be_changed(run, method):
    dataset = tiny_dataset()
    with pytest.raises(InputError, match=f"{method} changes its centers while it trains and takes none"):
        nb.train(dataset, nb.make_split(dataset), method=method, n_bits=12, centers=np.ones((3, 12), np.int8))


def test_two_words_that_fall_together_are_told_by_the_certificate(run):
    model = run("dcwh", "frozen", n_bits=1, head="linear")
    assert model.record["certificate"]["min_distance"] == 0


def test_the_memory_of_lthnet_is_taken_anew_before_each_epoch(run, monkeypatch):
    rows = []
    keep_best = trainer.Trainer._keep_best

    def watched(self, state, centers, record):
        rows.append(self.module.layers[2].rows.clone())
        keep_best(self, state, centers, record)

    monkeypatch.setattr(trainer.Trainer, "_keep_best", watched)
    model = run("lthnet", "frozen", select="last")
    assert model.head["kind"] == "memory"
    assert model.head["own"] == {"rows": 3}
    assert float(rows[0].abs().sum()) > 0
    assert not torch.equal(rows[0], rows[1])
    assert torch.equal(model.network.head.layers[2].rows, rows[-1])


@pytest.mark.parametrize(
    "own",
    [{"rows": 2**19}, {"rows": 2**62}, {"rows": 4}, {}, {"rows": 3, "layers": 10**9}, {"rows": "3"}, [3]],
    ids=str,
)
def test_a_model_that_asks_for_another_memory_than_it_holds_is_refused(run, tmp_path, own):
    run("lthnet", "frozen", epochs=1).save(tmp_path / "a.model")
    path = tmp_path / "a.model" / "bundle.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    del description["digest"]
    description["head"]["own"] = own
    path.write_text(json.dumps(description | {"digest": json_digest(description)}), encoding="utf-8")
    with pytest.raises(BundleError, match=r"expected|is made with rows|is not a complete model"):
        nb.load_model(tmp_path / "a.model")


def test_weights_of_rare_classes_change_what_is_trained_where_classes_differ_in_size(run):
    dataset = tiny_dataset(per_class=20)
    tail, even = (nb.make_split(dataset, imbalance=imbalance) for imbalance in (4, None))
    for method in ("greedyhash", "lthnet", "csq", "crh"):
        settings = {"epochs": 1, "head": "auto" if method == "lthnet" else "linear", "data": dataset}
        for split, changes in ((tail, True), (even, False)):
            plain, weighted = (
                run(method, "frozen", split=split, method_options=given, **settings).record["history"][0]["loss"]
                for given in ({}, {"class_balance": 0.9})
            )
            assert (weighted < 0.95 * plain) is changes
