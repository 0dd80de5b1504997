"""Types of values: which columns are numbers, which are text, which values are missing.

Also names of categories and classes: how a value is written, and which position it has among
names. polars parses whole columns of cells as numbers, `as_number` single texts.
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

# How files write that a value is missing; blanks around do not matter.
MISSING_TEXTS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
# Beyond this, neighboring integers share a float64: what stands there is a name, not a quantity.
LARGEST_INTEGER = 2**53
# What `positions` gives in place of a position.
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
    """A column is neither numbers nor text: the value in `row`, counted from 0, shows it."""

    def __init__(self, kind: str, row: int, value: Any) -> None:
        super().__init__(kind, row, value)
        self.kind = kind
        self.row = row
        self.value = value


def column_of_cells(cells: Any, *, strict: bool) -> Column:
    """Turn the text cells of a column into numbers or text.

    A column is numeric if all its values are decimal numbers with a point; blanks around them are
    allowed. Integers beyond 2**53 and all other values make it text. Text is kept as it is, except
    that a column of true and false in any usual spelling becomes lower case.

    Parameters
    ----------
    cells : polars.Series of str
        Null is the same as the empty text.
    strict : bool
        Refuse numbers with a decimal comma, and a column of which more than half are numbers and
        the rest text, which is probably a mistake. Where fewer are numbers, the values are names,
        such as A, B and 7.

    Returns
    -------
    float64 array of shape (rows,), NaN where a value is missing; or object array of str and None

    Raises
    ------
    UnusableColumn
        A number is infinite or too large for float64, or `strict` is broken.
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
    """What a column of this polars type is if it can be neither numbers nor text, else None."""
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
        Of a type that `unsupported_type` accepts.

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
    """Whether a number is an integer that float64 may not hold."""
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
    """Where a column has no value: None among texts, NaN among numbers."""
    if column.dtype.kind == "O":
        return np.fromiter((value is None for value in column.tolist()), bool, len(column))
    missing: NDArray[np.bool_] = np.isnan(column)
    return missing


def finite_numbers(
    values: NDArray[Any], error: Callable[[int, str], FormatError]
) -> NDArray[np.float64]:
    """Values as finite numbers; where one is missing, NaN.

    Parameters
    ----------
    values : array of shape (n,)
        Numbers, or an object array of str, None where a value is missing.
    error : callable
        Makes the error from a position and a problem.

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
    """The finite number that a text stands for, or None."""
    stripped = text.strip()
    number = float(stripped) if _NUMBER.fullmatch(stripped) else math.inf
    return number if math.isfinite(number) else None


def name_of(value: Any) -> str:
    """A text, or the shortest text of a number, whole numbers without a point."""
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def numeric_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted by the numbers they stand for where all do, else as texts."""
    texts = sorted(names)
    numeric = all(as_number(text) is not None for text in texts)
    return tuple(sorted(texts, key=float) if numeric else texts)


def distinct_names(values: NDArray[Any]) -> set[str]:
    """Names of the values that occur; None and NaN are no values.

    Parameters
    ----------
    values : array of shape (n,)
        Numbers, or an object array of str.
    """
    if values.dtype.kind == "O":
        return set(values.tolist()) - {None}
    return {name_of(value) for value in np.unique(values).tolist() if not math.isnan(value)}


def positions(values: NDArray[Any], names: Sequence[str]) -> NDArray[np.int64]:
    """Where each value stands among the names.

    Parameters
    ----------
    values : array of shape (n,)
        An object array of str is compared as text. A number is compared with the numbers that the
        names stand for: a reader cannot know that a column of digits means names.
    names : sequence of str
        All different.

    Returns
    -------
    int64 array of shape (n,)
        0 to len(names) - 1; `MISSING` for None and NaN, `UNKNOWN` for what is not among the names
        or stands for several of them.
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
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def listed(names: Iterable[str]) -> str:
    """The first few names, shortened, and how many more there are."""
    texts = list(names)
    more = len(texts) - _MOST_LISTED
    shown = ", ".join(
        text if len(text) <= _LONGEST_LISTED else f"{text[:_LONGEST_LISTED]}..."
        for text in texts[:_MOST_LISTED]
    )
    return f"{shown} and {more} more" if more > 0 else shown
