"""Making good use of the machine: what the command line, and never the library, decides for its whole process."""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGE = 2**30


def use_machine_well() -> None:
    """Prepare this process for networks on the CPU, before torch is loaded.

    A network's layers allocate and free the same large blocks again and again, and fetching them from the system each
    time costs more than some layers do: glibc's allocator is told to keep them. Threads that wait for each other give
    their core away instead of spinning, for on a shared machine spinning slows everything down several times over;
    the user's own OMP_WAIT_POLICY is respected.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, LARGE), (M_TOP_PAD, LARGE // 8)):
            mallopt(parameter, value)
