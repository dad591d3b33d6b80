"""When gradients are sent to the other processes: the buckets of a network, and what is left of the backward pass then.

    python benchmarks/exchange.py --backbones hf:MOBILENET resnet18 resnet34 --size 96

One process and one thread, processor time, the median of the rounds; a channel that notes the time takes the place of
the other processes. What is sent with a share of the pass left can travel meanwhile; one exchange at the end has none.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nearbit.networks import make_backbone
from nearbit.training.distributed.gradients import GradientExchange


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
    shown = name.partition(":")[0] + ":" + Path(name.partition(":")[2]).name if ":" in name else name
    shares = [statistics.median(one) for one in zip(*left, strict=True)]
    return {"backbone": shown, "MB": [n_bytes / 2**20 for _, n_bytes in clock.sent], "left": shares}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["resnet18"])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/exchange.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = [measured(name, given.size, given.batch, given.rounds) for name in given.backbones]
    for row in rows:
        buckets = ", ".join(f"{size:.1f} MB at {left:.0%}" for size, left in zip(row["MB"], row["left"], strict=True))
        print(f"{row['backbone']}: {buckets}")
    about = {"batch": given.batch, "size": given.size, "threads": 1}
    given.out.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
