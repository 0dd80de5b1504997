"""Types of values: which columns are numbers, which are text, which values are missing.

This module also converts values to names of categories and classes, and finds their positions
among names. polars parses columns of cells as numbers; `as_number` parses single texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.errors import FormatError
from fastmlp.extras import require

__all__ = [
    "LARGEST_INTEGER",
    "MISSING",
    "MISSING_TEXTS",
    "UNKNOWN",
    "Column",
    "UnusableColumn",
    "as_number",
    "column_of_cells",
    "column_of_values",
    "distinct_names",
    "finite_numbers",
    "listed",
    "missing_values",
    "name_of",
    "numeric_order",
    "positions",
    "shown",
    "unsupported_type",
]

# float64, NaN where a value is missing; or an object array of str, None where one is missing.
Column = NDArray[Any]

# Texts that stand for a missing value in a file; blanks around them are ignored.
MISSING_TEXTS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
# Beyond this, several integers share a float64. Such integers are names, not quantities.
LARGEST_INTEGER = 2**53
# Results of `positions` for values that have no position.
UNKNOWN = -1
MISSING = -2

_BLANKS = " \t"
_TRUTH_VALUES = ("true", "false", "True", "False", "TRUE", "FALSE")
_INTEGER = re.compile(r"[+-]?0*([0-9]+)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = r"^[+-]?[0-9]+,[0-9]+$"
_MOST_CHARACTERS = 40
_MOST_LISTED = 10
_LONGEST_LISTED = 60


# ---------------------------------------------------------------- the type of a column


class UnusableColumn(Exception):
    """A column is neither numbers nor text. `value` in `row`, counted from 0, is an example."""

    def __init__(self, kind: str, row: int, value: Any) -> None:
        super().__init__(kind, row, value)
        self.kind = kind
        self.row = row
        self.value = value


def column_of_cells(cells: Any, *, strict: bool) -> Column:
    """Turn the text cells of a column into numbers or text.

    A column is numeric if all its values are decimal numbers with a point; blanks around them are
    allowed. Integers beyond 2**53 and all other values make it text. Text is unchanged, except
    that a column of true and false in any usual spelling becomes lower case.

    Parameters
    ----------
    cells : polars.Series of str
        Cells of the column; null is the same as the empty text.
    strict : bool
        Refuse numbers with a decimal comma, and a column in which more than half of the values are
        numbers and the rest text, which is probably a mistake. If fewer are numbers, the values
        are names, such as A, B and 7.

    Returns
    -------
    float64 array of shape (rows,), NaN where a value is missing; or object array of str and None

    Raises
    ------
    UnusableColumn
        A number is infinite or too large for float64, or `strict` refuses the column.
    """
    polars = require("data", "polars")
    trimmed = cells.fill_null("").str.strip_chars(_BLANKS)
    missing = trimmed.is_in(MISSING_TEXTS).to_numpy()
    parsed = trimmed.cast(polars.Float64, strict=False).fill_null(float("nan"))
    numbers: NDArray[np.float64] = np.array(parsed.to_numpy())
    numbers[missing] = np.nan
    is_text = np.isnan(numbers) & ~missing
    if is_text.any():
        if strict:
            _refuse_numbers_in_disguise(cells, trimmed, is_text, missing)
    elif not _exceeds_integers(numbers, trimmed):
        _require_finite(numbers, cells)
        return numbers
    return _text(cells, missing)


def unsupported_type(dtype: Any) -> str | None:
    """Return the name of a polars type that is neither numbers nor text; None for others."""
    usable = ("String", "Categorical", "Enum", "Boolean", "Null")
    if dtype.is_numeric() or str(dtype.base_type()) in usable:
        return None
    return str(dtype.base_type()).lower()


def column_of_values(series: Any) -> NDArray[np.float64] | list[str | None]:
    """Turn a column that has a type into numbers or text.

    Numbers of any width and decimals are numbers, but integers beyond 2**53 make the column text.
    Booleans become "false" and "true".

    Parameters
    ----------
    series : polars.Series
        Column of a type for which `unsupported_type` returns None.

    Returns
    -------
    float64 array of shape (rows,), NaN where a value is missing; or list of str and None

    Raises
    ------
    UnusableColumn
        A number is infinite.
    """
    polars = require("data", "polars")
    is_number = series.dtype.is_numeric() or series.dtype == polars.Null
    if series.dtype.is_integer():
        is_number = max(series.max() or 0, -(series.min() or 0)) <= LARGEST_INTEGER
    if not is_number:
        return list(series.cast(polars.String).to_list())
    numbers = series.cast(polars.Float64).fill_null(float("nan")).to_numpy()
    _require_finite(numbers, series)
    return np.ascontiguousarray(numbers, np.float64)


def _refuse_numbers_in_disguise(
    cells: Any, trimmed: Any, is_text: NDArray[np.bool_], missing: NDArray[np.bool_]
) -> None:
    first = int(np.argmax(is_text))
    if trimmed.filter(is_text).str.contains(_DECIMAL_COMMA).all():
        raise UnusableColumn("numbers with a decimal comma", first, cells[first])
    if 2 * is_text.sum() < (~missing).sum():
        raise UnusableColumn("numbers mixed with text", first, cells[first])


def _exceeds_integers(numbers: NDArray[np.float64], trimmed: Any) -> bool:
    """Return whether a number is an integer that float64 cannot represent in general."""
    for row in np.flatnonzero(np.abs(numbers) >= LARGEST_INTEGER).tolist():
        digits = _INTEGER.fullmatch(trimmed[row])
        if digits and (len(digits[1]) > 16 or int(digits[1]) > LARGEST_INTEGER):
            return True
    return False


def _require_finite(numbers: NDArray[np.float64], cells: Any) -> None:
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise UnusableColumn("numbers that are infinite", row, cells[row])


def _text(cells: Any, missing: NDArray[np.bool_]) -> Column:
    if cells.filter(~missing).unique().is_in(_TRUTH_VALUES).all():
        cells = cells.str.to_lowercase()
    text = np.empty(len(cells), object)
    text[:] = cells.to_list()
    text[missing] = None
    return text


def missing_values(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask of the missing values of a column: None among texts, NaN among numbers."""
    if column.dtype.kind == "O":
        return np.fromiter((value is None for value in column.tolist()), bool, len(column))
    missing: NDArray[np.bool_] = np.isnan(column)
    return missing


