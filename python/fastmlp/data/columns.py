"""Encodings and moments of columns, learned from the training part and applied to all parts.

Each column of a table has an encoding (`fit_column`, `encode_table`), each input a mean and a
standard deviation (`column_moments`, `standardize`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import MISSING, UNKNOWN, listed, missing_values, name_of, positions
from fastmlp.data.table import Table, number_column, refuse_missing, require_columns, row_error

__all__ = [
    "MAX_CATEGORIES",
    "UNKNOWN_CATEGORIES",
    "ColumnEncoding",
    "column_moments",
    "encode_table",
    "fit_column",
    "rows_of_unknown_categories",
    "standardize",
]

MAX_CATEGORIES = 1000
UNKNOWN_CATEGORIES = ("error", "ignore")
# Number of values in a block, few enough that its float64 copy stays in the cache.
_BLOCK = 1 << 17

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ColumnEncoding:
    """Encoding of one column of a table as inputs of the network.

    Attributes
    ----------
    name : str
        Name of the column.
    kind : {"number", "category"}
        A number is one input. A category is one input per known category, of which one is 1, or
        none if an unknown category is ignored.
    fill : float, str or None
        Replacement for a missing value; None: missing values are refused.
    categories : tuple of str or None
        Known categories in the order of their inputs; None for numbers.
    """

    name: str
    kind: str
    fill: float | str | None = None
    categories: tuple[str, ...] | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the inputs: ``age``, or ``color=blue``, ``color=red``."""
        if self.categories is None:
            return (self.name,)
        return tuple(f"{self.name}={category}" for category in self.categories)


# ---------------------------------------------------------------- learning


def fit_column(table: Table, name: str, rows: NDArray[np.int64], impute: str) -> ColumnEncoding:
    """Learn an encoding from the training rows alone.

    Parameters
    ----------
    table : Table
        All rows, training or not.
    name : str
        Name of a column of `table`.
    rows : int64 array
        Positions of the training rows.
    impute : {"error", "mean", "median", "most_frequent"}
        Replacement for a missing value; "error": none. The replacement of a category is always the
        most frequent one. Of equally frequent values it is the smallest.

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
    """Turn the columns of a table into inputs of the network, not yet standardized.

    Parameters
    ----------
    table : Table
        Table with the columns of the encodings; others are ignored.
    encodings : sequence of ColumnEncoding
        Encodings in the order of their inputs.
    unknown_categories : {"error", "ignore"}
        "error" refuses a category that its encoding lacks, "ignore" sets all inputs of its column
        to 0.

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
    """Return a mask of the rows with a category that its encoding lacks.

    Parameters
    ----------
    table : Table
        Table with all columns of the encodings.
    encodings : sequence of ColumnEncoding
        Encodings to compare with.

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
    """Return positions among the categories, or `UNKNOWN`; missing values have that of the fill."""
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
            "--features, or use --unknown-categories ignore",
        )


# ---------------------------------------------------------------- mean and standard deviation


def column_moments(x: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return the mean and population standard deviation of each column, in float64.

    Parameters
    ----------
    x : array of shape (samples, features)
        Finite real numbers of any dtype, at least one sample.

    Returns
    -------
    mean, scale : float64 arrays of shape (features,)
        The scale of a column without variation is 1, and its mean is its value to the last bit.
        Both are infinite or NaN where the numbers are too large.

    Notes
    -----
    Two passes with the correction of T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for
    computing the sample variance", 1983, on deviations divided by the largest: squares neither
    overflow nor vanish.
    """
    count = len(x)
    low, high = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = sum(block.sum(axis=0) for _, block in _blocks(x)) / count
        constant = low == high
        mean = np.where(constant, low, mean)
        spread = np.where(constant, 1.0, np.maximum(high - mean, mean - low))
        total = np.zeros(x.shape[1])
        squares = np.zeros(x.shape[1])
        for _, block in _blocks(x):
            deviations = (block - mean) / spread
            total += deviations.sum(axis=0)
            squares += np.square(deviations).sum(axis=0)
        variance = np.maximum(squares - total * total / count, 0.0) / count
        scale = spread * np.sqrt(variance)
        mean = np.where(constant, mean, mean + spread * (total / count))
    scale[constant | (scale == 0)] = 1.0
    return mean, scale


def standardize(x: NDArray[Any], mean: Floats, scale: Floats, *, in_place: bool) -> NDArray[Any]:
    """Return ``(x - mean) / scale``, computed in float64 and rounded once.

    Parameters
    ----------
    x : array of shape (samples, features)
        Real numbers.
    mean, scale : float64 arrays of shape (features,)
        Mean and standard deviation of each column.
    in_place : bool
        Whether to overwrite `x` if it has the dtype of the result.

    Returns
    -------
    array of shape (samples, features)
        float32 if `x` is float32 or bytes, else float64.
    """
    dtype = np.dtype(np.float32 if x.dtype in (np.float32, np.uint8) else np.float64)
    result = x if in_place and x.dtype == dtype else np.empty(x.shape, dtype)
    with np.errstate(over="ignore"):  # the network refuses infinite inputs
        for rows, block in _blocks(x):
            result[rows] = (block - mean) / scale
    return result


def _blocks(x: NDArray[Any]) -> Iterator[tuple[slice, Floats]]:
    step = max(1, _BLOCK // max(1, x.shape[1]))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        yield rows, x[rows].astype(np.float64, copy=False)
