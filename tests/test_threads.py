"""The number of threads: what NEARBIT_THREADS says, else the cores; nonsense is refused."""

import numpy as np
import pytest

from nearbit import metrics
from nearbit.errors import InputError
from nearbit.threads import n_threads


def test_threads_are_those_that_the_variable_names(monkeypatch):
    monkeypatch.setenv("NEARBIT_THREADS", " 3 ")
    assert n_threads() == 3
    monkeypatch.delenv("NEARBIT_THREADS")
    assert n_threads() >= 1


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "²"])
def test_nonsense_is_refused(monkeypatch, value):
    monkeypatch.setenv("NEARBIT_THREADS", value)
    with pytest.raises(InputError, match="NEARBIT_THREADS must be a whole number of at least 1"):
        n_threads()


def test_an_evaluation_uses_so_many_threads(monkeypatch):
    used = []

    def pool(threads):
        used.append(threads)
        return real(threads)

    real = metrics.counting.comparison.ThreadPoolExecutor
    monkeypatch.setattr(metrics.counting.comparison, "ThreadPoolExecutor", pool)
    monkeypatch.setenv("NEARBIT_THREADS", "5")
    codes = np.arange(200, dtype=np.uint8)[:, None]
    metrics.tie_aware_average_precision(codes, np.arange(200), codes, np.arange(200), 8)
    assert used == [5]
