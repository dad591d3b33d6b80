"""What the service tells those who run it: a log on standard error, and numbers in the text format of Prometheus."""

import json
import logging
import sys
import time
from collections import defaultdict
from functools import lru_cache
from typing import Any, final

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram of answer times."""

STAGES = ("model", "upload", "decode", "encode", "search")


def log(event: str, **facts: Any) -> None:
    """Write one line, a JSON object: the time (UTC), what happened, and facts; never what an image or a query holds."""
    now = time.time()
    line = json.dumps({"time": f"{_stamp(int(now))}.{int(now * 1000) % 1000:03d}Z", "event": event, **facts})
    sys.stderr.write(line + "\n")


@lru_cache(maxsize=2)
def _stamp(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


class LogHandler(logging.Handler):
    """Takes what libraries log, as lines of the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        facts: dict[str, Any] = {"level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            facts["error"] = logging.Formatter().formatException(record.exc_info)
        log(record.name, **facts)


@final
class Counters:
    """What one process has answered. Used by its event loop alone.

    Attributes:
        working: requests that are being worked on.
    """

    def __init__(self) -> None:
        """Begin at 0."""
        self.working = 0
        self._requests: dict[tuple[str, str, int], int] = defaultdict(int)
        self._buckets: dict[str, list[int]] = defaultdict(lambda: [0] * (len(SECONDS) + 1))
        self._seconds: dict[str, float] = defaultdict(float)
        self._stage_seconds = dict.fromkeys(STAGES, 0.0)
        self._stage_counts = dict.fromkeys(STAGES, 0)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        known = method if method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS") else "other"
        self._requests[known, route, status] += 1
        place = next((number for number, bound in enumerate(SECONDS) if seconds <= bound), len(SECONDS))
        self._buckets[route][place] += 1
        self._seconds[route] += seconds

    def count_stage(self, stage: str, seconds: float) -> None:
        """Count one step of a search: decode, encode or search."""
        self._stage_seconds[stage] += seconds
        self._stage_counts[stage] += 1

    def text(self, gauges: dict[str, tuple[str, float]]) -> str:
        """Return all numbers, with those of `gauges`: name to (help, value)."""
        lines = _head("nearbit_requests_total", "counter", "Answered requests.")
        lines += [
            f'nearbit_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}'
            for (method, route, status), count in sorted(self._requests.items())
        ]
        lines += _head("nearbit_request_seconds", "histogram", "Time from a request to its answer.")
        for route in sorted(self._buckets):
            lines += self._histogram(route)
        lines += _head("nearbit_stage_seconds", "summary", "Time in the steps of searches.")
        for stage in STAGES:
            lines.append(f'nearbit_stage_seconds_sum{{stage="{stage}"}} {self._stage_seconds[stage]:.6f}')
            lines.append(f'nearbit_stage_seconds_count{{stage="{stage}"}} {self._stage_counts[stage]}')
        working = {"nearbit_requests_working": ("Requests that are being worked on.", float(self.working))}
        for name, (words, value) in {**working, **gauges}.items():
            lines += [*_head(name, "gauge", words), f"{name} {value:g}"]
        return "\n".join(lines) + "\n"

    def _histogram(self, route: str) -> list[str]:
        name, total, lines = "nearbit_request_seconds", 0, []
        for bound, count in zip((*map(str, SECONDS), "+Inf"), self._buckets[route], strict=True):
            total += count
            lines.append(f'{name}_bucket{{route="{route}",le="{bound}"}} {total}')
        lines.append(f'{name}_sum{{route="{route}"}} {self._seconds[route]:.6f}')
        lines.append(f'{name}_count{{route="{route}"}} {total}')
        return lines


def _head(name: str, kind: str, words: str) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
