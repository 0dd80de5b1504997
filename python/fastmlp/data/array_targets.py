"""Targets in arrays: classes by number or name, labels, and quantities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import as_number, finite_numbers, listed, name_of, numeric_order
from fastmlp.data.columns import UNKNOWN, codes_of_numbers
from fastmlp.data.table import Part
from fastmlp.data.target_kinds import number_type
from fastmlp.errors import FormatError

__all__ = ["TargetArray", "class_codes", "label_matrix", "target_arrays", "value_matrix"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class TargetArray:
    """One column of targets in an array: numbers, or an object array of str; shape (samples,)."""

    name: str
    values: NDArray[Any]

    @property
    def label(self) -> str:
        """Name of the column in messages."""
        return self.name

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.values)

    @property
    def holds_names(self) -> bool:
        """Whether the values are texts or truth values."""
        return self.values.dtype.kind in "Ob"

    @property
    def quantities(self) -> Floats:
        """The values as numbers."""
        return self.values.astype(np.float64)

    @property
    def is_binary(self) -> bool:
        """Whether all values that are not missing are 0 or 1."""
        if self.values.dtype.kind == "O":
            return all(as_number(text) in (0.0, 1.0) for text in self.values.tolist() if text)
        values = self.values
        return bool(((values == 0) | (values == 1) | _missing(values)).all())

    @property
    def first_text(self) -> str | None:
        """A value that is no number, or None."""
        if self.values.dtype.kind != "O":
            return None
        return next((v for v in self.values.tolist() if v and as_number(v) is None), None)

    @property
    def label_type(self) -> str:
        """Type of the values: "text", "integer", "number" or "boolean"."""
        names = {"O": "text", "b": "boolean"}
        return names.get(self.values.dtype.kind) or number_type(self.values)

    def names(self) -> tuple[str, ...]:
        """Return the names of the values that occur, in order."""
        if self.values.dtype.kind == "O":
            return numeric_order(set(self.values.tolist()) - {None})
        distinct = np.unique(self.values[~_missing(self.values)])
        return numeric_order(name_of(value) for value in distinct.tolist())

    def error(self, row: int, problem: str) -> FormatError:
        """Return an error that names the place of a value. `row` is counted from 0."""
        return FormatError(f"{self.name}: {problem} at [{row}]")

    def refuse_missing(self) -> None:
        """Raise FormatError if a value is missing; name the first and count the others."""
        missing = _missing(self.values)
        if missing.any():
            count = int(missing.sum()) - 1
            more = f", as do {count} more" if count else ""
            raise self.error(int(np.argmax(missing)), f"lacks a target{more}")

    def numbers(self) -> Floats:
        """Return the values as finite numbers; raise FormatError where one is not."""
        self.refuse_missing()
        return finite_numbers(self.values, self.error)


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "O":
        return np.fromiter((value is None for value in values.tolist()), bool, len(values))
    if values.dtype.kind != "f":
        return np.zeros(len(values), bool)
    missing: NDArray[np.bool_] = np.isnan(values)
    return missing


def target_arrays(part: Part) -> list[TargetArray]:
    """Return the targets of arrays, column by column.

    Raises
    ------
    ValueError
        The part has no targets.
    """
    if part.y is None:
        raise ValueError("y must be given: these samples have no targets")
    y = np.asarray(part.y)
    if y.dtype.kind not in "OUbiuf" or y.ndim not in (1, 2) or len(y) != len(part.x):
        raise ValueError(
            f"y must hold numbers or text for each of {len(part.x)} samples, "
            f"got {y.dtype} of shape {y.shape}"
        )
    if y.dtype.kind in "OU":
        y = y.astype(object)
        if not all(value is None or isinstance(value, str) for value in y.flat):
            raise TypeError("y must hold only numbers or only text, got a mixture of types")
    if y.ndim == 1:
        return [TargetArray("y", y)]
    if y.shape[1] == 1:
        return [TargetArray("y", y[:, 0])]
    return [TargetArray(f"y[{j}]", y[:, j]) for j in range(y.shape[1])]


def class_codes(column: TargetArray, names: Sequence[str], *, indices: bool) -> Codes:
    """Return classes of an array as positions among `names`.

    Parameters
    ----------
    column : TargetArray
        Classes of the samples.
    names : sequence of str
        Names of the classes.
    indices : bool
        Whether numbers are positions already; otherwise they are names.

    Returns
    -------
    int64 array of shape (samples,)
        Positions from 0 to len(names) - 1.

    Raises
    ------
    FormatError
        A value is missing, or is none of the names.
    """
    column.refuse_missing()
    values = column.values
    if indices and values.dtype.kind != "O":
        numbers = values.astype(np.float64)
        wrong = (numbers < 0) | (numbers >= len(names)) | (numbers != np.floor(numbers))
        codes = np.where(wrong, UNKNOWN, numbers).astype(np.int64)
    else:
        codes = _positions(values, names)
    unknown = codes < 0
    if unknown.any():
        row = int(np.argmax(unknown))
        raise column.error(
            row, f"{name_of(values[row])!r} is none of the {len(names)} classes: {listed(names)}"
        )
    return codes


def _positions(values: NDArray[Any], names: Sequence[str]) -> Codes:
    """Return the position of each text or number among names, as `CategoryColumn.codes` does."""
    known = {name: code for code, name in enumerate(names)}
    if values.dtype.kind == "O":
        return np.array([known.get(value, UNKNOWN) for value in values.tolist()], np.int64)
    by_number = dict(zip(*(array.tolist() for array in codes_of_numbers(names)), strict=True))
    distinct, inverse = np.unique(values, return_inverse=True)
    codes = [by_number.get(v, known.get(name_of(v), UNKNOWN)) for v in distinct.tolist()]
    return np.array(codes, np.int64)[inverse.reshape(-1)]


def label_matrix(columns: Sequence[TargetArray]) -> Floats:
    """Return labels of arrays as float64 (samples, labels) of 0 and 1."""
    matrix = value_matrix(columns)
    for column, values in zip(columns, matrix.T, strict=True):
        wrong = (values != 0) & (values != 1)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise column.error(row, f"must be 0 or 1, got {name_of(values[row])}")
    return matrix


def value_matrix(columns: Sequence[TargetArray]) -> Floats:
    """Return columns of finite numbers of arrays as float64 (samples, columns)."""
    return np.stack([column.numbers() for column in columns], axis=1)
