"""Making good use of the machine: what the command line, and never the library, decides for its whole process."""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGE = 2**30
SPINS = "20000"


def tune_runtime() -> None:
    """Prepare this process for networks on the CPU, before torch is loaded.

    A network's layers allocate and free the same large blocks again and again, and fetching them from the system each
    time costs more than some layers do: glibc's allocator is told to keep them. Threads that wait for each other give
    their core away after a moment instead of spinning on, for on a shared machine long spinning slows everything down
    several times over; what the user set in the environment is respected.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, LARGE), (M_TOP_PAD, LARGE // 8)):
            mallopt(parameter, value)
