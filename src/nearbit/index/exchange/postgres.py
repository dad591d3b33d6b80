"""Items as SQL for PostgreSQL with pgvector: a table with a `bit(n)` column, filled by COPY; read by psql."""

import json
from pathlib import Path

import numpy as np

from nearbit.index.homes.contract import Home
from nearbit.index.homes.postgresql.rows import copied_line
from nearbit.index.results import Item

HEAD = """\
-- {n_bits} bits an item: bit 1 is +1, the first bit of a code comes first.
-- Nearest items of a code: SELECT id, code <~> B'...' AS distance FROM items ORDER BY distance, id LIMIT 10;
CREATE EXTENSION IF NOT EXISTS vector;
BEGIN;
CREATE TABLE items (
    id bigint PRIMARY KEY, code bit({n_bits}) NOT NULL, path text, labels jsonb NOT NULL, metadata jsonb NOT NULL,
    digest text
);
COPY items (id, code, path, labels, metadata, digest) FROM stdin;
"""
TAIL = "\\.\nCOMMIT;\n"


def save(index: Home, path: Path) -> None:
    """Write all items, one line each."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(HEAD.format(n_bits=index.n_bits))
        file.writelines(_line(item, index.n_bits) for item in index)
        file.write(TAIL)


def _line(item: Item, n_bits: int) -> str:
    bits = "".join(map(str, np.unpackbits(item.code, count=n_bits).tolist()))
    labels = json.dumps(list(item.labels), ensure_ascii=False)
    rest = json.dumps(item.metadata, ensure_ascii=False)
    fields = (str(item.id), bits, item.path, labels, rest, item.digest)
    return copied_line(fields)
