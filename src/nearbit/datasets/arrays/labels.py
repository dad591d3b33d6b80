"""Labels as people have them in a program: class numbers, a matrix of bools, or lists of names."""

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.datasets.arrays.features import as_array
from nearbit.datasets.dataset import Labels
from nearbit.errors import InputError
from nearbit.json_text import unstorable
from nearbit.names import escaped, label_name

EXPECTED = "labels must be class numbers (n,), a bool matrix (n, n_classes), or a list with a name or names of each row"


def given_labels(given: Any, n_rows: int, classes: Sequence[str] | None) -> tuple[Labels, tuple[str, ...]]:
    """Return labels bool `(n, n_classes)` and the names of the classes.

    Args:
        given: whole numbers `(n,)` from 0 on; a matrix `(n, n_classes)` of bools, or of 0 and 1; a list that has for
            each row a name, a class number, several of them, or None; or None for no labels at all.
        n_rows: how many rows there must be.
        classes: the names of the classes, in order: class number 2 is `classes[2]`. By default the numbers that occur,
            as text, or the names that occur, sorted.

    Raises:
        InputError: another form or length, a number below 0, a number or a name that is not among `classes`.
    """
    known = None if classes is None else _class_names(classes)
    if given is None:
        return np.zeros((n_rows, 0), np.bool_), ()
    if isinstance(given, str | PathLike):
        raise InputError(f"{EXPECTED}, not one text; np.load reads an array from a file")
    if hasattr(given, "shape") and len(given.shape) == 2:
        return _of_matrix(as_array(given), n_rows, known)
    rows = _rows(given)
    if len(rows) != n_rows:
        raise InputError(f"expected one label, or one list of labels, for each of {n_rows} rows, came {len(rows)}")
    return _of_rows(rows, known)


def _class_names(classes: Sequence[str]) -> tuple[str, ...]:
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise InputError(f"classes must be a list of names, not {classes!r:.60}")
    names = tuple(label_name(name) for name in classes)
    for name in names:
        if not name or unstorable(name):
            raise InputError(f"a class cannot be named {escaped(name)!r}: give it a name of letters")
    return names


def _of_matrix(matrix: npt.NDArray[Any], n_rows: int, known: tuple[str, ...] | None) -> tuple[Labels, tuple[str, ...]]:
    if len(matrix) != n_rows:
        raise InputError(f"expected one label, or one list of labels, for each of {n_rows} rows, came {len(matrix)}")
    if matrix.dtype.kind not in "biuf":
        raise InputError(f"a matrix of labels must be bool, or hold 0 and 1, not {matrix.dtype}")
    if not np.isin(matrix, (0, 1)).all():
        raise InputError(f"a matrix of labels must be bool, or hold 0 and 1, not {matrix.dtype} of other values")
    if matrix.shape[1] == 1 and matrix.dtype.kind != "b":
        raise InputError(
            f"labels {matrix.shape} of {matrix.dtype} may be class numbers, or one class of 0 and 1: give "
            "labels[:, 0] for the first, labels.astype(bool) for the second"
        )
    if known is not None and len(known) != matrix.shape[1]:
        raise InputError(f"{len(known)} classes are named, and the matrix of labels has {matrix.shape[1]} columns")
    return matrix.astype(np.bool_), known or tuple(str(column) for column in range(matrix.shape[1]))


def _rows(given: Any) -> list[list[int | str]]:
    """Return the class numbers or names of each row."""
    if hasattr(given, "dtype"):
        array = as_array(given)
        if array.ndim != 1 or array.dtype.kind not in "iuUO":
            raise InputError(f"{EXPECTED}, not {array.dtype} {array.shape}")
        given = array.tolist()
    if not isinstance(given, Iterable):
        raise InputError(f"{EXPECTED}, not {type(given).__name__}")
    rows = [_row(number, one) for number, one in enumerate(given)]
    widths = {len(row) for row in rows}
    if len(widths) == 1 and min(widths) > 1 and {one for row in rows for one in row} <= {0, 1}:
        raise InputError(
            "labels hold 0 and 1 alone, as many in each row: a matrix is given as an array (np.array(labels)), and in "
            "lists of class numbers each is named once"
        )
    return rows


def _row(number: int, one: Any) -> list[int | str]:
    if one is None:
        return []
    if getattr(one, "ndim", 0) == 1:
        one = one.tolist()
    several = one if isinstance(one, list | tuple | set | frozenset) else [one]
    found = [_label(number, each) for each in several]
    return [each for each in found if each != ""]


def _label(number: int, one: Any) -> int | str:
    if hasattr(one, "item"):
        one = one.item()
    if isinstance(one, str):
        if reason := unstorable(one):
            raise InputError(f"the label {escaped(one)!r} of row {number} cannot be kept: {reason}")
        return label_name(one)
    if isinstance(one, int) and not isinstance(one, bool):
        if one < 0:
            raise InputError(
                f"row {number} has the label {one}; class numbers must be 0 or more. For a row without a label give a "
                "list of labels with None in its place; where -1 and 1 are two classes, give their names as text"
            )
        return one
    raise InputError(f"{EXPECTED}; row {number} has {one!r:.60} ({type(one).__name__})")


def _of_rows(rows: list[list[int | str]], known: tuple[str, ...] | None) -> tuple[Labels, tuple[str, ...]]:
    kinds = {type(one) for row in rows for one in row}
    if len(kinds) > 1:
        raise InputError("labels must all be class numbers, or all be names, not some of each")
    used = sorted({one for row in rows for one in row})
    names = known or tuple(str(one) for one in used)
    column: dict[int | str, int] = {}
    for place, one in enumerate(used if known is None else range(len(known)) if kinds == {int} else known):
        column[one] = place
    for number, row in enumerate(rows):
        for one in row:
            if one not in column:
                raise InputError(f"row {number} has the label {one!r}, which is not among the {len(names)} classes")
    labels = np.zeros((len(rows), len(names)), np.bool_)
    for number, row in enumerate(rows):
        labels[number, [column[one] for one in row]] = True
    return labels, names
