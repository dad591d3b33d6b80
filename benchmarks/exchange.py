"""When gradients are sent to the other processes: the buckets of a network, and what is left of the backward pass then.

    python benchmarks/exchange.py --backbones hf:MOBILENET resnet18 resnet34 --size 96

One process and one thread, processor time, the median of the rounds; a channel that notes the time takes the place of
the other processes. What is sent with a share of the pass left can travel meanwhile; one exchange at the end has none.

    python benchmarks/exchange.py --step --backbones hf:MOBILENET resnet18 --rounds 15

Seconds of a step (forward, backward, sums over two processes of one thread each, Gloo) by the clock, the median of
rounds in turns: our buckets during the pass, one exchange after it, torch's DistributedDataParallel, and a process that
is alone. It needs two idle cores; the load average is written beside it.
"""

import argparse
import copy
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from nearbit.networks import make_backbone
from nearbit.training.distributed.gradients import GradientExchange
from nearbit.training.distributed.processes import current_processes


class Clock:
    """A channel that notes what is sent, and when."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, int]] = []

    def begin_sum(self, tensor: torch.Tensor) -> Callable[[], torch.Tensor]:
        """Note a tensor, which is its own sum."""
        self.sent.append((time.process_time(), tensor.nbytes))
        return lambda: tensor


def measured(name: str, size: int, batch: int, rounds: int) -> dict[str, Any]:
    """Return the buckets of a backbone in MB, and the share of the backward pass that is left when each is sent."""
    backbone = make_backbone(name, image_size=size).train()
    pixels = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    clock = Clock()
    exchange, left = GradientExchange(backbone.parameters(), clock), []
    with exchange.hooked():
        for _ in range(rounds):
            backbone.zero_grad(set_to_none=True)
            loss = backbone(pixels).square().mean()
            clock.sent.clear()
            begun = time.process_time()
            with exchange.during():
                loss.backward()
                ended = time.process_time()
            left.append([max(ended - at, 0.0) / (ended - begun) for at, _ in clock.sent])
    shares = [statistics.median(one) for one in zip(*left, strict=True)]
    return {"backbone": _shown(name), "MB": [n_bytes / 2**20 for _, n_bytes in clock.sent], "left": shares}


def _shown(name: str) -> str:
    kind, _, where = name.partition(":")
    return f"{kind}:{Path(where).name}" if where else name


def _step(network: nn.Module, pixels: Tensor, exchange: GradientExchange | None = None) -> None:
    network.zero_grad(set_to_none=True)
    loss = network(pixels).square().mean()
    if exchange is None:
        loss.backward()
        return
    with exchange.during():
        loss.backward()


def _measure_steps(rank: int, name: str, size: int, batch: int, rounds: int, folder: str) -> None:
    """Measure in one of two processes; the first writes the seconds of each kind and round."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    network = make_backbone(name, image_size=size).train().to(memory_format=torch.channels_last)
    pixels = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    buckets, whole, alone = (copy.deepcopy(network) for _ in range(3))
    warnings.simplefilter("ignore", FutureWarning)  # of the name of an argument that all tested versions know
    parallel = DistributedDataParallel(network, broadcast_buffers=False)
    processes = current_processes()
    seconds: dict[str, list[float]] = {}
    with ExitStack() as stack:
        during = GradientExchange(buckets.parameters(), stack.enter_context(processes.channel()))
        after = GradientExchange(
            whole.parameters(), stack.enter_context(processes.channel()), bucket_bytes=2**40, ahead=False
        )
        for exchange in (during, after):
            stack.enter_context(exchange.hooked())
        steps = {
            "alone": partial(_step, alone),
            "during": partial(_step, buckets, exchange=during),
            "after": partial(_step, whole, exchange=after),
            "torch": partial(_step, parallel),
        }
        for number in range(rounds + 2):
            for kind, step in steps.items():
                torch.distributed.barrier()
                begun = time.perf_counter()
                step(pixels)
                if number >= 2:  # torch orders its buckets in the first steps
                    seconds.setdefault(kind, []).append(time.perf_counter() - begun)
    ours, theirs = (next(one.parameters()).grad for one in (buckets, parallel))
    if ours is None or theirs is None or not torch.allclose(ours / 2, theirs, rtol=1e-3, atol=1e-6):
        raise SystemExit("our sums are not twice the means of torch")
    if rank == 0:
        Path(folder, "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
    torch.distributed.destroy_process_group()


def steps(name: str, size: int, batch: int, rounds: int) -> dict[str, Any]:
    """Return the median seconds of a step by each kind of exchange."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_measure_steps, (name, size, batch, rounds, folder), nprocs=2)  # type: ignore[no-untyped-call]
        seconds = json.loads(Path(folder, "seconds.json").read_text(encoding="utf-8"))
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    return {"backbone": _shown(name), "load": load, "step_s": medians, "rounds_s": seconds}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["resnet18"])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", action="store_true", help="Steps of two processes, by the clock.")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    about: dict[str, Any] = {"batch": given.batch, "size": given.size, "threads": 1}
    if given.step:
        rows = [steps(name, given.size, given.batch, given.rounds) for name in given.backbones]
        for row in rows:
            print(f"{row['backbone']}:", ", ".join(f"{kind} {value:.3f} s" for kind, value in row["step_s"].items()))
    else:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        rows = [measured(name, given.size, given.batch, given.rounds) for name in given.backbones]
        for row in rows:
            buckets = ", ".join(
                f"{size:.1f} MB at {left:.0%}" for size, left in zip(row["MB"], row["left"], strict=True)
            )
            print(f"{row['backbone']}: {buckets}")
    out = given.out or Path("benchmarks/results") / ("exchange-step.json" if given.step else "exchange.json")
    out.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
