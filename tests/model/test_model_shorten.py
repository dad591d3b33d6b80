"""A model of the first bits of another one: of every kind of head, on disk, exported, and refused where it is none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model_makers import random_model
from nearbit.centers import centers_from
from nearbit.codes import binarize
from nearbit.errors import InputError
from nearbit.evaluation import evaluate
from nearbit.model.bundle import load_model
from nearbit.model.card import card_of_folder
from nearbit.networks import ExpectedCenter, HashNetwork, Head
from tiny_data import tiny_dataset

KINDS = {
    "linear": {"kind": "linear"},
    "unit length": {"kind": "linear", "unit_length": True},
    "hidden": {"kind": "hidden", "hidden": 16},
    "normalized": {"kind": "hidden", "hidden": 16, "normalized": True},
    "linear, normalized": {"kind": "linear", "normalized": True},
    "label": {"kind": "label", "hidden": 3},
    "expected center": {"kind": "hidden", "hidden": 16, "expected": True},
}


def model_of(name, n_bits=12):
    spec = dict(KINDS[name])
    model = random_model(n_bits=n_bits)
    width = model.network.backbone.spec.feature_dim
    expected = spec.pop("expected", False)
    head = Head(width, n_bits, **spec)
    if expected:
        projection = Head(width, n_bits, "linear", unit_length=True)
        head.expect(ExpectedCenter([Head(width, 3, "hidden", hidden=4)], n_bits, projection))
    generator = torch.Generator().manual_seed(4)
    for key, value in head.state_dict().items():
        if value.is_floating_point() and value.ndim:
            drawn = torch.randn(value.shape, generator=generator)
            value.copy_(drawn.abs() + 0.1 if key.endswith(("std", "var")) else drawn)
    return replace(model, network=HashNetwork(model.network.backbone, head).eval(), head=head.spec)


@pytest.mark.parametrize("n_bits", [1, 8, 11])
@pytest.mark.parametrize("name", KINDS)
def test_outputs_and_codes_are_the_first_of_the_whole(name, n_bits, tmp_path):
    model = model_of(name)
    before = model.model_id
    model.shortened(n_bits).save(tmp_path / "short.model")
    short = load_model(tmp_path / "short.model")
    dataset = tiny_dataset()
    whole, found = model.encode_dataset(dataset).outputs, short.encode_dataset(dataset).outputs
    np.testing.assert_allclose(found, whole[:, :n_bits], rtol=1e-4, atol=1e-4)
    sure = (np.abs(whole[:, :n_bits]) > 1e-3).all(axis=1)
    assert sure.mean() > 0.5
    assert np.array_equal(binarize(found)[sure], binarize(whole[:, :n_bits])[sure])
    assert np.array_equal(short.centers.centers, model.centers.centers[:, :n_bits])
    assert short.record["shortened_from"]["model_id"] == before == model.model_id
    assert short.model_id != before


@pytest.mark.parametrize("n_bits", [3, 5, 6, 9])
def test_a_codebook_stays_where_whole_heads_do(n_bits):
    model = random_model(n_bits=12)
    short = model.shortened(n_bits).centers
    head_bits = model.centers.codebook.shape[2]
    assert head_bits in (3, 6), "the lengths above are chosen for it"
    if n_bits % head_bits:
        assert short.codebook is None
        assert short.assignment is None
    else:
        assert np.array_equal(centers_from(short.codebook, short.assignment), short.centers)


def test_it_is_evaluated_told_of_and_shortened_again(tmp_path):
    short = random_model().shortened(8).shortened(4)
    assert evaluate(short, tiny_dataset()).report.n_bits == 4
    short.save(tmp_path / "short.model")
    assert "the first bits of those of a model of 12 bits" in card_of_folder(tmp_path / "short.model")


@pytest.mark.parametrize("n_bits", [0, -1, 12, 13, 4.0])
def test_other_lengths_are_refused(n_bits):
    with pytest.raises(InputError, match=f"^{n_bits} bits are not the first of 12: take 1 to 11"):
        random_model().shortened(n_bits)
