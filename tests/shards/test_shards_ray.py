"""Shards encoded by Ray: the same files, also where its workers and its driver are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from folders_of_codes import content

from nearbit.errors import MissingExtraError
from nearbit.shards import encode_shards, ray_engine
from shard_makers import write_shards

pytest.importorskip("pyarrow", reason="shards of codes need the extra parquet")

N_SHARDS = 24


def test_without_ray_it_says_what_to_install(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match="--engine ray needs the package ray, which is not installed: pip inst"):
        ray_engine._library()


def start(codes):
    command = [sys.executable, "-m", "nearbit", "encode", "a.model", "many", "-o", codes, "--engine", "ray"]
    command += ["--workers", "2", "--device", "cpu"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def workers():
    """Return the processes of this user in which Ray encodes: it names them after the task."""
    found = []
    for one in Path("/proc").iterdir():
        try:
            if one.name.isdigit() and (one / "cmdline").read_bytes().startswith(b"ray::_encode"):
                found.append(int(one.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_ray_gives_the_same_files_whatever_is_killed(place):
    pytest.importorskip("ray", reason="Ray needs the extra ray")
    write_shards(place / "many", n_shards=N_SHARDS, per_shard=20)
    encode_shards("a.model", ["many"], "whole", device="cpu")
    before = set(workers())
    driver, killed = start("codes"), 0
    try:
        while driver.poll() is None and killed < 2:
            mine = [pid for pid in workers() if pid not in before]
            if mine:
                os.kill(mine[0], signal.SIGKILL)
                killed += 1
            time.sleep(0.05)
        while driver.poll() is None and len(list(Path("codes").glob("*.parquet"))) < N_SHARDS // 2:
            time.sleep(0.01)
    finally:
        driver.kill()
        driver.communicate(timeout=60)
    assert killed == 2
    driver = start("codes")
    out, err = driver.communicate(timeout=400)
    assert driver.returncode == 0, err
    assert f"codes: {20 * N_SHARDS} codes of 12 bits in {N_SHARDS} shards" in out
    assert content(place / "codes") == content(place / "whole")
