"""Gradients in buckets beside the one exchange that they take the place of: the same bits, whatever has none."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from nearbit.errors import TrainingError
from nearbit.training import Processes
from nearbit.training.distributed import gradients
from nearbit.training.distributed.gradients import GradientExchange, cut_buckets, gradient_exchange
from nearbit.training.distributed.sync_batch_norm import sync_batch_norm


class Meeting:
    """Lets threads stand for processes: what each gives first is summed with what the others give first, and so on."""

    def __init__(self, count):
        self.count, self.changed, self.given = count, threading.Condition(), [[] for _ in range(count)]

    def begin(self, rank, tensor):
        with self.changed:
            self.given[rank].append(tensor.detach().clone())
            place = len(self.given[rank]) - 1
            self.changed.notify_all()

        def total():
            with self.changed:
                assert self.changed.wait_for(lambda: min(map(len, self.given)) > place, timeout=20)
            return torch.stack([given[place] for given in self.given]).sum(dim=0)

        return total

    def sum(self, rank, tensor):
        return self.begin(rank, tensor)()


@dataclass(frozen=True, kw_only=True)
class Threads(Processes):
    """Processes that are threads, with a channel beside their other exchanges."""

    meeting: Meeting
    beside: Meeting
    events: list = field(default_factory=list)

    def all_reduce(self, tensor):
        self.events.append("norm")
        return self.meeting.sum(self.rank, tensor)

    @contextmanager
    def channel(self):
        yield self

    def begin_sum(self, tensor):
        self.events.append("bucket")
        return self.beside.begin(self.rank, tensor)


def in_threads(count, work):
    """Run work(processes) in each of several threads; return what they return, and how large the buckets were."""
    meeting, beside, done = Meeting(count), Meeting(count), [None] * count

    def one(rank):
        done[rank] = work(Threads(rank=rank, count=count, meeting=meeting, beside=beside))

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one is not None for one in done)
    return done, [one.numel() for one in beside.given[0]]


class Branches(nn.Module):
    """Convolution, batch normalisation, and heads of which one, or none, may be used."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.second, self.last_norm = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        self.heads = nn.ModuleList([nn.Linear(4, 5) for _ in range(3)])
        self.frozen = nn.Linear(4, 5).requires_grad_(False)

    def forward(self, images, used):
        maps = self.last_norm(self.second(self.norm(self.first(images)).relu())).relu()
        features = maps.mean(dim=(2, 3))
        return sum(self.heads[number](features) for number in used) + self.frozen(features)


USED = {"all": [[0, 1, 2], [0, 1, 2]], "one away": [[0, 1], [0, 1]], "differing": [[0, 2], [1, 2]], "none": [[0], []]}
"""The heads that each of two processes uses."""


def one_exchange(weights, processes):
    """The sums as one row, made in one exchange when the backward pass is over: None counts as 0."""
    row = torch.cat(
        [torch.zeros_like(one).reshape(-1) if one.grad is None else one.grad.reshape(-1) for one in weights]
    )
    total = processes.beside.sum(processes.rank, row)
    return torch.split(total, [one.numel() for one in weights])


@pytest.mark.parametrize("used", USED)
@pytest.mark.parametrize("bucket_bytes", [1, 400, None])
def test_buckets_make_the_sums_of_one_exchange_to_the_last_bit(used, bucket_bytes):
    torch.manual_seed(1)
    images, wanted = torch.randn(7, 3, 8, 8), torch.randn(7, 5)
    modules = {way: [Branches(), Branches()] for way in ("one", "buckets")}
    own = {way: [nn.Parameter(torch.ones(5)) for _ in range(2)] for way in modules}

    def backward(processes, way):
        module, scale = modules[way][processes.rank], own[way][processes.rank]
        part = torch.from_numpy(processes.share_of(np.arange(7)))
        with sync_batch_norm(module, processes):
            outputs = module(images[part], USED[used][processes.rank])
            (((outputs - wanted[part]) * scale) ** 2).mean().backward()

    def work(processes):
        rank = processes.rank
        backward(processes, "one")
        weights = [*modules["one"][rank].parameters(), own["one"][rank]]
        expected = one_exchange(weights, processes)
        several = [*modules["buckets"][rank].parameters(), own["buckets"][rank]]
        exchange = GradientExchange(several, processes, bucket_bytes)
        with exchange.hooked(), exchange.during():
            backward(processes, "buckets")
        return [None if one.grad is None else one.grad.clone() for one in several], expected

    done, sizes = in_threads(2, work)
    sizes = sizes[1:]
    trained = [one for one in [*modules["one"][0].parameters(), own["one"][0]] if one.requires_grad]
    assert sum(sizes) == sum(one.numel() + 1 for one in trained)
    assert len(sizes) == {1: len(trained), 400: len(cut_buckets(trained[::-1], 400)), None: 1}[bucket_bytes]
    names = [name for name, _ in modules["one"][0].named_parameters()] + ["scale"]
    for gradients_, expected in done:
        for name, gradient, total in zip(names, gradients_, expected, strict=True):
            someone = not name.startswith("heads.") or any(int(name[6]) in one for one in USED[used])
            assert (gradient is not None) == (someone and not name.startswith("frozen")), name
            if gradient is not None:
                assert torch.equal(gradient.reshape(-1), total), name
                assert bool(gradient.any()) or name in ("first.bias", "second.bias"), name


