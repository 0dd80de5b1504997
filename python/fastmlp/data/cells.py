"""What a column of text cells holds: numbers or text, and which cells are empty."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.table import Column
from fastmlp.extras import require

__all__ = ["LARGEST_INTEGER", "MISSING", "UnusableColumn", "column_of_cells", "shown"]

# How files write that a value is missing; blanks around do not matter.
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
# Beyond this, neighbouring integers share a float64: what stands there is a name, not a quantity.
LARGEST_INTEGER = 2**53

_BLANKS = " \t"
_TRUTH_VALUES = ("true", "false", "True", "False", "TRUE", "FALSE")
_INTEGER = re.compile(r"[+-]?0*([0-9]+)")
_DECIMAL_COMMA = r"^[+-]?[0-9]+,[0-9]+$"
_MOST_CHARACTERS = 40


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
    missing = trimmed.is_in(MISSING).to_numpy()
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


def shown(value: Any) -> str:
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


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
