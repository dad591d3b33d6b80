"""The stages of SHC: each alone, kept, resumed; baselines on frozen features; what the record says of centers."""

import errno
from dataclasses import replace

import numpy as np
import pytest
import torch
from interrupted import Interrupted
from same_models import assert_same

from nearbit.centers import certify, similarity_correlation
from nearbit.datasets import make_split
from nearbit.encoding import feature_cache as feature_cache_module
from nearbit.errors import InputError, TrainingError
from nearbit.methods import BASELINES, find_method
from nearbit.model.bundle import load_model
from nearbit.training import TrainOptions, plan, train, trainer
from nearbit.training.runs.baseline import UNUSED, UNUSED_BY_PROJECTIONS
from nearbit.training.stages.given import reference_similarity
from tiny_data import dataset_of, tiny_dataset, tiny_labels, tiny_pixels, tiny_split


@pytest.fixture
def epochs_done(monkeypatch):
    """The stages and epochs that are trained."""
    done, train_epoch = [], trainer.Trainer._epoch

    def watched(self, state, optimizer):
        done.append((self.stage.title.split(",")[0], state.epoch))
        train_epoch(self, state, optimizer)

    monkeypatch.setattr(trainer.Trainer, "_epoch", watched)
    return done


def planned(frozen, cache=None, **given):
    dataset = tiny_dataset()
    options = replace(frozen, head="linear", **given.pop("options", {}))
    return plan(dataset, tiny_split(dataset), method="shc", n_bits=12, options=options, cache=cache, **given)


def silent(*_):
    pass


@pytest.mark.parametrize("regime", ["frozen", pytest.param("scratch", marks=pytest.mark.slow)])
def test_stages_run_alone_make_the_model_of_all_at_once(run, frozen, regime):
    whole = run("shc", regime, head="linear")
    assert whole.similarity.shape == (3, 3)
    assert whole.record["classifier"]["epochs"] == 3
    assert 0 <= whole.record["classifier"]["accuracy"]["validation"] <= 1
    options = options_of(whole, frozen)
    dataset = tiny_dataset()
    given = {"split": tiny_split(dataset), "method": "shc", "n_bits": 12, "options": options}
    alone = plan(dataset, **given)
    similarity = alone.similarity()
    assert np.array_equal(similarity, whole.similarity)
    from_similarity = plan(dataset, similarity=similarity, **given)
    centers = from_similarity.centers().centers
    assert np.array_equal(centers, whole.centers.centers)
    last = train(dataset, centers=centers, **given)
    assert torch.equal(last.network.head.layers[0].weight, whole.network.head.layers[0].weight)
    assert last.similarity is None
    assert len({alone.key(), from_similarity.key(), last.record["run_key"]}) == 3


def options_of(model, frozen):
    """Return the options that a model was trained with; the record has its weights file by name only."""
    recorded = model.record["options"]
    return TrainOptions(**(recorded | {"weights": frozen.weights if recorded["weights"] else None}))


def test_the_classifier_is_kept_for_other_lengths_and_orders_and_trained_anew_for_another_seed(
    frozen, tmp_path, epochs_done
):
    first = planned(frozen, tmp_path).similarity()
    assert epochs_done == [("Training the classifier", epoch) for epoch in range(3)]
    epochs_done.clear()
    again = planned(frozen, tmp_path).similarity()
    released = planned(frozen, tmp_path, method_options={"order": "released"}).similarity()
    assert epochs_done == []
    assert np.array_equal(first, again)
    assert not np.array_equal(first, released)
    (kept,) = (tmp_path / "stages").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])  # damaged: trained again
    assert np.array_equal(first, planned(frozen, tmp_path).similarity())
    assert len(epochs_done) == 3
    planned(frozen, tmp_path, options={"seed": 5}).similarity()
    assert len(epochs_done) == 6


@pytest.mark.parametrize("stage", ["Training the classifier", pytest.param("Training shc", marks=pytest.mark.slow)])
def test_an_interrupted_stage_goes_on_and_ends_in_the_model_of_an_undisturbed_run(
    frozen, tmp_path, epochs_done, monkeypatch, stage
):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    undisturbed = planned(frozen).train(None, silent)
    epochs_done.clear()

    def interrupt(name, done, total):
        if name.startswith(stage) and done == 2:
            raise Interrupted(name)

    with pytest.raises(Interrupted, match=stage):
        planned(frozen).train(tmp_path, interrupt)
    before = epochs_done.copy()
    epochs_done.clear()
    assert_same(planned(frozen).train(tmp_path, silent), undisturbed)
    assert before[-1] == (stage, 1)
    assert [entry for entry in epochs_done if entry[0] == stage] == [(stage, 1), (stage, 2)]
    if stage == "Training shc":
        assert not [entry for entry in epochs_done if "classifier" in entry[0]]


