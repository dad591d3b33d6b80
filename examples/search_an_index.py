"""Keep codes in an index file and search it: python examples/search_an_index.py"""

import tempfile
from pathlib import Path

import numpy as np

import nearbit as nb


def main() -> None:
    """Fill an index with random codes, search it by number, label and radius, and remove an item."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (1000, 8), dtype=np.uint8)  # 1,000 codes of 64 bits
    about = [{"path": f"bird-{row}.jpg", "labels": ["wren" if row % 2 else "robin"]} for row in range(1000)]
    query = codes[:1] ^ np.array([1, 0, 0, 0, 0, 0, 0, 3], np.uint8)  # the first code with three bits turned
    with (
        tempfile.TemporaryDirectory() as folder,
        nb.create_index(Path(folder) / "birds.index", n_bits=64) as index,
    ):
        ids = index.add(codes, metadata=about)  # durable when this returns
        results = index.search(query, k=3)
        nearest = index.items(results.ids[0])[0]
        print(f"nearest: {nearest.path}, {results.distances[0, 0]} bits away")
        wrens = index.search(query, k=3, where={"labels": "wren"})
        print(f"nearest wren: {index.items(wrens.ids[0])[0].path}, {wrens.distances[0, 0]} bits away")
        index.remove(ids[:1])
        print(f"within 3 bits once it is removed: {index.search(query, k=None, radius=3).ids.shape[1]}")


if __name__ == "__main__":
    main()
