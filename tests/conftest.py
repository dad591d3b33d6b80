"""One thread for torch and BLAS in all tests: their networks are tiny, and waiting threads slow them down."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
