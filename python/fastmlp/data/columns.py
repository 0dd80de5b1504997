"""From the columns of a table to the inputs of a network, by what was learnt from training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.names import MISSING, UNKNOWN, as_number, listed, name_of, positions
from fastmlp.data.table import Table
from fastmlp.errors import FormatError, did_you_mean

__all__ = [
    "MAX_CATEGORIES",
    "UNKNOWN_CATEGORIES",
    "ColumnEncoding",
    "encode_table",
    "fit_column",
    "missing_values",
    "number_column",
    "refuse_missing",
    "require_columns",
    "row_error",
    "rows_of_unknown_categories",
]

MAX_CATEGORIES = 1000
UNKNOWN_CATEGORIES = ("error", "ignore")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ColumnEncoding:
    """How one column of a table becomes inputs of the network.

    Attributes
    ----------
    name : str
        Of the column.
    kind : {"number", "category"}
        A number is one input; a category is one input per category, of which one is 1, or none
        for an unknown category that is ignored.
    fill : float, str or None
        What stands in for a missing value; None: missing values are refused.
    categories : tuple of str or None
        In the order of their inputs; None for numbers.
    """

    name: str
    kind: str
    fill: float | str | None = None
    categories: tuple[str, ...] | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of its inputs: ``age``, or ``colour=blue``, ``colour=red``."""
        if self.categories is None:
            return (self.name,)
        return tuple(f"{self.name}={category}" for category in self.categories)


def row_error(table: Table, row: int, column: str, problem: str) -> FormatError:
    """An error that says where in the file a value stands; `row` is counted from 0."""
    first = table.first_line
    where = f"row {row + 1}" if first is None else f"line {first + row}"
    return FormatError(f"{table.origin}: {where}, column {column!r}: {problem}")


def require_columns(table: Table, names: Sequence[str]) -> None:
    """Raise unless the table has all these columns, in a type that can be used."""
    for name in names:
        if name in table.unsupported:
            raise FormatError(
                f"{table.origin}: column {name!r}: must hold numbers, or text, "
                f"got {table.unsupported[name]}"
            )
        if name not in table.columns:
            raise FormatError(
                f"{table.origin}: column {name!r} is missing{did_you_mean(name, table.columns)} "
                f"(the columns are {listed(table.columns)})"
            )


def number_column(table: Table, name: str) -> Floats:
    """A column as numbers, NaN where a value is missing.

    Raises
    ------
    FormatError
        A value is text that is no number, or is infinite.
    """
    column = table.columns[name]
    if column.dtype.kind == "O":
        numbers = np.full(len(column), np.nan)
        for row, text in enumerate(column.tolist()):
            if text is None:
                continue
            number = as_number(text)
            if number is None:
                raise row_error(table, row, name, f"must be a number, got {text!r}")
            numbers[row] = number
        return numbers
    infinite = np.isinf(column)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise row_error(table, row, name, f"must be finite, got {column[row]}")
    return column


