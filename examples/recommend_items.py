"""Serve a recommender's factors as codes: python examples/recommend_items.py

Items become codes, users become queries, and the nearest items by Hamming distance are recommended. The factors come
from elsewhere (here they are drawn): nearbit trains no recommender.
"""

import tempfile
from pathlib import Path

import numpy as np

import nearbit as nb
from nearbit.codes import binarize

N_USERS, N_ITEMS, N_BITS = 200, 2000, 128


def main() -> None:
    """Code users and items alike, measure against held-out likes, and recommend to one user."""
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(N_USERS, 16)), rng.normal(size=(N_ITEMS, 16))
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    liked = users @ items.T + rng.normal(0, 0.5, (N_USERS, N_ITEMS)) > 2.5  # what users will like: a relevance matrix
    directions = rng.normal(size=(16, N_BITS))  # the same for both, so that codes keep the angles between them
    user_codes, item_codes = (binarize(factors @ directions) for factors in (users, items))

    asked = liked.any(axis=1)  # a user is a label of their own; an item has the labels of the users who like it
    report = nb.evaluate_codes(
        user_codes[asked], np.eye(N_USERS, dtype=bool)[asked], item_codes, liked.T, n_bits=N_BITS
    )
    chance = liked[asked].mean()
    print(f"{asked.sum()} users like {100 * chance:.1f} % of the items each")
    print(f"of the first ten recommended items they like {100 * report.precision_at_10:.0f} %")

    with (
        tempfile.TemporaryDirectory() as folder,
        nb.create_index(Path(folder) / "items.index", n_bits=N_BITS) as index,
    ):
        index.add(item_codes, metadata=[{"path": f"item-{row}", "new": bool(row % 2)} for row in range(N_ITEMS)])
        results = index.search(user_codes[:1], k=3, where={"new": True})  # a filter: only what is new
        print("the first user gets", *[item.path for item in index.items(results.ids[0])])


if __name__ == "__main__":
    main()
