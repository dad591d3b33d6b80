"""The network's forward and backward pass as torch compiles them, for training that asks for it."""

import importlib.util
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from nearbit.errors import InputError, TrainingError

BACKEND = "inductor"
"""What compiles: torch's own."""

SYSTEM_COMPILERS = {"darwin": "clang++", "win32": "cl"}
"""The C++ compiler that torch calls where CXX names none, by platform; elsewhere g++."""


def check_compiler(device: torch.device) -> None:
    """Raise `InputError` where torch has nothing to compile a network with for a device."""
    if device.type == "cuda":
        if importlib.util.find_spec("triton") is None:
            raise InputError(
                "compiling for a GPU (--compile) needs triton, which comes with torch's CUDA builds for Linux, and it "
                "is not installed: install it, or leave --compile out"
            )
    elif device.type != "cpu":
        raise InputError(f"networks are compiled for cpu and cuda, not for {device.type}: leave --compile out")
    compiler = os.environ.get("CXX", "").strip() or SYSTEM_COMPILERS.get(sys.platform, "g++")
    if shutil.which(shlex.split(compiler)[0]) is None:
        raise InputError(
            f"compiling a network (--compile) needs a C++ compiler, and there is no {compiler}: install one (Debian: "
            "apt-get install g++), name it by CXX, or leave --compile out"
        )


def compiled_forward(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the forward pass of a module, to be compiled when it is called first; its weights stay the module's.

    It is compiled whole, and anew for each size of a batch: what a step computes depends on no step before. What was
    compiled before in this process is forgotten, since torch counts the variants of one kind of module together, and
    takes no more than a few.
    """
    torch.compiler.reset()
    return cast("Callable[[Tensor], Tensor]", torch.compile(module, fullgraph=True, dynamic=False, backend=BACKEND))


@contextmanager
def explained() -> Iterator[None]:
    """Turn a failure to compile within a block into a `TrainingError` that says what to do."""
    from torch._dynamo import exc  # takes a second, and torch tells of them nowhere else

    too_many = getattr(exc, "FailOnRecompileLimitHit", exc.TorchDynamoException)  # sizes of batches
    try:
        yield
    except (exc.TorchDynamoException, too_many) as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(said[:2]) or type(error).__name__  # the first line may be no more than who says it
        raise TrainingError(f"torch cannot compile this network ({reason}): leave --compile out") from error
