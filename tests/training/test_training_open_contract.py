"""What a method may bring besides centers and a loss: each part seen at work by a method that does nothing else."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from interrupted import Interrupted, stop_after
from same_models import assert_same
from torch import nn

import nearbit as nb
from nearbit.centers import CenterState
from nearbit.codes import pack, signs_of
from nearbit.errors import InputError, TrainingError
from nearbit.methods import LossModule, Memory, MemoryTerm, Method, Schedule
from nearbit.model.add_class import add_class
from nearbit.networks import HeadSizes, head_kind
from nearbit.networks.head_kinds import KINDS
from nearbit.training import trainer
from tiny_data import tiny_dataset, tiny_split

SCHEDULES = {
    regime: Schedule(epochs=2, batch_size=8, learning_rate=0.005) for regime in ("frozen", "fine-tuned", "scratch")
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Of the methods of these tests."""

    weight: float = 1.0


def method_of(loss, **parts):
    """Return a method without centers, of that loss, and of what else is given."""
    return Method(
        name="own", title="Of a test", citation="2026", options=Options(), loss=loss, schedules=SCHEDULES, **parts
    )


def pull_together(outputs, labels, targets, task, options):
    """Pairs of one label lie together, other pairs apart."""
    near = labels @ labels.T
    cosines = nn.functional.normalize(outputs) @ nn.functional.normalize(outputs).T
    return ((cosines - near) ** 2).mean()


def train_with(method, frozen, feature_cache, *, dataset=None, split=None, checkpoint=None, progress=None, **options):
    data = dataset or tiny_dataset()
    given = replace(frozen, learning_rate=None, epochs=2, **({"head": "linear"} | options))
    extra = {} if progress is None else {"progress": progress}
    return nb.train(
        data, split or tiny_split(data), method=method, n_bits=12, options=given, cache=feature_cache,
        checkpoint=checkpoint, **extra,
    )  # fmt: skip


def test_a_method_without_centers_leaves_none_behind(frozen, feature_cache, tmp_path):
    model = train_with(method_of(pull_together), frozen, feature_cache)
    assert model.centers.centers.shape == (0, 12)
    assert model.record["certificate"] is None
    model.save(tmp_path / "own.model")
    opened = nb.load_model(tmp_path / "own.model")
    assert opened.centers.centers.shape == (0, 12)
    assert opened.classes == ("a", "b", "c")
    dataset = tiny_dataset()
    codes = pack(signs_of(model.encode_dataset(dataset).outputs))
    assert np.array_equal(pack(signs_of(opened.encode_dataset(dataset).outputs)), codes)
    evaluation = nb.evaluate(opened, dataset)
    assert evaluation.health.center_margin is None
    assert evaluation.health.center_spread is None
    with pytest.raises(InputError, match=r"no centers to add one to .*take a method with centers"):
        add_class(opened, dataset, name="d")
    with pytest.raises(InputError, match="own has no centers and takes none"):
        nb.train(dataset, tiny_split(dataset), method=method_of(pull_together), n_bits=12, centers=np.ones((3, 12)))


class Proxies(LossModule):
    """One learnt vector a class, and how many epochs began."""

    rate_factor = 3.0

    def __init__(self, n_classes, n_bits):
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(n_classes, n_bits))
        self.register_buffer("drawn", torch.zeros(()))

    def begin(self, epoch, rng):
        self.drawn.fill_(float(rng.random()))


def to_proxies(outputs, labels, targets, task, options):
    logits = nn.functional.normalize(outputs) @ targets.module.vectors.T
    return nn.functional.cross_entropy(logits, labels.argmax(dim=1)) + 0 * targets.module.drawn


def proxy_method(seen=None):
    def remember(module, state):
        if seen is not None:
            seen.append((module.vectors.detach().clone(), float(module.drawn)))
        words = np.where(module.vectors.detach().numpy() >= 0, 1, -1).astype(np.int8)
        return CenterState(centers=words, tie_break=state.tie_break)

    return method_of(to_proxies, module=lambda task, options: Proxies(task.n_classes, task.n_bits), centers_of=remember)


def test_weights_of_a_loss_are_learnt_and_become_centers_and_nothing_more_of_the_model(frozen, feature_cache):
    seen = []
    model = train_with(proxy_method(seen), frozen, feature_cache, select="last")
    (first, one), (second, other) = seen[0], seen[-1]
    assert not torch.equal(first, second)
    assert one != other
    assert np.array_equal(model.centers.centers, np.where(second.numpy() >= 0, 1, -1))
    assert not [name for name in model.network.state_dict() if "vectors" in name]


