"""What goes between an index and a file of another program."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, check_n_bits
from nearbit.errors import InputError
from nearbit.index.results import Ids


@dataclass(frozen=True, eq=False)
class Exchanged:
    """Items as another program's file holds them.

    Attributes:
        ids: int64 `(n,)`, or None where the file holds none.
        codes: uint8 `(n, ceil(n_bits / 8))`, tail bits 0.
        n_bits: code length in bits.
        metadata: one mapping an item, or None where the file holds codes alone.
        model_id: the model that made the codes, where the file names it.
        outputs: float32 `(n, n_bits)`: what the codes are the signs of, where the file holds them.
        keeps: how the index that the file was made from keeps outputs: "int8", "float16", or None.
    """

    ids: Ids | None
    codes: Codes
    n_bits: int
    metadata: list[dict[str, Any]] | None = None
    model_id: str | None = None
    outputs: npt.NDArray[np.float32] | None = None
    keeps: str | None = None


def length_of(said: int | None, given: int | None, name: str) -> int:
    """Return the code length that a file says or a person gave; raise `InputError` where neither or both differ."""
    if given is not None and said not in (None, given):
        raise InputError(f"{name} holds codes of {said} bits, not {given}: leave --bits out")
    length = given if said is None else said
    if length is None:
        raise InputError(f"{name} does not say how long its codes are: give --bits")
    return check_n_bits(length)


def cut_to(codes: Codes, n_bits: int, name: str) -> Codes:
    """Return codes of whole bytes as codes of `n_bits`; raise `InputError` where the bits beyond are not 0."""
    if codes.shape[1] != -(-n_bits // 8):
        raise InputError(f"{name} holds codes of {8 * codes.shape[1]} bits, not {n_bits}: give another --bits")
    if -n_bits % 8 and (codes[:, -1] & ((1 << (-n_bits % 8)) - 1)).any():
        raise InputError(f"{name} holds codes of more than {n_bits} bits: give another --bits")
    return np.ascontiguousarray(codes)
