"""The log: one JSON object a line on standard error; never what an image or a query holds."""

import json
import logging
import sys
import time
from typing import Any


def log(event: str, **facts: Any) -> None:
    """Write one line: the time (UTC), what happened, and facts ready for JSON."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    line = json.dumps({"time": f"{stamp}.{int(now * 1000) % 1000:03d}Z", "event": event, **facts})
    sys.stderr.write(line + "\n")


class LogHandler(logging.Handler):
    """Takes what libraries log, as lines of the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        facts: dict[str, Any] = {"level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            facts["error"] = logging.Formatter().formatException(record.exc_info)
        log(record.name, **facts)
