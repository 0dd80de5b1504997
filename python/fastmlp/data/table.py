"""A table in memory: named columns of numbers or text, and where in its file each row stood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

__all__ = ["Column", "Table", "place"]

# float64, NaN where a value is missing; or an object array of str, None where one is missing.
Column = NDArray[Any]


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


def place(row: int, first_line: int | None) -> str:
    """Where a row stands in its file; `row` is counted from 0, what people read from 1."""
    return f"row {row + 1}" if first_line is None else f"line {first_line + row}"