def test_weights_of_a_loss_resume_to_the_last_bit(frozen, feature_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)

    undisturbed = train_with(proxy_method(), frozen, feature_cache)
    with pytest.raises(Interrupted, match="Training own"):
        train_with(proxy_method(), frozen, feature_cache, checkpoint=tmp_path, progress=stop_after(2))
    assert_same(train_with(proxy_method(), frozen, feature_cache, checkpoint=tmp_path), undisturbed)


def test_a_memory_without_an_encoder_holds_what_the_network_last_gave(frozen, feature_cache):
    seen = {}

    def against_all(outputs, labels, targets, task, options):
        assert isinstance(targets.memory, Memory)
        assert torch.equal(targets.memory.outputs[targets.rows], outputs.detach())
        assert torch.equal(targets.memory.labels[targets.rows], labels)
        seen.setdefault(targets.epoch, []).append(int(targets.memory.labels.any(dim=1).sum()))
        assert targets.progress == targets.epoch / 2
        return (outputs - targets.memory.outputs.mean(dim=0)).square().mean()

    method = method_of(against_all, memory=lambda options: MemoryTerm())
    n_train = train_with(method, frozen, feature_cache).record["n_train"]
    assert seen[0][0] == 8
    assert seen[0][-1] == n_train
    assert set(seen[1]) == {n_train}


def test_rows_of_training_images_can_be_encoded_again_with_gradients(frozen, feature_cache):
    def with_partner(outputs, labels, targets, task, options):
        again = targets.encode(targets.rows)
        assert torch.allclose(again, outputs, atol=1e-5)
        partner = targets.encode(torch.tensor([0, 1]))
        assert partner.requires_grad
        return (outputs.mean(dim=0) - partner.mean(dim=0)).square().mean()

    train_with(method_of(with_partner), frozen, feature_cache)


def test_a_method_can_say_which_images_make_a_batch(frozen, feature_cache):
    seen = []

    def pairs_of_classes(labels, batch_size, options, rng):
        rows = [np.flatnonzero(labels[:, number])[:2] for number in range(labels.shape[1])]
        assert batch_size == 8
        return [np.concatenate(rows)] * 3

    def watched(outputs, labels, targets, task, options):
        seen.append(labels.sum(dim=0).tolist())
        return pull_together(outputs, labels, targets, task, options)

    train_with(method_of(watched, batches=pairs_of_classes), frozen, feature_cache)
    assert seen == [[2, 2, 2]] * 6
    alone = method_of(watched, batches=lambda labels, size, options, rng: [np.array([0])])
    with pytest.raises(TrainingError, match="own made a batch of fewer than 2 images of 12 training images"):
        train_with(alone, frozen, feature_cache)


@pytest.mark.parametrize("regime", ["frozen", "scratch"])
def test_several_views_come_one_after_the_other(frozen, feature_cache, run, regime):
    seen = []

    def two_views(outputs, labels, targets, task, options):
        first, second = outputs.chunk(2)
        assert torch.equal(*labels.chunk(2))
        assert torch.equal(*targets.rows.chunk(2))
        seen.append((len(outputs), bool(torch.equal(first, second))))
        return (first - second).square().mean() + (1 - outputs.abs()).square().mean()

    run(method_of(two_views, views=2), regime, epochs=2, head="linear")
    assert [rows for rows, _ in seen] == [16, 8] * 2
    assert not any(same for _, same in seen)


def test_two_views_of_frozen_features_need_augmentation(frozen, feature_cache):
    with pytest.raises(InputError, match="all views but the first are augmented"):
        train_with(method_of(pull_together, views=2), frozen, feature_cache, augment="none")


def test_a_method_without_labels_trains_on_images_that_have_none(frozen, feature_cache):
    def balanced(outputs, labels, targets, task, options):
        assert labels.shape[1] == task.n_classes == 0
        assert targets.prepared["features"].shape[0] == 30
        return outputs.mean(dim=0).square().sum() + (1 - outputs.abs()).square().mean()

    def prepare(images, task, options, rng):
        assert len(images.plain_views()) == 1
        return {"features": images.features()}

    dataset = tiny_dataset()
    bare = replace(dataset, labels=np.zeros((30, 0), bool), classes=())
    split = nb.make_split(bare)
    method = method_of(balanced, needs_labels=False, prepare=prepare)
    model = train_with(method, frozen, feature_cache, dataset=bare, split=split, select="last")
    assert model.classes == ()
    assert model.record["selected_epoch"] == 2
    with pytest.raises(TrainingError, match="training needs images of at least 2 classes"):
        train_with(method_of(balanced), frozen, feature_cache, dataset=bare, split=split, select="last")


