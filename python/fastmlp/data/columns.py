"""Kinds of columns: how each reads its cells and turns them into inputs of a network.

A column is one object that was learned once and is kept in the model: `NumberColumn`,
`CategoryColumn` or `DateColumn`. `KINDS` lists them; a new kind is a class with the methods of
`Column` and a line there. Exporters have a counterpart for each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import (
    NUMBER_MISSING,
    PLAIN,
    NumberFormat,
    Numbers,
    are_usable,
    as_number,
    as_texts,
    is_text,
    listed,
    missing_cells,
    read_dates,
    read_numbers,
    trimmed,
    truth_codes,
)
from fastmlp.data.table import Problems
from fastmlp.extras import require

__all__ = [
    "BLOCK_ROWS",
    "DATE_PARTS",
    "KINDS",
    "MAX_CATEGORIES",
    "MISSING",
    "MOST_CATEGORIES",
    "UNKNOWN",
    "UNKNOWN_CATEGORIES",
    "CategoryColumn",
    "Column",
    "DateColumn",
    "NumberColumn",
    "codes_of_numbers",
    "date_parts",
    "quantities_of",
]

# Categories of one column: those that are recognized, and those that may be asked for.
MAX_CATEGORIES = 1000
MOST_CATEGORIES = 1 << 16
UNKNOWN_CATEGORIES = ("ignore", "error")
_WHOLE = re.compile("0|-?[1-9][0-9]*")
UNKNOWN = -1
MISSING = -2
# Rows that are encoded at a time, so that what is computed on the way takes little memory.
BLOCK_ROWS = 1 << 16

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Codes = NDArray[np.int64]


class Column(Protocol):
    """A column of a table as inputs of a network."""

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """Name of the column."""
        ...

    @property
    def missing(self) -> tuple[str, ...]:
        """Texts that stand for a missing value."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of its inputs."""
        ...

    @property
    def quantities(self) -> int:
        """Number of its first inputs that are quantities; the others are 0 or 1."""
        ...

    def encode(self, cells: Any, inputs: Floats, problems: Problems, unknown: str) -> None:
        """Write the inputs of all cells; note the rows whose cell cannot be read.

        Parameters
        ----------
        cells : polars.Series
            Cells of shape (rows,) as they came.
        inputs : float64 array of shape (rows, inputs of this column)
            Zeros, to be filled.
        problems : Problems
            Where rows that have no inputs are noted.
        unknown : {"ignore", "error"}
            Treatment of a category that was not learned.
        """
        ...

    @property
    def reads_plain_numbers(self) -> bool:
        """Whether float64 cells that a reader made of plain numbers read like their texts."""
        ...


# ---------------------------------------------------------------- numbers


