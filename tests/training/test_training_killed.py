"""A training with processes that decode, killed again and again: it ends in the weights of an undisturbed one."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from same_models import assert_same

from nearbit.model.bundle import load_model
from tiny_data import write_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="whether a process has ended is read from /proc"),
]

KILLED = """
import os, signal, sys
from nearbit.cli.main import run
from nearbit.training import trainer
from nearbit.training.inputs.feeding import Workers

whole, left = Workers.batches, int(sys.argv[1])

def batches(self, plan):
    global left
    for batch in whole(self, plan):
        yield batch
        left -= 1
        if not left:
            print(*(worker.process.pid for worker in self._pool.workers), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

trainer.CHECKPOINT_SECONDS = 0.0
Workers.batches = batches
sys.exit(run(sys.argv[2:]))
"""
TRAIN = ["--method", "csq", "--bits", "12", "--image-size", "8", "--epochs", "4", "--batch-size", "7"]


def train(folder, batches, output, *given):
    """Train in a process that is killed after so many batches, if there are so many; return it when it has ended."""
    arguments = ["train", "photos", "--device", "cpu", *TRAIN, *given, "-o", output]
    environment = os.environ | {"NEARBIT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(batches), *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def is_running(pid):
    """Say whether a process runs: one that has ended may wait for somebody to take notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_run_that_is_killed_again_and_again_ends_in_the_same_weights(tmp_path):
    write_folder(tmp_path / "photos", per_class=12)
    undisturbed = train(tmp_path, 0, "whole.model")
    assert undisturbed.returncode == 0, undisturbed.stderr
    for batches, workers in ((1, "2"), (6, "2"), (3, "1")):
        killed = train(tmp_path, batches, "killed.model", "--workers", workers)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        left = [int(pid) for pid in killed.stdout.split()]
        assert len(left) == int(workers)
        for _ in range(400):  # they end by themselves, and soon
            left = [pid for pid in left if is_running(pid)]
            if not left:
                break
            time.sleep(0.05)
        assert left == []
    ended = train(tmp_path, 0, "killed.model", "--workers", "2")
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"going on from epoch [1-3] of 4", ended.stderr), ended.stderr
    assert_same(load_model(tmp_path / "killed.model"), load_model(tmp_path / "whole.model"))
    assert not list((tmp_path / "cache").rglob("decoded/*"))