def test_labels_choose_nothing_for_a_method_that_needs_none(frozen, feature_cache):
    model = train_with(method_of(pull_together, needs_labels=False), frozen, feature_cache, validate_every=1)
    assert model.record["selected_epoch"] == 2
    assert all("validation_map" in epoch for epoch in model.record["history"])


def test_class_means_can_be_those_of_outputs(frozen, feature_cache):
    given = {}

    def remember(outputs, labels, targets, task, options):
        given.setdefault(targets.epoch, []).append((outputs.detach().double(), labels.double()))
        return pull_together(outputs, labels, targets, task, options)

    def recenter(state, means, epoch, options, rng):
        outputs, labels = (torch.cat(parts) for parts in zip(*given[epoch], strict=True))
        assert np.allclose(means, (labels.T @ outputs) / labels.sum(dim=0)[:, None], rtol=1e-5, atol=1e-6)
        return CenterState(
            centers=np.where(means >= 0, 1, -1).astype(np.int8),
            tie_break=state.tie_break,
            class_means=means.astype(np.float32),
        )

    def begin(task, options, rng):
        return CenterState(centers=np.ones((3, 12), np.int8), tie_break=np.ones(12, np.int8))

    method = method_of(remember, reassign=recenter, means_of="outputs", make_centers=begin)
    model = train_with(method, frozen, feature_cache, select="last")
    first = torch.cat([outputs for outputs, _ in given[0]]), torch.cat([labels for _, labels in given[0]])
    means = (first[1].T @ first[0]).numpy()
    assert np.array_equal(model.centers.centers, np.where(means >= 0, 1, -1))  # those that the last epoch aimed at
    assert model.centers.class_means is None


@pytest.fixture
def twofold():
    """A kind of head that gives a loss twice as many outputs as bits."""

    class Twofold(nn.Module):
        def __init__(self, n_in, n_bits):
            super().__init__()
            self.first, self.second = nn.Linear(n_in, n_bits), nn.Linear(n_in, n_bits)
            self.register_buffer("mean", torch.zeros(n_in))

        def forward(self, features):
            one = self.first(features)
            return torch.cat([one, self.second(features - self.mean)], dim=1) if self.training else one

    @head_kind("twofold")
    def layers(sizes: HeadSizes) -> nn.Sequential:
        return nn.Sequential(Twofold(sizes.feature_dim, sizes.n_bits), nn.Hardtanh(-sizes.own["most"], 9))

    yield
    del KINDS["twofold"]


@pytest.mark.usefixtures("twofold")
def test_a_method_can_bring_a_head_that_remembers_the_images(frozen, feature_cache, tmp_path):
    def refresh(head, features, labels):
        head.layers[0].mean.copy_(features.mean(dim=0))

    def both(outputs, labels, targets, task, options):
        assert outputs.shape[1] == 2 * task.n_bits
        assert torch.equal(targets.memory.outputs[targets.rows], outputs[:, : task.n_bits].detach())
        return sum(pull_together(part, labels, targets, task, options) for part in outputs.chunk(2, dim=1))

    method = method_of(
        both,
        head="twofold",
        head_options=lambda task, options: {"most": 8 * options.weight},
        refresh=refresh,
        memory=lambda options: MemoryTerm(),
    )
    model = train_with(method, frozen, feature_cache, head="auto")
    assert model.head["kind"] == "twofold"
    assert model.head["own"] == {"most": 8.0}
    assert bool(model.network.head.layers[0].mean.any())
    model.save(tmp_path / "own.model")
    image = tiny_dataset().source.read(0)
    assert np.array_equal(nb.load_model(tmp_path / "own.model").encode([image]), model.encode([image]))
    with pytest.raises(InputError, match=r"own has a head of its own \(twofold\): leave head 'linear' out"):
        train_with(method, frozen, feature_cache, head="linear")


@pytest.mark.usefixtures("twofold")
def test_no_two_kinds_of_head_have_one_name():
    with pytest.raises(InputError, match="a kind of head is called 'twofold' already"):
        head_kind("twofold")(lambda sizes: nn.Sequential())
