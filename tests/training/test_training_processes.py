"""Several processes: shares, sums, batch normalisation over all of them; two real ones are in a slow test."""

import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from nearbit.errors import ElsewhereError, InputError, TrainingError
from nearbit.methods import METHODS, Targets, Task
from nearbit.training import Processes, TrainOptions, plan
from nearbit.training.distributed import processes
from nearbit.training.distributed.sync_batch_norm import sync_batch_norm
from nearbit.training.inputs.batches import cut_batches
from tiny_data import tiny_dataset, tiny_split


@pytest.mark.parametrize(("n_images", "count"), [(64, 2), (65, 2), (7, 3), (3, 3), (2, 3), (1, 1)])
def test_shares_of_a_batch_are_the_batch(n_images, count):
    batch = np.random.default_rng(0).permutation(n_images)
    shares = [Processes(rank=rank, count=count).share_of(batch) for rank in range(count)]
    assert np.array_equal(np.concatenate(shares), batch)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(("n_images", "least"), [(9, 2), (10, 2), (10, 3), (11, 3), (8, 4), (3, 4), (17, 2)])
def test_no_batch_but_the_only_one_is_smaller_than_the_least(n_images, least):
    batches = cut_batches(np.arange(n_images), 8, least)
    assert np.array_equal(np.concatenate(batches), np.arange(n_images))
    assert all(len(batch) >= least for batch in batches) or len(batches) == 1
    assert all(len(batch) == 8 for batch in batches[:-1])


WITHOUT_PAIRS = {"dsah": {"pair_weight": 0.0}, "mlh": {"pair_weight": 0.0}, "lbhc": {"surrogate": "independent"}}
"""Options that leave out what a loss sees in a whole batch, or draws: each process has that of its own share."""


@pytest.mark.parametrize("name", METHODS)
def test_losses_of_shares_weighted_by_their_sizes_are_the_loss_of_the_batch(name):
    method = METHODS[name]
    if method.make_centers is None:
        return  # pairs of two shares are in no loss, which the page of the contract says
    task = Task(n_classes=3, n_bits=6, multi_label=True)
    generator = torch.Generator().manual_seed(0)
    columns = 12 if method.head == "experts" else 6  # two branches
    outputs = torch.randn(9, columns, generator=generator, dtype=torch.float64)
    labels = torch.eye(3, dtype=torch.float64)[torch.arange(9) % 3]
    labels[::2, 0] = 1
    targets = Targets(torch.sign(torch.randn(3, 6, generator=generator, dtype=torch.float64)), torch.ones(6).double())
    options = method.with_options(WITHOUT_PAIRS.get(name))
    own = None if method.module is None else method.module(task, options).double()
    targets = targets._replace(class_means=targets.centers, module=own)
    whole = method.loss(outputs, labels, targets, task, options)
    parts = [np.arange(9)[:4], np.arange(9)[4:]]
    shares = [method.loss(outputs[part], labels[part], targets, task, options) * len(part) / 9 for part in parts]
    assert sum(shares).item() == pytest.approx(whole.item(), rel=1e-12)


class Meeting:
    """Lets threads stand for processes: what each adds up is summed when all have come."""

    def __init__(self, count):
        self.given, self.barrier = [None] * count, threading.Barrier(count, timeout=20)

    def all_reduce(self, rank, tensor):
        self.given[rank] = tensor.detach().clone()
        self.barrier.wait()
        total = torch.stack(self.given).sum(dim=0)
        self.barrier.wait()
        return total


@dataclass(frozen=True, kw_only=True)
class Threads(Processes):
    """Processes that are threads."""

    meeting: Meeting

    def all_reduce(self, tensor):
        return self.meeting.all_reduce(self.rank, tensor)


def in_threads(count, work):
    """Run work(processes) in each of several threads; return what they return."""
    meeting, done = Meeting(count), [None] * count

    def one(rank):
        done[rank] = work(Threads(rank=rank, count=count, meeting=meeting))

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def trained_once(module, inputs, weights, share=1.0):
    """Return outputs, gradients and buffers after one backward pass of a weighted sum."""
    outputs = module(inputs)
    ((outputs * weights).sum() * share).backward()
    return (
        outputs.detach(),
        torch.cat([value.grad.reshape(-1) for value in module.parameters()]),
        torch.cat([value.double().reshape(-1) for value in module.buffers()]),
    )


