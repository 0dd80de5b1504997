"""Text tables (CSV, TSV): one row per line, fields between separators, names in the first line.

Reference: RFC 4180, with other separators, lines that end in LF, CRLF or CR, and blanks that are
kept. Empty lines at the end do not count.

A scan of the bytes determines whether each line is one row. If so, polars splits the file. The csv
module, which is slower and reports the place of an error, splits all other files.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import Column, UnusableColumn, column_of_cells, shown
from fastmlp.data.table import Table, place, usable_table
from fastmlp.errors import FormatError
from fastmlp.extras import require

__all__ = ["read_delimited"]

_SEPARATORS = (b",", b";", b"\t", b"|")
_BOM = b"\xef\xbb\xbf"
_OTHER_FORMATS = {
    b"\x1f\x8b": "is gzip-compressed; its name must end in .gz",
    b"PAR1": "is a Parquet file; its name must end in .parquet",
    b"PK\x03\x04": "is a zip archive, perhaps a spreadsheet; export it as CSV",
    b"\xff\xfe": "is UTF-16; save it as UTF-8",
    b"\xfe\xff": "is UTF-16; save it as UTF-8",
}
_LF, _CR, _QUOTE = b'\n\r"'
_BLOCK_BYTES = 1 << 18


@dataclass(frozen=True)
class _Fields:
    """A header and, column by column, polars.Series of the cells below it."""

    names: list[str]
    columns: list[Any]
    first_line: int | None


def read_delimited(
    content: bytes, origin: str, separator: str | None = None, *, strict: bool = True
) -> Table:
    """Read a table from the bytes of a text file.

    Parameters
    ----------
    content : bytes
        UTF-8, with or without a byte order mark.
    origin : str
        Name of the file for messages.
    separator : str, optional
        One ASCII character. By default the one of comma, semicolon, tab and bar that occurs most
        often in the first line.
    strict : bool
        Whether columns that mix numbers with text are unsupported; see `column_of_cells`.

    Returns
    -------
    Table
        The typed columns; those that are neither numbers nor text are in `unsupported`.

    Raises
    ------
    FormatError
        The text is no table; the message names the line and, if possible, the column.
    ValueError
        `separator` is not a character that can separate fields.
    """
    _check_separator(separator)
    for magic, problem in _OTHER_FORMATS.items():
        if content.startswith(magic):
            raise FormatError(f"{origin}: file type: {problem}")
    content = content.removeprefix(_BOM).rstrip(b"\r\n")
    fields = _Text(content, origin, separator or _sniff(content)).split()
    columns: dict[str, Column] = {}
    unsupported: dict[str, str] = {}
    for name, cells in zip(fields.names, fields.columns, strict=True):
        try:
            columns[name] = column_of_cells(cells, strict=strict)
        except UnusableColumn as fault:
            where = place(fault.row, fields.first_line)
            unsupported[name] = f"{fault.kind} ({where}: {shown(fault.value)})"
    return usable_table(origin, columns, unsupported, fields.first_line)


def _check_separator(separator: str | None) -> None:
    """Raise ValueError unless the character may stand between fields."""
    if separator is None:
        return
    forbidden = separator.isalnum() or separator in '"\0\r\n'
    if len(separator) != 1 or not separator.isascii() or forbidden:
        raise ValueError(
            "separator must be one ASCII character and no letter, digit, quote or line end, "
            f"got {separator!r}"
        )


def _sniff(content: bytes) -> str:
    end = min(end for end in (content.find(b"\n"), content.find(b"\r"), len(content)) if end >= 0)
    unquoted = re.sub(rb'"[^"]*"?', b"", content[:end])
    return max(_SEPARATORS, key=unquoted.count).decode()


class _Text:
    """The text of a table, to be split into cells. Lines are counted from 1."""

    def __init__(self, content: bytes, origin: str, separator: str) -> None:
        self._content = content
        self._origin = origin
        self._separator = separator
        self._names: list[str] = []

    def split(self) -> _Fields:
        """Split the text into cells, or raise FormatError."""
        if not self._content.strip():
            raise self._fault(1, None, "is empty, it must name the columns")
        self._check_characters()
        records = self._records()
        _, names = next(records)
        self._check_names(names)
        self._names = names
        rows = _count_uniform_lines(self._content, self._separator, len(self._names)) - 1
        if rows > 0:
            columns = self._columns_by_polars(rows)
            if columns is not None:
                return _Fields(self._names, columns, 2)
        return self._fields_by_csv(records)

    def _fault(self, line: int, column: int | None, problem: str) -> FormatError:
        """Return an error that names a line (from 1) and, if given, a column (from 0)."""
        where = f"line {line}"
        if column is not None and column < len(self._names):
            where += f", column {self._names[column]!r}"
        elif column is not None:
            where += f", column {column + 1}"
        return FormatError(f"{self._origin}: {where}: {problem}")

    def _check_characters(self) -> None:
        """Raise FormatError unless the text is UTF-8 without NUL bytes."""
        start, problem = self._content.find(b"\0"), "holds a NUL byte"
        if start < 0 and not _is_utf8(self._content):
            try:
                self._content.decode()
            except UnicodeDecodeError as error:
                start = error.start
                problem = f"is not UTF-8: byte 0x{self._content[start]:02x}"
        if start < 0:
            return
        before = self._content[:start].decode("utf-8", "replace")
        line = len(re.findall(r"\r\n?|\n", before)) + 1
        try:
            # The added character makes the last row the one with the fault.
            rows = list(
                csv.reader(io.StringIO(f"{before}?", newline=""), delimiter=self._separator)
            )
        except csv.Error:
            raise self._fault(line, None, problem) from None
        self._names = rows[0] if len(rows) > 1 else []
        raise self._fault(line, len(rows[-1]) - 1, problem)

    def _check_names(self, names: list[str]) -> None:
        if not names:
            raise self._fault(1, None, "is empty, it must name the columns")
        seen: dict[str, int] = {}
        for column, name in enumerate(names):
            problem = None
            if not name.strip():
                problem = "has no name"
            elif name in seen:
                problem = f"has the name {shown(name)}, as has column {seen[name] + 1}"
            if problem:
                raise self._fault(1, column, f"{problem}; line 1 must name the columns")
            seen[name] = column

    def _columns_by_polars(self, rows: int) -> list[Any] | None:
        """Split by polars; return None if it fails or finds another number of rows or columns."""
        polars = require("data", "polars")
        try:
            frame = polars.read_csv(self._content, separator=self._separator, infer_schema_length=0)
        except (polars.exceptions.PolarsError, OSError):  # OSError: "x^" looks like zlib to it
            return None
        if frame.shape != (rows, len(self._names)):
            return None
        return list(frame.get_columns())

    def _fields_by_csv(self, records: Iterator[tuple[int, list[str]]]) -> _Fields:
        polars = require("data", "polars")
        width = len(self._names)
        rows: list[list[str]] = []
        first_line: int | None = 2
        for line, fields in records:
            if len(fields) != width and not (width == 1 and not fields):
                raise self._ragged(line, fields)
            if line != len(rows) + 2:
                first_line = None
            rows.append(fields or [""])
        if not rows:
            raise self._fault(2, None, "is missing: no row follows the names of the columns")
        columns = [
            polars.Series(list(cells), dtype=polars.String) for cells in zip(*rows, strict=True)
        ]
        return _Fields(self._names, columns, first_line)

    def _ragged(self, line: int, fields: list[str]) -> FormatError:
        width, count = len(self._names), len(fields)
        if count == 0:
            return self._fault(line, 0, "is missing: the line is empty")
        if count < width:
            return self._fault(line, count, f"is missing: the line has {count} of {width} fields")
        return self._fault(line, width, f"has no name: the line has {count} fields, not {width}")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the first line and the fields of each record; raise FormatError for bad quotes."""
        taken: list[str] = []

        def lines() -> Iterator[str]:
            stream = io.TextIOWrapper(io.BytesIO(self._content), encoding="utf-8", newline="")
            for line in stream:
                taken.append(line)
                yield line

        reader = csv.reader(lines(), delimiter=self._separator, strict=True)
        first = 1
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._bad_quotes(first, "".join(taken), error) from error
            yield first, fields
            taken.clear()
            first = reader.line_num + 1

    def _bad_quotes(self, first: int, record: str, error: csv.Error) -> FormatError:
        separator = re.escape(self._separator)
        quoted = re.compile(rf'"[^"]*(?:""[^"]*)*"(?=[{separator}\r\n]|\Z)')
        plain = re.compile(rf'(?!")[^{separator}\r\n]*')
        column, start = 0, 0
        while field := (quoted.match(record, start) or plain.match(record, start)):
            start = field.end() + 1
            column += 1
            if record[field.end() : start] != self._separator:
                return self._fault(first, None, str(error))
        if "unexpected end" in str(error):
            return self._fault(first, column, "begins with a quote that is never closed")
        return self._fault(first, column, "has text after the closing quote")


