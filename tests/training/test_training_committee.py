"""ECH's classifiers: trained once, joined by what validation says, saved, resumed, and refused where they cannot be."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from same_models import assert_same

from nearbit.centers import label_sets
from nearbit.errors import InputError
from nearbit.losses import torch_words_of_sets
from nearbit.methods import CRH, ECH, SHC, Targets, Task
from nearbit.model.bundle import load_model
from nearbit.training import Callbacks, train, trainer
from nearbit.training.stages.committee import PROJECTION_WEIGHTS, TEMPERATURES, WEIGHTS
from tiny_data import tiny_dataset, tiny_split

SMALL = {"members": 2, "member_epochs": 2, "member_hidden": 8}


def test_a_model_holds_its_classifiers_and_how_they_join(run, tmp_path):
    model = run("ech", "frozen", method_options=SMALL, n_bits=4)
    center = model.network.head.expected_center
    assert len(center.committee) == 2
    assert center.projection is not None
    chosen = model.record["expected_center"]
    assert chosen["temperature"] in TEMPERATURES
    assert tuple(chosen["weights"][:2]) in WEIGHTS
    assert chosen["weights"][2] in PROJECTION_WEIGHTS
    assert chosen["temperature"] == pytest.approx(float(center.temperature))
    assert list(chosen["weights"]) == pytest.approx(center.weights.tolist())
    assert chosen["score"] == model.record["validation_map"]
    assert np.array_equal(center.centers.numpy(), model.centers.centers)
    model.save(tmp_path / "ech.model")
    again = load_model(tmp_path / "ech.model")
    dataset = tiny_dataset()
    assert np.array_equal(again.encode_dataset(dataset).outputs, model.encode_dataset(dataset).outputs)


def test_the_mixture_is_the_best_of_all_on_validation(run):
    """Told apart from outside: each mixture is set by hand, and the criterion asked again."""
    from nearbit.codes import binarize
    from nearbit.metrics import tie_aware_average_precision

    dataset = tiny_dataset()
    split = tiny_split(dataset)
    model = run("ech", "frozen", method_options=SMALL, validate_against="validation", epochs=1, n_bits=4)
    assert model.network.head.expected_center.projection is not None
    scores = []
    for temperature, weights, share in product(TEMPERATURES, WEIGHTS, PROJECTION_WEIGHTS):
        model.network.head.expected_center.set_mixture(temperature, (*weights, share))
        codes = binarize(model.encode_dataset(dataset).outputs)
        found = []
        for row in split.validation:
            others = split.validation[split.validation != row]
            if (dataset.labels[others] & dataset.labels[row]).any():
                searched = (codes[others], dataset.labels[others])
                found.append(tie_aware_average_precision(codes[[row]], dataset.labels[[row]], *searched, 4)[0])
        scores.append(np.mean(found))
    assert model.record["validation_map"] == pytest.approx(max(scores), abs=1e-12)
    assert len(set(scores)) > 1


def test_images_learnt_by_heart_choose_no_mixture(run):
    model = run("ech", "frozen", method_options=SMALL, validate_against="train", epochs=1, n_bits=4)
    assert model.record["validation_searched"] == "train"
    assert model.record["expected_center"]["temperature"] == 1
    assert tuple(model.record["expected_center"]["weights"]) == (1, 1, 0.5)
    assert model.record["expected_center"]["score"] == model.record["validation_map"] is not None


def test_classifiers_differ_and_come_from_the_cache_for_other_lengths(frozen, tmp_path):
    dataset = tiny_dataset()
    told = []

    def train_one(n_bits, members):
        return train(
            dataset,
            tiny_split(dataset),
            method="ech",
            n_bits=n_bits,
            options=frozen,
            method_options=SMALL | {"members": members},
            cache=tmp_path,
            progress=lambda stage, *_: told.append(stage),
        ).network.head.expected_center.committee

    first = train_one(12, 2)
    assert {f"Training classifier {number} of 2" for number in (1, 2)} <= set(told)
    weights = [member.state_dict()["layers.0.weight"] for member in first]
    assert not torch.equal(*weights)
    told.clear()
    second = train_one(16, 3)
    assert {stage for stage in told if "of 3" in stage} == {"Training classifier 3 of 3"}
    for number, weight in enumerate(weights):
        assert torch.equal(second[number].state_dict()["layers.0.weight"], weight)


def test_a_cache_changes_nothing(frozen, tmp_path):
    dataset = tiny_dataset()
    given = {"method": "ech", "n_bits": 12, "options": frozen, "method_options": SMALL}
    alone = train(dataset, tiny_split(dataset), **given)
    train(dataset, tiny_split(dataset), **given, cache=tmp_path)
    assert_same(alone, train(dataset, tiny_split(dataset), **given, cache=tmp_path))


def test_an_interrupted_classifier_goes_on_and_ends_in_the_model_of_an_undisturbed_run(frozen, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    dataset = tiny_dataset()
    given = {"method": "ech", "n_bits": 12, "options": frozen, "method_options": SMALL}
    whole = train(dataset, tiny_split(dataset), **given)
    ended = []

    def stop(stage, done, total):
        if stage == "Training classifier 2 of 2" and done == 2:
            raise KeyboardInterrupt("in the second")

    with pytest.raises(KeyboardInterrupt, match="in the second"):
        train(dataset, tiny_split(dataset), **given, checkpoint=tmp_path, progress=stop)
    callbacks = Callbacks(resumed=lambda stage, done, total: ended.append((stage, done)))
    again = train(dataset, tiny_split(dataset), **given, checkpoint=tmp_path, callbacks=callbacks)
    assert_same(whole, again)
    assert [stage for stage, _ in ended][-1] == "Training classifier 2 of 2"
    assert ended[-1][1] == 1


def test_without_validation_images_both_count_in_full(run):
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    none = replace(split, validation=split.validation[:0])
    model = run("ech", "frozen", method_options=SMALL, split=none, head="linear", select="last", n_bits=4)
    assert model.record["expected_center"] == {"temperature": 1.0, "weights": (1.0, 1.0, 0.5), "score": None}
    assert model.record["validation_map"] is None


def test_more_bits_than_directions_leave_the_projection_out(run):
    model = run("ech", "frozen", method_options=SMALL, epochs=1, n_bits=12)
    assert model.network.head.expected_center.projection is None
    assert model.record["expected_center"]["weights"][2] == 0


def test_it_needs_frozen_features(run):
    with pytest.raises(InputError, match=r"ech trains classifiers on frozen features, and this run is scratch.*shc"):
        run("ech", "scratch", method_options=SMALL)


def task_of(*, multi_label, n_bits=16):
    similarity = np.cos(np.subtract.outer(np.arange(5), np.arange(5)))
    return Task(n_classes=5, n_bits=n_bits, multi_label=multi_label, similarity=similarity)


@pytest.mark.parametrize(("chosen", "base"), [({}, SHC), ({"base": "shc"}, SHC), ({"base": "crh"}, CRH)])
def test_with_one_label_its_centers_are_those_of_its_base(chosen, base):
    task = task_of(multi_label=False)
    options = ECH.with_options(chosen)
    own = ECH.make_centers(task, options, np.random.default_rng(0)).arrays()
    theirs = base.make_centers(task, base.options, np.random.default_rng(0)).arrays()
    assert set(own) == set(theirs)
    assert all(np.array_equal(own[name], theirs[name]) for name in own)


def test_with_several_labels_each_set_of_them_has_a_word():
    rows = np.array([[1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 1], [1, 1, 0, 0, 0]], bool)
    task = replace(task_of(multi_label=True), label_sets=label_sets(rows))
    state = ECH.make_centers(task, ECH.options, np.random.default_rng(0))
    assert (state.label_sets == task.label_sets.sets).all()
    assert state.set_words.shape == (4, 16)
    assert (np.sign(state.class_means) == state.centers)[state.class_means != 0].all()
    assert np.array_equal(state.expected(), state.class_means)
    assert set(state.of_classes().arrays()) == {"centers", "tie_break"}
    targets = Targets(
        *(torch.from_numpy(array).float() for array in (state.centers, state.tie_break)),
        label_sets=torch.from_numpy(state.label_sets).float(),
        set_words=torch.from_numpy(state.set_words).float(),
    )
    wanted = torch_words_of_sets(torch.from_numpy(rows).float(), targets.label_sets, targets.set_words)
    for row, word in zip(rows, wanted.numpy(), strict=True):
        assert (word == state.set_words[(state.label_sets == row).all(axis=1)][0]).all()
    other = torch.tensor([[0.0, 0, 0, 1, 1]]), torch.tensor([[1.0, 0, 0, 1, 1]])
    near = [torch_words_of_sets(labels, targets.label_sets, targets.set_words) for labels in other]
    assert torch.equal(*near)  # a set without a word has that of the set it differs least from
    labels = torch.from_numpy(rows).float()
    at_words, away = (ECH.loss(5 * sign * wanted, labels, targets, task, ECH.options) for sign in (1, -1))
    assert at_words < 0.01 < 5 < away


def test_a_single_set_of_labels_is_left_to_shc():
    task = replace(task_of(multi_label=True), label_sets=label_sets(np.ones((3, 5), bool)))
    state = ECH.make_centers(task, ECH.options, np.random.default_rng(0))
    assert np.array_equal(state.centers, SHC.make_centers(task, SHC.options, np.random.default_rng(0)).centers)


def test_several_labels_are_trained_whole(run):
    model = run("ech", "frozen", method_options=SMALL, multi_label=True)
    assert set(model.centers.arrays()) == {"centers", "tie_break"}
    means = model.network.head.expected_center.centers.numpy()
    assert np.abs(means).max() <= 1
    assert (np.sign(means) == model.centers.centers)[means != 0].all()


def test_what_is_no_choice_is_refused():
    with pytest.raises(InputError, match="base must be one of auto, shc, crh, sets, not 'csq'"):
        ECH.with_options({"base": "csq"})
    with pytest.raises(InputError, match="member_dropout must be a number of at least 0 and below 1, not 1"):
        ECH.with_options({"member_dropout": 1})


def test_prefixes_of_nested_centers_are_those_of_shorter_words(run):
    whole = run("ech", "frozen", n_bits=12, method_options=SMALL | {"nested": "4,8"})
    shorter = run("ech", "frozen", n_bits=8, method_options=SMALL | {"nested": 4})
    assert whole.method_options["nested"] == [4, 8]
    assert np.array_equal(whole.centers.centers[:, :8], shorter.centers.centers)
    plain = run("ech", "frozen", n_bits=4, method_options=SMALL)
    assert np.array_equal(whole.centers.centers[:, :4], plain.centers.centers)


@pytest.mark.parametrize(
    ("nested", "message"),
    [
        ("4,12", "must increase from at least 1 to below the 12 bits"),
        ([8, 4], "must increase"),
        ("11", "3 classes need blocks of at least 2 bits"),
        ("four", "nested must be whole numbers of bits"),
        (4.5, "nested must be whole numbers of bits"),
        (True, "nested must be whole numbers of bits"),
        (float("inf"), "nested must be whole numbers of bits"),
        (float("nan"), "nested must be whole numbers of bits"),
        ([16, 0], "nested must be whole numbers of bits"),
        (-1, "nested must be whole numbers of bits"),
    ],
)
def test_nested_lengths_that_do_not_fit_are_refused_before_training(run, nested, message):
    with pytest.raises(InputError, match=message):
        run("ech", "frozen", n_bits=12, method_options=SMALL | {"nested": nested})


def test_centers_of_a_codebook_are_not_nested():
    with pytest.raises(InputError, match="nested lengths need centers that are searched"):
        ECH.with_options({"base": "crh", "nested": (4,)})


def test_words_of_sets_can_be_nested(run):
    rng = np.random.default_rng(0)
    labels = np.unique(rng.random((40, 6)) < 0.3, axis=0)
    known = label_sets(labels[labels.any(axis=1)])
    similarity = np.corrcoef(rng.normal(size=(6, 9)))
    tasks = [
        Task(n_classes=6, n_bits=n_bits, multi_label=True, similarity=similarity, label_sets=known)
        for n_bits in (16, 8)
    ]
    options = [ECH.with_options({"nested": (8,)}), ECH.options]
    whole, first = (
        ECH.make_centers(task, given, np.random.default_rng(0)) for task, given in zip(tasks, options, strict=True)
    )
    assert np.array_equal(whole.set_words[:, :8], first.set_words)
    np.testing.assert_allclose(whole.class_means[:, :8], first.class_means)