def missing_values(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a column has no value."""
    if column.dtype.kind == "O":
        return np.fromiter((value is None for value in column.tolist()), bool, len(column))
    missing: NDArray[np.bool_] = np.isnan(column)
    return missing


def refuse_missing(table: Table, names: Sequence[str], hint: str = "") -> None:
    """Raise if one of these columns lacks a value, naming the first and counting the others."""
    places: list[tuple[int, str]] = []
    count = 0
    for name in names:
        missing = missing_values(table.columns[name])
        if missing.any():
            places.append((int(np.argmax(missing)), name))
            count += int(missing.sum())
    if places:
        row, name = min(places, key=lambda place: place[0])
        more = f", as do {count - 1} more in the columns used" if count > 1 else ""
        raise row_error(table, row, name, f"lacks a value{more}{hint}")


# ---------------------------------------------------------------- learning


def fit_column(table: Table, name: str, rows: NDArray[np.int64], impute: str) -> ColumnEncoding:
    """Learn an encoding from the training rows alone.

    Parameters
    ----------
    table : Table
    name : str
        A column of it.
    rows : int64 array
        Positions of the training rows.
    impute : {"error", "mean", "median", "most_frequent"}
        What a missing value is replaced with; "error": with nothing. Of categories it is always
        the most frequent one. Of values that are equally frequent the smallest is taken.

    Raises
    ------
    ValueError
        The column cannot be a feature.
    """
    column = table.columns[name][rows]
    present = column[~missing_values(column)]
    if len(present) == 0:
        _refuse_feature(table, name, "has no value in the training part")
    if column.dtype.kind != "O":
        fill = None if impute == "error" else _typical_number(table, name, present, impute)
        return ColumnEncoding(name, "number", fill)
    _refuse_identifiers(table, name)
    counts = Counter(present.tolist())
    categories = tuple(sorted(counts))
    most_frequent = None if impute == "error" else max(categories, key=counts.__getitem__)
    return ColumnEncoding(name, "category", most_frequent, categories)


def _typical_number(table: Table, name: str, present: Floats, impute: str) -> float:
    with np.errstate(over="ignore"):
        if impute == "mean":
            typical = present.mean()
        elif impute == "median":
            typical = np.median(present)
        else:
            values, counts = np.unique(present, return_counts=True)
            typical = values[np.argmax(counts)]
    if not np.isfinite(typical):
        _refuse_feature(table, name, f"holds numbers that are too large for their {impute}")
    return float(typical)


def _refuse_identifiers(table: Table, name: str) -> None:
    distinct = len(set(table.columns[name].tolist()) - {None})
    if distinct > MAX_CATEGORIES:
        _refuse_feature(
            table, name, f"is text with {distinct} distinct values, more than {MAX_CATEGORIES}"
        )
    if distinct == len(table):
        _refuse_feature(table, name, "is text that differs in every row")


def _refuse_feature(table: Table, name: str, problem: str) -> NoReturn:
    raise ValueError(
        f"{table.origin}: column {name!r} {problem}; leave it out: name the columns to use "
        "with features (--features)"
    )


# ---------------------------------------------------------------- encoding


def encode_table(
    table: Table, encodings: Sequence[ColumnEncoding], unknown_categories: str
) -> Floats:
    """Inputs of the network, not standardised.

    Parameters
    ----------
    table : Table
        Further columns are ignored.
    encodings : sequence of ColumnEncoding
    unknown_categories : {"error", "ignore"}
        A category that is none of its encoding is refused, or 0 in all inputs of its column.

    Returns
    -------
    float64 array of shape (rows, features)

    Raises
    ------
    FormatError
        A column is missing, or has a value that its encoding does not allow.
    """
    require_columns(table, [encoding.name for encoding in encodings])
    refuse_missing(table, [encoding.name for encoding in encodings if encoding.fill is None])
    widths = [1 if e.categories is None else len(e.categories) for e in encodings]
    inputs = np.zeros((len(table), sum(widths)))
    first = 0
    for encoding, width in zip(encodings, widths, strict=True):
        if encoding.categories is None:
            inputs[:, first] = number_column(table, encoding.name)
            if encoding.fill is not None:
                inputs[np.isnan(inputs[:, first]), first] = encoding.fill
        else:
            codes = _category_codes(table, encoding)
            if unknown_categories == "error":
                _refuse_unknown(table, encoding, codes)
            known = np.flatnonzero(codes != UNKNOWN)
            inputs[known, first + codes[known]] = 1.0
        first += width
    return inputs


def rows_of_unknown_categories(
    table: Table, encodings: Sequence[ColumnEncoding]
) -> NDArray[np.bool_]:
    """Which rows hold a category that is none of its encoding.

    Parameters
    ----------
    table : Table
        With all columns of the encodings.
    encodings : sequence of ColumnEncoding

    Returns
    -------
    bool array of shape (rows,)
    """
    unknown = np.zeros(len(table), bool)
    for encoding in encodings:
        if encoding.categories is not None:
            unknown |= _category_codes(table, encoding) == UNKNOWN
    return unknown


def _category_codes(table: Table, encoding: ColumnEncoding) -> NDArray[np.int64]:
    """Positions among the categories, or `UNKNOWN`; what fills a gap stands in for it."""
    categories = encoding.categories or ()
    codes = positions(table.columns[encoding.name], categories)
    if encoding.fill is not None:
        codes[codes == MISSING] = categories.index(str(encoding.fill))
    return codes


def _refuse_unknown(table: Table, encoding: ColumnEncoding, codes: NDArray[np.int64]) -> None:
    unknown = codes == UNKNOWN
    if unknown.any():
        row = int(np.argmax(unknown))
        value = name_of(table.columns[encoding.name][row])
        raise row_error(
            table,
            row,
            encoding.name,
            f"{value!r} does not occur in the training part, which has "
            f"{listed(encoding.categories or ())}; in training, leave the column out with "
            "--features, or take --unknown-categories ignore",
        )
