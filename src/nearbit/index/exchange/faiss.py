"""Codes in a binary flat index of faiss, with their ids in an IDMap2. Its codes are whole bytes: tail bits are 0."""

from pathlib import Path
from typing import Any

import numpy as np

from nearbit.codes import n_bytes
from nearbit.errors import InputError, MissingExtraError
from nearbit.index.exchange.items import Exchanged, cut_to
from nearbit.index.homes.contract import Home


def save(index: Home, path: Path) -> None:
    """Write ids and codes; paths, labels and metadata have no place in the file."""
    faiss = _library()
    ids, codes = index.codes()
    whole = faiss.IndexBinaryIDMap2(faiss.IndexBinaryFlat(8 * n_bytes(index.n_bits)))
    whole.add_with_ids(codes, ids)
    faiss.write_index_binary(whole, str(path))
    faiss.read_index_binary(str(path))  # what the system refuses at the end, when the file is closed, is not told


def load(path: Path, n_bits: int | None) -> Exchanged:
    """Read a binary flat index, alone (ids from 0) or in an IDMap or IDMap2. Read only files that you trust."""
    faiss = _library()
    try:
        whole = faiss.read_index_binary(str(path))
    except RuntimeError as error:
        raise InputError(f"{path} cannot be read as a binary index of faiss") from error
    mapped = isinstance(whole, faiss.IndexBinaryIDMap | faiss.IndexBinaryIDMap2)
    flat = faiss.downcast_IndexBinary(whole.index) if mapped else whole
    if not isinstance(flat, faiss.IndexBinaryFlat):
        raise InputError(f"{path} holds a {type(flat).__name__}; expected an IndexBinaryFlat, alone or in an IDMap")
    codes = faiss.vector_to_array(flat.xb).reshape(-1, flat.code_size)
    ids = faiss.vector_to_array(whole.id_map) if mapped else np.arange(len(codes))
    length = flat.d if n_bits is None else n_bits
    return Exchanged(ids.astype(np.int64), cut_to(codes, length, str(path)), length)


def _library() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("faiss-cpu", "faiss", "a .faiss file") from error
    return faiss
