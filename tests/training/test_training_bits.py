"""Quality against length on frozen features: the share of the float cosine, and lengths that cannot be."""

from dataclasses import replace

import numpy as np
import pytest

from nearbit.bits import length_curve
from nearbit.errors import InputError
from nearbit.metrics.cosine import cosine_average_precision
from nearbit.model.bundle import Model
from nearbit.progress import silent
from nearbit.training import plan
from nearbit.training.runs.method_run import TrainingRun
from tiny_data import tiny_dataset, tiny_split


@pytest.mark.parametrize("searched", ["train", "validation"])
def test_the_share_is_that_of_the_features_on_the_same_images(frozen, feature_cache, searched):
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    if searched == "train":
        split = replace(split, database=split.train)  # else there is no share
    options = replace(frozen, validate_against=searched)
    curve = length_curve(dataset, split, [4, 2], method="itq", options=_closed(options), cache=feature_cache)
    assert curve.searched == searched
    assert [figure.n_bits for figure in curve.figures] == [2, 4]
    features = _features(dataset, split, options, feature_cache)
    values = []
    for row in split.validation.tolist():
        others = np.array([other for other in getattr(split, searched).tolist() if other != row])
        if (dataset.labels[others] & dataset.labels[row]).any():
            found = cosine_average_precision(
                features[[row]], dataset.labels[[row]], features[others], dataset.labels[others]
            )
            values.append(found[0])
    assert curve.float_map == pytest.approx(np.mean(values), abs=1e-6)
    for figure in curve.figures:
        assert figure.kept_share == pytest.approx(figure.validation_map / curve.float_map)


def test_images_learnt_by_heart_tell_no_share(frozen, feature_cache):
    dataset = tiny_dataset()
    options = _closed(replace(frozen, validate_against="train"))
    curve = length_curve(dataset, tiny_split(dataset), [4, 2], method="itq", options=options, cache=feature_cache)
    assert curve.searched == "train"
    assert curve.float_map is None
    assert [figure.kept_share for figure in curve.figures] == [None, None]
    assert all(figure.validation_map > 0 for figure in curve.figures)


def test_auto_chooses_once_and_its_method_is_trained_at_the_other_lengths(frozen, feature_cache):
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    options = replace(frozen, epochs=2)
    curve = length_curve(dataset, split, [2, 4], options=options, cache=feature_cache)
    run = plan(dataset, split, n_bits=4, options=options, cache=feature_cache)
    chosen = run.train(None, silent)
    assert curve.method == chosen.method
    assert curve.figures[1].validation_map == chosen.record["validation_map"]
    other = run.planned(run.context, 2, chosen.method).train(None, silent)
    assert curve.figures[0].validation_map == other.record["validation_map"]


def test_lengths_that_the_method_cannot_have_are_named(frozen, feature_cache):
    dataset = tiny_dataset()
    options = _closed(frozen)
    curve = length_curve(dataset, tiny_split(dataset), [4, 4000], method="itq", options=options, cache=feature_cache)
    assert [figure.n_bits for figure in curve.figures] == [4]
    assert "take fewer bits" in curve.refused[4000]
    with pytest.raises(InputError, match="itq can be trained at none of these lengths"):
        length_curve(dataset, tiny_split(dataset), [4000], method="itq", options=options, cache=feature_cache)


def _closed(options):
    from nearbit.methods import ITQ
    from nearbit.training.runs.baseline import useful_options

    return useful_options(ITQ, options)


def _features(dataset, split, options, cache):
    from nearbit.training import train

    model: Model = train(dataset, split, method="itq", n_bits=2, options=_closed(options), cache=cache)
    return model.encode_dataset(dataset, keep_features=True).features


@pytest.mark.parametrize("method", ["csq", "auto"])
def test_what_was_interrupted_goes_on_from_checkpoints_in_the_cache(frozen, feature_cache, monkeypatch, method):
    dataset, given = tiny_dataset(), []
    options, train = replace(frozen, epochs=1), TrainingRun.train

    def interrupted(run, checkpoint, *more):
        given.append(checkpoint)
        (checkpoint / "of an epoch").touch()
        if len(given) == 3:
            raise KeyboardInterrupt("pressed")
        return train(run, checkpoint, *more)

    monkeypatch.setattr(TrainingRun, "train", interrupted)
    with pytest.raises(KeyboardInterrupt, match="pressed"):
        length_curve(dataset, tiny_split(dataset), [2, 3, 4], method=method, options=options, cache=feature_cache)
    folder = feature_cache / "checkpoints"
    assert {path.relative_to(folder).parts[0] for path in given} == {path.name for path in folder.iterdir()}
    assert (given[0] / "of an epoch").exists(), "what is done is gone on with too: no model is kept"
    length_curve(dataset, tiny_split(dataset), [2, 3, 4], method=method, options=options, cache=feature_cache)
    assert given[3:6] == given[:3]
    assert list(folder.iterdir()) == []


def test_a_cache_that_cannot_be_written_keeps_no_checkpoints(frozen, feature_cache, monkeypatch):
    (feature_cache / "checkpoints").touch()
    dataset = tiny_dataset()
    curve = length_curve(
        dataset, tiny_split(dataset), [4], method="csq", options=replace(frozen, epochs=1), cache=feature_cache
    )
    assert len(curve.figures) == 1