def finite_numbers(
    values: NDArray[Any], error: Callable[[int, str], FormatError]
) -> NDArray[np.float64]:
    """Return values as finite numbers, NaN where a value is missing.

    Parameters
    ----------
    values : array of shape (n,)
        Numbers, or an object array of str, None where a value is missing.
    error : callable
        Returns the error for a position and a problem.

    Raises
    ------
    FormatError
        A value is text that is no number, or is infinite.
    """
    if values.dtype.kind == "O":
        numbers = np.full(len(values), np.nan)
        for row, text in enumerate(values.tolist()):
            if text is None:
                continue
            number = as_number(text)
            if number is None:
                raise error(row, f"must be a number, got {text!r}")
            numbers[row] = number
        return numbers
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise error(row, f"must be finite, got {values[row]}")
    return values.astype(np.float64, copy=False)


# ---------------------------------------------------------------- names


def as_number(text: str) -> float | None:
    """Return the finite number that a text stands for, or None."""
    stripped = text.strip()
    number = float(stripped) if _NUMBER.fullmatch(stripped) else math.inf
    return number if math.isfinite(number) else None


def name_of(value: Any) -> str:
    """Return a text unchanged, a number as its shortest text, without a point if it is whole."""
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def numeric_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sort names by the numbers they stand for if all stand for numbers, else as texts."""
    texts = sorted(names)
    numeric = all(as_number(text) is not None for text in texts)
    return tuple(sorted(texts, key=float) if numeric else texts)


def distinct_names(values: NDArray[Any]) -> set[str]:
    """Return the names of the values that occur; None and NaN are missing values.

    Parameters
    ----------
    values : array of shape (n,)
        Numbers, or an object array of str.
    """
    if values.dtype.kind == "O":
        return set(values.tolist()) - {None}
    return {name_of(value) for value in np.unique(values).tolist() if not math.isnan(value)}


def positions(values: NDArray[Any], names: Sequence[str]) -> NDArray[np.int64]:
    """Return the position of each value among names.

    Parameters
    ----------
    values : array of shape (n,)
        Values to find. An object array of str is compared as text. Numbers are compared with the
        numbers that the names stand for, because a reader cannot know that a column of digits
        holds names.
    names : sequence of str
        Names, all different.

    Returns
    -------
    int64 array of shape (n,)
        Positions from 0 to len(names) - 1; `MISSING` for None and NaN, `UNKNOWN` for a value that
        matches no name or several.
    """
    known: dict[Any, int] = {name: i for i, name in enumerate(names)}
    if values.dtype.kind == "O":
        known[None] = MISSING
        found = (known.get(value, UNKNOWN) for value in values.tolist())
        return np.fromiter(found, np.int64, len(values))
    by_number: dict[float, int] = {}
    for i, name in enumerate(names):
        number = as_number(name)
        if number is not None:
            by_number[number] = UNKNOWN if number in by_number else i
    distinct, inverse = np.unique(values, return_inverse=True)
    codes = [
        MISSING if math.isnan(value) else known.get(name_of(value), by_number.get(value, UNKNOWN))
        for value in distinct.tolist()
    ]
    return np.array(codes, np.int64)[inverse.reshape(-1)]


# ---------------------------------------------------------------- in messages


def shown(value: Any) -> str:
    """Return the repr of a value for a message, cut if it is long."""
    text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def listed(names: Iterable[str]) -> str:
    """Return the first names, shortened, and the number of the others, for a message."""
    texts = list(names)
    more = len(texts) - _MOST_LISTED
    shown = ", ".join(
        text if len(text) <= _LONGEST_LISTED else f"{text[:_LONGEST_LISTED]}..."
        for text in texts[:_MOST_LISTED]
    )
    return f"{shown} and {more} more" if more > 0 else shown
