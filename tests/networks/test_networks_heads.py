"""Every kind of head, and the whole network."""

import pytest
import torch

from nearbit.errors import InputError
from nearbit.networks import HEADS, HashNetwork, Head, make_backbone


def features(n=8, feature_dim=5):
    return torch.randn(n, feature_dim, generator=torch.Generator().manual_seed(0)) * 3 + 7


@pytest.mark.parametrize("n_bits", [1, 12, 64])
@pytest.mark.parametrize("kind", HEADS)
def test_one_output_a_bit_for_any_number_of_images(kind, n_bits):
    head = Head(5, n_bits, kind, hidden=6).eval()
    for n in (0, 1, 8):
        outputs = head(features(n))
        assert outputs.shape == (n, n_bits)
        assert outputs.dtype == torch.float32
        assert bool(torch.isfinite(outputs).all())


@pytest.mark.parametrize("kind", HEADS)
def test_every_parameter_gets_a_finite_gradient_and_the_last_layer_starts_small(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = Head(5, 400, kind, hidden=300)
        last = head.layers[-1]
        assert float(last.weight.detach().std()) == pytest.approx(0.01, rel=0.15)
        assert bool((last.bias == 0).all())
        head(features()).square().sum().backward()
    for parameter in head.parameters():
        assert parameter.grad is not None
        assert bool(torch.isfinite(parameter.grad).all())


@pytest.mark.parametrize("kind", HEADS)
def test_standardized_features_have_mean_zero_and_deviation_one_and_constant_ones_stay_finite(kind):
    head, given = Head(5, 12, kind), features(50)
    given[:, 2] = 4.0
    head.standardize(given)
    seen = []
    head.layers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    head.eval()(given)
    assert torch.allclose(seen[0].mean(dim=0), torch.zeros(5), atol=1e-5)
    assert torch.allclose(seen[0].std(dim=0, correction=0), torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0]), atol=1e-5)
    assert {"feature_mean", "feature_std"} <= set(head.state_dict())
    head.standardize(given[:1])
    assert bool(torch.isfinite(head(given)).all())


def test_the_options_of_the_hidden_layer():
    head = Head(5, 12, "hidden", hidden=7, dropout=0.25)
    assert head.layers[0].out_features == 7
    assert head.layers[3].p == 0.25
    assert [type(layer).__name__ for layer in Head(5, 12, "linear").layers] == ["Linear"]


def test_an_unknown_head_is_refused():
    with pytest.raises(InputError, match="a head must be one of linear, hidden, label, experts, memory, not 'mlp'"):
        Head(5, 12, "mlp")


@pytest.mark.parametrize("kind", HEADS)
def test_a_normalized_head_ends_without_bias_in_balanced_outputs(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = Head(5, 12, kind, hidden=6, dropout=0.0, normalized=True).train()
    assert head.layers[-2].bias is None
    outputs = head(features(64))
    assert outputs.mean(dim=0).abs().max() < 1e-4
    assert torch.allclose(outputs.std(dim=0, correction=0), torch.ones(12), atol=0.3)
    assert not any("BatchNorm" in type(layer).__name__ for layer in Head(5, 12, "linear").layers)


def test_what_a_head_was_made_with_makes_it_again():
    head = Head(5, 12, "hidden", hidden=7, dropout=0.25, normalized=True)
    assert head.spec == {"kind": "hidden", "hidden": 7, "dropout": 0.25, "normalized": True}
    Head(5, 12, **head.spec).load_state_dict(head.state_dict())


def test_the_label_head_gives_the_word_of_the_largest_score_and_of_the_first_among_equals():
    head = Head(2, 3, "label", hidden=4).eval()
    words = torch.tensor([[1.0, 1, 1], [1, -1, 1], [-1, -1, 1], [-1, -1, -1]])
    head.layers[1].load_state_dict({"words": words})
    weights = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, 0]])
    head.layers[0].load_state_dict({"weight": weights, "bias": torch.zeros(4)})
    given = torch.tensor([[2.0, 1], [1, 2], [-3, 0], [-1, -1], [0, 0], [1, 1]])
    assert head(given).tolist() == words[torch.tensor([0, 1, 2, 2, 0, 0])].tolist()
    assert head(given[:0]).shape == (0, 3)


def test_a_network_is_its_backbone_and_then_its_head():
    backbone = make_backbone("small", image_size=8)
    network = HashNetwork(backbone, Head(backbone.spec.feature_dim, 12, "linear")).eval()
    pixels = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(pixels), network.head(backbone(pixels)))
    assert all(name.startswith(("backbone.module.", "head.")) for name in network.state_dict())


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("kind", ["linear", "hidden"])
def test_a_shifted_head_adds_a_linear_function_of_what_its_last_layer_sees(kind, normalized):
    torch.manual_seed(0)
    head = Head(5, 3, kind, hidden=4, normalized=normalized)
    head.standardize(torch.randn(50, 5) * 3 + 1)
    head.train()
    for _ in range(3):
        head(torch.randn(20, 5) * 3 + 1)  # moves the running statistics
    head.eval()
    features, bias = torch.randn(7, 5), torch.randn(3)
    before, inner = head(features).detach(), head.inner(features).detach()
    weight = torch.randn(3, inner.shape[1])
    shifted = head.shifted(weight, bias)
    torch.testing.assert_close(shifted(features), before + inner @ weight.T + bias, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(head(features), before, rtol=0, atol=0)
    assert not shifted.training


def test_a_label_head_has_nothing_linear_to_shift():
    head = Head(5, 3, "label", hidden=4)
    for act in (lambda: head.inner(torch.ones(1, 5)), lambda: head.shifted(torch.ones(3, 4), torch.ones(3))):
        with pytest.raises(InputError, match="has no last linear layer"):
            act()
