"""One more class for a model: what stays to the last bit, what moves, against least squares by plain numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model_makers import model_of_far_centers, random_model
from nearbit.centers import CenterState, min_distance_of
from nearbit.codes import signs_of
from nearbit.datasets import make_split
from nearbit.errors import DataError, IndexFileError, InputError
from nearbit.evaluation import evaluate
from nearbit.index import create_index, open_index
from nearbit.model.add_class import RIDGE, add_class
from nearbit.model.bundle import load_model
from nearbit.networks import HashNetwork, Head
from nearbit.training import TrainOptions, train
from tiny_data import dataset_of, tiny_dataset, tiny_pixels

ROWS = np.arange(30, 36)
OPTIONS = TrainOptions(image_size=8, epochs=8, batch_size=8, learning_rate=0.005, device="cpu")


@pytest.fixture(scope="module")
def dataset():
    return tiny_dataset(n_classes=4)


@pytest.fixture(scope="module", params=["crh", "orthohash"])
def model(request, dataset):
    """A model of the classes a, b and c; its head is linear, with batch normalisation for orthohash."""
    split = make_split(dataset, protocol="unseen@all", unseen=["d"])
    return train(dataset, split, method=request.param, n_bits=24, options=OPTIONS)


def added_to(model, dataset, **given):
    return add_class(model, dataset, name="d", rows=ROWS, device="cpu", **given)


def outputs_of(model, dataset):
    return model.encode_dataset(dataset, device="cpu").outputs


def test_without_images_to_keep_the_network_stays(model, dataset, tmp_path):
    added = added_to(model, dataset)
    assert added.model.model_id == model.model_id
    np.testing.assert_array_equal(outputs_of(added.model, dataset), outputs_of(model, dataset))
    assert (added.n_images, added.n_kept, added.kept_bits) == (6, 0, None)
    assert added.nearest == added.nearest_before
    assert added.model.record["validation_map"] == model.record["validation_map"]
    assert model.classes == ("a", "b", "c")
    assert len(model.centers.centers) == 3


def test_blanks_around_the_name_fall_away(model, dataset):
    assert add_class(model, dataset, name=" d ", rows=ROWS, device="cpu").model.classes[-1] == "d"
    with pytest.raises(InputError, match="has the class 'a' already"):
        add_class(model, dataset, name="a ", rows=ROWS, device="cpu")


@pytest.mark.parametrize("rows", [[10**6], [-1], [1.5, 2.0], [[0]]])
def test_rows_that_are_none_are_refused(model, dataset, rows):
    with pytest.raises(InputError, match="rows must "):
        add_class(model, dataset, name="new", rows=rows, device="cpu")
    with pytest.raises(InputError, match="rows must "):
        model.encode_dataset(dataset, rows, device="cpu")


def test_the_new_center_keeps_the_distance_of_the_others_or_says_so(model, dataset):
    added = added_to(model, dataset)
    centers = added.model.centers.centers
    assert added.model.classes == ("a", "b", "c", "d")
    np.testing.assert_array_equal(centers[:3], model.centers.centers)
    assert added.center_distance == int((centers[3] != centers[:3]).sum(axis=1).min())
    before = min_distance_of(model.centers.centers)
    assert (added.model_distance, min_distance_of(centers)) == (before, min(before, added.center_distance))
    assert (added.warning is None) == (added.center_distance >= before)
    assert added.model.record["certificate"]["n_classes"] == 4
    nearer = added_to(model, dataset, min_distance=1)
    mean = outputs_of(model, dataset)[ROWS].mean(axis=0)
    assert nearer.model.centers.centers[3] @ mean >= centers[3] @ mean


def test_a_saved_model_opens_with_its_new_class(model, dataset, tmp_path):
    added = added_to(model, dataset, keep=dataset).model
    added.save(tmp_path / "new.model")
    back = load_model(tmp_path / "new.model")
    assert (back.classes, back.model_id) == (added.classes, added.model_id)
    np.testing.assert_array_equal(back.centers.centers, added.centers.centers)
    assert (back.centers.codebook, back.centers.assignment, back.similarity) == (None, None, None)
    np.testing.assert_array_equal(outputs_of(back, dataset), outputs_of(added, dataset))
    assert "run_key" in model.record
    assert "run_key" not in back.record


def test_with_images_to_keep_the_class_reaches_its_center_and_the_others_stay(model, dataset):
    added = added_to(model, dataset, keep=dataset)
    assert added.model.model_id != model.model_id
    assert added.n_kept == len(model.split.train)
    before, after = outputs_of(model, dataset), outputs_of(added.model, dataset)
    word = added.model.centers.centers[3]
    reached = [(signs_of(outputs[ROWS]) == word).mean() for outputs in (before, after)]
    assert reached[1] >= max(reached[0], 0.9)
    same = signs_of(before)[model.split.train] == signs_of(after)[model.split.train]
    assert added.kept_bits == pytest.approx(same.mean(), abs=1e-12)
    assert added.kept_bits > 0.9
    assert added.nearest >= added.nearest_before
    assert added.model.record["validation_map"] is None
    assert {name: value.tolist() for name, value in model.network.head.state_dict().items()} != {
        name: value.tolist() for name, value in added.model.network.head.state_dict().items()
    }


def test_the_last_layer_is_that_of_weighted_ridge_regression(dataset):
    """By gradients: at the solution the derivative of the loss, written down anew, is zero."""
    model = replace(random_model(n_bits=24), centers=CenterState(centers=np.ones((1, 24), np.int8),
                    tie_break=np.ones(24, np.int8)), classes=("a",))  # fmt: skip
    old_rows = model.split.train
    added = added_to(model, dataset_of(dataset.source.pixels, dataset.labels, dataset.classes), keep=tiny_dataset())
    pixels = torch.from_numpy(np.stack([model.preprocessing.apply(dataset.source.read(row)) for row in ROWS]))
    tiny = tiny_dataset()
    old = torch.from_numpy(np.stack([model.preprocessing.apply(tiny.source.read(row)) for row in old_rows]))
    with torch.no_grad():
        new, old = model.network.backbone(pixels).double(), model.network.backbone(old).double()
    layer, moved = model.network.head.layers[0], added.model.network.head.layers[0]
    joined = [torch.cat([one.weight, one.bias[:, None]], dim=1).detach().double() for one in (layer, moved)]
    new, old = (torch.cat([part, torch.ones(len(part), 1)], dim=1) for part in (new, old))
    word = torch.from_numpy(added.model.centers.centers[1]).double() * (old @ joined[0].T).abs().mean()
    weight = len(old) / 1 / len(new)
    trace = (old**2).sum() + weight * (new**2).sum()
    change = (joined[1] - joined[0]).requires_grad_()
    loss = ((old @ change.T) ** 2).sum() + weight * ((new @ (joined[0] + change).T - word) ** 2).sum()
    loss = loss + RIDGE * trace / new.shape[1] * (change**2).sum()
    loss.backward()
    scale = ((new @ joined[0].T - word) * weight).abs().mean() * new.abs().mean() * len(new)
    assert float(change.grad.abs().max()) < 1e-3 * float(scale)


def test_an_index_of_the_model_fits_unless_the_codes_changed(model, dataset, tmp_path):
    path = tmp_path / "a.index"
    create_index(path, n_bits=24, model_id=model.model_id).close()
    open_index(path, model_id=added_to(model, dataset).model.model_id).close()
    with pytest.raises(IndexFileError, match="codes of different models cannot be compared"):
        open_index(path, model_id=added_to(model, dataset, keep=dataset).model.model_id)


def test_a_second_class_keeps_the_images_of_the_first(model, dataset):
    first = added_to(model, dataset, keep=dataset).model
    more = dataset_of(tiny_pixels(np.eye(4, dtype=np.bool_)[:4], seed=5)[:3], np.zeros((3, 0), np.bool_), ())
    second = add_class(first, more, name="e", keep=dataset, device="cpu")
    assert second.n_kept == len(model.split.train) + len(ROWS)
    assert second.model.classes == ("a", "b", "c", "d", "e")
    assert [event["name"] for event in second.model.record["added_classes"]] == ["d", "e"]
    assert [event["kept_images"] for event in second.model.record["added_classes"]] == [18, 24]


@pytest.mark.parametrize("n_bits", [12, 24])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_class_beside_centers_that_leave_no_room_is_added_and_the_answer_says_so(dataset, n_classes, n_bits):
    """A word's distances to all centers add up to n_classes * n_bits / 2, so that the least is n_bits / 2 at most."""
    model = model_of_far_centers(n_classes, n_bits)
    before = min_distance_of(model.centers.centers)
    images = dataset_of(dataset.source.pixels[30:], np.zeros((10, 0), np.bool_), ())
    added = add_class(model, images, name="new", device="cpu")
    assert added.model_distance == before == n_bits * (3 if n_classes == 2 else 2) // 3
    assert n_bits // 2 - 2 <= added.center_distance <= n_bits // 2 < before
    if n_bits <= 16:
        assert added.center_distance == n_bits // 2, "all words are looked at"
    assert added.warning.startswith(f"the center of 'new' is {added.center_distance} bits from that of ")
    assert f"the others {before} or more from each other" in added.warning
    assert "may be confused" in added.warning
    with pytest.raises(InputError, match=f"the farthest is {added.center_distance}"):
        add_class(model, images, name="new", min_distance=before, device="cpu")
    again = add_class(added.model, images, name="newer", device="cpu")
    assert (again.model_distance, len(again.model.classes)) == (added.center_distance, n_classes + 2)
    asked = add_class(model, images, name="new", min_distance=1, device="cpu")
    assert (asked.model_distance, asked.warning) == (before, None)


