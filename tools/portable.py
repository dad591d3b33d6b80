"""Run the tests whose numbers depend on the processor once more under other instruction sets than its own.

PyTorch, oneDNN, OpenBLAS and numba choose their loops by what the processor has; what they choose differs in the last
bits. Environment variables make them choose as on an older one, so that one machine stands for several. Arguments go to
pytest in place of the tests marked `portable`.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SETTINGS: dict[str, dict[str, str]] = {
    "PyTorch without vectors": {"ATEN_CPU_CAPABILITY": "default"},
    "PyTorch at AVX2, oneDNN at its widest": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "ALL"},
    "oneDNN at AVX2, OpenBLAS for Haswell": {"ONEDNN_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell"},
    "all for the plainest processor": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
    },
}
"""What is set, by what it stands for. The machine's own choice is that of `make test`."""

MARKED = ("-m", "portable and not slow and not real")
PROCESSES = ("-n", "auto", "--maxprocesses", "4")


def main() -> None:
    """Run the tests under each setting; leave with an error where one failed."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        sys.stderr.write(
            f"SKIPPED: other instruction sets, because they are those of x86-64, not {platform.machine()}\n"
        )
        return
    tests = sys.argv[1:] or [*MARKED, *PROCESSES]
    failed = [name for name, setting in SETTINGS.items() if not passes(name, setting, tests)]
    if failed:
        raise SystemExit(f"other numbers than the tests allow with: {'; '.join(failed)}")


def passes(name: str, setting: dict[str, str], tests: list[str]) -> bool:
    """Say whether the tests pass under a setting; compiled loops are kept apart by it."""
    words = " ".join(f"{key}={value or repr(value)}" for key, value in setting.items())
    sys.stderr.write(f"{name}: {words}\n")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as cache:
        own = {"NUMBA_CACHE_DIR": cache} if "NUMBA_CPU_NAME" in setting else {}
        command = [sys.executable, "-m", "pytest", *tests]
        status = subprocess.run(command, cwd=ROOT, env=os.environ | setting | own, check=False).returncode
    sys.stderr.write(f"{name}: {'passed' if not status else 'FAILED'} in {time.monotonic() - begun:.0f} s\n")
    return not status


if __name__ == "__main__":
    main()
