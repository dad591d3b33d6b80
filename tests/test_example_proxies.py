"""The example of a method with learnt proxies: its loss by loops, what it learns, and a model that opens without it."""

import math

import numpy as np
import pytest
import torch
import train_proxy_anchor
from proxy_anchor import PROXY_ANCHOR
from proxy_anchor_loss import proxy_anchor_loss

import nearbit as nb
from nearbit.methods import METHODS
from tiny_data import tiny_dataset, tiny_split

RNG = np.random.default_rng(5)
OUTPUTS, PROXIES = RNG.normal(size=(6, 8)), RNG.normal(size=(4, 8))
LABELS = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0]], float)


def test_the_loss_by_plain_loops():
    drawn, sent, shown = 0.0, 0.0, 0
    for number, proxy in enumerate(PROXIES):
        cosines = [u @ proxy / np.linalg.norm(u) / np.linalg.norm(proxy) for u in OUTPUTS]
        own = [cos for cos, label in zip(cosines, LABELS[:, number], strict=True) if label]
        others = [cos for cos, label in zip(cosines, LABELS[:, number], strict=True) if not label]
        if own:
            shown += 1
            drawn += math.log(1 + sum(math.exp(-8 * (cos - 0.1)) for cos in own))
        sent += math.log(1 + sum(math.exp(8 * (cos + 0.1)) for cos in others))
    given = (torch.tensor(OUTPUTS), torch.tensor(LABELS), torch.tensor(PROXIES))
    found = proxy_anchor_loss(*given, scale=8, margin=0.1).item()
    assert found == pytest.approx(drawn / shown + sent / 4, rel=1e-12)


@pytest.mark.parametrize("labels", [torch.ones(3, 2), torch.eye(3)[:, :2], torch.tensor([[1.0, 0], [1, 0], [1, 0]])])
def test_the_gradient_is_finite_where_a_class_has_all_images_or_none(labels):
    outputs = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    proxies = torch.randn(2, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
    loss = proxy_anchor_loss(outputs, labels, proxies, scale=32, margin=0.1)
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(outputs.grad.isfinite().all())
    assert bool(proxies.grad.isfinite().all())


def test_learnt_proxies_train_and_their_model_opens_without_the_method(tmp_path):
    dataset = tiny_dataset()
    options = nb.TrainOptions(image_size=8, epochs=25, batch_size=8, learning_rate=0.005, device="cpu", select="last")
    model = nb.train(dataset, tiny_split(dataset), method=PROXY_ANCHOR, n_bits=12, options=options)
    assert model.record["validation_map"] > 0.9
    assert sum(epoch["centers_changed"] for epoch in model.record["history"]) > 0
    model.save(tmp_path / "a.model")
    opened = nb.load_model(tmp_path / "a.model")
    assert np.array_equal(opened.centers.centers, model.centers.centers)
    assert not any("rows" in name for name in opened.network.state_dict())
    assert "proxy-anchor" not in METHODS


@pytest.mark.slow
def test_the_example_trains_digits(capsys):
    train_proxy_anchor.main()
    lines = capsys.readouterr().out.splitlines()
    assert float(lines[0].split()[-1]) > 0.9
    assert lines[1].startswith("least distance of two centers: ")
