"""Estimators in the manner of scikit-learn: parameters, fitting, files, and a pipeline where it is installed."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save_file

import nearbit as nb
from nearbit.errors import BundleError, InputError
from nearbit.estimators import ESTIMATORS, ITQ, PCA, Random, Ridge, load
from nearbit.methods.closed_form.projections import iterative_quantization, principal_directions

RNG = np.random.default_rng(0)
Y = np.repeat(np.arange(4), 20)
X = (RNG.normal(size=(80, 12)) + 3 * RNG.normal(size=(4, 12))[Y]).astype(np.float32)


def fitted(kind, **given):
    return kind(8, **given).fit(X, Y)


def test_itq_is_the_rotated_components_of_the_paper():
    mean = X.astype(np.float64).mean(axis=0)
    directions = principal_directions(X - mean, 8)
    first, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((8, 8)))
    rotation = iterative_quantization((X - mean) @ directions, first, 7)
    found = ITQ(n_bits=8, iterations=7, seed=5, output="outputs").fit(X).transform(X)
    assert np.allclose(found, (X - mean) @ directions @ rotation, atol=1e-3)


@pytest.mark.parametrize("kind", ESTIMATORS.values())
def test_an_estimator_gives_codes_signs_or_outputs(kind):
    one = fitted(kind)
    codes = one.transform(X)
    assert (codes.shape, codes.dtype) == ((80, 1), np.uint8)
    signs = one.set_params(output="signs").transform(X)
    assert (signs.shape, set(np.unique(signs))) == ((80, 8), {-1, 1})
    outputs = one.set_params(output="outputs").transform(torch.from_numpy(X))
    assert outputs.dtype == np.float32
    assert np.array_equal(nb.codes.binarize(outputs), codes)
    assert np.array_equal(one.encode(X), codes)
    assert np.array_equal(kind(8).fit_transform(X, Y), codes)
    assert one.n_features_in_ == 12


@pytest.mark.parametrize("kind", ESTIMATORS.values())
def test_an_estimator_is_cloned_and_copied(kind):
    one = kind(8, seed=3)
    assert all(value is getattr(one, name) for name, value in one.get_params(deep=False).items())
    again = kind(**one.get_params())
    assert again.get_params() == one.get_params() == copy.deepcopy(one).get_params()
    assert repr(one).startswith(f"{kind.__name__}(n_bits=8, ")
    trained = pickle.loads(pickle.dumps(one.fit(X, Y)))
    assert np.array_equal(trained.transform(X), one.transform(X))


@pytest.mark.parametrize("kind", ESTIMATORS.values())
def test_a_file_holds_an_estimator_without_pickle(kind, tmp_path):
    one = fitted(kind, output="signs")
    one.save(tmp_path / "e.safetensors")
    for opened in (kind.load(tmp_path / "e.safetensors"), load(tmp_path / "e.safetensors")):
        assert type(opened) is kind
        assert opened.get_params() == one.get_params()
        assert np.array_equal(opened.transform(X), one.transform(X))
        assert opened.classes_.tolist() == one.classes_.tolist()
    assert one.classes_.tolist() == (["0", "1", "2", "3"] if kind is Ridge else [])


def test_ridge_uses_labels_in_any_form_and_beats_itq_on_classes():
    names = ["abcd"[y] for y in Y]
    assert np.array_equal(Ridge(8).fit(X, names).encode(X), Ridge(8).fit(X, Y).encode(X))
    figures = [
        nb.evaluate_codes(codes, Y, codes, Y, n_bits=8).figures["tie_aware_map"]
        for codes in (Ridge(8).fit_transform(X, Y), Random(8).fit_transform(X))
    ]
    assert figures[0] > figures[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ITQ().transform(X), "ITQ is not fitted"),
        (lambda: ITQ().save("x"), "ITQ is not fitted: there is nothing to save"),
        (lambda: ITQ(8).fit(X).transform(X[:, :5]), "width 12, as the model was trained on, not 5"),
        (lambda: ITQ(16).fit(X), "vary in 12 directions, and 16 bits need as many"),
        (lambda: ITQ(0).fit(X), "n_bits"),
        (lambda: ITQ(8, iterations=0).fit(X), "iterations"),
        (lambda: ITQ(8, output="bits").fit(X), "output must be one of codes, signs, outputs, not 'bits'"),
        (lambda: ITQ(8, seed=-1).fit(X), "seed must be a whole number"),
        (lambda: PCA(nbits=8), "PCA has no option 'nbits'. Did you mean 'n_bits'"),
        (lambda: PCA(8).set_params(nbits=3), "PCA has no parameter 'nbits'. Did you mean 'n_bits'"),
        (lambda: Ridge(8).fit(X), "Ridge needs labels y of at least 2 classes"),
        (lambda: Ridge(8).fit(X, Y[:-1]), "for each of 80 rows, came 79"),
        (lambda: Ridge(8).fit(X, [None, *Y.tolist()[1:]]), "one or more for each row"),
        (lambda: PCA(8).fit(X[:1]), "at least 2 rows to learn from, came 1"),
        (lambda: PCA(8).fit(X * np.nan), "must be finite"),
    ],
)
def test_what_does_not_fit_is_said(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_length_that_is_set_after_fit_counts_from_the_next_fit_on(tmp_path):
    one = ITQ(8, seed=1).fit(X)
    codes = one.transform(X)
    one.set_params(n_bits=4)
    assert np.array_equal(one.transform(X), codes)
    assert one.outputs(X).shape == (len(X), 8)
    one.save(tmp_path / "e.safetensors")
    again = ITQ.load(tmp_path / "e.safetensors")
    assert np.array_equal(again.transform(X), codes)
    assert (again.n_bits, again.n_bits_) == (4, 8)
    assert one.fit(X).outputs(X).shape == (len(X), 4)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "e.safetensors"
    with pytest.raises(BundleError, match="safetensors"):
        load(path)
    save_file({"a": X}, path)
    with pytest.raises(BundleError, match="no estimator that this nearbit wrote"):
        load(path)
    fitted(ITQ).save(path)
    with pytest.raises(BundleError, match="holds a ITQ: read it by ITQ"):
        PCA.load(path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"width": "1000000000"}, "not those of the estimator"),
        ({"estimator": "Evil"}, "no whole estimator"),
        ({"parameters": '{"nbits": 8}'}, "no whole estimator"),
        ({"n_bits": "9"}, "not those of the estimator"),
        ({"n_bits": "0"}, "no whole estimator|must be"),
        ({"head": '{"kind": "hidden"}'}, "not those of the estimator"),
        ({"head": "{"}, "the head in .* is not JSON"),
        ({"version": "2"}, "no estimator that this nearbit wrote"),
    ],
)
def test_a_file_that_says_otherwise_is_refused(edit, message, tmp_path):
    path = tmp_path / "e.safetensors"
    fitted(ITQ).save(path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    about = json.loads(content[8 : 8 + size])["__metadata__"]
    save_file(load_arrays(content), path, about | edit)
    with pytest.raises(BundleError, match=message):
        load(path)


def test_values_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "e.safetensors"
    one = fitted(PCA)
    one.head_.feature_mean[0] = np.nan
    one.save(path)
    with pytest.raises(BundleError, match="not finite"):
        load(path)


def test_a_pipeline_of_scikit_learn_takes_them():
    sklearn = pytest.importorskip("sklearn")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), ITQ(n_bits=8, output="signs"))
    assert sklearn.clone(pipeline).fit(X, Y).transform(X).shape == (80, 8)
    assert sklearn.clone(fitted(Ridge)).get_params() == Ridge(8).get_params()
    assert pipeline.set_params(itq__n_bits=4).fit_transform(X).shape == (80, 4)
