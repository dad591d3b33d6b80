"""Perturbed pixels stay within their bounds, and move codes where they are meant to."""

import pytest
import torch

from model_makers import random_model
from nearbit.attacks import Budget, hag, pgd
from nearbit.errors import InputError
from nearbit.networks import HashNetwork, Head


@pytest.fixture(scope="module")
def network():
    return random_model().network


def pixels():
    """Return images uint8, some of whose pixels are at either end."""
    values = torch.randint(0, 256, (5, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    values[0], values[1] = 0, 255
    return values


def words(network):
    with torch.no_grad():
        return torch.where(network(pixels()) >= 0, 1.0, -1.0)


def agreement(network, images, codes, scale=1.0):
    with torch.no_grad():
        return (torch.tanh(network(images) / scale) * codes).mean(dim=1)


def moved(network, kind, *, eps=8.0, steps=10, step_size=None, scale=5.0, seed=0):
    codes, noise = words(network), torch.Generator().manual_seed(seed)
    if kind == "hag":
        return hag(network, pixels(), codes, Budget(eps=eps, steps=steps, step_size=step_size or 100.0, scale=scale))
    budget = Budget(eps=eps, steps=steps, step_size=step_size or 1.0, scale=scale)
    return pgd(network, pixels(), codes, budget, toward=kind == "toward", noise=noise)


@pytest.mark.parametrize("kind", ["away", "toward", "hag"])
@pytest.mark.parametrize("eps", [0.0, 0.5, 8.0, 300.0])
def test_every_pixel_stays_within_eps_and_within_0_and_255(network, kind, eps):
    found = moved(network, kind, eps=eps, step_size=50.0)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert (found - pixels()).abs().max() <= eps + 1e-4
    assert found.min() >= 0
    assert found.max() <= 255
    assert torch.equal(found, pixels().float()) == (eps == 0)


@pytest.mark.parametrize("kind", ["away", "hag"])
def test_an_attack_lowers_the_agreement_of_every_image(network, kind):
    codes = words(network)
    before = agreement(network, pixels(), codes, 5.0)
    after = agreement(network, moved(network, kind), codes, 5.0)
    assert (after < before).all()


def test_more_of_a_budget_moves_further_and_the_target_is_reached_the_other_way(network):
    codes = words(network)
    means = [agreement(network, moved(network, "away", eps=eps), codes, 5.0).mean() for eps in (1.0, 4.0, 16.0)]
    assert means == sorted(means, reverse=True)
    assert (
        agreement(network, moved(network, "toward"), codes, 5.0).mean()
        > agreement(network, pixels(), codes, 5.0).mean()
    )


def test_scaled_outputs_are_attacked_alike_where_the_scale_follows_them(network):
    class Twice(torch.nn.Module):
        def forward(self, images):
            return 4 * network(images)

    codes, noise = words(network), [torch.Generator().manual_seed(0) for _ in range(2)]
    plain = pgd(network, pixels(), codes, Budget(eps=8, steps=3, step_size=1, scale=2.0), toward=False, noise=noise[0])
    scaled = pgd(Twice(), pixels(), codes, Budget(eps=8, steps=3, step_size=1, scale=8.0), toward=False, noise=noise[1])
    assert torch.equal(plain, scaled)


def test_one_step_follows_the_sign_of_the_gradient_taken_by_differences():
    torch.manual_seed(0)
    matrix = torch.randn(12, 4, dtype=torch.float64)
    images, codes = torch.full((1, 3, 2, 2), 100.0), torch.tensor([[1.0, -1.0, 1.0, 1.0]])

    def network(given):
        return (given.double().flatten(1) - 100) @ matrix / 10

    start = pgd(network, images, codes, Budget(eps=1, steps=1, step_size=0.0), toward=False,
                noise=torch.Generator().manual_seed(1))  # fmt: skip
    found = pgd(network, images, codes, Budget(eps=9, steps=1, step_size=2.0), toward=False,
                noise=torch.Generator().manual_seed(1))  # fmt: skip
    begun = 100 + 9 * (start - 100)

    def value(given):
        return (torch.tanh(network(given)) * codes).mean()

    for place in range(12):
        nudge = torch.zeros(12, dtype=torch.float64)
        nudge[place] = 1e-4
        slope = value(begun.double() + nudge.view(1, 3, 2, 2)) - value(begun.double() - nudge.view(1, 3, 2, 2))
        expected = (begun.flatten()[place] - 2 * slope.sign()).clamp(91, 109)
        assert found.flatten()[place] == pytest.approx(float(expected), abs=1e-3)


def test_the_same_noise_gives_the_same_pixels_and_other_noise_others(network):
    assert torch.equal(moved(network, "away", seed=1), moved(network, "away", seed=1))
    assert not torch.equal(moved(network, "away", seed=1), moved(network, "away", seed=2))


def test_an_attack_leaves_no_gradients_in_the_network(network):
    moved(network, "away", steps=2)
    assert all(value.grad is None for value in network.parameters())


@pytest.mark.parametrize("kind", ["away", "hag"])
def test_outputs_that_are_words_of_a_table_are_refused(network, kind):
    words_of_largest = HashNetwork(network.backbone, Head(384, 12, "label", hidden=3)).eval()
    with pytest.raises(InputError, match="attack a model of another method"):
        moved(words_of_largest, kind)
