"""Contents of a source: a table or arrays of samples, with targets, in one or two parts.

`Table` holds columns as they came and the line of each row in the file, which messages about a
value name. `Part` is samples with targets, `RawData` all parts and properties of a source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import listed, shown
from fastmlp.errors import FormatError, did_you_mean
from fastmlp.extras import require

__all__ = [
    "Part",
    "Problems",
    "RawData",
    "Reading",
    "Table",
    "require_columns",
    "series_of",
]

_MOST_PROBLEMS = 10
# More cells of a column with the same problem than this are told by their number.
_MOST_ALIKE = 5


# ---------------------------------------------------------------- how a source is read


@dataclass(frozen=True)
class Reading:
    """How a table is read from a file: what its bytes cannot tell, and what is needed of it.

    Attributes
    ----------
    separator : str or None
        Character between the fields of a text file, or "tab"; None: the first lines decide.
    encoding : str or None
        Encoding of a text file by its Python name; None: the bytes decide.
    usual_encoding, usual_separator : str or None
        Encoding of a text file that is not UTF-8, and unusual separator, as a model knows them.
    decimal_comma : frozenset of str
        Columns whose texts have decimal commas. Numbers of JSON, which have points, are written so.
    header : bool or None
        Whether the first line names the columns; None: the cells decide.
    index_column : str or None
        Column that numbers the rows and is no feature, besides those that are recognized.
    names : tuple of str or None
        Names for the columns of a file without a header, in its order; by default column_1, ...
    input_names : tuple of str or None
        The same for a file that lacks the targets.
    as_text : frozenset of str or None
        Columns whose cells are kept as written, whatever they hold. None: all. Other columns of
        numbers may be turned into float64 while they are read, which takes less memory.
    wanted : frozenset of str or None
        Columns that are needed, as far as the file has them; None: all. A text table in which
        columns are wanted has a header, whatever its names look like, unless `names` are given.
    unused : frozenset of str
        Columns that are left out, so that JSON may hold arrays and objects in them.
    used : frozenset of str or None
        Columns that are used; all others are as in `unused`. None: all that are not in `unused`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from fastmlp import data
    >>> _ = Path("people.txt").write_text("31|1,5|blue\\n45|2,25|red\\n")
    >>> reading = data.Reading(separator="|", names=("age", "income", "color"))
    >>> data.read_samples("people.txt", reading=reading)
    Table('people.txt', rows=2, columns=['age', 'income', 'color'])
    """

    separator: str | None = None
    encoding: str | None = None
    usual_encoding: str | None = None
    usual_separator: str | None = None
    decimal_comma: frozenset[str] = frozenset()
    header: bool | None = None
    index_column: str | None = None
    names: tuple[str, ...] | None = None
    input_names: tuple[str, ...] | None = None
    as_text: frozenset[str] | None = frozenset()
    wanted: frozenset[str] | None = None
    unused: frozenset[str] = frozenset()
    used: frozenset[str] | None = None

    def uses(self, name: str) -> bool:
        """Return whether a column is used, as far as it is known before the table is read."""
        return name not in self.unused and (self.used is None or name in self.used)


# ---------------------------------------------------------------- contents


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Named columns of equal length as they came, and the line of each row in the file.

    Attributes
    ----------
    origin : str
        Name of the file, for messages.
    columns : dict of str to polars.Series
        At least one column, in the order of the source. Cells of a text source are text as
        written, except in long columns of plain numbers, which may be float64; other sources have
        values of their types. Null is a missing value. Arrays and lists are converted.
    first_line : int or None
        Line of row 0 in the file; row i is in line ``first_line + i``. None if rows are not lines
        in a row, as in Parquet or in a CSV file with line breaks inside quotes.
    lines : int64 array of shape (rows,) or None
        Line of each row if they do not follow each other, as after lines of comment.
    index : tuple of str
        Columns that number the rows, such as the index of a pandas frame; they are no features.
    header : bool
        Whether the file names its columns.
    notes : tuple of str
        Decisions that the reader made, one line each.
    names : tuple of str
        Names of all columns of the source, those that were not read too; by default those here.
    encoding : str
        Encoding of a text file.
    separator : str or None
        Separator of a text file, if it is known.
    has_keys : bool
        Whether rows name their cells, as in JSON, so that a row may lack some.
    is_untyped : bool
        Whether all cells are text because the source holds nothing else.
    row_numbers : int64 array of shape (rows,) or None
        For rows that were taken from another table, their numbers there, from 1.

    Examples
    --------
    >>> import fastmlp, numpy
    >>> columns = {"age": numpy.array([30.0, 40.0]), "color": ["red", None]}
    >>> table = fastmlp.data.Table("people.csv", columns, first_line=2)
    >>> table, len(table)
    (Table('people.csv', rows=2, columns=['age', 'color']), 2)
    """

    origin: str
    columns: dict[str, Any]
    first_line: int | None = None
    lines: NDArray[np.int64] | None = None
    index: tuple[str, ...] = ()
    header: bool = True
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    encoding: str = "utf-8"
    separator: str | None = None
    is_untyped: bool = False
    has_keys: bool = False
    row_numbers: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        columns = {name: series_of(name, cells) for name, cells in self.columns.items()}
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "names", self.names or tuple(columns))

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __repr__(self) -> str:
        return f"Table({self.origin!r}, rows={len(self)}, columns={list(self.columns)})"

    def place(self, row: int) -> str:
        """Return "line N", or "row N" where rows are not lines, for a row counted from 0."""
        if self.lines is not None:
            return f"line {self.lines[row]}"
        if self.first_line is not None:
            return f"line {self.first_line + row}"
        return f"row {row + 1 if self.row_numbers is None else self.row_numbers[row]}"

    def error(self, row: int, column: str, problem: str) -> FormatError:
        """Return an error that names the place of a value in its file. `row` is from 0."""
        return FormatError(f"{self.origin}: {self.place(row)}, column {column!r}: {problem}")

    def rows(self, rows: NDArray[np.int64]) -> Table:
        """Return a table of some rows, which keep their lines, or else their numbers."""
        lines, numbers = self._all_lines(), self._all_numbers()
        return replace(
            self,
            columns={name: cells[rows] for name, cells in self.columns.items()},
            first_line=None,
            lines=None if lines is None else lines[rows],
            row_numbers=numbers[rows],
        )

    def row_places(self) -> tuple[NDArray[np.int64], bool]:
        """Return the line of each row and True, or its number from 1 and False; see `place`."""
        lines = self._all_lines()
        return (self._all_numbers(), False) if lines is None else (lines, True)

    def _all_lines(self) -> NDArray[np.int64] | None:
        if self.lines is None and self.first_line is not None:
            return np.arange(self.first_line, self.first_line + len(self))
        return self.lines

    def _all_numbers(self) -> NDArray[np.int64]:
        return np.arange(1, len(self) + 1) if self.row_numbers is None else self.row_numbers


