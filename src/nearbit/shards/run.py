"""Shards in, a folder of codes out: what is there already is passed over, and the rest given to an engine."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from nearbit.datasets.decoding.pixel_limit import pixel_limit
from nearbit.datasets.formats.shards import shards_in
from nearbit.datasets.shards import ENDINGS, is_shard
from nearbit.datasets.shards.table import has_id_column
from nearbit.errors import DataError, InputError
from nearbit.files.addresses import FilePlace, address_of
from nearbit.files.locking import alone
from nearbit.files.writing import remove_orphans
from nearbit.index.exchange.codes_table import CodesAbout
from nearbit.index.exchange.folder import SUCCESS
from nearbit.pool import run_in_processes
from nearbit.progress import Progress, silent
from nearbit.reading import ReadingOptions
from nearbit.shards.job import Answered, Died, Encoded, Job, Shard, head_of
from nearbit.shards.one import encoder_of
from nearbit.shards.plan import (
    PLAN,
    Plan,
    check_same,
    file_of_codes,
    read_plan,
    reading_of,
    success_of,
)
from nearbit.threads import n_threads

ENGINES = ("plain", "ray")
MOST_DEATHS = 5
"""How often a process may die over one shard before it is given up."""

LOCK = "_encode.lock"
"""Of a folder of codes: held while shards are encoded into it."""
READERS = 16
STAGE = "Encoding shards"
_USUAL = ReadingOptions()


def encode_shards(
    model: str | Path,
    sources: Sequence[str | Path],
    output: str | Path,
    *,
    outputs: bool = False,
    workers: int = 1,
    engine: str = "plain",
    ray_address: str | None = None,
    device: str = "auto",
    options: ReadingOptions = _USUAL,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Encode shards of images into a folder of Parquet files of codes, one a shard; see docs/shards.md.

    What is complete there already stays as it is, so the same call goes on after whatever ended the one before; when
    nothing is missing it does nothing.

    Args:
        model: the folder of a model.
        sources: shards (`.tar`, `.parquet`), folders of them, or addresses of either, in which `*` stands for names.
        output: the folder of codes, here or at an address.
        outputs: keep the real-valued outputs, too.
        workers: processes of the plain engine; 1 works in this one. With Ray, how many shards are encoded at once where
            it starts on this machine.
        engine: "plain" or "ray".
        ray_address: of a Ray cluster; None starts Ray on this machine.
        device: of the networks.
        options: how shards are read.
        progress: called as ("Encoding shards", done, all).

    Returns:
        what `_SUCCESS.json` holds, with `encoded_now`: how many shards this call encoded.

    Raises:
        DataError: no shards, two of one name, or a folder of another model; or some shards cannot be encoded: the
            others are.
        InputError: no such engine, or fewer than 1 worker.
        MissingExtraError: pyarrow, fsspec or ray is needed and not installed.
    """
    if engine not in ENGINES or workers < 1:
        raise InputError(f"engine must be plain or ray, and workers at least 1, not {engine!r} and {workers}")
    folder, places = FilePlace.of(output).checked(), _listed(sources)
    if engine == "ray" or workers > 1:
        _refuse_memory([folder, *places])
    about = _about(model, outputs=outputs)
    with _alone(folder):
        plan, shards = _planned(folder, places, about, options)
        job = Job(
            model=str(Path(model).absolute()), about=about, output=_whole(folder), device=device, has_ids=plan.has_ids,
            options=replace(options, progress=silent, max_pixels=pixel_limit(options.max_pixels)),
        )  # fmt: skip
        done = _done(folder, plan)
        _check_sources(shards, done, folder)
        missing = [shard for shard in shards if shard.name not in done]
        if missing or set(plan.names) - done.keys() or folder.child(SUCCESS).found() is None:
            _begin(folder, plan)
            run = _engine(engine, job, workers, ray_address)
            _run(run, missing, len(shards), done, progress)
            _end(folder, plan, done)
    return success_of(plan, done) | {"encoded_now": len(missing)}


