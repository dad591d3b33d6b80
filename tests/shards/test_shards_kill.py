"""Workers and drivers that are killed at random moments: what is gone on with ends as an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from folders_of_codes import content, stamps

from shard_makers import image_bytes, members_of, write_shards, write_tar

pytest.importorskip("pyarrow", reason="shards of codes need the extra parquet")

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found through /proc")

SLOW = Path(__file__).with_name("slow_encode.py")
N_SHARDS, PER_SHARD = 16, 14


def start(codes, workers):
    command = [sys.executable, str(SLOW), "a.model", "many", codes, str(workers)]
    environment = os.environ | {"NEARBIT_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def ended(driver):
    out, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err
    return int(out)


def children_of(pid):
    """Return the processes that a process started for its work, not the one that counts its resources."""
    found = Path(f"/proc/{pid}/task/{pid}/children")
    numbers = found.read_text().split() if found.is_file() else []
    return [int(one) for one in numbers if b"spawn_main" in command_of(one)]


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition, driver):
    """Wait until something is so, or the driver has ended."""
    while driver.poll() is None and not condition():
        time.sleep(0.005)


def n_done(codes):
    return len(list(Path(codes).glob("*.parquet")))


@pytest.fixture
def many(place):
    """Sixteen shards, of which one has images that cannot be read, and the codes of an undisturbed run in `whole`."""
    write_shards(place / "many", n_shards=N_SHARDS, per_shard=PER_SHARD, parquet=(3, 8))
    bad = [("a.png", b"none"), ("b.cls", b"x"), ("c.png", image_bytes(1)[:80])]
    write_tar(place / "many" / "0005.tar", [*members_of(range(9)), *bad])
    assert ended(start("whole", 1)) == N_SHARDS
    return place


def test_workers_that_are_killed_lose_nothing(many):
    rng, killed = random.Random(0), 0
    driver = start("codes", 2)
    for step in (1, 4, 7, 10):
        wait_for(lambda step=step: n_done("codes") >= step, driver)
        time.sleep(rng.random() * 0.1)
        workers = children_of(driver.pid)
        killed += bool(workers) and kill(rng.choice(workers))
    assert ended(driver) == N_SHARDS
    assert killed >= 2
    assert content(many / "codes") == content(many / "whole")


def test_drivers_that_are_killed_are_gone_on_with(many):
    rng, driver, rounds = random.Random(1), start("codes", 2), 0
    while n_done("codes") < N_SHARDS - 2 and rounds < 12:
        before = n_done("codes")
        wait_for(lambda before=before: n_done("codes") > before, driver)
        time.sleep(rng.random() * 0.2)
        workers = children_of(driver.pid)
        kill(driver.pid)
        driver.communicate(timeout=60)
        left = [pid for pid in workers if b"spawn_main" in command_of(pid)]
        for _ in range(400):  # they end by themselves, and soon
            left = [pid for pid in left if b"spawn_main" in command_of(pid)]
            if not left:
                break
            time.sleep(0.05)
        assert left == []
        assert not (many / "codes" / "_SUCCESS.json").exists() or n_done("codes") == N_SHARDS
        rounds += 1
        driver = start("codes", 1 + rounds % 2)
    ended(driver)
    assert rounds >= 2
    assert content(many / "codes") == content(many / "whole")
    before = stamps(many / "codes")
    assert ended(start("codes", 2)) == 0
    assert stamps(many / "codes") == before