def test_the_similarity_and_the_certificate_are_kept_with_the_model(run, tmp_path):
    model = run("shc", "frozen", head="linear")
    model.save(tmp_path / "a.model")
    back = load_model(tmp_path / "a.model")
    assert np.array_equal(back.similarity, model.similarity)
    found = certify(back.centers.centers, back.similarity).to_dict()
    assert back.record["certificate"] == found
    assert found["semantic_loss"] is not None


def test_the_ablation_without_semantics_trains_no_classifier(run, epochs_done):
    model = run("shc", "frozen", head="linear", method_options={"centers": "distance"})
    assert model.similarity is None
    assert model.record["classifier"] is None
    assert {stage for stage, _ in epochs_done} == {"Training shc"}


def test_centers_follow_a_similarity_that_is_given(frozen):
    for alike, other in ((1, 2), (2, 1)):
        similarity = np.full((3, 3), -0.5)
        similarity[0, alike] = similarity[alike, 0] = 0.5
        np.fill_diagonal(similarity, 1)
        signs = planned(frozen, similarity=similarity).centers().centers.astype(int)
        assert signs[0] @ signs[alike] > signs[0] @ signs[other]


def test_prototypes_need_a_pretrained_backbone(run):
    assert run("shc", "frozen", head="linear", method_options={"similarity": "prototypes"}).similarity is not None
    with pytest.raises(InputError, match="features of a backbone with random weights say nothing of classes"):
        run("shc", "scratch", method_options={"similarity": "prototypes"})


def test_a_class_with_one_training_image(run):
    labels = tiny_labels()
    keep = np.r_[:21]  # ten, ten, and one of the third class
    dataset = dataset_of(tiny_pixels(labels)[keep], labels[keep], ("a", "b", "c"))
    split = make_split(dataset)
    assert dataset.labels[split.train].sum(axis=0)[2] == 1
    for method in ("shc", "mds", "orthohash"):
        model = run(method, data=dataset, split=split)
        assert all(bool(torch.isfinite(value).all()) for value in model.network.state_dict().values())


@pytest.mark.parametrize("method", ["shc", "mds", "orthohash", "csq"])
def test_one_bit_gives_a_finite_model_of_two_classes(run, method):
    dataset = tiny_dataset(n_classes=2)
    model = run(method, data=dataset, n_bits=1)
    assert model.encode_dataset(dataset).outputs.shape == (20, 1)
    assert np.isfinite(model.encode_dataset(dataset).outputs).all()


@pytest.mark.parametrize(("given", "match"), [
    ({"similarity": np.eye(4)}, "the similarity has 4 classes, but 3 are expected"),
    ({"similarity": np.full((3, 3), np.nan)}, "a similarity must be finite"),
    ({"centers": np.ones((3, 8))}, r"centers must have the shape \(3, 12\), not \(3, 8\)"),
    ({"centers": np.zeros((3, 12))}, "centers must be -1 or \\+1 in every bit"),
    ({"similarity": np.eye(3) - 0.5, "centers": np.ones((3, 12))}, "not both"),
    ({"method": "csq", "similarity": np.eye(3)}, "the centers of csq follow no similarity"),
    ({"method": "crh", "centers": np.ones((3, 12))}, "crh changes its centers while it trains and takes none"),
    ({"method": "itq", "centers": np.ones((3, 12))}, "itq takes neither a similarity nor centers"),
])  # fmt: skip
def test_given_stages_that_do_not_fit_are_refused(given, match):
    dataset = tiny_dataset()
    options = TrainOptions(image_size=8, device="cpu")
    with pytest.raises(InputError, match=match):
        plan(dataset, tiny_split(dataset), **({"method": "shc", "n_bits": 12, "options": options} | given))


BASELINE = {name: getattr(TrainOptions(), name) for name in UNUSED + UNUSED_BY_PROJECTIONS}


