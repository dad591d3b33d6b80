"""Runs commands of nearbit in processes of their own and kills them: a fork each, so that torch is loaded once.

Says when it is ready, then reads lines of JSON {"arguments": […], "seconds": s} and answers each with the exit status,
or -9 where it was killed. Checkpoints come after every epoch and chunks are small, to have much to interrupt.
"""

import json
import os
import signal
import sys
import time

import torch

from nearbit import indexing, training  # noqa: F401
from nearbit.cli import main
from nearbit.cli.commands import encode as encode_command  # noqa: F401
from nearbit.cli.commands import index, train  # noqa: F401
from nearbit.encoding import torch_backend
from nearbit.model import bundle  # noqa: F401
from nearbit.training import trainer

torch.optim.Adam([torch.zeros(1, requires_grad=True)]).step()  # loads what the first step would load in each child
trainer.CHECKPOINT_SECONDS = 0.0
torch_backend.CHUNK = indexing.CHUNK = 4


def run_and_kill(arguments, seconds):
    """Return the exit status of a command that has so many seconds; -9 if it took more."""
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os._exit(main.run(arguments))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


print("ready", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    print(run_and_kill(request["arguments"], request["seconds"]), flush=True)