def test_queries_that_a_class_was_added_by_are_counted(model, dataset):
    queries = model.split.query
    added = add_class(model, dataset, name="d", rows=queries[:1], device="cpu").model
    assert evaluate(model, dataset, device="cpu").queries_seen_in_training == 0
    assert evaluate(added, dataset, device="cpu").queries_seen_in_training == 1


def test_images_with_labels_are_those_of_the_class(model, dataset):
    by_name = add_class(model, dataset, name="d", device="cpu")
    assert by_name.n_images == 10
    no_labels = dataset_of(dataset.source.pixels[30:], np.zeros((10, 0), np.bool_), ())
    plain = add_class(model, no_labels, name="dove", device="cpu")
    assert plain.n_images == 10
    np.testing.assert_array_equal(plain.model.centers.centers, by_name.model.centers.centers)
    birds = replace(dataset, classes=("crow", "wren", "robin", "dove"))
    with pytest.raises(DataError, match=r"have labels, and none is 'wern'.*Did you mean 'wren'\?"):
        add_class(model, birds, name="wern", device="cpu")


def test_images_to_keep_without_any_that_was_trained_on_are_all_but_the_new_ones(model, dataset):
    other = tiny_dataset(n_classes=4, seed=9)
    assert added_to(model, dataset, keep=other).n_kept == 30
    none = replace(model, split=None)
    assert added_to(none, dataset, keep=dataset).n_kept == 30
    assert add_class(none, dataset, name="x", rows=ROWS, keep=dataset, device="cpu").n_kept == 34
    only = dataset_of(dataset.source.pixels[30:], dataset.labels[30:], dataset.classes)
    with pytest.raises(DataError, match="tiny holds no images to keep"):
        added_to(none, dataset, keep=only)


