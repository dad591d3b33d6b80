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


def workers_of(driver):
    """Return the processes below a driver in which Ray encodes: it names them after the task."""
    parents, found = {}, []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(one.name)] = int((one / "stat").read_text().rpartition(")")[2].split()[1])
            if (one / "cmdline").read_bytes().startswith(b"ray::_encode"):
                found.append(int(one.name))
        except OSError:
            continue
    return [pid for pid in found if driver in line_of(pid, parents)]


def line_of(pid, parents):
    """Return the processes above one."""
    line = []
    while pid := parents.get(pid, 0):
        line.append(pid)
    return line


@pytest.mark.slow
def test_ray_gives_the_same_files_whatever_is_killed(place):
    pytest.importorskip("ray", reason="Ray needs the extra ray")
    write_shards(place / "many", n_shards=N_SHARDS, per_shard=20)
    encode_shards("a.model", ["many"], "whole", device="cpu")
    driver, killed = start("codes"), 0
    try:
        while driver.poll() is None and killed < 2:
            mine = workers_of(driver.pid)
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
