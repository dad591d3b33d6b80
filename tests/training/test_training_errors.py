"""What cannot be trained is refused with the reason before anything is computed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nearbit.datasets import Split
from nearbit.errors import DataError, InputError, TrainingError
from nearbit.methods import CSQ
from nearbit.training import TrainOptions, plan, train
from tiny_data import dataset_of, tiny_dataset, tiny_labels, tiny_pixels, tiny_split

TINY = TrainOptions(image_size=8, epochs=2, batch_size=8, device="cpu")


def split_of(dataset, train_rows, validation=()):
    return Split(
        train=np.array(train_rows, np.int64), validation=np.array(validation, np.int64), query=np.empty(0, np.int64),
        database=np.empty(0, np.int64), dataset=dataset.name, recipe={}, digests=dataset.digests, keys=dataset.keys,
        fingerprint=dataset.fingerprint,
    )  # fmt: skip


@pytest.mark.parametrize("method", ["crh", "csq"])
def test_a_diverged_loss_is_an_error_that_names_the_epoch_and_the_rate(run, method):
    with pytest.raises(TrainingError, match=r"(loss|gradient) became .* in epoch \d+.*learning rate.*1e\+30"):
        run(method, learning_rate=1e30, epochs=8, weights=None)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda outputs: (0 * outputs).sum() + float("inf"), "the loss became inf in epoch 1"),
        (lambda outputs: (0 * outputs).sqrt().sum(), "a gradient became nan in epoch 1"),
    ],
)
def test_a_loss_and_a_gradient_are_checked_each_for_itself(run, loss, message):
    method = replace(CSQ, loss=lambda outputs, *rest: loss(outputs))
    with pytest.raises(TrainingError, match=message):
        run(method)


def test_too_little_memory_on_a_device_is_an_error_that_says_what_to_lower(run):
    def greedy(*given):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(InputError, match=r"too little memory for batches of 8 images; lower the batch size"):
        run(replace(CSQ, loss=greedy))


def test_a_class_without_training_images_is_named():
    dataset = tiny_dataset()
    with pytest.raises(TrainingError, match=r"1 of 3 classes have no training image .*'c'.*make another split"):
        plan(dataset, split_of(dataset, range(20), (25,)), n_bits=12, options=TINY)


def test_one_class_is_too_few():
    labels = tiny_labels(n_classes=1)
    dataset = dataset_of(tiny_pixels(labels), labels, ("only",))
    with pytest.raises(TrainingError, match="at least 2 classes, and tiny has 1"):
        plan(dataset, split_of(dataset, range(8), (9,)), n_bits=12, options=TINY)


def test_one_training_image_is_too_few():
    labels = np.ones((3, 2), np.bool_)
    dataset = dataset_of(tiny_pixels(labels), labels, ("a", "b"))
    with pytest.raises(TrainingError, match="at least 2 training images, and the split has 1"):
        plan(dataset, split_of(dataset, [0], (1,)), n_bits=12, options=TINY)


def test_training_images_need_labels():
    labels = tiny_labels()
    pixels = tiny_pixels(labels)
    labels[0] = False
    dataset = dataset_of(pixels, labels, ("a", "b", "c"))
    with pytest.raises(TrainingError, match="needs at least one label"):
        plan(dataset, split_of(dataset, range(30)), n_bits=12, options=replace(TINY, select="last"))


def test_selection_needs_validation_images_and_last_does_not():
    dataset = tiny_dataset()
    split = tiny_split(dataset, validation=None)
    with pytest.raises(
        InputError,
        match=r"best epoch is chosen on validation images with labels, and .* none.*--select last",
    ):
        plan(dataset, split, n_bits=12, options=TINY)
    model = train(dataset, split, n_bits=12, options=replace(TINY, select="last"))
    assert model.record["validation_map"] is None
    assert model.record["selected_epoch"] == 2


def unlabelled_validation():
    """Return a data set, and a split of it that somebody made, whose validation images have no labels."""
    labels = tiny_labels()
    labels[-3:] = False
    dataset = dataset_of(tiny_pixels(tiny_labels()), labels, ("a", "b", "c"))
    return dataset, split_of(dataset, range(27), (27, 28, 29))


def test_validation_images_without_labels_choose_nothing(frozen):
    dataset, split = unlabelled_validation()
    for options, message in (
        (TINY, "the best epoch is chosen on validation images with labels"),
        (replace(TINY, patience=2), "the best epoch is chosen on validation images with labels"),
        (replace(frozen, select="last"), "the head 'auto' is chosen on validation images with labels"),
        (replace(TINY, regime="two-step"), "the epoch of the backbone is chosen on validation images with labels"),
    ):
        with pytest.raises(InputError, match=f"{message}, and the split has none: make a split with such, or "):
            plan(dataset, split, n_bits=12, options=options, method="crh")
    with pytest.raises(InputError, match="patience ends training by what validation says"):
        plan(dataset, split, n_bits=12, options=replace(TINY, patience=2), method="cimon")
    assert plan(dataset, split, n_bits=12, options=replace(TINY, select="last"), method="crh").patience == 0


def test_head_auto_on_frozen_features_needs_validation_images(frozen):
    dataset = tiny_dataset()
    options = replace(frozen, select="last")
    with pytest.raises(
        InputError,
        match=r"head 'auto' is chosen on validation images with labels, and .*choose linear",
    ):
        plan(dataset, tiny_split(dataset, validation=None), n_bits=12, options=options, method="crh")


def test_a_head_on_frozen_features_needs_no_validation_images_where_the_last_epoch_is_kept(run):
    model = run("csq", "frozen", split=tiny_split(tiny_dataset(), validation=None), select="last", head="linear")
    assert (model.record["n_validation"], model.record["validation_map"]) == (0, None)


def test_a_split_of_other_images_is_refused():
    dataset = tiny_dataset()
    with pytest.raises(DataError, match="not those that the split was made for"):
        plan(dataset, tiny_split(tiny_dataset(seed=5)), n_bits=12, options=TINY)


def test_an_image_that_cannot_be_read_any_more_is_named():
    dataset = tiny_dataset()

    class Broken:
        def __len__(self):
            return len(dataset)

        def read(self, row, at_least=None):
            from nearbit.errors import ImageError

            raise ImageError("no such file")

    broken = replace(dataset, source=Broken())
    with pytest.raises(TrainingError, match=r"a training image cannot be read any more: tiny/\d+: no such file"):
        train(broken, tiny_split(broken), n_bits=12, options=TINY)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"epochs": 2.5}, "epochs must be a whole number of at least 1, not 2.5"),
        ({"epochs": True}, "epochs must be a whole number"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"image_size": -8}, "image_size must be a whole number"),
        ({"validate_every": 0}, "validate_every must be a whole number"),
        ({"hidden": 0}, "hidden must be a whole number"),
        ({"views": 0}, "views must be a whole number"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0, not 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0, not nan"),
        ({"learning_rate": float("inf")}, "learning_rate must be a number above 0, not inf"),
        ({"learning_rate": -1}, "learning_rate must be a number above 0, not -1"),
        ({"dropout": 1.0}, "dropout must be a number of at least 0 and below 1, not 1.0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"regime": "cold"}, "regime must be one of auto, frozen, fine-tuned, two-step, not 'cold'"),
        ({"head": "deep"}, "head must be one of auto, linear, hidden, not 'deep'"),
        ({"select": "query"}, "select must be one of validation, last, not 'query'"),
        ({"augment": "mirror"}, "augment must be one of auto, none, crop, "),
    ],
)
def test_an_option_out_of_range_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        TrainOptions(**values)


def test_a_misspelt_option_is_refused():
    with pytest.raises(InputError, match=r"TrainOptions has no option 'epoch'.* Did you mean 'epochs'"):
        TrainOptions(epoch=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"regime": "frozen"}, "frozen features of a backbone with random weights mean nothing"),
        ({"views": 2}, "cached views are for frozen features, and this run is scratch"),
        ({"backbone": "smal"}, "Did you mean 'small'"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not there"),
        ({"device": "gpu"}, "device 'gpu' is not there"),
    ],
)
def test_an_option_that_does_not_fit_the_run_is_refused(values, message):
    dataset = tiny_dataset()
    with pytest.raises(InputError, match=message):
        plan(dataset, tiny_split(dataset), n_bits=12, options=replace(TINY, **values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"augment": "crop"}, "augmented only in views above 1, so augment 'crop' would do nothing"),
        ({"augment": "none", "views": 2}, "all views but the first are augmented"),
    ],
)
def test_augmentation_that_frozen_features_would_not_use_is_refused(run, values, message):
    with pytest.raises(InputError, match=message):
        run("csq", "frozen", **values)


def test_methods_bits_and_their_options_are_checked():
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    with pytest.raises(InputError, match=r"unknown method 'chr'; known: crh, shc, .*, sslh\. Did you mean 'crh'"):
        plan(dataset, split, method="chr", options=TINY)
    with pytest.raises(InputError, match=r"crh has no option 'margn'.*Did you mean 'margin'"):
        plan(dataset, split, method_options={"margn": 1}, options=TINY)
    with pytest.raises(InputError, match="n_bits must be a whole number of at least 1, not 0"):
        plan(dataset, split, n_bits=0, options=TINY)
