"""Codes in an index of usearch for single bits and the Hamming distance, with their ids as keys."""

from pathlib import Path
from typing import Any

import numpy as np

from nearbit.codes import n_bytes
from nearbit.errors import InputError, MissingExtraError
from nearbit.index.exchange.items import Exchanged, cut_to
from nearbit.index.homes.contract import Home


def save(index: Home, path: Path) -> None:
    """Write ids and codes; paths, labels and metadata have no place in the file. The graph of usearch is built anew."""
    library = _library()
    ids, codes = index.codes()
    whole = library.Index(ndim=8 * n_bytes(index.n_bits), metric="hamming", dtype="b1")
    if len(ids):
        whole.add(ids.astype(np.uint64), codes)
    whole.save(str(path))
    library.Index.restore(str(path))  # as for faiss


def load(path: Path, n_bits: int | None) -> Exchanged:
    """Read an index of single bits. Read only files that you trust."""
    library = _library()
    try:
        whole = library.Index.restore(str(path))
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise InputError(f"{path} cannot be read as an index of usearch") from error
    if whole is None or str(whole.dtype).rpartition(".")[2].lower() != "b1":
        raise InputError(f"{path} is not an index of usearch for single bits (dtype b1)")
    keys = np.sort(np.asarray(whole.keys).astype(np.uint64))
    width = -(-whole.ndim // 8)
    codes = (
        np.asarray(whole.get(keys)).view(np.uint8).reshape(-1, width) if len(keys) else np.empty((0, width), np.uint8)
    )
    length = whole.ndim if n_bits is None else n_bits
    return Exchanged(keys.astype(np.int64), cut_to(codes, length, str(path)), length)


def _library() -> Any:
    try:
        import usearch.index
    except ImportError as error:
        raise MissingExtraError("usearch", "usearch", "a .usearch file") from error
    return usearch.index
