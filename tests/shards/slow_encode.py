"""`encode_shards` with a stand-in for the model that takes its time, for tests that kill: each process runs this file.

Called as: slow_encode.py MODEL SHARDS CODES WORKERS. What the stand-in computes follows from the pixels alone.
"""

import sys
import time

import numpy as np

from nearbit.datasets import Problem
from nearbit.encoding.pipeline import Encoded
from nearbit.errors import ImageError
from nearbit.shards import encode_shards, one

PAUSE = 0.03


class SlowModel:
    def encode_dataset(self, dataset, device, total):
        rows, outputs, problems = [], [], []
        weights = np.random.default_rng(0).normal(size=(3 * 16, 12))
        for row in range(len(dataset)):
            try:
                pixels = np.asarray(dataset.source.read(row).resize((4, 4)), np.float64)
            except ImageError as error:
                problems.append(Problem(dataset.keys[row], str(error)))
                continue
            rows.append(row)
            outputs.append((pixels.reshape(-1) - 128) @ weights)
        time.sleep(PAUSE)
        found = np.array(outputs, np.float32).reshape(-1, 12)
        return Encoded(found, np.array(rows, np.int64), tuple(problems))


one._opened = lambda job: SlowModel()
one.BLOCK = 4

if __name__ == "__main__":
    model, shards, codes, workers = sys.argv[1:]
    print(encode_shards(model, [shards], codes, workers=int(workers), outputs=True, device="cpu")["encoded_now"])
