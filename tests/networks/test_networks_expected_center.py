"""The expected center: against its formula, in training and after it, and from descriptions that do not hold."""

import json

import numpy as np
import pytest
import torch

from nearbit.errors import InputError
from nearbit.networks import ExpectedCenter, Head


def joined_head(kind="hidden", *, members=2, n_bits=6, n_classes=4):
    torch.manual_seed(0)
    committee = [Head(5, n_classes, "hidden", hidden=7, dropout=0.5) for _ in range(members)]
    center = ExpectedCenter(committee, n_bits)
    center.set_centers(torch.randn(n_classes, n_bits, generator=torch.Generator().manual_seed(1)).sign())
    head = Head(5, n_bits, kind, hidden=8)
    head.expect(center)
    for value in head.parameters():
        value.data.normal_(generator=torch.Generator().manual_seed(3))
    return head.eval()


def features(n=9):
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("kind", ["linear", "hidden"])
def test_outputs_are_those_of_the_formula(kind):
    head = joined_head(kind)
    head.expected_center.set_mixture(0.7, (0.5, 2.0))
    with torch.no_grad():
        found, own = head(features()).numpy(), head.own_outputs(features()).numpy()
        logits = np.mean([member(features()).numpy() for member in head.expected_center.committee], axis=0)
    powers = np.exp(logits / 0.7 - (logits / 0.7).max(axis=1, keepdims=True))
    expected = powers / powers.sum(axis=1, keepdims=True) @ head.expected_center.centers.numpy()
    assert np.abs(expected).max() <= 1 + 1e-6
    np.testing.assert_allclose(found, 0.5 * np.tanh(own) + 2 * expected, atol=1e-5)


def test_a_projection_is_added_with_its_weight_and_described():
    head = joined_head()
    before = head(features())
    projection = Head(5, 6, "linear", unit_length=True)
    torch.nn.init.normal_(projection.layers[0].weight, generator=torch.Generator().manual_seed(7))
    head.expected_center.project(projection)
    assert torch.equal(head(features()), before)  # its weight is 0 until it is set
    head.expected_center.set_mixture(1.0, (1.0, 1.0, 0.5))
    values = features().numpy()
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    added = unit @ projection.layers[0].weight.numpy().T + projection.layers[0].bias.numpy()
    with torch.no_grad():
        np.testing.assert_allclose(head(features()).numpy(), (before + 0.5 * torch.tensor(added)).detach(), atol=1e-5)
    again = Head(5, 6, **json.loads(json.dumps(head.spec)))
    again.load_state_dict(head.state_dict())
    assert torch.equal(again.eval()(features()), head(features()))


def test_a_mixture_or_a_projection_of_another_size_is_refused():
    center = joined_head().expected_center
    with pytest.raises(InputError, match="a projection must have 6 outputs, not 5"):
        center.project(Head(5, 5, "linear"))
    with pytest.raises(InputError, match="two or three weights, not 4"):
        center.set_mixture(1.0, (1.0, 1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="projection of an expected center must be the description of a head"):
        Head(5, 6, "linear", expected_center={"members": [{"kind": "linear"}], "n_classes": 4, "projection": "linear"})


def test_a_sure_classifier_says_a_center():
    head = joined_head()
    head.expected_center.set_mixture(1e-3, (0.0, 1.0))
    with torch.no_grad():
        sure = head.expected_center.of_logits(torch.eye(4)).numpy()
    np.testing.assert_allclose(sure, head.expected_center.centers.numpy(), atol=1e-5)


def test_a_loss_moves_the_outputs_of_the_head_alone():
    head = joined_head().train()
    torch.manual_seed(5)
    outputs = head(features())
    torch.manual_seed(5)
    assert torch.equal(outputs, head.own_outputs(features()))
    outputs.sum().backward()
    assert all(value.grad is not None for value in head.layers.parameters())
    assert all(value.grad is None and not value.requires_grad for value in head.expected_center.parameters())


def test_a_head_is_made_again_from_its_description():
    head = joined_head()
    head.expected_center.set_mixture(1.5, (1.0, 0.5))
    again = Head(5, 6, **json.loads(json.dumps(head.spec)))
    again.load_state_dict(head.state_dict())
    with torch.no_grad():
        assert torch.equal(again.eval()(features()), head(features()))


def test_its_outputs_follow_no_last_linear_layer():
    with pytest.raises(InputError, match="joined with what classifiers say"):
        joined_head().inner(features())


@pytest.mark.parametrize("members", [[], [{}] * 65, "many", [["kind"]]])
def test_a_description_with_other_members_is_refused(members):
    with pytest.raises(InputError, match=r"members of an expected center|1 to 64 classifiers"):
        Head(5, 6, "linear", expected_center={"members": members, "n_classes": 4})


def test_a_classifier_has_no_expected_center_of_its_own():
    spec = joined_head().spec
    with pytest.raises(InputError, match="has none of its own"):
        Head(5, 6, "linear", expected_center={"members": [spec], "n_classes": 4})


def test_a_temperature_that_is_no_temperature_is_refused():
    with pytest.raises(InputError, match="temperature must be a number above 0, not 0"):
        joined_head().expected_center.set_mixture(0, (1.0, 1.0))
