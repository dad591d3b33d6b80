"""Features and arrays in the place of image files: data sets that train, save, encode, index, evaluate and export."""

from pathlib import Path

import numpy as np
import pytest
import torch

import nearbit as nb
from nearbit.codes import binarize
from nearbit.datasets import FeatureRows
from nearbit.errors import BundleError, DataError, InputError
from nearbit.indexing import index_dataset
from nearbit.model.card import card_of_folder

WIDTH = 10
QUICK = nb.TrainOptions(epochs=3, head="linear", batch_size=16, device="cpu")


def features(n_classes=3, per_class=12, seed=0):
    """Return features in clusters, one a class, and class numbers."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_classes), per_class)
    return (rng.normal(size=(len(y), WIDTH)) + 4 * rng.normal(size=(n_classes, WIDTH))[y]).astype(np.float32), y


X, Y = features()


@pytest.fixture(scope="module")
def trained():
    dataset = nb.from_features(X, Y, classes=["ape", "bee", "cat"])
    return dataset, nb.train(dataset, nb.make_split(dataset), method="csq", n_bits=12, options=QUICK)


def test_a_data_set_of_features_has_their_labels_and_a_digest_of_each():
    dataset = nb.from_features(X, Y)
    assert (len(dataset), dataset.n_classes, dataset.classes) == (36, 3, ("0", "1", "2"))
    assert np.array_equal(dataset.labels, Y[:, None] == np.arange(3))
    assert len(set(dataset.digests)) == 36
    assert dataset.digests == nb.from_features(X.astype(np.float64), Y).digests
    changed = X.copy()
    changed[5, 3] += 1
    other = nb.from_features(changed, Y)
    assert [row for row in range(36) if other.digests[row] != dataset.digests[row]] == [5]
    assert other.fingerprint != dataset.fingerprint
    assert nb.from_features(X.reshape(72, 5)).digests[0] != nb.from_features(X).digests[0]


def test_features_are_a_copy_that_nobody_changes():
    given = X.copy()
    dataset = nb.from_features(given, Y)
    given[:] = 0
    assert np.array_equal(dataset.source.features, X)
    with pytest.raises(ValueError, match="read-only"):
        dataset.source.features[0] = 0


@pytest.mark.parametrize(
    "given",
    [
        Y, Y.tolist(), torch.from_numpy(Y), Y[:, None] == np.arange(3), (Y[:, None] == np.arange(3)).astype(np.int64),
        torch.from_numpy(Y[:, None] == np.arange(3)), (Y[:, None] == np.arange(3)).astype(np.float32),
        ["abc"[y] for y in Y], np.array(list("abc"))[Y],
        [["abc"[y]] for y in Y], [[int(y)] for y in Y], Y.astype(np.uint8),
    ],
)  # fmt: skip
def test_labels_may_have_any_usual_form(given):
    dataset = nb.from_features(X, given)
    assert np.array_equal(dataset.labels, Y[:, None] == np.arange(3))


def test_several_labels_none_and_numbers_that_are_missing():
    dataset = nb.from_features(X[:4], [["a", "b"], [], "b", None])
    assert dataset.labels.tolist() == [[True, True], [False, False], [False, True], [False, False]]
    assert nb.from_features(X[:3], [[0, 1], [1], np.array([1, 2])]).labels.tolist() == [
        [True, True, False],
        [False, True, False],
        [False, True, True],
    ]
    assert nb.from_features(X[:3], [7, 2, 7]).classes == ("2", "7")
    assert nb.from_features(X[:3], [2, 0, 2], classes=["x", "y", "z"]).label_names(0) == ("z",)
    assert nb.from_features(X[:2], ["z", "x"], classes=["x", "y", "z"]).labels.tolist() == [
        [False, False, True],
        [True, False, False],
    ]
    assert nb.from_features(X).labels.shape == (36, 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Y[:-1], "for each of 36 rows, came 35"),
        ((Y[:, None] == np.arange(3))[:-1], "for each of 36 rows, came 35"),
        (Y.astype(np.float32), "labels must be class numbers .*not float32"),
        (Y[:, None] * np.ones(3, int), "must be bool, or hold 0 and 1, not int64 of other values"),
        (Y[:, None] * np.full(3, 0.5), "must be bool, or hold 0 and 1, not float64 of other values"),
        (Y[:, None] * np.full(3, np.nan), "must be bool, or hold 0 and 1, not float64 of other values"),
        (np.full((36, 3), "1"), "must be bool, or hold 0 and 1, not <U1"),
        (Path("y.npy"), "not one text; np.load reads"),
        (["a"] * 35 + [3], "not some of each"),
        ([2.5] * 36, r"row 0 has 2.5 \(float\)"),
        ("a" * 36, "not one text"),
        (7, "not int"),
        (np.where(Y == 2, 5, Y), "row 24 has the label 5, which is not among the 3 classes"),
        (-1 * Y - 1, "row 0 has the label -1"),
        (["d"] * 36, "row 0 has the label 'd'"),
        ((Y[:, None] == np.arange(3)).astype(int).tolist(), r"a matrix is given as an array \(np.array\(labels\)\)"),
        ([[1, 0], [0, 1]] * 18, r"a matrix is given as an array \(np.array\(labels\)\)"),
        (list((Y[:, None] == np.arange(3)).astype(int)), r"a matrix is given as an array \(np.array\(labels\)\)"),
        ((Y[:, None] == 1).astype(int), r"labels\[:, 0\] for the first, labels.astype\(bool\) for the second"),
    ],
)
def test_labels_of_another_form_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        nb.from_features(X, given, classes=["a", "b", "c"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (X[0], r"shape \(n, width\), not \(10,\): give one row as X\[None\]"),
        (X[:, :0], r"not \(36, 0\)"),
        (X[None], r"not \(1, 36, 10\)"),
        (X > 0, "real numbers .*not bool"),
        (X.astype(complex), "not complex128"),
        (X.astype(str), "not <U"),
        (np.where(np.arange(WIDTH) == 3, np.nan, X), "36 of 36 rows are not, the first: row 0"),
        (np.where(Y[:, None] == 1, 1e300, X.astype(np.float64)), "12 of 36 rows are not, the first: row 12"),
        ([[1.0, 2.0], [3.0]], "all rows of one length"),
        (np.zeros((0, 3)), "at least one row"),
    ],
)
def test_features_of_another_form_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        nb.from_features(given, None if len(given) != 36 else Y)


@pytest.mark.parametrize("given", [Y - 1, (Y - 1).tolist(), [[0, -1]] * 36])
def test_a_number_below_0_is_no_class_of_its_own(given):
    with pytest.raises(InputError, match=r"row \d has the label -1; .* For a row without a label .* None in its place"):
        nb.from_features(X, given)


@pytest.mark.parametrize("given", ["X.npy", Path("X.npy")])
def test_a_path_is_told_who_reads_it(given):
    with pytest.raises(InputError, match=r"not a path: give what np\.load\('X\.npy'\) reads"):
        nb.from_features(given, "y.npy")


def test_keys_and_classes_must_fit():
    with pytest.raises(InputError, match="one key for each of 36 rows, came 2"):
        nb.from_features(X, Y, keys=["a", "b"])
    with pytest.raises(DataError, match="each key must be unique"):
        nb.from_features(X, Y, keys=["a"] * 36)
    with pytest.raises(InputError, match="2 classes are named, and the matrix of labels has 3 columns"):
        nb.from_features(X, Y[:, None] == np.arange(3), classes=["a", "b"])
    with pytest.raises(InputError, match="classes must be a list of names"):
        nb.from_features(X, Y, classes=[0, 1, 2])


def test_a_model_of_features_encodes_saves_and_opens(trained, tmp_path):
    dataset, model = trained
    codes = model.encode(X)
    assert codes.shape == (36, 2)
    assert np.array_equal(codes, binarize(model.outputs(torch.from_numpy(X).double())))
    assert np.array_equal(codes, binarize(model.encode_dataset(dataset).outputs))
    assert model.record["regime"] == "frozen"
    assert model.record["options"]["backbone"] == "features"
    model.save(tmp_path / "m.model")
    opened = nb.load_model(tmp_path / "m.model")
    assert opened.model_id == model.model_id
    assert np.array_equal(opened.outputs(X), model.outputs(X))
    opened.save(tmp_path / "again.model")
    assert "features of the width 10" in card_of_folder(tmp_path / "again.model")


def test_a_model_of_features_is_evaluated_on_its_split(trained):
    dataset, model = trained
    found = nb.evaluate(model, dataset)
    assert found.report.figures["tie_aware_map"] > 0.8
    assert found.reference is not None
    assert found.queries_seen_in_training == 0


@pytest.mark.parametrize("method", ["auto", "crh", "shc", "itq", "ridge"])
def test_methods_train_on_features(method):
    dataset = nb.from_features(*features(n_classes=4, per_class=16))
    options = QUICK if method in ("crh", "shc") else nb.TrainOptions(device="cpu")
    model = nb.train(dataset, nb.make_split(dataset), method=method, n_bits=8, options=options)
    assert model.encode(X).shape == (36, 1)


def test_training_on_features_resumes_and_is_deterministic(tmp_path, trained):
    dataset, model = trained
    again = nb.train(
        dataset,
        nb.make_split(dataset),
        method="csq",
        n_bits=12,
        options=QUICK,
        checkpoint=tmp_path,
        cache=tmp_path / "c",
    )
    assert again.model_id == model.model_id


def test_an_index_takes_a_data_set_of_features(trained, tmp_path):
    dataset, model = trained
    with nb.create_index(tmp_path / "a.index", model.n_bits, model_id=model.model_id) as index:
        assert index_dataset(index, model, dataset).added == 36
        assert index_dataset(index, model, dataset).unchanged == 36
        assert index.items([3])[0].labels == ("ape",)
        found = index.search(model.encode(X[:1]), k=36)
        assert found.distances[0, 0] == 0


def test_what_does_not_fit_a_model_of_features_is_said(trained):
    dataset, model = trained
    with pytest.raises(InputError, match="width 10, as the model was trained on, not 9"):
        model.encode(X[:, :9])
    with pytest.raises(InputError, match="1 of 2 rows are not"):
        model.encode(np.array([[np.nan] * WIDTH, [0.0] * WIDTH]))
    with pytest.raises(InputError, match=r"takes features \(n, 10\), not images"):
        model.encode(["a.jpg"])
    with pytest.raises(InputError, match=r"takes features \(10 numbers a row\), not images"):
        model.encode_dataset(nb.load_dataset("digits"), [0])
    with pytest.raises(InputError, match="width 10, as the model was trained on, not 5"):
        model.encode_dataset(nb.from_features(X[:, :5]))
    with pytest.raises(InputError, match="row 3 is 10 features, not an image"):
        dataset.source.read(3)
    assert model.encode(np.zeros((0, WIDTH))).shape == (0, 2)


def test_a_model_of_images_says_that_it_takes_no_features():
    digits = nb.load_dataset("digits")
    options = nb.TrainOptions(epochs=1, image_size=8, device="cpu", select="last")
    sizes = nb.SplitSizes(train=2, query=1, database=1, validation=None)
    model = nb.train(digits, nb.make_split(digits, sizes=sizes), method="csq", n_bits=8, options=options)
    with pytest.raises(InputError, match="features go to a model that was trained on features"):
        model.encode(X)
    with pytest.raises(InputError, match="this model sees images, and came 10 features a row"):
        model.encode_dataset(nb.from_features(X))
    tensor = torch.from_numpy(np.stack([np.asarray(digits.source.read(row)) for row in range(3)])).permute(0, 3, 1, 2)
    assert np.array_equal(model.encode(tensor), binarize(model.encode_dataset(digits, [0, 1, 2]).outputs))


@pytest.mark.parametrize(
    "given",
    [{"backbone": "resnet18"}, {"weights": "w.safetensors"}, {"image_size": 32}, {"views": 2}, {"augment": "crop"}],
)
def test_options_for_images_do_nothing_for_features_and_are_refused(given):
    dataset = nb.from_features(X, Y)
    (name,) = given
    with pytest.raises(InputError, match=f"{name}=.* is for images, and features is features"):
        nb.train(dataset, nb.make_split(dataset), n_bits=8, options=nb.TrainOptions(**given))


def test_there_is_nothing_to_fine_tune_and_no_features_without_a_data_set_of_them():
    dataset = nb.from_features(X, Y)
    with pytest.raises(InputError, match="no backbone to fine-tune"):
        nb.train(dataset, nb.make_split(dataset), n_bits=8, options=nb.TrainOptions(regime="fine-tuned"))
    digits = nb.load_dataset("digits")
    with pytest.raises(InputError, match="'features' is that of a data set of features"):
        nb.train(digits, nb.make_split(digits), n_bits=8, options=nb.TrainOptions(backbone="features"))


def test_a_split_is_of_its_features_alone(trained):
    dataset, model = trained
    changed = X.copy()
    changed[0] = -changed[0]
    with pytest.raises(DataError, match="1 of 36 images of features are not those"):
        nb.evaluate(model, nb.from_features(changed, Y, classes=dataset.classes))


def test_a_manifest_that_names_another_width_is_refused(trained, tmp_path):
    import json

    from nearbit.model.manifest import with_digest

    _, model = trained
    model.save(tmp_path / "m.model")
    path = tmp_path / "m.model" / "bundle.json"
    for edit in (
        {"preprocessing": {"features": 11}},
        {"preprocessing": {"size": 8, "resize": 8, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear"}},
    ):
        about = json.loads(path.read_text()) | edit
        about.pop("digest", None)
        (tmp_path / "m.model" / "bundle.json").write_text(json.dumps(with_digest(about)))
        with pytest.raises(BundleError, match=r"the head takes 10 features, and the input has 11|does not go with"):
            nb.load_model(tmp_path / "m.model")


@pytest.mark.portable
def test_a_model_of_features_is_exported_and_searched_without_torch(trained, tmp_path):
    pytest.importorskip("onnxscript")
    from nearbit.model.onnx import load_onnx_model
    from nearbit.onnx_export import export_onnx

    dataset, model = trained
    exported = export_onnx(model)
    assert exported.parity.equal_bits > 0.99
    export_onnx(model, dataset=dataset)
    exported.model.save(tmp_path / "m.onnx")
    opened = load_onnx_model(tmp_path / "m.onnx")
    assert np.allclose(opened.outputs(X), model.outputs(X), atol=1e-4)
    assert len(opened.encode_dataset(dataset, [3, 1]).outputs) == 2
    with pytest.raises(InputError, match="int8, which makes the backbone smaller, needs a model that sees images"):
        export_onnx(model, int8=True, dataset=dataset)
    with pytest.raises(InputError, match="takes features of the width 10"):
        export_onnx(model, dataset=nb.from_features(X[:, :4], Y))
    from nearbit.model import load_encoder

    with pytest.raises(InputError, match="a service that encodes images needs a model that sees images"):
        load_encoder(tmp_path / "m.onnx")


def test_a_service_does_not_encode_images_with_a_model_of_features(trained, tmp_path):
    from nearbit.model import load_encoder

    trained[1].save(tmp_path / "m.model")
    with pytest.raises(InputError, match="a service that encodes images needs a model that sees images"):
        load_encoder(tmp_path / "m.model")


def test_feature_rows_are_checked():
    with pytest.raises(InputError, match="must be finite"):
        FeatureRows(np.array([[np.inf]], np.float32))
    assert repr(FeatureRows(X)) == "FeatureRows(36 x 10)"
