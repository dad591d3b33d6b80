"""The distinct sets of labels of an index, numbered, so that a filter on labels reads one small number an item."""

import threading
from collections.abc import Iterable, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

from nearbit.index.storage.rows import labels_of

SetNumbers = npt.NDArray[np.int32]

MOST_SETS = 200_000
"""Beyond this many distinct sets they are not kept in memory, and the file answers filters on labels."""


@final
class LabelSets:
    """Sets of labels by number; numbers are only added, so that all snapshots of an index share one. Thread-safe."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        """Number the sets of `texts`, each the JSON list of an item's labels, in that order."""
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._with_label: dict[str, list[int]] = {}
        self._number_new(texts)

    def numbers_of(self, texts: Sequence[str]) -> SetNumbers | None:
        """Return the number of each set, int32 `(n,)`; None where there are more than `MOST_SETS` in all."""
        if not len(texts):
            return np.empty(0, np.int32)
        with self._lock:
            self._number_new(dict.fromkeys(texts))
            if len(self._numbers) > MOST_SETS:
                return None
            return np.fromiter(map(self._numbers.__getitem__, texts), np.int32, len(texts))

    def having(self, labels: Iterable[str]) -> list[int]:
        """Return the numbers of the sets that have at least one of the labels, ascending."""
        with self._lock:
            return sorted({number for label in labels for number in self._with_label.get(label, ())})

    def counts(self, sets: SetNumbers) -> dict[str, int]:
        """Return how many of the items with these sets have each label, sorted by label, those of none left out."""
        with self._lock:
            n_items = np.bincount(sets, minlength=len(self._numbers))
            counts = {label: int(n_items[numbers].sum()) for label, numbers in self._with_label.items()}
        return {label: n for label, n in sorted(counts.items()) if n}

    def texts(self) -> list[str]:
        """Return the sets by number, each as the JSON list that the file holds."""
        with self._lock:
            return list(self._numbers)

    def _number_new(self, texts: Iterable[str]) -> None:
        for text in texts:
            if text not in self._numbers:
                labels = labels_of(text)
                number = self._numbers[text] = len(self._numbers)
                for label in dict.fromkeys(labels):
                    self._with_label.setdefault(label, []).append(number)