@contextmanager
def _alone(folder: FilePlace) -> Iterator[None]:
    """Let no other command of this machine encode into a folder meanwhile: both would give the same numbers to shards.

    Raises:
        DataError: another one does so.
    """
    local = folder.local
    if local is None:
        yield
        return
    was_there = local.exists()
    with suppress(OSError):  # what cannot be made is named where something is to be written there
        local.mkdir(parents=True, exist_ok=True)
    try:
        with alone(local / LOCK, DataError(f"{folder} is being filled by another command: repeat this one after it")):
            yield
    finally:
        with suppress(OSError):  # it goes only where it is empty
            if not was_there:
                local.rmdir()


def _listed(sources: Sequence[str | Path]) -> list[FilePlace]:
    """Return the shards that are named, each once, in the order of their addresses."""
    found: dict[str, FilePlace] = {}
    for source in sources:
        address = address_of(source)
        place = FilePlace.of(address)
        if any(sign in address for sign in "*?["):
            places = [one for one in place.matching() if is_shard(one.name)]
        else:
            places = [place] if is_shard(place.name) else shards_in(place)
        if not places:
            raise DataError(f"{address}: no shards there; expected files ending in {' or '.join(ENDINGS)}")
        found |= {_whole(one): one for one in places}
    return [FilePlace.of(address) for address in sorted(found)]


def _whole(place: FilePlace) -> str:
    """Return the address of a place, for other processes: absolute."""
    return place.text if place.local is None else str(place.local.absolute())


def _refuse_memory(places: Sequence[FilePlace]) -> None:
    one = next((place for place in places if place.text.startswith("memory:")), None)
    if one is not None:
        raise InputError(f"{one} lies in the memory of this process, where no other one sees it: take --workers 1")


def _about(model: str | Path, *, outputs: bool) -> CodesAbout:
    from nearbit.model.manifest import read_manifest

    said = read_manifest(Path(model))
    return CodesAbout(n_bits=said["n_bits"], model_id=said["model_id"], outputs="float32" if outputs else None)


def _planned(
    folder: FilePlace, places: Sequence[FilePlace], about: CodesAbout, options: ReadingOptions
) -> tuple[Plan, list[Shard]]:
    """Return the plan of a folder with these shards in it, and the shards with their numbers."""
    names = [f"{PurePosixPath(place.name).stem}.parquet" for place in places]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        same = [place.text for place, name in zip(places, names, strict=True) if name == twice]
        raise DataError(f"{' and '.join(same[:2])} would both become {twice}: encode them into different folders")
    odd = next((name for name in names if name.startswith((".", "_"))), None)
    if odd is not None:
        raise DataError(f"the name of a shard must not begin with '.' or '_', which other programs pass over: {odd}")
    within = next((place for place in places if _whole(place.folder) == _whole(folder)), None)
    if within is not None:
        raise DataError(f"{within} lies in the folder that codes are to go into: name another one")
    plan = read_plan(folder)
    if plan is None:
        has_ids = has_id_column(places[0], options)
        plan = Plan(about=about, has_ids=has_ids, reading=reading_of(options), names=())
    check_same(plan, about, options, folder)
    plan = plan.with_names(names)
    numbers = {name: number for number, name in enumerate(plan.names)}
    shards = [Shard(_whole(place), name, numbers[name]) for place, name in zip(places, names, strict=True)]
    return plan, shards


def _done(folder: FilePlace, plan: Plan) -> dict[str, Encoded]:
    """Return the shards whose codes are there, by the names of their files.

    Those made with another number, in a folder that two commands filled at once, have ids of another shard: they are
    missing.
    """
    there = folder.files()
    names = [name for name in plan.names if name in there]
    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(lambda name: file_of_codes(folder.child(name), plan.about), names))
    numbers = {name: (None, number) for number, name in enumerate(plan.names)}
    return {name: one for name, one in zip(names, found, strict=True) if one and one.number in numbers[name]}