def network(momentum=0.1):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4, momentum=momentum)
    nn.init.uniform_(norm.weight)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5), nn.BatchNorm1d(5, affine=False)
    )


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_shared_normalisation_makes_of_shares_what_one_process_makes_of_the_batch(count, momentum):
    torch.manual_seed(1)
    inputs, weights = torch.randn(7, 3, 8, 8), torch.randn(7, 5)
    outputs, gradients, buffers = trained_once(network(momentum), inputs, weights)
    modules = [network(momentum) for _ in range(count)]  # made here: threads share one source of random numbers

    def work(threads):
        part = torch.from_numpy(threads.share_of(np.arange(7)))
        module = modules[threads.rank]
        with sync_batch_norm(module, threads):
            found = trained_once(module, inputs[part], weights[part])
        assert all("forward" not in vars(layer) for layer in module.modules())
        return found

    found = in_threads(count, work)
    assert torch.allclose(torch.cat([one[0] for one in found]), outputs, atol=1e-5)
    assert torch.allclose(sum(one[1] for one in found), gradients, atol=1e-4)
    for one in found:
        assert torch.allclose(one[2], buffers, atol=1e-5)


def test_shared_normalisation_in_evaluation_and_alone_is_the_layers_own():
    module = network().eval()
    inputs = torch.randn(2, 3, 8, 8)
    expected = module(inputs)
    with sync_batch_norm(module, Processes(rank=0, count=2)):
        assert torch.equal(module(inputs), expected)
    module.train()
    with sync_batch_norm(module, Processes()):
        assert all("forward" not in vars(layer) for layer in module.modules())


def test_layers_that_do_more_than_normalise_keep_their_own_forward():
    class WithActivation(nn.BatchNorm1d):
        def forward(self, inputs):
            return super().forward(inputs).relu()

    module = nn.Sequential(WithActivation(3), nn.BatchNorm1d(3))
    with sync_batch_norm(module, Processes(rank=0, count=2)):
        assert ["forward" in vars(layer) for layer in module] == [False, True]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda:1", r"--device cuda:1 names one device: give auto, cuda or cpu"),
        ("mps", r"--device mps names one device"),
        ("cuda", r"process 1 of this machine needs a GPU of its own, and there are 1: lower --nproc-per-node"),
    ],
)
def test_a_device_that_several_processes_cannot_share_is_refused(monkeypatch, name, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=message):
        Processes(rank=3, count=4, local_rank=1).device(name)


def test_each_process_of_a_machine_has_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    several = Processes(rank=3, count=4, local_rank=1)
    assert [str(several.device(name)) for name in ("auto", "cuda", "cpu")] == ["cuda:1", "cuda:1", "cpu"]


@pytest.mark.parametrize(
    ("count", "options", "error", "message"),
    [
        (9, {"batch_size": 8}, InputError, "9 processes share batches of 8 images: start fewer, or raise the batch"),
        (99, {}, TrainingError, r"99 processes share \d+ training images: start fewer"),
    ],
)
def test_more_processes_than_images_are_refused(monkeypatch, count, options, error, message):
    monkeypatch.setattr("nearbit.training.context.current_processes", lambda: Processes(rank=0, count=count))
    dataset = tiny_dataset()
    with pytest.raises(error, match=message):
        plan(dataset, tiny_split(dataset), options=TrainOptions(image_size=8, device="cpu", **options))


def test_frozen_features_are_for_one_process(run, monkeypatch):
    monkeypatch.setattr("nearbit.training.context.current_processes", lambda: Processes(rank=1, count=2))
    with pytest.raises(InputError, match="in one process: start it without torchrun, or train the whole network"):
        run("csq", "frozen")


class Store:
    """The store of processes of which one has failed before, or none, or that has ended itself."""

    def __init__(self, failed):
        self.failed = failed

    def add(self, name, number):
        if self.failed is None:
            raise RuntimeError("Connection reset by peer")
        self.failed += number
        return self.failed


@pytest.mark.parametrize(("failed", "expected"), [(0, ValueError), (1, ElsewhereError), (None, ElsewhereError)])
def test_only_the_first_process_that_fails_says_why(monkeypatch, failed, expected):
    for name, value in zip(processes.VARIABLES, ("1", "1", "here", "1"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(processes, "_meeting_place", lambda count: Store(failed))
    monkeypatch.setattr(processes, "_join", lambda *given: None)
    said = "^mine$" if failed == 0 else "another process of this run ended and has said why"
    with pytest.raises(expected, match=said), processes.joined_processes("cpu"):
        raise ValueError("mine")


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")  # set by a cluster's scheduler, and nothing beside it
    monkeypatch.delenv("RANK", raising=False)
    with processes.joined_processes() as joined:
        assert (joined.count, joined.is_main, joined.several) == (1, True, False)
        assert joined.broadcast_bytes(b"own") == b"own"
        assert joined.all_reduce_array(np.ones(2)).tolist() == [1, 1]
        joined.check_alike("key")