@dataclass(frozen=True)
class NumberColumn:
    """A column of quantities, which is one input, or two with an indicator of missing values.

    Attributes
    ----------
    name : str
        Name of the column.
    format : NumberFormat
        How texts write its numbers.
    missing : tuple of str
        Texts that stand for a missing value.
    fill : float or None
        Replacement for a missing value; None: missing values are refused.
    indicator : bool
        Whether a second input is 1 where the value is missing, else 0.

    Examples
    --------
    >>> import polars
    >>> from fastmlp import data
    >>> column = data.NumberColumn("age", fill=40.0, indicator=True)
    >>> column.feature_names
    ('age', 'age is missing')
    >>> column.read(polars.Series(["31", ""])).values
    array([31., nan])
    """

    kind: ClassVar[str] = "number"
    name: str
    format: NumberFormat = PLAIN
    missing: tuple[str, ...] = NUMBER_MISSING
    fill: float | None = None
    indicator: bool = False

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of its inputs: ``age``, perhaps ``age is missing``."""
        return (self.name, f"{self.name} is missing") if self.indicator else (self.name,)

    @property
    def quantities(self) -> int:
        """Number of its first inputs that are quantities: the number itself."""
        return 1

    @property
    def reads_plain_numbers(self) -> bool:
        """Whether its texts are plain numbers."""
        return self.format == PLAIN

    def read(self, cells: Any) -> Numbers:
        """Return cells as numbers."""
        return read_numbers(cells, self.format, self.missing)

    def encode(self, cells: Any, inputs: Floats, problems: Problems, unknown: str) -> None:
        """Write numbers and indicators; see ``Column``."""
        numbers = self.read(cells)
        inputs[:, 0] = numbers.values
        problems.add(numbers.bad, self.name, f"must be a number{self._written}, got {{}}")
        if self.fill is None:
            problems.add(numbers.missing, self.name, "lacks a value")
        else:
            inputs[numbers.missing, 0] = self.fill
        if self.indicator:
            inputs[:, 1] = numbers.missing

    @property
    def _written(self) -> str:
        return "" if self.format == PLAIN else f" such as {self.format.example}"


# ---------------------------------------------------------------- categories


@dataclass(frozen=True)
class CategoryColumn:
    """A column of names, with one input for each known name, of which at most one is 1.

    Attributes
    ----------
    name : str
        Name of the column.
    categories : tuple of str
        Known names as written, in the order of their inputs.
    reads : {"text", "number", "boolean"}
        How texts are compared with them: as written; as numbers (01 is 1), for names that came
        from a column of numbers; or as truth values (TRUE and yes are true), of which there are
        two, false first. Values of other types are compared as what they are.
    missing : tuple of str
        Texts that stand for a missing value.
    fill : str or None
        Category that replaces a missing value.
    missing_level : bool
        Whether a missing value has an input of its own, the last one.
    refuses_missing : bool
        Whether missing values are refused. If not, and without `fill` and `missing_level`, a
        missing value has zeros.
    as_code : bool
        Whether the column has one input instead, the position of the category; after all
        categories comes that of a missing value with `missing_level`. Others are -1.

    Examples
    --------
    >>> import polars
    >>> from fastmlp import data
    >>> column = data.CategoryColumn("color", ("blue", "red"))
    >>> column.feature_names
    ('color=blue', 'color=red')
    >>> column.codes(polars.Series(["red", "green", None]))  # -1: unknown, -2: missing
    array([ 1, -1, -2])
    """

    kind: ClassVar[str] = "category"
    name: str
    categories: tuple[str, ...]
    reads: str = "text"
    missing: tuple[str, ...] = ()
    fill: str | None = None
    missing_level: bool = False
    refuses_missing: bool = False
    as_code: bool = False
    _numbers: tuple[Floats, Codes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_numbers", codes_of_numbers(self.categories))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of its inputs: ``color=blue``, ``color=red``, perhaps ``color is missing``."""
        if self.as_code:
            return (self.name,)
        names = tuple(f"{self.name}={category}" for category in self.categories)
        return (*names, f"{self.name} is missing") if self.missing_level else names

    @property
    def levels(self) -> int:
        """Number of its categories, with that of missing values."""
        return len(self.categories) + self.missing_level

    @property
    def quantities(self) -> int:
        """Number of its inputs that are quantities: none."""
        return 0

    @property
    def reads_plain_numbers(self) -> bool:
        """Whether its texts are compared as numbers."""
        return self.reads == "number"

    @property
    def texts(self) -> dict[str, int]:
        """Texts that stand for the categories, with their positions.

        Besides the names themselves it is 1.0 for 1, as columns of codes with gaps are written by
        libraries that have no missing integers.
        """
        known = {category: code for code, category in enumerate(self.categories)}
        for category, code in list(known.items()):
            if _WHOLE.fullmatch(category):
                known.setdefault(f"{category}.0", code)
        return known

    def codes(self, cells: Any) -> Codes:
        """Return the position of each cell's category, `UNKNOWN` or `MISSING`.

        Parameters
        ----------
        cells : polars.Series
            Cells of shape (rows,) as they came.
        """
        polars = require("data", "polars")
        if len(cells) > BLOCK_ROWS:
            every = np.empty(len(cells), np.int64)
            for start in range(0, len(cells), BLOCK_ROWS):
                every[start : start + BLOCK_ROWS] = self.codes(cells.slice(start, BLOCK_ROWS))
            return every
        missing = missing_cells(cells, self.missing)
        if self.reads == "boolean":
            codes = truth_codes(cells)
        elif cells.dtype == polars.Boolean:
            codes = self._truth_positions()[truth_codes(cells)]
        elif cells.dtype.is_numeric() or (self.reads == "number" and is_text(cells)):
            codes = self._codes_of_values(cells)
        else:
            texts = as_texts(cells).fill_null("")
            found = texts.replace_strict(self.texts, default=UNKNOWN, return_dtype=polars.Int64)
            codes = found.to_numpy().astype(np.int64)
        codes = np.array(codes, np.int64)
        codes[missing] = MISSING
        return codes

    def encode(self, cells: Any, inputs: Floats, problems: Problems, unknown: str) -> None:
        """Write ones and zeros; see ``Column``."""
        codes = self.codes(cells)
        if not are_usable(cells):
            problems.add(codes == UNKNOWN, self.name, "must be text or a number, got {}")
        if self.refuses_missing:
            problems.add(codes == MISSING, self.name, "lacks a value")
        if self.fill is not None:
            codes[codes == MISSING] = self.categories.index(self.fill)
        elif self.missing_level:
            codes[codes == MISSING] = len(self.categories)
        if unknown == "error":
            names = listed(self.categories)
            problem = f"{{}} does not occur in the training part, which has {names}"
            problems.add(codes == UNKNOWN, self.name, problem)
        if self.as_code:
            inputs[:, 0] = np.maximum(codes, -1)
            return
        known = np.flatnonzero(codes >= 0)
        inputs[known, codes[known]] = 1.0

    def _truth_positions(self) -> Codes:
        """Return the codes of false and true, and `UNKNOWN` for -1, to be indexed by truth."""
        words = [category.lower() for category in self.categories]
        positions = [
            words.index(word) if words.count(word) == 1 else UNKNOWN for word in ("false", "true")
        ]
        return np.array([*positions, UNKNOWN])

    def _codes_of_values(self, cells: Any) -> Codes:
        """Return the codes of the categories that stand for the same numbers."""
        polars = require("data", "polars")
        read = read_numbers(cells, PLAIN, self.missing)
        values = read.values
        numbers, codes = self._numbers
        found = np.where(read.missing, MISSING, UNKNOWN)
        if len(numbers):
            at = np.minimum(np.searchsorted(numbers, values), len(numbers) - 1)
            equal = numbers[at] == values
            found[equal] = codes[at[equal]]
        # Several categories may stand for one number, such as 1 and 01, and large integers for
        # one float64: the shortest text decides among them.
        unclear = np.flatnonzero((found == UNKNOWN) & np.isfinite(values))
        if len(unclear):
            texts = as_texts(cells[unclear] if not is_text(cells) else trimmed(cells)[unclear])
            known = {category: code for code, category in enumerate(self.categories)}
            exact = texts.replace_strict(known, default=UNKNOWN, return_dtype=polars.Int64)
            found[unclear] = exact.to_numpy()
        return found


