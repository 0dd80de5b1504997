"""What a source holds: a table or arrays of samples, with targets, in one part or two.

`Table` knows its columns and where in the file each value stood, which every message about a value
names. `Part` is samples with targets, `RawData` all that is known about a source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import Column, as_number, did_you_mean, listed, missing_values
from fastmlp.errors import FormatError

__all__ = [
    "Part",
    "RawData",
    "Table",
    "number_column",
    "place",
    "refuse_missing",
    "require_columns",
    "row_error",
]


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Named columns of equal length.

    Attributes
    ----------
    origin : str
        Name of the file, for messages.
    columns : dict of str to array of shape (rows,)
        In the order of the file, at least one. Numbers are finite float64, NaN where a value is
        missing; text is an object array of str, None where a value is missing.
    unsupported : dict of str to str
        Further columns of the file that cannot be used, and what they are: "datetime", "numbers
        mixed with text (line 7: 'x')".
    first_line : int or None
        Line of the file in which row 0 stands; row i is in line ``first_line + i``. None where
        rows are not lines, as in Parquet or in a CSV file with line breaks inside of quotes.
    """

    origin: str
    columns: dict[str, Column]
    unsupported: dict[str, str]
    first_line: int | None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __repr__(self) -> str:
        return f"Table({self.origin!r}, rows={len(self)}, columns={list(self.columns)})"


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """Samples with their targets.

    Attributes
    ----------
    x : Table, or array of shape (samples, features)
        Of a table, targets are still among the columns. Arrays are uint8, float32 or float64.
    y : array or None
        int64 or object array of str, shape (samples,), for classes; float64 of shape (samples,
        targets) for quantities; None for a table.
    """

    x: Table | NDArray[Any]
    y: NDArray[Any] | None = None

    def __repr__(self) -> str:
        x = repr(self.x) if isinstance(self.x, Table) else f"x={self.x.shape}"
        return f"Part({x})" if self.y is None else f"Part({x}, y={self.y.shape})"


@dataclass(frozen=True, eq=False, repr=False)
class RawData:
    """What a source holds, as it is.

    Attributes
    ----------
    name : str
        Short name, that of the set or the file without its suffix.
    train : Part
    test : Part or None
        None where the source has no test part of its own.
    class_names : tuple of str or None
        Of the labels 0, 1, 2, ...
    feature_names : tuple of str or None
        Of the columns of arrays.
    image_shape : tuple of int or None
        (height, width) or (height, width, channels) where a sample is an image.
    task : {"classification", "multilabel", "regression"} or None
        None where the source does not know.
    sha256 : dict of str to str
        Digest of each file, decompressed, by its name without ``.gz``; of a directory of images
        one digest of all.
    """

    name: str
    train: Part
    test: Part | None = None
    class_names: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] | None = None
    image_shape: tuple[int, ...] | None = None
    task: str | None = None
    sha256: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        test = "" if self.test is None else f", test={self.test!r}"
        return f"RawData({self.name!r}, train={self.train!r}{test})"


# ---------------------------------------------------------------- columns and places of a table


def place(row: int, first_line: int | None) -> str:
    """Where a row stands in its file; `row` is counted from 0, what people read from 1."""
    return f"row {row + 1}" if first_line is None else f"line {first_line + row}"


def row_error(table: Table, row: int, column: str, problem: str) -> FormatError:
    """An error that says where in the file a value stands; `row` is counted from 0."""
    where = place(row, table.first_line)
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


def number_column(table: Table, name: str) -> NDArray[np.float64]:
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
