"""The example of a triplet method: its loss by a plain loop, and a model that has no centers."""

import numpy as np
import pytest
import torch
import train_triplets
from margin_triplets import margin_triplets
from triplets import TRIPLETS

import nearbit as nb
import oracles
from nearbit.errors import InputError
from nearbit.model.add_class import add_class
from tiny_data import tiny_dataset, tiny_split


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_margin_triplets_by_a_plain_loop(margin):
    outputs = np.random.default_rng(0).normal(size=(6, 8))
    labels = np.eye(3)[[0, 0, 1, 1, 1, 2]]
    terms = []
    for a in range(6):
        for p in range(6):
            for n in range(6):
                if p != a and labels[a] @ labels[p] and not labels[a] @ labels[n]:
                    terms.append(
                        max(margin - oracles.cosine(outputs[a], outputs[p]) + oracles.cosine(outputs[a], outputs[n]), 0)
                    )
    found = margin_triplets(torch.tensor(outputs), torch.tensor(labels), margin).item()
    assert found == pytest.approx(sum(terms) / len(terms), rel=1e-9)
    assert margin_triplets(torch.tensor(outputs), torch.eye(6).double(), margin).item() == 0


def test_a_triplet_method_of_ones_own_trains_and_its_model_opens_without_it(tmp_path):
    dataset = tiny_dataset()
    options = nb.TrainOptions(image_size=8, epochs=12, batch_size=8, learning_rate=0.005, device="cpu", select="last")
    model = nb.train(dataset, tiny_split(dataset), method=TRIPLETS, n_bits=12, options=options)
    assert model.record["validation_map"] > 0.9
    model.save(tmp_path / "triplets.model")
    opened = nb.load_model(tmp_path / "triplets.model")
    assert opened.method == "triplets"
    assert opened.centers.centers.shape == (0, 12)
    images = [dataset.source.read(row) for row in range(3)]
    assert np.array_equal(opened.encode(images), model.encode(images))
    with pytest.raises(InputError, match="no centers to add one to"):
        add_class(opened, dataset, name="d")


@pytest.mark.slow
def test_the_example_trains_on_digits(capsys):
    train_triplets.main()
    first, second = capsys.readouterr().out.splitlines()
    assert float(first.split()[-1]) > 0.85
    assert second == "centers: 0"
