"""Which task the values of targets suggest, and whether they suit one: one rule for all sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import listed

__all__ = ["MOST_NUMERIC_CLASSES", "TargetValues", "infer_task", "number_type", "require_task"]

# A target with more distinct whole numbers than this holds quantities, not classes.
MOST_NUMERIC_CLASSES = 20
_INTEGER_LIMIT = 10**18

Floats = NDArray[np.float64]


class TargetValues(Protocol):
    """The values of one target, wherever they come from."""

    @property
    def name(self) -> str:
        """Name of the target."""
        ...

    @property
    def label(self) -> str:
        """Name of the target in messages."""
        ...

    @property
    def count(self) -> int:
        """Number of samples."""
        ...

    @property
    def holds_names(self) -> bool:
        """Whether the values are texts or truth values."""
        ...

    @property
    def quantities(self) -> Floats:
        """The values as numbers, of shape (samples,); NaN is a missing value."""
        ...

    @property
    def is_binary(self) -> bool:
        """Whether all values that are not missing are 0 or 1."""
        ...

    @property
    def first_text(self) -> str | None:
        """A value that is no number, or None."""
        ...

    @property
    def label_type(self) -> str:
        """Type of the values: "text", "integer", "number" or "boolean"."""
        ...

    def names(self) -> tuple[str, ...]:
        """Return the names of the values that occur, in order."""
        ...


def _are_classes(values: Floats) -> bool:
    """Return whether numbers are classes: few whole numbers, each of several samples on average."""
    distinct = np.unique(values[np.isfinite(values)])
    few = 0 < len(distinct) <= min(MOST_NUMERIC_CLASSES, len(values) // 2)
    return few and bool((distinct == np.floor(distinct)).all())


def infer_task(columns: Sequence[TargetValues]) -> str:
    """Return the task that the values suggest, by one rule for all sources.

    Several columns are labels if all values are 0 or 1, else quantities. One column holds classes
    if it is text or truth values, or whole numbers with at most 20 distinct values and at most half
    as many as samples; else quantities.
    """
    if len(columns) > 1:
        return "multilabel" if all(column.is_binary for column in columns) else "regression"
    (column,) = columns
    if column.holds_names:
        return "classification"
    return "classification" if _are_classes(column.quantities) else "regression"


def require_task(task: str, columns: Sequence[TargetValues], *, asked: bool = True) -> None:
    """Raise ValueError if these targets do not suit the task; `asked`: the user named it."""
    if task == "classification":
        if len(columns) > 1:
            raise ValueError(
                f"task 'classification' must have one target, got {len(columns)}: "
                f"{listed(column.name for column in columns)}"
            )
        _require_class_values(columns[0], asked=asked)
        return
    for column in columns:
        text = column.first_text
        if text is not None:
            raise ValueError(
                f"task {task!r} must have numbers as targets, got text in {column.label}, "
                f"such as {text!r}"
            )
        if task == "multilabel" and not column.is_binary:
            raise ValueError(f"task 'multilabel' must have only 0 and 1 in {column.label}")


def _require_class_values(column: TargetValues, *, asked: bool) -> None:
    count = column.count
    if not column.holds_names:
        values = column.quantities
        fractions = np.isfinite(values) & (values != np.floor(values))
        if fractions.any():
            raise ValueError(
                "task 'classification' must have text or whole numbers as targets, got "
                f"{values[fractions][0]} in {column.label}"
            )
    names = column.names()
    most = count - 1 if asked else count // 2
    if len(names) > MOST_NUMERIC_CLASSES and len(names) > most:
        raise ValueError(
            f"task 'classification' must have classes of several samples, got {len(names)} "
            f"different values in {count} samples of {column.label}; for quantities choose "
            "regression"
        )


def number_type(values: NDArray[Any]) -> str:
    """Return the type of labels that are numbers; integers beyond int64 stay text."""
    if values.dtype.kind == "f":
        return "number"
    fits = len(values) == 0 or max(int(values.max()), -int(values.min())) < _INTEGER_LIMIT
    return "integer" if fits else "text"
