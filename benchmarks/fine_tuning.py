"""What a step of fine-tuning takes an image, with channels last as nearbit trains and as torch does by default.

    python benchmarks/fine_tuning.py --backbones hf:MOBILENET resnet18 --size 96
    python benchmarks/fine_tuning.py --backbones hf:MOBILENET --compile \
        --out benchmarks/results/fine-tuning-compiled.json

Forward pass of backbone and linear head, a squared loss, backward pass and fused Adam on random pixels, one thread,
processor time: the least of the rounds, all ways in turn. With --compile a third way is that of `nearbit train
--compile`, and the first step, which compiles, is told by wall clock and apart.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from nearbit.networks import make_backbone
from nearbit.training.compiling import compiled_forward

Forward = Callable[[torch.Tensor], torch.Tensor]


def step_seconds(network: Forward, optimizer: torch.optim.Optimizer, pixels: torch.Tensor) -> float:
    """Return the processor time of one step."""
    begun = time.process_time()
    network(pixels).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.process_time() - begun


def measured(name: str, size: int, batch: int, rounds: int, *, compiles: bool = False) -> dict[str, float | str]:
    """Return milliseconds an image, each way, and the seconds of compiling."""
    backbone = make_backbone(name, image_size=size).train()
    network = nn.Sequential(backbone, nn.Linear(backbone.spec.feature_dim, 32))
    optimizer = torch.optim.Adam(network.parameters(), 1e-6, fused=True)
    pixels = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    ways: dict[str, list[float]] = {"channels last": [], "channels first": []}
    forwards: dict[str, Forward] = dict.fromkeys(ways, network)
    first: dict[str, float] = {}
    if compiles:
        forwards["compiled"], ways["compiled"] = compiled_forward(network), []
        begun = time.monotonic()
        step_seconds(forwards["compiled"], optimizer, pixels)
        first = {"first step, s": time.monotonic() - begun}
    for _ in range(rounds):
        for way, taken in ways.items():
            backbone.__dict__["_turns"] = way != "channels first"
            taken.append(step_seconds(forwards[way], optimizer, pixels))
    shown = name.partition(":")[0] + ":" + Path(name.partition(":")[2]).name if ":" in name else name
    least = {f"{way}, ms": 1000 * min(taken) / batch for way, taken in ways.items()}
    return {"backbone": shown, "size": size} | least | first


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["resnet18"])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/fine-tuning.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = [measured(name, given.size, given.batch, given.rounds, compiles=given.compile) for name in given.backbones]
    for row in rows:
        print("  ".join(f"{key} {value:.2f}" if isinstance(value, float) else f"{value}" for key, value in row.items()))
    given.out.write_text(
        json.dumps({"batch": given.batch, "threads": 1, "rows": rows}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
