"""Shards encoded by Ray, on this machine or on a cluster: a task a shard, given again where its worker dies.

The model goes to the machines by Ray itself; nearbit has to be installed there, with what the model needs.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nearbit.errors import InputError, MissingExtraError
from nearbit.shards.job import Answered, Died, Encoded, Job, Shard
from nearbit.threads import n_threads

AHEAD = 2
"""Tasks that wait for each one that can run: enough that nobody is idle, few enough that a long list costs nothing."""

_encoders: dict[str, Callable[[Shard], Encoded]] = {}
"""What encodes, by job: a worker of Ray works on many tasks."""


def run_by_ray(
    job: Job, shards: Sequence[Shard], answered: Answered, died: Died, *, workers: int, address: str | None
) -> None:
    """Encode shards by Ray, and tell of each what became of it.

    Args:
        job: what is the same for all.
        shards: in the order in which they are given out.
        answered: called with each shard and what came of it.
        died: called where its worker died; returns whether it is to be given again.
        workers: how many shards are encoded at once where Ray starts on this machine.
        address: of a cluster; None starts Ray here, and stops it after.

    Raises:
        MissingExtraError: ray is not installed.
        InputError: there is no cluster at the address.
    """
    ray = _library()
    started = not ray.is_initialized()
    if started:
        _start(ray, workers, address)
    try:
        _give_all(ray, job, list(reversed(shards)), answered, died)
    finally:
        if started:
            ray.shutdown()


def _start(ray: Any, workers: int, address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"include_dashboard": False} if address is None else {}
    cpus = {"num_cpus": workers} if address is None else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False, **quiet, **cpus)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"Ray cannot be started or reached at {address or 'this machine'}: {error}") from error


def _give_all(ray: Any, job: Job, waiting: list[Shard], answered: Answered, died: Died) -> None:
    files = ray.put({file.name: file.read_bytes() for file in sorted(Path(job.model).iterdir()) if file.is_file()})
    cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
    share = str(max(1, n_threads() // cpus)) if len(ray.nodes()) == 1 else "1"
    variables = {"NEARBIT_THREADS": share, "OMP_NUM_THREADS": share}
    task = ray.remote(_encode).options(num_cpus=1, max_retries=0, runtime_env={"env_vars": variables})
    running: dict[Any, Shard] = {}
    while waiting or running:
        while waiting and len(running) < AHEAD * cpus:
            shard = waiting.pop()
            running[task.remote(job, shard, files)] = shard
        (ready,), _ = ray.wait(list(running), num_returns=1)
        shard = running.pop(ready)
        try:
            encoded = ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            answered(shard, Encoded(error=f"{shard.source}: {str(error).strip().splitlines()[-1]}"))
        except ray.exceptions.RayError:  # its worker, or the machine of that, is gone
            if died(shard, None):
                waiting.insert(0, shard)
        else:
            answered(shard, encoded)


def _encode(job: Job, shard: Shard, files: dict[str, bytes]) -> Encoded:
    """Encode a shard in a worker of Ray, with the model that came along."""
    key = repr((job.about, job.output, job.options, job.device))
    if key not in _encoders:
        from nearbit.shards.one import encoder_of

        with tempfile.TemporaryDirectory(prefix="nearbit-") as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            _encoders[key] = encoder_of(replace(job, model=folder))
    return _encoders[key](shard)


def _library() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "--engine ray") from error
    return ray
