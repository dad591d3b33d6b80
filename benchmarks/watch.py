#!/usr/bin/env python3
"""Short forms of the ratios that nearbit is proud of, beside those that are committed: what fell?

    OMP_NUM_THREADS=1 NEARBIT_THREADS=1 python benchmarks/watch.py
    ... python benchmarks/watch.py --only search filter
    ... python benchmarks/watch.py --save      # the new ones are the committed ones from now on

Each entry of `watched.py` is nearbit and a peer doing the same work in turns, one thread, in CPU seconds; its ratio is
the peer's over ours, so more is better (1 where they are alike), whatever the machine's clock. All kernels are compiled
before. The median of the rounds counts, and the spread of the rounds is kept: a ratio has fallen where it is lower than
the committed one by more than twice what both spread by, and by more than 5 %. Ratios of another kind of processor
differ for other reasons: the committed file names its own. Exit status 1 where something fell.
"""

import argparse
import json
import math
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from watched import ENTRIES, Sizes, chosen

COMMITTED = Path(__file__).parent / "results" / "watch.json"
LEAST_FALL = 0.05
"""Of a ratio; less is not looked at, however steady it was."""


def ratios(name: str, sizes: Sizes, rounds: int) -> list[float]:
    """Return the ratio of each round of an entry, after one that is left out."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        pair = ENTRIES[name](sizes, Path(folder), stack)
        seconds = [(pair.ours(), pair.peer()) for _ in range(rounds + 1)][1:]
    return [peer / ours for ours, peer in seconds]


def spread(values: Sequence[float]) -> float:
    """Return half of the range between the quartiles, relative to the median."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else 3 * [values[0]]
    return (high - low) / 2 / middle


def verdict(now: Sequence[float], before: Sequence[float] | None) -> str:
    """Return in a word what became of a ratio: "fell", "rose", "as before", or "new"."""
    if before is None:
        return "new"
    change = math.log(statistics.median(now) / statistics.median(before))
    noise = max(LEAST_FALL, 2 * (spread(now) + spread(before)))
    return "as before" if abs(change) <= noise else "rose" if change > 0 else "fell"


def processor() -> str:
    """Return the name of the processor, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def measured(names: Sequence[str], sizes: Sizes, rounds: int, committed: dict[str, Any]) -> dict[str, list[float]]:
    """Measure entries and print a line of each; those whose peer is not installed are named and left out."""
    print(f"{'':36}{'ratio':>8}{'spread':>8}{'before':>8}")
    found: dict[str, list[float]] = {}
    for name in names:
        try:
            found[name] = ratios(name, sizes, rounds)
        except ImportError as error:
            print(f"{name:36}skipped: {error}")
            continue
        before = committed.get(name)
        then = f"{statistics.median(before):8.3g}" if before else f"{'-':>8}"
        what = verdict(found[name], before)
        print(f"{name:36}{statistics.median(found[name]):8.3g}{spread(found[name]):8.0%}{then}  {what}", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, compare, and keep where asked; return 1 where something fell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="entries whose names hold a word")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--committed", type=Path, default=COMMITTED)
    parser.add_argument("--save", action="store_true", help="keep the new ratios in the place of the committed ones")
    parser.add_argument("--small", action="store_true", help="tiny sizes: whether it runs, not how fast")
    given = parser.parse_args(arguments)
    from nearbit.compiled import FAMILIES

    for family in FAMILIES:
        family.load()
    kept = json.loads(given.committed.read_text()) if given.committed.is_file() else {"processor": None, "ratios": {}}
    if kept["processor"] not in (None, processor()):
        print(f"the committed ratios are of another processor: {kept['processor']}; this one: {processor()}")
    sizes = Sizes(codes=20_000, queries=20, images=2, side=32, rows=500, requests=20) if given.small else Sizes()
    names = chosen(given.only)
    now = measured(names, sizes, given.rounds, kept["ratios"])
    fell = [name for name in now if verdict(now[name], kept["ratios"].get(name)) == "fell"]
    print(f"fell by more than their noise: {', '.join(fell) or 'none'} of {len(now)}")
    if given.save:
        rounded = {name: [float(f"{value:.4g}") for value in values] for name, values in now.items()}
        about = {"processor": processor(), "ratios": kept["ratios"] | rounded}
        given.committed.write_text(json.dumps(about, indent=1) + "\n")
    return 1 if fell else 0


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "NEARBIT_THREADS"):
        os.environ.setdefault(variable, "1")
    sys.exit(main())