def series_of(name: str, cells: Any) -> Any:
    """Return cells as a polars.Series: of a list, an array (None and NaN are missing), a series."""
    polars = require("data", "polars")
    if isinstance(cells, polars.Series):
        return cells
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "biuf":
        series = polars.Series(name, np.ascontiguousarray(cells))
        return series.fill_nan(None) if series.dtype.is_float() else series
    values = cells.tolist() if isinstance(cells, np.ndarray) else list(cells)
    texts = all(value is None or isinstance(value, str) for value in values)
    return polars.Series(name, values, polars.String if texts else None, strict=False)


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


# ---------------------------------------------------------------- problems


def _told(column: str, problem: str, cell: str) -> str:
    return f"column {column!r}: {problem.replace('{}', cell)}"


class Problems:
    """Problems of the rows of a table, collected so that all can be told at once.

    Parameters
    ----------
    table : Table
        Table that messages name.
    rows : int64 array, optional
        Positions of the rows that are looked at; by default all.

    Attributes
    ----------
    mask : bool array of shape (rows,)
        The rows with a problem.
    """

    def __init__(self, table: Table, rows: NDArray[np.int64] | None = None) -> None:
        self._table = table
        self._rows = np.arange(len(table)) if rows is None else rows
        # By row of the table: column, problem of which {} is the cell, and the cell.
        self._found: dict[int, list[tuple[str, str, str]]] = {}
        self.mask: NDArray[np.bool_] = np.zeros(len(self._rows), bool)

    def __len__(self) -> int:
        return int(self.mask.sum())

    def add(self, mask: NDArray[np.bool_], column: str, problem: str) -> None:
        """Note a problem of all rows of a mask; ``{}`` in the text becomes the cell as it came."""
        self.mask |= mask
        cells = self._table.columns.get(column)
        for row in self._rows[mask].tolist():
            cell = "{}" if cells is None else shown(cells[row])
            self._found.setdefault(row, []).append((column, problem, cell))

    def absorb(self, others: Problems, start: int | None = None) -> None:
        """Take over the problems of other rows of the same table.

        Those rows are the ones from `start` on among the rows here. By default their positions
        in the table decide, if these are all of its rows.
        """
        if start is None:
            self.mask[others._rows[others.mask]] = True
        else:
            self.mask[start : start + len(others.mask)] |= others.mask
        self._found |= others._found

    def of_row(self, row: int) -> str | None:
        """Return the problems of a row of the table as one text; None if it has none."""
        return "; ".join(_told(*one) for one in self._found[row]) if row in self._found else None

    def error(self, hints: Iterable[str] = ()) -> FormatError:
        """Return one error that names the first problems with their places, and the cures.

        A problem that many cells of a column have is told once, with their number.
        """
        found = [(row, *one) for row in sorted(self._found) for one in self._found[row]]
        counts = Counter((column, problem) for _, column, problem, _ in found)
        told: list[str] = []
        left = len(found)
        for row, column, problem, cell in found:
            count = counts[column, problem]
            if not count:  # it was told with the first cell
                continue
            text = f"{self._table.place(row)}, {_told(column, problem, cell)}"
            if count > _MOST_ALIKE:
                counts[column, problem] = 0
                text += f", and so in {count - 1:,} more rows"
                left -= count - 1
            told.append(text)
            left -= 1
            if len(told) == _MOST_PROBLEMS:
                break
        origin = self._table.origin
        cures = "".join(f"; {hint}" for hint in dict.fromkeys(hints))
        if len(found) == 1:
            return FormatError(f"{origin}: {told[0]}{cures}")
        lines = "".join(f"\n  {text}" for text in told)
        rest = f"\n  and {left:,} more" if left else ""
        return FormatError(f"{origin}: {len(found):,} values cannot be used{cures}:{lines}{rest}")


def require_columns(table: Table, names: Sequence[str], what: Mapping[str, str] = {}) -> None:  # noqa: B006
    """Raise FormatError unless the table has all these columns; name all that are missing."""
    missing = [name for name in names if name not in table.columns]
    if not missing:
        return
    first = missing[0]
    have = f"{did_you_mean(first, table.names)} (the columns are {listed(table.names)})"
    if len(missing) == 1:
        role = what.get(first, "")
        raise FormatError(f"{table.origin}: column {first!r}{role} is missing{have}")
    named = listed(map(repr, missing))
    raise FormatError(f"{table.origin}: columns {named} are missing{have}")
