"""Contents of a source: a table or arrays of samples, with targets, in one or two parts.

`Table` holds columns and the line of each row in the file, which messages about a value name.
`Part` is samples with targets, `RawData` all parts and properties of a source.
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
    """Named and typed columns of equal length, and the line of each row in the file.

    Attributes
    ----------
    origin : str
        Name of the file, for messages.
    columns : dict of str to array of shape (rows,)
        At least one column, in the order of the file. Numbers are finite float64, NaN where a value
        is missing; text is an object array of str, None where a value is missing.
    unsupported : dict of str to str
        Kinds of the columns that cannot be used, such as "datetime" or "numbers mixed with text
        (line 7: 'x')", by name.
    first_line : int or None
        Line of row 0 in the file; row i is in line ``first_line + i``. None if rows are not lines,
        as in Parquet or in a CSV file with line breaks inside quotes.

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
    """Samples with their targets, as in the source.

    Attributes
    ----------
    x : Table, or array of shape (samples, features)
        Samples. The targets of a table are among its columns. Arrays are uint8, float32 or float64.
    y : array or None
        Targets. Classes are int64, or an object array of str, of shape (samples,); quantities are
        float64 of shape (samples, targets). None for a table.

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
    """Contents of a source, before anything is learned or changed.

    Attributes
    ----------
    name : str
        Name of the set, or of the file without its suffix.
    train : Part
        Training part, or all samples if the source has no test part.
    test : Part or None
        Test part; None if the source has none.
    class_names : tuple of str or None
        Names of the labels 0, 1, 2, ...
    feature_names : tuple of str or None
        Names of the columns of arrays.
    image_shape : tuple of int or None
        (height, width) or (height, width, channels) if samples are images.
    task : {"classification", "multilabel", "regression"} or None
        Kind of the targets; None if the source does not declare it.
    sha256 : dict of str to str
        Digest of each decompressed file by its name without ``.gz``; a directory of images has one
        digest.

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
    """Return a table of these columns; raise FormatError if none can be used."""
    if not columns:
        name, kind = next(iter(unsupported.items()))
        raise FormatError(f"{origin}: column {name!r}: must hold numbers or text, got {kind}")
    return Table(origin, columns, unsupported, first_line)


def place(row: int, first_line: int | None) -> str:
    """Return "row N" or "line N" for a row counted from 0; N is counted from 1."""
    return f"row {row + 1}" if first_line is None else f"line {first_line + row}"


def row_error(table: Table, row: int, column: str, problem: str) -> FormatError:
    """Return an error that names the place of a value in its file. `row` is counted from 0."""
    where = place(row, table.first_line)
    return FormatError(f"{table.origin}: {where}, column {column!r}: {problem}")


def require_columns(table: Table, names: Sequence[str]) -> None:
    """Raise FormatError unless the table has all these columns, with types that can be used."""
    for name in names:
        if name in table.unsupported:
            raise FormatError(
                f"{table.origin}: column {name!r}: must hold numbers or text, "
                f"got {table.unsupported[name]}"
            )
        if name not in table.columns:
            raise FormatError(
                f"{table.origin}: column {name!r} is missing{did_you_mean(name, table.columns)} "
                f"(the columns are {listed(table.columns)})"
            )


def number_column(table: Table, name: str) -> NDArray[np.float64]:
    """Return a column as numbers, NaN where a value is missing.

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