def codes_of_numbers(categories: Sequence[str]) -> tuple[Floats, Codes]:
    """Return the numbers that exactly one category stands for, ascending, with its code."""
    by_number: dict[float, int] = {}
    for code, category in enumerate(categories):
        number = as_number(category)
        if number is not None and abs(number) <= 2**53:
            by_number[number] = UNKNOWN if number in by_number else code
    single = sorted((number, code) for number, code in by_number.items() if code != UNKNOWN)
    return (
        np.array([number for number, _ in single], np.float64),
        np.array([code for _, code in single], np.int64),
    )


# ---------------------------------------------------------------- dates

# Parts of a point in time, as `date_parts` computes them.
DATE_PARTS = ("days", "month", "day", "weekday", "hour")


@dataclass(frozen=True)
class DateColumn:
    """A column of dates or points in time, with a linear time and calendar parts as inputs.

    Attributes
    ----------
    name : str
        Name of the column.
    format : str
        Format of its texts, see ``fastmlp.data.cells.read_dates``.
    parts : tuple of {"days", "month", "day", "weekday", "hour"}
        Inputs, see `date_parts`.
    missing : tuple of str
        Texts that stand for a missing value.
    fill : float or None
        Seconds since 1970-01-01 UTC that replace a missing value; None: missing values are refused.
    indicator : bool
        Whether a last input is 1 where the value is missing, else 0.

    Examples
    --------
    >>> from fastmlp import data
    >>> data.DateColumn("sold", parts=("days", "month"), indicator=True).feature_names
    ('sold (days)', 'sold (month)', 'sold is missing')
    """

    kind: ClassVar[str] = "date"
    name: str
    format: str = "iso"
    parts: tuple[str, ...] = DATE_PARTS[:1]
    missing: tuple[str, ...] = NUMBER_MISSING
    fill: float | None = None
    indicator: bool = False

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of its inputs: ``sold (days)``, ``sold (month)``, perhaps ``sold is missing``."""
        names = tuple(f"{self.name} ({part})" for part in self.parts)
        return (*names, f"{self.name} is missing") if self.indicator else names

    @property
    def quantities(self) -> int:
        """Number of its first inputs that are quantities: the parts of the date."""
        return len(self.parts)

    @property
    def reads_plain_numbers(self) -> bool:
        """Numbers are not dates."""
        return False

    def encode(self, cells: Any, inputs: Floats, problems: Problems, unknown: str) -> None:
        """Write the parts and the indicator; see ``Column``."""
        dates = read_dates(cells, self.format, self.missing)
        written = "a date such as 2024-01-31" if self.format == "iso" else f"a {self.format} date"
        problems.add(dates.bad, self.name, f"must be {written}, got {{}}")
        seconds = dates.seconds
        if self.fill is None:
            problems.add(dates.missing, self.name, "lacks a value")
        else:
            seconds[dates.missing] = self.fill
        seconds[np.isnan(seconds)] = 0.0  # of rows that are noted as problems
        parts = date_parts(seconds)
        for i, part in enumerate(self.parts):
            inputs[:, i] = parts[part]
        if self.indicator:
            inputs[:, len(self.parts)] = dates.missing


def date_parts(seconds: Floats) -> dict[str, Floats]:
    """Return the parts of points in time.

    Parameters
    ----------
    seconds : float64 array of shape (n,)
        Finite seconds since 1970-01-01 UTC.

    Returns
    -------
    dict of str to float64 array of shape (n,)
        days since 1970-01-01 with fractions, month from 1 to 12, day of the month from 1, weekday
        from 0 (Monday), hour of the day with fractions; all in UTC.

    Notes
    -----
    The calendar is computed with integers after H. Hinnant, "chrono-Compatible Low-Level Date
    Algorithms", 2013, so that exported models can repeat it exactly.
    """
    whole = np.floor(seconds / 86400.0)
    days = whole.astype(np.int64)
    shifted = days + 719468  # days since 0000-03-01
    era = shifted // 146097
    day_of_era = shifted - era * 146097
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    month = np.where(month_from_march < 10, month_from_march + 3, month_from_march - 9)
    return {
        "days": seconds / 86400.0,
        "month": month.astype(np.float64),
        "day": (day_of_year - (153 * month_from_march + 2) // 5 + 1).astype(np.float64),
        "weekday": ((days + 3) % 7).astype(np.float64),
        "hour": (seconds - whole * 86400.0) / 3600.0,
    }


def quantities_of(columns: Sequence[Column]) -> Mask:
    """Return a mask of the inputs of columns that are quantities; others are 0 or 1, or codes."""
    marks = [
        at < column.quantities for column in columns for at in range(len(column.feature_names))
    ]
    return np.array(marks, bool)


KINDS: dict[str, type[Column]] = {c.kind: c for c in (NumberColumn, CategoryColumn, DateColumn)}
