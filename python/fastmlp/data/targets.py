"""Targets: finding them, inferring the task, and converting them to numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import (
    UNKNOWN,
    as_number,
    distinct_names,
    finite_numbers,
    listed,
    missing_values,
    name_of,
    positions,
)
from fastmlp.data.table import Part, Table, require_columns, row_error
from fastmlp.errors import FormatError

__all__ = [
    "TASKS",
    "TargetColumn",
    "class_codes",
    "find_targets",
    "infer_task",
    "label_matrix",
    "require_task",
    "targets_of",
    "value_matrix",
]

TASKS = ("classification", "multilabel", "regression")
# Names of the default target of a table, which must have exactly one of them.
USUAL_NAMES = ("target", "label", "class", "y")
# A column with more distinct whole numbers than this holds quantities, not classes.
MOST_NUMERIC_CLASSES = 20

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TargetColumn:
    """One column of targets and its origin, for messages.

    The column belongs to `table`, or to an array if `table` is None. `values` has shape (samples,)
    and holds numbers, or is an object array of str.
    """

    name: str
    values: NDArray[Any]
    table: Table | None

    @property
    def is_text(self) -> bool:
        """Whether the values are str."""
        return self.values.dtype.kind == "O"

    @property
    def label(self) -> str:
        """Name of the column in messages."""
        if self.table is None:
            return self.name
        return f"{self.table.origin}: column {self.name!r}"

    def error(self, row: int, problem: str) -> FormatError:
        """Return an error that names the place of a value. `row` is counted from 0."""
        if self.table is not None:
            return row_error(self.table, row, self.name, problem)
        return FormatError(f"{self.name}: {problem} at [{row}]")

    def numbers(self) -> Floats:
        """Return the values as finite numbers.

        Raises
        ------
        FormatError
            A value is missing, infinite, or text that is no number.
        """
        self.refuse_missing()
        return finite_numbers(self.values, self.error)

    def refuse_missing(self) -> None:
        """Raise FormatError if a value is missing; name the first and count the others."""
        missing = missing_values(self.values)
        if missing.any():
            count = int(missing.sum()) - 1
            more = f", as do {count} more" if count else ""
            raise self.error(int(np.argmax(missing)), f"lacks a target{more}")


def find_targets(table: Table, asked: Sequence[str], weight: str | None) -> tuple[str, ...]:
    """Return the names of the target columns: `asked`, or the column with a usual name.

    The column `weight` is never a target.

    Raises
    ------
    ValueError
        `asked` is empty, and not exactly one column has a usual name.
    """
    if asked:
        return tuple(asked)
    usual = [name for name in table.columns if name.lower() in USUAL_NAMES and name != weight]
    if len(usual) == 1:
        return (usual[0],)
    found = f"several are: {', '.join(usual)}" if usual else "none is"
    raise ValueError(
        f"target (--target) must name the column to predict: {table.origin} has the columns "
        f"{listed(table.columns)}, and of the usual names {', '.join(USUAL_NAMES)} {found}"
    )


def targets_of(part: Part, names: Sequence[str] | None) -> list[TargetColumn]:
    """Return the targets of a part, column by column.

    Parameters
    ----------
    part : Part
        Samples with targets.
    names : sequence of str or None
        Target columns of a table; not used for arrays.

    Raises
    ------
    FormatError
        The table lacks a column.
    ValueError
        The part has no targets.
    """
    if isinstance(part.x, Table):
        require_columns(part.x, names or ())
        return [TargetColumn(name, part.x.columns[name], part.x) for name in names or ()]
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
        return [TargetColumn("y", y, None)]
    if y.shape[1] == 1:
        return [TargetColumn("y", y[:, 0], None)]
    return [TargetColumn(f"y[{j}]", y[:, j], None) for j in range(y.shape[1])]


# ---------------------------------------------------------------- the task


def infer_task(columns: Sequence[TargetColumn]) -> str:
    """Return the task that the values suggest.

    Several columns are labels if all values are 0 or 1, else quantities. One column holds
    classes if it is text, an array of integers, or whole numbers with at most 20 distinct values,
    each of which occurs at least twice; else quantities.
    """
    if len(columns) > 1:
        return "multilabel" if all(_is_binary(column) for column in columns) else "regression"
    (column,) = columns
    if column.is_text or column.values.dtype.kind in "biu":
        return "classification"
    present = column.values[np.isfinite(column.values)]
    distinct, counts = np.unique(present, return_counts=True)
    classes = (
        0 < len(distinct) <= MOST_NUMERIC_CLASSES
        and counts.min() >= 2
        and bool((distinct == np.floor(distinct)).all())
    )
    return "classification" if classes else "regression"


def require_task(task: str, columns: Sequence[TargetColumn]) -> None:
    """Raise ValueError if these targets do not suit the task."""
    if task == "classification":
        if len(columns) > 1:
            raise ValueError(
                f"task 'classification' must have one target, got {len(columns)}: "
                f"{listed(column.name for column in columns)}"
            )
        _require_class_values(columns[0])
        return
    for column in columns:
        if column.is_text:
            text = next((v for v in column.values.tolist() if v and as_number(v) is None), None)
            if text is not None:
                raise ValueError(
                    f"task {task!r} must have numbers as targets, got text in {column.label}, "
                    f"such as {text!r}"
                )
        if task == "multilabel" and not _is_binary(column):
            raise ValueError(f"task 'multilabel' must have only 0 and 1 in {column.label}")


def _require_class_values(column: TargetColumn) -> None:
    if column.values.dtype.kind == "f":
        fractions = np.isfinite(column.values) & (column.values != np.floor(column.values))
        if fractions.any():
            raise ValueError(
                "task 'classification' must have text or whole numbers as targets, got "
                f"{column.values[fractions][0]} in {column.label}"
            )
    names = distinct_names(column.values)
    if len(names) > MOST_NUMERIC_CLASSES and len(names) == len(column.values):
        raise ValueError(
            f"task 'classification' must have classes of several samples, got a different value "
            f"for each of {len(names)} samples in {column.label}; for quantities choose regression"
        )


def _is_binary(column: TargetColumn) -> bool:
    """Return whether all values that are not missing are 0 or 1."""
    if column.is_text:
        return all(as_number(text) in (0.0, 1.0) for text in column.values.tolist() if text)
    values = column.values
    return bool(((values == 0) | (values == 1) | missing_values(values)).all())


# ---------------------------------------------------------------- targets as numbers


def class_codes(column: TargetColumn, names: Sequence[str], *, indices: bool) -> NDArray[np.int64]:
    """Return classes as positions among `names`.

    Parameters
    ----------
    column : TargetColumn
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
    if indices and not column.is_text:
        wrong = (values < 0) | (values >= len(names)) | (values != np.floor(values))
        codes = np.where(wrong, UNKNOWN, values).astype(np.int64)
    else:
        codes = positions(values, names)
    unknown = codes == UNKNOWN
    if unknown.any():
        row = int(np.argmax(unknown))
        raise column.error(
            row, f"{name_of(values[row])!r} is none of the {len(names)} classes: {listed(names)}"
        )
    return codes


def label_matrix(columns: Sequence[TargetColumn]) -> Floats:
    """Return labels as float64 (samples, labels) of 0 and 1."""
    matrix = value_matrix(columns)
    for column, values in zip(columns, matrix.T, strict=True):
        wrong = (values != 0) & (values != 1)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise column.error(row, f"must be 0 or 1, got {name_of(values[row])}")
    return matrix


def value_matrix(columns: Sequence[TargetColumn]) -> Floats:
    """Return columns of finite numbers as float64 (samples, columns)."""
    return np.stack([column.numbers() for column in columns], axis=1)