@pytest.mark.parametrize("apart", [True, False])
def test_buckets_are_sent_while_the_backward_pass_goes_on_unless_channels_may_wait_for_each_other(apart, monkeypatch):
    modules, images = [Branches(), Branches()], torch.randn(4, 3, 8, 8)
    monkeypatch.setattr(Threads, "keeps_channels_apart", apart, raising=False)
    monkeypatch.setattr(gradients, "LEAST_BYTES", 1)

    def work(processes):
        module = modules[processes.rank]
        with (
            sync_batch_norm(module, processes),
            gradient_exchange(module.parameters(), processes, shares_norms=True) as exchange,
        ):
            outputs = module(images, [0, 1, 2])
            processes.events.clear()
            with exchange.during():
                outputs.square().mean().backward()
        return processes.events

    (events, others), _ = in_threads(2, work)
    assert events == others
    assert events.count("norm") == 4
    if apart:  # the head's before the gradients of the first normalisation
        assert "norm" in events[events.index("bucket") :]
    else:
        assert events == ["norm"] * 4 + ["bucket"] * events.count("bucket")
        assert "bucket" in events


def test_a_backward_pass_of_anything_else_is_not_exchanged():
    modules, images = [Branches(), Branches()], torch.randn(4, 3, 8, 8)

    def work(processes):
        module = modules[processes.rank]
        with gradient_exchange(module.parameters(), processes) as exchange:
            module(images, [0]).sum().backward()
            assert processes.events == []
            alone = module.heads[0].weight.grad.clone()
            module.zero_grad(set_to_none=True)
            with exchange.during():
                module(images, [0]).sum().backward()
            assert torch.equal(module.heads[0].weight.grad, 2 * alone)
            assert module.heads[1].weight.grad is None
        sent = len(processes.events)
        module.zero_grad(set_to_none=True)
        module(images, [0]).sum().backward()  # the hooks are gone
        assert len(processes.events) == sent
        return True

    in_threads(2, work)


def test_a_gradient_that_comes_twice_is_an_error_and_no_wrong_sum():
    weight = nn.Parameter(torch.ones(3))
    exchange = GradientExchange([weight], Threads(meeting=None, beside=Meeting(1)))
    with exchange.hooked(), exchange.during():
        weight.sum().backward()
        with pytest.raises(TrainingError, match=r"shape \(3,\) got another gradient after the sum"):
            weight.sum().backward()


def test_buckets_hold_weights_in_order_each_once():
    sizes = [5, 3, 300, 2, 2, 7]
    weights = [torch.empty(size, dtype=torch.float64 if size == 7 else torch.float32) for size in sizes]
    assert [[len(one) for one in bucket] for bucket in cut_buckets(weights, 40)] == [[5, 3], [300], [2, 2], [7]]
    assert [len(bucket) for bucket in cut_buckets(weights, 1)] == [1] * 6
    assert [len(bucket) for bucket in cut_buckets(weights)] == [5, 1]
    shared = nn.Parameter(torch.ones(2))
    exchange = GradientExchange([shared, shared], None)
    assert [len(bucket) for bucket in exchange._buckets] == [1]


def test_the_size_of_buckets_follows_that_of_the_network(monkeypatch):
    monkeypatch.setattr(gradients, "LEAST_BYTES", 80)
    monkeypatch.setattr(gradients, "MOST_BYTES", 800)
    for n_weights, expected in ((2, 1), (4, 2), (8, 4), (80, 4), (200, 10)):
        weights = [torch.empty(10) for _ in range(n_weights)]
        assert len(cut_buckets(weights)) == expected, n_weights


def test_a_process_alone_has_no_exchange():
    with gradient_exchange([nn.Parameter(torch.ones(1))], Processes()) as exchange:
        assert exchange is None