def _check_sources(shards: Sequence[Shard], done: dict[str, Encoded], folder: FilePlace) -> None:
    """Raise `DataError` where the codes that are there are those of another shard of the same name."""
    known = [shard for shard in shards if shard.name in done]
    with ThreadPoolExecutor(READERS) as pool:
        reasons = pool.map(lambda shard: _why_other(shard, done[shard.name]), known)
        for shard, reason in zip(known, reasons, strict=True):
            if reason:
                raise DataError(
                    f"{folder.child(shard.name)} was made of a shard {reason}: take that file away to encode the shard "
                    "anew, or name another folder"
                )


def _why_other(shard: Shard, done: Encoded) -> str:
    """Return how a shard differs from the one that codes were made of; "" where it is the same, or gone."""
    found = shard.place.found()
    if found is None:
        return ""
    if found.size != done.bytes:
        return f"of {done.bytes:,} bytes, and {shard.source} has {found.size:,}"
    return "" if head_of(shard.place) == done.head else f"that begins in another way than {shard.source}"


def _begin(folder: FilePlace, plan: Plan) -> None:
    folder.child(SUCCESS).remove()
    file = folder.child(PLAN)
    content = plan.to_json()
    if file.found() is None or file.read(len(content)) != content:
        file.write(content)


def _end(folder: FilePlace, plan: Plan, done: dict[str, Encoded]) -> None:
    """Write `_SUCCESS.json`, unless shards of other calls are still missing."""
    if folder.local is not None:
        remove_orphans(folder.local)
    absent = [name for name in plan.names if name not in done]
    if absent:
        raise DataError(
            f"all shards that were named are encoded, but {len(absent)} that were named before are missing from "
            f"{folder}, such as {absent[0]}: name them, too"
        )
    content = json.dumps(success_of(plan, done), indent=1) + "\n"
    folder.child(SUCCESS).write(content.encode())


def _engine(engine: str, job: Job, workers: int, ray_address: str | None) -> Any:
    """Return what encodes shards: called with them and with what is told of each."""
    if engine == "ray":
        from nearbit.shards.ray_engine import run_by_ray

        return partial(run_by_ray, job, workers=workers, address=ray_address)
    return partial(_run_here if workers == 1 else partial(_run_in_processes, workers=workers), job)


def _run_here(job: Job, shards: Sequence[Shard], answered: Answered, died: Died) -> None:
    encode = encoder_of(job)
    for shard in shards:
        answered(shard, encode(shard))


def _run_in_processes(job: Job, shards: Sequence[Shard], answered: Answered, died: Died, *, workers: int) -> None:
    share = str(max(1, n_threads() // workers))
    run_in_processes(
        partial(encoder_of, job),
        shards,
        workers,
        answered=answered,
        died=died,
        environment={"NEARBIT_THREADS": share, "OMP_NUM_THREADS": share},
    )


def _run(run: Any, shards: Sequence[Shard], total: int, done: dict[str, Encoded], progress: Progress) -> None:
    """Run an engine; put what was encoded into `done`, and raise one error for what could not be."""
    failed: dict[str, str] = {}
    deaths: Counter[str] = Counter()
    progress(STAGE, total - len(shards), total)

    def answered(shard: Shard, encoded: Encoded) -> None:
        if encoded.error:
            failed[shard.source] = encoded.error
        else:
            done[shard.name] = encoded
        progress(STAGE, total - len(shards) + len(failed) + sum(one.name in done for one in shards), total)

    def died(shard: Shard, code: int | None) -> bool:
        deaths[shard.name] += 1
        if deaths[shard.name] < MOST_DEATHS:
            return True
        why = f"its process ended without a word {MOST_DEATHS} times (exit code {code}), perhaps for want of memory"
        answered(shard, Encoded(error=f"{shard.source}: {why}"))
        return False

    if shards:
        run(shards, answered, died)
    if failed:
        first = "; ".join(list(failed.values())[:3])
        raise DataError(f"{len(failed)} of {total} shards cannot be encoded, the others are done; the first: {first}")
