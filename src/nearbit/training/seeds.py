"""Random numbers that depend on the seed, the purpose and the epoch alone, so that a resumed run draws the same."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def generator(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """Return a generator for one purpose at one moment."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), number])


@contextmanager
def torch_seeded(seed: int, purpose: str, number: int = 0) -> Iterator[None]:
    """Run a block with torch's generators seeded for one purpose; the state before is restored after it."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(generator(seed, purpose, number).integers(2**62)))
        yield
    if not devices:  # a GPU that has not begun keeps the seed that it was given last for later
        torch.cuda.manual_seed_all(torch.initial_seed())
