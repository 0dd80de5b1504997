"""What values are: numbers, text or missing; and the names that columns, categories, classes have.

Here a column of text cells gets its type, and values find their place among names. Two grammars
of numbers meet: polars parses whole columns of cells, `as_number` single texts.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    "did_you_mean",
    "distinct_names",
    "listed",
    "missing_values",
    "name_of",
    "numeric_order",
    "positions",
    "shown",
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
    """A column is neither numbers nor text, as the cell in `row` shows, counted from 0."""

    def __init__(self, kind: str, row: int, value: Any) -> None:
        super().__init__(kind, row, value)
        self.kind = kind
        self.row = row
        self.value = value


def column_of_cells(cells: Any, *, strict: bool) -> Column:
    """Turn the cells of a column into numbers or text.

    A column is numeric if all its values are: decimal numbers with a point, blanks around them
    allowed. Integers beyond 2**53 make it text, as do other values. Text is kept as it is, but
    for columns of true and false in any of the usual spellings, which become lower case.

    Parameters
    ----------
    cells : polars.Series of str
        Null is the same as the empty text.
    strict : bool
        Refuse a column of which more than half are numbers and some text stands between, in all
        likelihood by mistake, and numbers with a decimal comma. Where numbers are fewer, the
        values are names, such as A, B and 7.

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


def _refuse_numbers_in_disguise(
    cells: Any, trimmed: Any, is_text: NDArray[np.bool_], missing: NDArray[np.bool_]
) -> None:
    first = int(np.argmax(is_text))
    if trimmed.filter(is_text).str.contains(_DECIMAL_COMMA).all():
        raise UnusableColumn("numbers with a decimal comma", first, cells[first])
    if 2 * is_text.sum() < (~missing).sum():
        raise UnusableColumn("numbers mixed with text", first, cells[first])


def _exceeds_integers(numbers: NDArray[np.float64], trimmed: Any) -> bool:
    """Whether an integer is among the numbers that float64 may not hold."""
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


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name."""
    lowered = {text.lower(): text for text in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f"; did you mean {lowered[near[0]]!r}?" if near else ""
