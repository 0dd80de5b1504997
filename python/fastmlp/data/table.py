"""What a source holds: a table or arrays of samples, with targets, in one part or two.

`Table` knows its columns and where in its file each value stood; messages about a value name that
place. `Part` is samples with targets, `RawData` all that is known about a source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import Column, finite_numbers, listed, missing_values
from fastmlp.errors import FormatError, did_you_mean

__all__ = [
    "Part",
    "RawData",
    "Table",
    "number_column",
    "place",
    "refuse_missing",
    "require_columns",
    "row_error",
    "usable_table",
]


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Named columns of equal length, typed, and where in the file each row stood.

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
        rows are not lines, as in Parquet or in a CSV file with line breaks inside quotes.

    Examples
    --------
    >>> import fastmlp, numpy
    >>> columns = {"age": numpy.array([31.0, 42.0]), "city": numpy.array(["Rome", None], object)}
    >>> fastmlp.data.Table("people.csv", columns)
    Table('people.csv', rows=2, columns=['age', 'city'])
    """

    origin: str
    columns: dict[str, Column]
    unsupported: dict[str, str] = field(default_factory=dict)
    first_line: int | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __repr__(self) -> str:
        return f"Table({self.origin!r}, rows={len(self)}, columns={list(self.columns)})"


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """Samples with their targets as a source holds them.

    Attributes
    ----------
    x : Table, or array of shape (samples, features)
        The targets of a table are among its columns. Arrays are uint8, float32 or float64.
    y : array or None
        Classes: int64, or object array of str, shape (samples,). Quantities: float64, shape
        (samples, targets). None for a table.

    Examples
    --------
    >>> import fastmlp, numpy
    >>> fastmlp.data.Part(numpy.zeros((3, 2)), numpy.array([0, 1, 1]))
    Part(x=(3, 2), y=(3,))
    """

    x: Table | NDArray[Any]
    y: NDArray[Any] | None = None

    def __repr__(self) -> str:
        x = repr(self.x) if isinstance(self.x, Table) else f"x={self.x.shape}"
        return f"Part({x})" if self.y is None else f"Part({x}, y={self.y.shape})"


@dataclass(frozen=True, eq=False, repr=False)
class RawData:
    """What a source holds, before anything is learned or changed.

    Attributes
    ----------
    name : str
        Short name: that of the set, or of the file without its suffix.
    train : Part
        All samples where the source is not divided.
    test : Part or None
        None where the source has no test part of its own.
    class_names : tuple of str or None
        Names of the labels 0, 1, 2, ...
    feature_names : tuple of str or None
        Names of the columns of arrays.
    image_shape : tuple of int or None
        (height, width) or (height, width, channels) where a sample is an image.
    task : {"classification", "multilabel", "regression"} or None
        None where the source does not tell.
    sha256 : dict of str to str
        Digest of each file, decompressed, by its name without ``.gz``; of a directory of images
        one digest of all.

    Examples
    --------
    >>> import fastmlp, numpy
    >>> x, y = numpy.arange(8.0).reshape(4, 2), numpy.array([0, 1, 1, 0])
    >>> fastmlp.data.RawData("mine", fastmlp.data.Part(x, y), task="classification")
    RawData('mine', train=Part(x=(4, 2), y=(4,)))
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


def usable_table(
    origin: str, columns: dict[str, Column], unsupported: dict[str, str], first_line: int | None
) -> Table:
    """A table of these columns, or FormatError if there are none that can be used."""
    if not columns:
        name, kind = next(iter(unsupported.items()))
        raise FormatError(f"{origin}: column {name!r}: must hold numbers or text, got {kind}")
    return Table(origin, columns, unsupported, first_line)


def place(row: int, first_line: int | None) -> str:
    """Where a row stands in its file. `row` is counted from 0, the text for people from 1."""
    return f"row {row + 1}" if first_line is None else f"line {first_line + row}"


def row_error(table: Table, row: int, column: str, problem: str) -> FormatError:
    """An error that names the place of a value in its file. `row` is counted from 0."""
    where = place(row, table.first_line)
    return FormatError(f"{table.origin}: {where}, column {column!r}: {problem}")


def require_columns(table: Table, names: Sequence[str]) -> None:
    """Raise FormatError unless the table has all these columns, in a type that can be used."""
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
    return finite_numbers(
        table.columns[name], lambda row, problem: row_error(table, row, name, problem)
    )


def refuse_missing(table: Table, names: Sequence[str], hint: str = "") -> None:
    """Raise FormatError if these columns lack values; name the first and count the others."""
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