@pytest.mark.parametrize("multi_label", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_gives_a_finite_model_that_is_saved_and_comes_back(run, tmp_path, name, multi_label):
    dataset = tiny_dataset(multi_label=multi_label)
    model = run(name, "frozen", multi_label=multi_label, n_bits=5, **BASELINE)
    assert (model.method, model.record["schedule"], model.record["history"]) == (name, {"epochs": 0}, [])
    assert 0 < model.record["validation_map"] <= 1
    classifier = model.record["classifier"]
    assert (classifier is not None) == (name == "label")
    assert classifier is None or 0 < classifier["accuracy"]["validation"] <= 1
    assert model.centers.centers.shape == (3, 5)
    model.save(tmp_path / "a.model")
    back = load_model(tmp_path / "a.model")
    assert back.model_id == model.model_id
    outputs = back.encode_dataset(dataset).outputs
    assert outputs.shape == (30, 5)
    assert np.array_equal(outputs, model.encode_dataset(dataset).outputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
def test_a_seed_decides_every_bit_of_a_baseline(run, name):
    model = run(name, "frozen", n_bits=5, **BASELINE)
    assert_same(model, run(name, "frozen", n_bits=5, **BASELINE))
    assert (run(name, "frozen", n_bits=5, seed=9, **BASELINE).model_id == model.model_id) == (name == "pca")


@pytest.mark.parametrize("name", [name for name, baseline in BASELINES.items() if not baseline.needs_labels])
def test_images_without_labels_are_enough_for_what_needs_none(run, name):
    pixels = tiny_pixels(tiny_labels())
    dataset = dataset_of(pixels, np.zeros((30, 0), np.bool_), ())
    split = make_split(dataset)
    assert (split.sizes(), split.recipe["protocol"]) == (
        {"train": 30, "validation": 0, "query": 0, "database": 30}, "unlabelled",
    )  # fmt: skip
    model = run(name, "frozen", data=dataset, split=split, n_bits=5, **BASELINE)
    assert model.classes == ()
    assert model.centers.centers.shape == (0, 5)
    assert model.record["validation_map"] is None
    assert model.encode_dataset(dataset).outputs.shape == (30, 5)


@pytest.mark.parametrize("name", ["crh", "shc", "label"])
def test_images_without_labels_are_too_little_for_the_others(run, name):
    dataset = dataset_of(tiny_pixels(tiny_labels()), np.zeros((30, 0), np.bool_), ())
    with pytest.raises(
        TrainingError, match=r"at least 2 classes, and tiny has 0.*needs none \(itq, pca, random, cimon\)"
    ):
        run(name, "frozen", data=dataset, split=make_split(dataset), **BASELINE)


@pytest.mark.parametrize(("given", "match"), [
    ({"epochs": 5}, "itq trains no hash network, so epochs would do nothing"),
    ({"learning_rate": 0.1}, "so learning_rate would do nothing"),
    ({"batch_size": 8}, "so batch_size would do nothing"),
    ({"views": 2}, "so views would do nothing"),
    ({"select": "last"}, "so select would do nothing"),
    ({"validate_every": 1}, "so validate_every would do nothing"),
    ({"dropout": 0.1}, "so dropout would do nothing"),
    ({"augment": "none"}, "so augment would do nothing"),
    ({"precision": "bfloat16"}, "so precision would do nothing"),
    ({"head": "hidden"}, "the head of itq has no hidden layer to train"),
])  # fmt: skip
def test_options_that_a_baseline_would_not_use_are_refused(run, given, match):
    with pytest.raises(InputError, match=match):
        run("itq", "frozen", **(BASELINE | given))


def test_a_head_that_is_not_finite_is_never_a_model(run):
    def broken(material, n_bits, options, rng):
        fitted = BASELINES["random"].fit(material, n_bits, options, rng)
        torch.nn.init.constant_(fitted.head.layers[0].bias, float("nan"))
        return fitted

    with pytest.raises(TrainingError, match="the head that random made is not finite; no model was saved"):
        run(replace(BASELINES["random"], fit=broken), "frozen", **BASELINE)


def test_baselines_are_for_frozen_features(run):
    with pytest.raises(InputError, match="itq makes codes of frozen features, and this run is scratch"):
        run("itq", "scratch", **BASELINE)


def test_centers_of_projections_are_the_majority_signs_of_each_class(run):
    dataset = tiny_dataset()
    model = run("random", "frozen", n_bits=5, **BASELINE)
    rows = model.split.train
    signs = np.where(model.encode_dataset(dataset, rows).outputs >= 0, 1, -1)
    for number in range(3):
        votes = signs[dataset.labels[rows, number]].sum(axis=0)
        decided = votes != 0
        assert np.array_equal(model.centers.centers[number][decided], np.sign(votes)[decided])


def test_the_record_of_crh_says_how_its_centers_moved(run, frozen):
    model = run("crh", "frozen", head="linear", epochs=4)
    history = model.record["history"]
    assert {"centers_changed", "center_distance_min", "center_distance_mean", "center_correlation"} <= set(history[0])
    features = plan_features(model, frozen)
    reference = features @ features.T
    state = model.centers.centers
    last = history[model.record["selected_epoch"] - 1]
    assert last["center_correlation"] == pytest.approx(similarity_correlation(state, reference), abs=1e-6)
    assert "center_correlation" not in run("crh", "scratch").record["history"][0]
    assert "center_distance_min" not in run("csq", "frozen", head="linear").record["history"][0]


def plan_features(model, frozen):
    """Return the mean of each class's features of length 1, of length 1."""
    dataset = tiny_dataset()
    setup = plan(dataset, tiny_split(dataset), options=options_of(model, frozen)).context
    features = setup.train_features(silent).astype(float)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labels = dataset.labels[model.split.train]
    means = np.stack([features[labels[:, number]].mean(axis=0) for number in range(3)])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def test_the_reference_of_center_correlation_weighs_labels_and_images_as_the_paper_does():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(12, 5)).astype(np.float32), np.eye(4, dtype=bool)[np.arange(12) % 4]
    labels[::2, 1] = True
    means = []
    for number in range(4):
        total = np.zeros(5)
        for row, own in zip(features.astype(float), labels, strict=True):
            total += own[number] / own.sum() * row / np.linalg.norm(row)
        means.append(total / np.linalg.norm(total))
    found = reference_similarity(features, labels)
    np.testing.assert_allclose(found, np.array(means) @ np.array(means).T, atol=1e-12)
    centers = np.array([[1, 1, 1, 1], [1, 1, 1, -1], [1, -1, 1, 1], [-1, -1, 1, 1]])
    products, pairs = centers @ centers.T / 4, np.triu_indices(4, 1)
    expected = np.corrcoef(products[pairs], found[pairs])[0, 1]
    assert similarity_correlation(centers, found) == pytest.approx(expected, rel=1e-10)
    assert similarity_correlation(centers, 0.3 + 0.5 * products) == pytest.approx(1)  # an increasing line of them
    order = [2, 0, 3, 1]
    assert similarity_correlation(centers[order], found[order][:, order]) == pytest.approx(expected, rel=1e-10)
    assert reference_similarity(features, labels[:, :2] | ~labels[:, :2].any(axis=1, keepdims=True)) is None


def test_find_method_knows_methods_and_baselines():
    assert find_method("itq") is BASELINES["itq"]
    with pytest.raises(InputError, match=r"unknown method 'orthohsh'.*Did you mean 'orthohash'\?"):
        find_method("orthohsh")


@pytest.mark.parametrize(
    ("method", "more"),
    [("shc", {}), ("ech", {}), ("csq", {"regime": "two-step", "epochs": 2})],
    ids=lambda one: str(one),
)
def test_what_the_cache_cannot_keep_of_a_stage_is_said_and_made_all_the_same(frozen, tmp_path, method, more):
    dataset = tiny_dataset()
    options = replace(frozen, head="hidden", **more)
    given = {"method": method, "n_bits": 8, "options": options}
    expected = train(dataset, tiny_split(dataset), cache=tmp_path / "kept", **given)
    assert list((tmp_path / "kept" / "stages").iterdir())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "stages").touch()  # a file where the folder would be
    with pytest.warns(
        UserWarning, match=r"stages: .*, so this is not kept in the cache and is made anew next time; make"
    ):
        assert_same(train(dataset, tiny_split(dataset), cache=tmp_path / "full", **given), expected)


def test_features_that_the_cache_cannot_keep_end_the_run_with_what_to_do(frozen, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(feature_cache_module, "write_checked", full)
    dataset = tiny_dataset()
    with pytest.raises(OSError, match="No space left") as told:
        train(dataset, tiny_split(dataset), method="csq", n_bits=8, options=frozen, cache=tmp_path)
    (note,) = told.value.__notes__
    assert note.startswith(
        "(Features are read from the cache as they are needed: make room, or name another cache folder"
    )