def test_one_image_is_enough_and_none_is_not(model, dataset):
    assert add_class(model, dataset, name="d", rows=ROWS[:1], keep=dataset, device="cpu").n_images == 1
    with pytest.raises(DataError, match="none of the 0 images of 'd' can be read"):
        add_class(model, dataset, name="d", rows=ROWS[:0], device="cpu")


def test_classes_that_cannot_be_added(model, dataset):
    with pytest.raises(InputError, match="has the class 'a' already"):
        add_class(model, dataset, name="a", device="cpu")
    with pytest.raises(InputError, match="needs a name"):
        add_class(model, dataset, name=" ", device="cpu")
    with pytest.raises(InputError, match="cannot be kept: it has half of a surrogate"):
        add_class(model, dataset, name="bad\udc80", device="cpu")
    with pytest.raises(InputError, match="25 bits from all 3 centers; the farthest is"):
        added_to(model, dataset, min_distance=25)
    no_centers = replace(model, classes=(), centers=CenterState(centers=np.empty((0, 24), np.int8),
                         tie_break=np.ones(24, np.int8)))  # fmt: skip
    with pytest.raises(InputError, match="has no centers to add one to"):
        added_to(no_centers, dataset)


def test_a_label_code_takes_a_center_but_no_other_layer(model, dataset):
    head = Head(model.network.backbone.spec.feature_dim, 24, "label", hidden=3)
    label = replace(model, network=HashNetwork(model.network.backbone, head), head=head.spec)
    assert added_to(label, dataset).model.classes == ("a", "b", "c", "d")
    with pytest.raises(InputError, match="has no last linear layer"):
        added_to(label, dataset, keep=dataset)
