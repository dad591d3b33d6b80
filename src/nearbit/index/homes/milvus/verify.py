"""What can be wrong with an index in Milvus, and is found by looking."""

from collections.abc import Iterator

import numpy as np

from nearbit.codes import as_words
from nearbit.index.engine.structure import brute_force_search
from nearbit.index.homes.milvus.client import Row, Server
from nearbit.index.homes.milvus.filters import visible
from nearbit.index.homes.milvus.reading import Rows
from nearbit.index.homes.milvus.rows import FIELDS, item_of, tokens_of
from nearbit.index.homes.milvus.searching import Ask, Wanted, nearest
from nearbit.index.homes.milvus.state import Mark
from nearbit.index.storage.damage import Damage
from nearbit.index.verify import NEAREST, SAMPLE

MOST_SAID = 10


def problems(server: Server, rows: Rows, mark: Mark, ask: Ask, n_bits: int) -> Iterator[str]:
    """Yield what is wrong: the counts, ids and filters of the items, then searches against all of them."""
    name = server.address.name
    n_items = server.count(name, visible(mark), None)
    if n_items != mark.items:
        yield f"the state counts {mark.items} items, and there are {n_items}"
    if not mark.owner:
        n_left = server.count(name, f"revision > {mark.revision} and id >= 0", None)
        if n_left:
            yield f"{n_left} rows were left by an addition that was cut short; the next writer takes them away"
    beyond = server.count(name, visible(mark, f"(id > {mark.last_id} or id < 0)"), None)
    if beyond:
        yield f"{beyond} items have ids outside 0 … {mark.last_id}, the ids that were ever used"
    wrong = list(_items(rows, n_bits))
    yield from wrong
    if not wrong:
        yield from _searches(rows, mark, ask, n_bits)


def _items(rows: Rows, n_bits: int) -> Iterator[str]:
    n_said, before = 0, -1
    for page in rows.pages([*FIELDS, "tokens"]):
        for row in page:
            for words in _item(row, n_bits, before):
                yield words
                n_said += 1
                if n_said >= MOST_SAID:
                    return
            before = row["id"]


def _item(row: Row, n_bits: int, before: int) -> Iterator[str]:
    if row["id"] == before:
        yield f"item {before} is there twice"
    try:
        item = item_of(row, n_bits)
    except Damage as error:
        yield str(error)
        return
    if list(row["tokens"]) != tokens_of(item.path, item.labels, item.digest, item.metadata):
        yield f"item {item.id}: where does not find it by its labels and metadata"


def _searches(rows: Rows, mark: Mark, ask: Ask, n_bits: int) -> Iterator[str]:
    ids, codes = rows.codes()
    if not len(ids):
        return
    chosen = np.linspace(0, len(ids) - 1, min(SAMPLE, len(ids)), dtype=np.intp)
    words = as_words(codes)
    limits = np.full(len(chosen), n_bits, np.int32)
    expected = brute_force_search(words[chosen], words, ids, k=NEAREST, limits=limits).first(NEAREST)
    queries = [code.tobytes() for code in codes[chosen]]
    found = nearest(ask, queries, Wanted(NEAREST, n_bits), mark.items, mark.last_id)
    if not (np.array_equal(found.ids, expected.ids) and np.array_equal(found.distances, expected.distances)):
        yield "a search finds something else than a comparison with every item"
