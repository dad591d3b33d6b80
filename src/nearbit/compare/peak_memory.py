"""The peak memory of a stretch of work."""

import sys
from pathlib import Path


def forget_peak() -> None:
    """Let `peak_mb` count from here, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mb() -> float | None:
    """Return the largest resident memory of this process since `forget_peak`, in MB; None where nobody knows."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return _peak_of_process()
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return round(int(lines[0].split()[1]) / 1024, 1) if lines else None


def _peak_of_process() -> float | None:
    """Return the largest resident memory since the process began."""
    try:
        import resource
    except ImportError:
        return None
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), 1)
