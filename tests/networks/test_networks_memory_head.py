"""The head of LTHNet: the memory by plain loops, prototypes by determinants, what a model folder may ask for."""

import numpy as np
import pytest
import torch

from nearbit.errors import InputError
from nearbit.networks import Head, refresh_memory
from nearbit.networks.diverse_rows import diverse_rows


def head_of(rows, *, hidden=7, n_bits=5):
    torch.manual_seed(0)
    return Head(4, n_bits, "memory", hidden=hidden, own={"rows": rows}).eval()


def features_and_labels(n=20, n_classes=3):
    features = torch.tensor(np.random.default_rng(1).normal(size=(n, 4))).float()
    labels = torch.eye(n_classes)[torch.arange(n) % n_classes]
    labels[::4, 0] = 1
    return features, labels


def direct_of(head, features):
    return head.layers[0](head.standardized(features))


def test_the_memory_holds_the_mean_of_each_class_by_a_loop():
    head, (features, labels) = head_of(3), features_and_labels()
    with torch.no_grad():
        refresh_memory(head, features, labels)
        direct = direct_of(head, features).double().numpy()
    for number in range(3):
        shares = labels[:, number].double().numpy() / labels.double().numpy().sum(axis=1)
        mean = sum(share * row for share, row in zip(shares, direct, strict=True)) / shares.sum()
        assert head.layers[2].rows[number].numpy() == pytest.approx(mean, rel=1e-5, abs=1e-6)


def test_the_outputs_by_a_loop():
    head, (features, labels) = head_of(6), features_and_labels()
    with torch.no_grad():
        refresh_memory(head, features, labels)
        found, direct = head(features).numpy(), direct_of(head, features).double().numpy()
    memory = head.layers[2]
    rows, last = memory.rows.double().numpy(), head.layers[3]
    weight = {
        name: (layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy())
        for name, layer in (("attention", memory.attention), ("selector", memory.selector), ("last", last))
    }
    for d, outputs in zip(direct, found, strict=True):
        scores = np.exp(weight["attention"][0] @ d + weight["attention"][1])
        remembered = sum(score * row for score, row in zip(scores / scores.sum(), rows, strict=True))
        meta = d + np.tanh(weight["selector"][0] @ d + weight["selector"][1]) * remembered
        assert outputs == pytest.approx(weight["last"][0] @ meta + weight["last"][1], rel=1e-4, abs=1e-6)


def test_prototypes_are_images_of_their_class_and_too_few_images_leave_the_mean():
    features = torch.tensor(np.random.default_rng(2).normal(size=(9, 4))).float()
    labels = torch.eye(2)[torch.tensor([0] * 8 + [1])]
    head = head_of(2 * 4)
    with torch.no_grad():
        refresh_memory(head, features, labels)
        direct = direct_of(head, features)
    rows = head.layers[2].rows
    for row in rows[2:5]:
        assert any(torch.equal(row, image) for image in direct[:8])
    assert torch.equal(rows[5], direct[8])
    assert torch.equal(rows[6], rows[1])
    assert torch.equal(rows[7], rows[1])


def test_each_prototype_multiplies_the_determinant_of_cosines_by_the_most():
    rows = torch.tensor(np.random.default_rng(3).normal(size=(12, 6)))
    units = (rows / rows.norm(dim=1, keepdim=True)).numpy()
    mean = rows.mean(dim=0)
    found = diverse_rows(rows, mean, 4)
    chosen = [int((rows == row).all(dim=1).nonzero()) for row in found]
    assert chosen[0] == int((units @ mean.numpy()).argmax())
    for size in (1, 2, 3):
        before = chosen[:size]
        volumes = [np.linalg.det(units[[*before, one]] @ units[[*before, one]].T) for one in range(12)]
        assert int(np.argmax(volumes)) == chosen[size]


def test_no_prototypes_of_one_direction_twice():
    line = torch.tensor([[1.0, 2.0], [2.0, 4.0], [0.5, 1.0]])
    mean = line.mean(dim=0)
    found = diverse_rows(line, mean, 3)
    assert any(torch.equal(found[0], row) for row in line)
    assert torch.equal(found[1], mean)
    assert torch.equal(found[2], mean)
    assert diverse_rows(line, mean, 0).shape == (0, 2)
    assert torch.equal(diverse_rows(torch.zeros(2, 2), torch.zeros(2), 1), torch.zeros(1, 2))


@pytest.mark.parametrize(
    "own", [None, {}, {"rows": 0}, {"rows": -1}, {"rows": 2**40}, {"rows": True}, {"rows": 2.0}, {"rows": [3]},
            {"rows": 3, "more": 1}],
    ids=str,
)  # fmt: skip
def test_a_memory_of_something_else_than_rows_is_refused_before_it_is_made(own):
    with pytest.raises(InputError, match="a head with a memory is made with rows, from 1 to 1048576, not"):
        Head(4, 5, "memory", own=own)


def test_a_head_with_a_memory_is_rebuilt_of_its_description_and_shortened():
    head, (features, labels) = head_of(6), features_and_labels()
    with torch.no_grad():
        refresh_memory(head, features, labels)
        again = Head(4, 5, **head.spec).eval()
        again.load_state_dict(head.state_dict())
        assert torch.equal(again(features), head(features))
        assert torch.allclose(head.shortened(3)(features), head(features)[:, :3], atol=1e-6)
    with pytest.raises(InputError, match="a head of the kind 'memory' has no last linear layer"):
        head.check_linear()


def test_training_moves_all_of_the_head_but_the_memory():
    head, (features, labels) = head_of(3), features_and_labels()
    with torch.no_grad():
        refresh_memory(head, features, labels)
    names = {name for name, _ in head.named_parameters()}
    assert "layers.2.rows" not in names
    assert "layers.2.rows" in head.state_dict()
    head(features).square().sum().backward()
    silent = [name for name, value in head.named_parameters() if value.grad is None]
    assert silent == []
