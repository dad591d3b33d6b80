"""The direct table of short codes: each code is an address, and the addresses near a query are looked up."""

import numpy as np
import numpy.typing as npt

from nearbit.index.engine.distinct import Distinct
from nearbit.index.engine.layout import Layout


def addresses_of(words: npt.NDArray[np.uint64], n_bits: int) -> npt.NDArray[np.int64]:
    """Return the addresses 0 … 2 ** n_bits - 1 of codes of one word: the unused bits of the last byte are taken out."""
    whole = n_bits // 8 * 8
    low = words & np.uint64((1 << whole) - 1)
    if whole == n_bits:
        return low.astype(np.int64)
    unused = 8 - n_bits % 8
    return (low | (words >> np.uint64(whole + unused) << np.uint64(whole))).astype(np.int64)


def table_layout(distinct: Distinct, n_bits: int) -> Layout:
    """Return the layout of distinct codes with their table."""
    table = np.zeros(2**n_bits, np.uint32)
    table[addresses_of(distinct.columns[0], n_bits)] = np.arange(1, distinct.columns.shape[1] + 1)
    return Layout.of(
        distinct.columns, offsets=distinct.offsets, rows=distinct.rows, table=table, probes=probes_of(n_bits)
    )


def probes_of(n_bits: int) -> npt.NDArray[np.uint32]:
    """Return all addresses, uint32 `(2 ** n_bits,)`, by the number of their ones, then ascending."""
    addresses = np.arange(2**n_bits, dtype=np.uint32)
    return addresses[np.argsort(np.bitwise_count(addresses), kind="stable")]