def _is_utf8(content: bytes) -> bool:
    if content.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(content)
    try:
        for start in range(0, len(content), _BLOCK_BYTES):
            decoder.decode(view[start : start + _BLOCK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


# ---------------------------------------------------------------- the scan


def _count_uniform_lines(content: bytes, separator: str, columns: int) -> int:
    """Return the number of lines, or 0 if a line is not one row with `columns` fields.

    Both quotes of a quoted field must touch a separator or an end of the line. A line must not end
    inside quotes, and a CR must belong to its end. Temporary memory is a few blocks.
    """
    count = start = 0
    while start < len(content):
        end = content.rfind(b"\n", start, start + _BLOCK_BYTES) + 1
        if end == 0:
            end = content.find(b"\n", start) + 1 or len(content)
        block = np.frombuffer(content, np.uint8, end - start, start)
        lines = _count_uniform_lines_of_block(block, ord(separator), columns)
        if lines == 0:
            return 0
        count, start = count + lines, end
    return count


def _count_uniform_lines_of_block(block: NDArray[np.uint8], separator: int, columns: int) -> int:
    """Return the result of `_count_uniform_lines` for one block of whole lines."""
    line_ends = block == _LF
    separators = block == separator
    returns = np.flatnonzero(block == _CR)
    quotes = np.flatnonzero(block == _QUOTE)
    if len(quotes):
        inside = (np.cumsum(block == _QUOTE, dtype=np.uint8) & 1).view(np.bool_)
        if inside[-1] or inside[line_ends].any() or not _are_regular(block, quotes, separator):
            return 0
        separators &= ~inside
    if len(returns) and (returns[-1] == len(block) - 1 or not line_ends[returns + 1].all()):
        return 0
    ends = np.flatnonzero(line_ends)
    starts = np.concatenate(([0], ends + 1))
    starts = starts[starts < len(block)]
    fields = np.add.reduceat(separators.view(np.uint8), starts, dtype=np.intp) + 1
    return len(starts) if bool((fields == columns).all()) else 0


def _are_regular(block: NDArray[np.uint8], quotes: NDArray[np.intp], separator: int) -> bool:
    """Return whether opening quotes follow, and closing ones precede, a border or a quote."""
    border = np.array([_LF, _CR, _QUOTE, separator], np.uint8)
    opening, closing = quotes[::2], quotes[1::2]
    before = block[opening[opening > 0] - 1]
    after = block[closing[closing < len(block) - 1] + 1]
    return bool(np.isin(before, border).all() and np.isin(after, border).all())
