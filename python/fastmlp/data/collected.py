"""The columns of text sources, collected over blocks and files, and made a table.

A column that turns out to be text after it was taken for numbers is read again.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.content import Content
from fastmlp.data.encodings import Encoding, check_encoding, encoding_of
from fastmlp.data.shards import ShardedTable, require_alike
from fastmlp.data.table import Reading, Table
from fastmlp.data.text_columns import TextColumn
from fastmlp.extras import require

__all__ = ["Collected", "Found", "collect"]

Lines = range | NDArray[np.int64] | None


@dataclass(frozen=True)
class Found:
    """What a reader found out about a file besides its cells."""

    names: tuple[str, ...]
    index: tuple[str, ...] = ()
    header: bool = True
    notes: tuple[str, ...] = ()
    encoding: str = "utf-8"
    separator: str | None = None
    has_keys: bool = False


ReadOne = Callable[[Content, str, Reading, "Collected"], Found]


class Collected:
    """Columns that grow block by block."""

    def __init__(self, reading: Reading) -> None:
        self._as_text = reading.as_text
        self._wanted = reading.wanted
        self._decimal_comma = reading.decimal_comma
        self._lines: list[Lines] = []
        self.columns: dict[str, TextColumn] = {}
        self.rows = 0
        self.starts: list[int] = []

    def begin_file(self) -> None:
        """Note that the next rows come from another file."""
        self.starts.append(self.rows)

    def has_decimal_comma(self, name: str) -> bool:
        """Return whether the texts of a column have decimal commas."""
        return name in self._decimal_comma

    def keeps(self, name: str) -> bool:
        """Return whether a column is kept."""
        return self._wanted is None or name in self._wanted

    def add(self, cells: Mapping[str, Any], rows: int, lines: Lines) -> None:
        """Append rows: texts of columns, of which those that are missing have no values."""
        polars = require("data", "polars")
        for name, texts in cells.items():
            if name not in self.columns:
                as_text = self._as_text is None or name in self._as_text
                self.columns[name] = TextColumn(name, as_text=as_text, rows=self.rows)
            self.columns[name].add(texts)
        for name in self.columns.keys() - cells.keys():
            self.columns[name].add(polars.Series(name, [None] * rows, polars.String))
        self._lines.append(lines)
        self.rows += rows

    def broken(self) -> frozenset[str]:
        """Return the columns that must be read again as text."""
        return frozenset(name for name, column in self.columns.items() if column.is_broken)

    def places(self) -> tuple[int | None, NDArray[np.int64] | None]:
        """Return the first line if each row has the next line, or else the lines of all rows.

        Both are None if rows are not lines.
        """
        known = [lines for lines in self._lines if lines is not None]
        if len(known) < len(self._lines) or not known:
            return None, None
        if all(isinstance(lines, range) for lines in known) and all(
            before[-1] + 1 == after[0] for before, after in itertools.pairwise(known)
        ):
            return int(known[0][0]), None
        return None, np.concatenate([np.asarray(lines, np.int64) for lines in known])

    def lines_in_files(self) -> NDArray[np.int64]:
        """Return the line of each row in its file, or its number where rows are not lines."""
        first_line, lines = self.places()
        if lines is not None:
            return lines
        ends = [*self.starts[1:], self.rows]
        first = 1 if first_line is None else first_line
        return np.concatenate(
            [
                np.arange(first, first + end - start)
                for start, end in zip(self.starts, ends, strict=True)
            ]
        )

    def file_of_row(self) -> NDArray[np.int32]:
        """Return the number of the file of each row."""
        counts = np.diff([*self.starts, self.rows])
        return np.repeat(np.arange(len(self.starts), dtype=np.int32), counts)


def collect(
    source: bytes | Content | Sequence[Content],
    read_one: ReadOne,
    reading: Reading,
    origin: str,
) -> Table:
    """Read files with the same columns into one table.

    Parameters
    ----------
    source : bytes, Content, or sequence of Content
        The file, or the files in order.
    read_one : callable
        Adds the rows of a file, whose encoding is given, to a `Collected`.
    reading : Reading
        Columns, and the encoding if it is known.
    origin : str
        Name of the whole, for messages.

    Raises
    ------
    FormatError
        Files differ in their columns, or one cannot be read.
    ValueError
        The encoding is not one of text.
    """
    check_encoding(reading.encoding)
    if isinstance(source, bytes):
        source = Content(origin, data=source)
    contents = [source] if isinstance(source, Content) else source
    collected, found = _pass(contents, read_one, reading)
    if not collected.columns and reading.wanted is not None:
        # Messages about what is missing list what is there.
        reading = dataclasses.replace(reading, wanted=None)
        collected, found = _pass(contents, read_one, reading)
    broken = collected.broken()
    columns = {
        name: None if name in broken else column.finish()
        for name, column in collected.columns.items()
    }
    first_line, lines = collected.places()
    if broken:
        again = dataclasses.replace(reading, as_text=None, wanted=broken)
        second, _ = _pass(contents, read_one, again)
        columns.update((name, column.finish()) for name, column in second.columns.items())
    index = tuple(name for name in found.index if name in columns)
    if len(contents) == 1:
        return Table(
            origin, columns, first_line, lines, index, found.header, found.notes, found.names,
            found.encoding, is_untyped=True, has_keys=found.has_keys, separator=found.separator,
        )  # fmt: skip
    return ShardedTable(
        origin, columns, None, collected.lines_in_files(), index, found.header, found.notes,
        found.names, found.encoding, is_untyped=True,
        has_keys=found.has_keys, separator=found.separator,
        files=tuple(content.origin for content in contents),
        file_of_row=collected.file_of_row(),
    )  # fmt: skip


def _pass(
    contents: Sequence[Content], read_one: ReadOne, reading: Reading
) -> tuple[Collected, Found]:
    collected = Collected(reading)
    first: Found | None = None
    for content in contents:
        collected.begin_file()
        content.digest()  # a packed file is checked as a whole before its rows take memory
        encoding = _encoding(content, reading)
        found = read_one(content, encoding.name, reading, collected)
        notes = (*encoding.notes, *found.notes)
        found = dataclasses.replace(found, encoding=encoding.name, notes=notes)
        if first is None:
            first = found
        else:
            require_alike(content.origin, found.names, contents[0].origin, first.names)
    assert first is not None
    return collected, first


def _encoding(content: Content, reading: Reading) -> Encoding:
    if reading.encoding is not None:
        return Encoding(reading.encoding)
    return encoding_of(content, reading.usual_encoding) or Encoding("utf-8")
