"""Codes: signs of outputs, packed bits and Hamming distances, for any number of bits.

`signs` are int8 `(n, n_bits)` of -1 and +1. `codes` are uint8 `(n, ceil(n_bits / 8))`: bit 1 stands for +1, the first
bit of an item is the highest bit of its first byte, and the unused tail bits of the last byte are 0.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError

Signs = npt.NDArray[np.int8]
Codes = npt.NDArray[np.uint8]
Distances = npt.NDArray[np.int32]

WEIGHT_DIGITS = 24
"""Binary digits of a rounded weight below the power of two above the largest one of its row."""


def check_n_bits(n_bits: int) -> int:
    """Return `n_bits` as an int; raise `InputError` unless it is a whole number of at least 1."""
    if isinstance(n_bits, bool) or not isinstance(n_bits, int | np.integer) or n_bits < 1:
        raise InputError(f"n_bits must be a whole number of at least 1, not {n_bits!r}")
    return int(n_bits)


def n_bytes(n_bits: int) -> int:
    """Return the number of bytes that hold one code of `n_bits` bits."""
    return -(-check_n_bits(n_bits) // 8)


def signs_of(outputs: npt.ArrayLike) -> Signs:
    """Return the signs of real-valued outputs: int8 -1 or +1 of the same shape; an output of 0 becomes +1.

    Args:
        outputs: any shape, finite.

    Raises:
        InputError: an output is not finite (a network that diverged has no codes).

    Example:
        >>> signs_of([[-0.3, 0.0, 2.0]]).tolist()
        [[-1, 1, 1]]
    """
    return np.where(_finite(outputs) >= 0, 1, -1).astype(np.int8)


def binarize(outputs: npt.ArrayLike) -> Codes:
    """Return the codes of real-valued outputs: their signs, packed; `pack(signs_of(outputs))` in one step.

    Args:
        outputs: `(n, n_bits)`, finite; an output of 0 counts as +1.

    Returns:
        uint8 `(n, ceil(n_bits / 8))`.

    Raises:
        InputError: outputs of another shape, or one that is not finite.

    Example:
        >>> binarize([[-0.3, 0.0, 2.0]]).tolist()
        [[96]]
    """
    values = _finite(outputs)
    if values.ndim != 2 or values.shape[1] < 1:
        raise InputError(f"outputs must have the shape (n, n_bits) with n_bits >= 1, not {values.shape}")
    return np.packbits(values >= 0, axis=1)


def pack(signs: npt.ArrayLike) -> Codes:
    """Pack signs into codes.

    Args:
        signs: `(n, n_bits)` of -1 and +1; any other value is an error (there is no third symbol).

    Returns:
        uint8 `(n, ceil(n_bits / 8))`.

    Example:
        >>> pack([[1, -1, -1, -1, -1, -1, -1, -1, 1]]).tolist()
        [[128, 128]]
    """
    values = np.asarray(signs)
    if values.ndim != 2 or values.shape[1] < 1:
        raise InputError(f"signs must have the shape (n, n_bits) with n_bits >= 1, not {values.shape}")
    if not np.isin(values, (-1, 1)).all():
        raise InputError("signs must be -1 or +1; take signs_of(outputs) first")
    return np.packbits(values > 0, axis=1)


def unpack(codes: npt.ArrayLike, n_bits: int) -> Signs:
    """Unpack codes into signs; the inverse of `pack`.

    Args:
        codes: uint8 `(n, ceil(n_bits / 8))` with tail bits 0.
        n_bits: length of each code in bits.

    Returns:
        int8 `(n, n_bits)` of -1 and +1.

    Example:
        >>> unpack(np.array([[0b10100000]], np.uint8), 3).tolist()
        [[1, -1, 1]]
    """
    checked = check_codes(codes, n_bits)
    bits = np.unpackbits(checked, axis=1, count=n_bits)
    return (bits.astype(np.int8) * 2 - 1).astype(np.int8)


def check_codes(codes: npt.ArrayLike, n_bits: int, *, name: str = "codes") -> Codes:
    """Return `codes` as a contiguous uint8 array after checking type, shape and tail bits.

    Raises:
        InputError: not uint8, not `(n, ceil(n_bits / 8))`, or a tail bit is set.
    """
    width = n_bytes(n_bits)
    array = np.asarray(codes)
    if array.dtype != np.uint8:
        what = "texts or other objects" if array.dtype.kind in "OUS" else str(array.dtype)
        images = (
            "; images are encoded first (model.encode, or nb.search from an index)" if array.dtype.kind in "OUS" else ""
        )
        raise InputError(f"{name} must be packed uint8, not {what}; pack(signs) makes them{images}")
    if array.ndim != 2 or array.shape[1] != width:
        raise InputError(f"{name} of {n_bits} bits must have the shape (n, {width}), not {array.shape}")
    tail = 8 * width - n_bits
    if tail and (array[:, -1] & ((1 << tail) - 1)).any():
        raise InputError(f"{name}: the last {tail} bits of each row must be 0 for codes of {n_bits} bits")
    return np.ascontiguousarray(array)


def as_words(codes: Codes) -> npt.NDArray[np.uint64]:
    """Return codes as uint64 words `(n, ceil(bytes / 8))`, padded with 0: equal distances, eight bytes at a time."""
    width = -(-codes.shape[1] // 8) * 8
    padded = np.zeros((len(codes), width), np.uint8)
    padded[:, : codes.shape[1]] = codes
    words: npt.NDArray[np.uint64] = padded.view(np.uint64)
    return words


def word_distances(query_words: npt.NDArray[np.uint64], database_words: npt.NDArray[np.uint64]) -> Distances:
    """Return the distances of one query `(words,)` to all database items `(n, words)`: int32 `(n,)`, in bits."""
    total: Distances = np.bitwise_count(database_words[:, 0] ^ query_words[0]).astype(np.int32)
    for word in range(1, database_words.shape[1]):
        total += np.bitwise_count(database_words[:, word] ^ query_words[word])
    return total


def hamming_distances(a: npt.ArrayLike, b: npt.ArrayLike, n_bits: int) -> Distances:
    """Return all Hamming distances between two sets of codes.

    Args:
        a: codes uint8 `(n, ceil(n_bits / 8))`.
        b: codes uint8 `(m, ceil(n_bits / 8))`.
        n_bits: length of each code in bits.

    Returns:
        int32 `(n, m)`, 0 to n_bits.
    """
    words_a = as_words(check_codes(a, n_bits, name="the first codes"))
    words_b = as_words(check_codes(b, n_bits, name="the second codes"))
    rows = np.empty((len(words_a), len(words_b)), np.int32)
    for row, query in enumerate(words_a):
        rows[row] = word_distances(query, words_b)
    return rows


def check_outputs(
    outputs: npt.ArrayLike, n: int, n_bits: int, *, of: str, name: str = "outputs"
) -> npt.NDArray[np.float32]:
    """Return outputs as float32 `(n, n_bits)`; raise `InputError` for another shape or values that are not finite."""
    values = np.asarray(outputs)
    if values.dtype.kind not in "fiu" or values.shape != (n, n_bits):
        raise InputError(f"{name} must be real numbers ({n}, {n_bits}), a row {of}, not {values.dtype} {values.shape}")
    with np.errstate(over="ignore"):
        kept = values.astype(np.float32)
    if not np.isfinite(kept).all():
        raise InputError(f"{name} must be finite as float32: some are NaN, infinite or beyond it")
    return kept


def check_signs(outputs: npt.ArrayLike, codes: Codes, n_bits: int, *, name: str = "outputs") -> npt.NDArray[np.float32]:
    """Return the outputs of queries as float32 `(n, n_bits)`, whose signs the codes are; at 0 either sign is right.

    Raises:
        InputError: outputs of another form, not finite, or of other signs.
    """
    values = check_outputs(outputs, len(codes), n_bits, of="a query", name=name)
    given = np.unpackbits(check_codes(codes, n_bits), axis=1, count=n_bits).astype(np.bool_)
    if ((given != (values >= 0)) & (values != 0)).any():
        raise InputError(f"codes must be the signs of the {name}: give binarize({name}) with them")
    return values


def rounded_weights(outputs: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return the magnitudes of outputs float32 `(n, n_bits)`, finite, as whole numbers, the same on every machine.

    Each is rounded, a tie to even, to a multiple of 2 ** -24 of the power of two above the largest of its row. Those of
    at least half that power are kept as they are.

    Returns:
        int32 `(n, n_bits)`, 0 to 2 ** 24; and int64 `(n,)`, the exponents e of what they count: 2.0 ** e.
    """
    magnitudes = np.abs(outputs.astype(np.float64))
    exponents = np.frexp(magnitudes.max(axis=1, initial=0.0))[1].astype(np.int64) - WEIGHT_DIGITS
    return np.rint(np.ldexp(magnitudes, -exponents[:, None])).astype(np.int32), exponents


def _finite(outputs: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return outputs as an array; raise `InputError` unless they are real numbers, all of them finite."""
    values = np.asarray(outputs)
    if values.dtype.kind not in "fiu":
        raise InputError(f"outputs must be real numbers, not {values.dtype}")
    if not np.isfinite(values).all():
        bad = int(values.size - np.isfinite(values).sum())
        raise InputError(f"outputs must be finite: {bad} of {values.size} values are NaN or infinite")
    return values
