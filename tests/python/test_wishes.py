"""What a person in a notebook wants of `import nearbit as nb`, each in a line or two."""

import subprocess
import sys

import numpy as np
import pytest

import nearbit as nb
from nearbit.errors import InputError


def test_codes_metrics_losses_centers_and_methods_are_there():
    code = """
import nearbit as nb, numpy as np
codes = nb.codes.pack(nb.codes.signs_of(np.array([[0.5, -1.0, 2.0, 0.0]])))
assert codes.tolist() == [[0b10110000]]
assert nb.centers.make_centers("hadamard", n_classes=2, n_bits=4, seed=0).shape == (2, 4)
assert nb.metrics.evaluate_codes and nb.losses.__doc__ and "crh" in nb.methods.METHODS and nb.compare.__doc__
assert nb.estimators.ITQ
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 12)
    dataset = nb.from_features(rng.normal(size=(36, 8)) + 4 * rng.normal(size=(3, 8))[y], y)
    return dataset, nb.train(dataset, nb.make_split(dataset), method="ridge", n_bits=6)


def test_average_precision_of_each_query_is_public(trained):
    dataset, model = trained
    found = nb.evaluate(model, dataset, each_query=True)
    assert len(found.average_precision) == found.report.n_query
    assert np.isclose(found.average_precision.mean(), found.report.figures["tie_aware_map"])


def test_what_encodes_and_exports_knows_the_near_name(trained):
    dataset, model = trained
    from nearbit.indexing import index_dataset

    with pytest.raises(InputError, match=r"encode has no option 'devise'. Did you mean 'device'"):
        model.encode(dataset.source.features, devise="cpu")
    with pytest.raises(InputError, match=r"index_dataset has no option 'row'. Did you mean 'rows'"):
        index_dataset(nb.create_index(None, 6), model, dataset, row=[1])


def test_features_are_indexed_in_memory_and_found_by_key(trained):
    from nearbit.indexing import index_dataset

    dataset, model = trained
    with nb.create_index(None, model.n_bits) as index:
        index_dataset(index, model, dataset)
        found = index.search(model.encode(dataset.source.features[:2]), k=36)
        assert {item.path for item in index.items(found.ids[0])} == set(dataset.keys)


def test_docstrings_of_decorated_functions_are_still_examples():
    import doctest
    import importlib

    for name in ("nearbit.centers", "nearbit.datasets.arrays.front", "nearbit.estimators"):
        assert doctest.testmod(importlib.import_module(name)).attempted >= 1
