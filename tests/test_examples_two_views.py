"""The example of a method without labels: its loss by plain loops, on images without classes, and as it is told."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import train_two_views
from agreement import agreement, sameness
from two_views import TWO_VIEWS

import nearbit as nb
from tiny_data import tiny_dataset


def test_agreement_and_sameness_by_plain_loops():
    one, other = torch.tensor(np.random.default_rng(0).normal(size=(2, 5, 4)))
    terms = []
    for a, b in ((one, other), (other, one)):
        for logit, sign in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True):
            terms.append(math.log1p(math.exp(-logit if sign > 0 else logit)))
    assert agreement(one, other).item() == pytest.approx(sum(terms) / len(terms), rel=1e-12)
    rows = one.numpy() / np.linalg.norm(one.numpy(), axis=1, keepdims=True)
    volume = np.log(np.linalg.det(np.eye(4) + 4 / (5 * 0.05) * rows.T @ rows))
    assert sameness(one).item() == pytest.approx(-volume * 9 / 40, rel=1e-10)
    assert sameness(one) < sameness(one[:1].repeat(5, 1))


def test_it_trains_without_classes_and_its_model_opens_without_it(tmp_path):
    dataset = tiny_dataset()
    bare = replace(dataset, labels=dataset.labels[:, :0], classes=())
    options = nb.TrainOptions(image_size=8, epochs=2, batch_size=8, device="cpu")
    model = nb.train(bare, nb.make_split(bare), method=TWO_VIEWS, n_bits=12, options=options)
    model.save(tmp_path / "two.model")
    opened = nb.load_model(tmp_path / "two.model")
    images = [dataset.source.read(row) for row in range(3)]
    assert np.array_equal(opened.encode(images), model.encode(images))


@pytest.mark.slow
def test_the_script_finds_digits_far_better_than_chance(capsys):
    train_two_views.main()
    name, figure = capsys.readouterr().out.split(": tie-aware mAP ")
    assert name == "two-views"
    assert float(figure) > 0.25
