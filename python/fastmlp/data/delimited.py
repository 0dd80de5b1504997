"""Text tables (CSV, TSV): one row per line, fields between separators, names in the first line.

Reference: RFC 4180, with other separators, lines that end in LF, CRLF or CR, and blanks that are
kept. Blank lines do not count, but in a table of one column, where they are missing values. Lines
of comment, which begin with # and have another number of fields than the table, do not count.

The file is read in blocks of whole lines. A scan of the bytes determines whether each line of a
block is one row. If so, polars splits the block. The csv module, which is slower and reports the
place of an error, splits all other blocks.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import listed, shown
from fastmlp.data.collected import Collected, Found, collect
from fastmlp.data.content import Content
from fastmlp.data.encodings import BadBytes, utf8_blocks
from fastmlp.data.faults import Faults
from fastmlp.data.heading import Heading, heading_of, separator_of
from fastmlp.data.records import BadQuotes, Blocks, Records
from fastmlp.data.table import Reading, Table
from fastmlp.errors import FormatError
from fastmlp.extras import require

__all__ = ["read_delimited"]

_OTHER_FORMATS = {
    b"\x1f\x8b": "is gzip-compressed; its name must end in .gz",
    b"PAR1": "is a Parquet file; its name must end in .parquet",
    b"ARROW1": "is an Arrow file; its name must end in .arrow or .feather",
    b"PK\x03\x04": "is a zip archive, perhaps a spreadsheet; export it as CSV",
}
_PANDAS_INDEX = "Unnamed: 0"
_LF, _CR, _QUOTE = b'\n\r"'
_SCAN_BYTES = 1 << 18
_EMPTY_LINE = re.compile(rb"\A[\r\n]|\n[\r\n]|\r(?!\n)")
_MOST_BLANKS = 1 << 20


def read_delimited(
    source: bytes | Content | Sequence[Content], origin: str, reading: Reading | None = None
) -> Table:
    """Read a table from text files.

    Parameters
    ----------
    source : bytes, Content, or sequence of Content
        The file, or files with the same columns.
    origin : str
        Name of the source for messages.
    reading : Reading, optional
        How to read it. By default the first lines decide.

    Returns
    -------
    Table
        Cells as written; long columns of plain numbers are float64, see `TextColumn`.

    Raises
    ------
    FormatError
        The text is no table; the message names the lines and, if possible, the columns.
    ValueError
        An option cannot be used for any text table.
    """
    reading = reading or Reading()
    require("data", "polars")
    reading = dataclasses.replace(reading, separator=separator_of(reading.separator))
    return collect(source, _read_one, reading, origin)


def _read_one(content: Content, encoding: str, reading: Reading, collected: Collected) -> Found:
    head = content.head(8)
    for magic, problem in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise FormatError(f"{content.origin}: file type: {problem}")
    return _Text(content, encoding, reading, collected).read()


def _heading(text: str, reading: Reading) -> Heading:
    """Decide how the table begins; columns that are wanted must have names."""
    expected = reading.wanted is not None and reading.names is None
    header = True if reading.header is None and expected else reading.header
    return heading_of(
        text, reading.separator, header, reading.names, reading.wanted, reading.usual_separator
    )


class _Text:
    """The text of a table, to be split into cells. Lines are counted from 1."""

    def __init__(
        self, content: Content, encoding: str, reading: Reading, collected: Collected
    ) -> None:
        self._origin = content.origin
        self._blocks = Blocks(utf8_blocks(content, encoding))
        self._reading = reading
        self._collected = collected
        self._faults = Faults(content.origin)
        self._separator = reading.separator or ","
        self._names: list[str] = []
        self._line = 1
        self._comments = 0
        self._blanks = range(0)  # empty lines of a single column that are not added yet

    def read(self) -> Found:
        """Add all rows to the columns."""
        heading = self._take_heading()
        index, notes = self._take_names(heading)
        before, first = self._collected.rows, self._line
        while (block := self._take()) is not None:
            self._add(block)
        self._add_blanks()
        self._faults.require_none()
        if self._collected.rows == before:
            raise self._fault(first, None, "is missing: no row follows the names of the columns")
        if self._comments:
            count = self._comments
            lines = "1 line that starts" if count == 1 else f"{count} lines that start"
            notes.append(f"comments: {lines} with # left out")
        return Found(
            tuple(self._names), index, heading.has_header, tuple(notes), separator=self._separator
        )

    # ------------------------------------------------------------ the beginning

    def _take_heading(self) -> Heading:
        block = self._take()
        reading = self._reading
        text = (block or b"").decode()
        if not text.strip():
            raise self._fault(1, None, "is empty, it must name the columns")
        heading = _heading(text, reading)
        self._separator, self._comments = heading.separator, heading.comments
        lines = io.StringIO(text, newline="")
        for _ in range(heading.skipped):
            next(lines)
        self._line += heading.skipped
        self._blocks.put_back(lines.read().encode())
        return heading

    def _take_names(self, heading: Heading) -> tuple[tuple[str, ...], list[str]]:
        """Read the header, or make names; return the columns that number the rows, and notes."""
        block = self._blocks.take()
        if block is None:
            raise self._fault(self._line, None, "is empty, it must name the columns")
        records = Records(self._blocks, block, self._separator)
        first = self._line
        try:
            fields, taken = records.take()
        except BadBytes as fault:
            raise self._bad_bytes(fault, "") from None
        except BadQuotes as fault:
            raise self._fault(first, fault.column, fault.problem) from None
        if heading.has_header:
            self._line += len(taken)
            records.put_back()
            names = [fields[0].removeprefix(heading.mark), *fields[1:]]
            return self._name_columns(names, first)
        self._blocks.put_back("".join([*taken, *records.rest()]).encode())
        width = len(fields)
        self._names = [f"column_{at}" for at in range(1, width + 1)]
        if self._reading.names is not None:
            self._names = self._known_names(width, first)
            return (), []
        if self._reading.header is False:
            return (), []
        last = f" to column_{width}" if width > 1 else ""
        return (), [
            f"header: none, line {first} holds numbers as the rows below it do; the columns are "
            f"column_1{last} (--header if they are names)"
        ]

    def _known_names(self, width: int, line: int) -> list[str]:
        """Return the names that the caller gave, or those without targets, by their number."""
        every, inputs = self._reading.names or (), self._reading.input_names or ()
        for names in (every, inputs):
            if len(names) == width:
                return list(names)
        choices = f"{len(every)} columns ({listed(every)})"
        if inputs:
            choices += f", or {len(inputs)} without the target"
        raise self._fault(line, None, f"has {width} fields, the file must have {choices}")

    def _name_columns(self, names: list[str], line: int) -> tuple[tuple[str, ...], list[str]]:
        given = self._reading.names
        if given is not None and not {n.strip() for n in names} <= {n.strip() for n in given}:
            raise self._fault(
                line,
                None,
                f"names the columns {listed(names)}, so that names must hold them, got "
                f"{listed(given)}; --no-header if it is a row",
            )
        index: tuple[str, ...] = ()
        notes: list[str] = []
        if len(names) > 1 and not names[0].strip():
            free = (f"index{end}" for end in ("", *(f"_{at}" for at in range(1, len(names) + 1))))
            names[0] = next(name for name in free if name not in names[1:])
            index = (names[0],)
            notes.append("index: column 1 has no name, it numbers the rows and is no feature")
        elif len(names) > 1 and names[0] == _PANDAS_INDEX:
            index = (names[0],)
            notes.append(f"index: column {_PANDAS_INDEX!r} numbers the rows and is no feature")
        seen: dict[str, int] = {}
        for column, name in enumerate(names):
            problem, cure = None, ""
            if not name.strip():
                problem = "has no name"
                cure = "remove the separators at its end"
                if any(map(str.strip, names[column:])):
                    cure = "remove the lines above the names if they are in a later line"
            elif name in seen:
                problem = f"has the name {shown(name)}, as has column {seen[name] + 1}"
            if problem:
                problem += f"; line {line} must name the columns"
                kind = "unnamed" if cure else "double"
                text = f"line {line}, column {column + 1}: {problem}"
                self._faults.add(text, kind, f"; {cure or 'give each column its own name'}")
            seen.setdefault(name, column)
        self._faults.require_none()
        self._names = names
        return index, notes

    # ------------------------------------------------------------ rows

    def _take(self) -> bytes | None:
        try:
            return self._blocks.take()
        except BadBytes as fault:
            raise self._bad_bytes(fault, "") from None

    def _add(self, block: bytes) -> None:
        bare = block.lstrip(b"\r\n")
        if len(bare) < len(block):
            self._leave_blanks(len(block[: len(block) - len(bare)].splitlines()))
            block = bare
        if not block:
            return
        rows = 0
        if len(self._names) > 1 or not _EMPTY_LINE.search(block):
            rows = _count_uniform_lines(block, self._separator, len(self._names))
        columns = self._columns_by_polars(block, rows) if rows else None
        if columns is None:
            self._add_by_csv(block)
            return
        self._add_blanks()
        self._collected.add(columns, rows, range(self._line, self._line + rows))
        self._line += rows

    def _columns_by_polars(self, block: bytes, rows: int) -> dict[str, Any] | None:
        """Split by polars; return None if it fails or finds another number of rows or columns."""
        polars = require("data", "polars")
        kept = [at for at, name in enumerate(self._names) if self._collected.keeps(name)]
        width = len(self._names)
        # A header of its own keeps polars from taking the block for packed bytes.
        header = self._separator.join(map(str, range(width))).encode() + b"\n"
        try:
            frame = polars.read_csv(
                header + block,
                separator=self._separator,
                infer_schema_length=0,
                columns=kept if len(kept) < width else None,
            )
        except (polars.exceptions.PolarsError, OSError):
            return None
        if frame.shape != (rows, len(kept)):
            return None
        return {
            self._names[at]: cells.fill_null("") if cells.null_count() else cells
            for at, cells in zip(kept, frame.get_columns(), strict=True)
        }

    def _add_by_csv(self, block: bytes) -> None:
        width = len(self._names)
        rows: list[list[str]] = []
        lines: list[int] = []
        records = Records(self._blocks, block, self._separator)
        while records.has_more:
            line = self._line
            try:
                fields, taken = records.take()
            except BadBytes as fault:
                raise self._bad_bytes(fault, "".join(records.taken)) from None
            except BadQuotes as fault:
                if self._is_comment(records.taken[0]):
                    records.leave_first()
                    self._comments += 1
                else:
                    self._faults.add(self._place(line, fault.column, fault.problem))
                self._line += len(records.taken)
                continue
            self._line += len(taken)
            if len(fields) == width:
                if self._blanks:
                    self._add_rows(rows, lines)
                    self._add_blanks()
                    rows, lines = [], []
                rows.append(fields)
                lines.append(line)
            elif width == 1 and not fields:
                self._line = line
                self._leave_blanks(1)
            elif self._is_comment(taken[0]):
                records.leave_first()
                self._line = line + 1
                self._comments += 1
            elif len(fields) > 1 or "".join(fields).strip():
                self._add_ragged(line, fields)
        records.put_back()
        self._add_rows(rows, lines)

    def _add_rows(self, rows: list[list[str]], lines: list[int]) -> None:
        if not rows:
            return
        polars = require("data", "polars")
        cells = {
            name: polars.Series(name, texts, polars.String)
            for name, texts in zip(self._names, zip(*rows, strict=True), strict=True)
            if self._collected.keeps(name)
        }
        following = lines[-1] - lines[0] == len(lines) - 1
        places: range | NDArray[np.int64] = range(lines[0], lines[-1] + 1)
        if not following:
            places = np.array(lines, np.int64)
        self._collected.add(cells, len(rows), places)

    def _leave_blanks(self, count: int) -> None:
        """Leave out empty lines; those of a single column are added with the next rows."""
        if len(self._names) == 1:
            start = self._blanks.start if self._blanks else self._line
            self._blanks = range(start, self._line + count)
        self._line += count

    def _add_blanks(self) -> None:
        """Add empty lines of a single column as rows."""
        polars = require("data", "polars")
        blanks, self._blanks = self._blanks, range(0)
        for start in range(blanks.start, blanks.stop, _MOST_BLANKS):
            some = range(start, min(start + _MOST_BLANKS, blanks.stop))
            empty = polars.repeat("", len(some), dtype=polars.String, eager=True)
            cells = {name: empty for name in self._names if self._collected.keeps(name)}
            self._collected.add(cells, len(some), some)

    def _is_comment(self, line: str) -> bool:
        """Return whether a line, which is no row, is one of comment."""
        return line.startswith("#") and len(self._names) > 1

    # ------------------------------------------------------------ faults

    def _place(self, line: int, column: int | None, problem: str) -> str:
        """Return a problem with its line (from 1) and, if given, its column (from 0)."""
        where = f"line {line}"
        if column is not None and column < len(self._names):
            where += f", column {self._names[column]!r}"
        elif column is not None:
            where += f", column {column + 1}"
        return f"{where}: {problem}"

    def _fault(self, line: int, column: int | None, problem: str) -> FormatError:
        return FormatError(f"{self._origin}: {self._place(line, column, problem)}")

    def _add_ragged(self, line: int, fields: list[str]) -> None:
        """Note a line with another number of fields than the names; lines alike are one kind."""
        width, count = len(self._names), len(fields)
        if count < width:
            problem = f"is missing: the line has {count} of {width} fields"
            cure = "; complete the lines, or remove those above the names"
            self._faults.add(self._place(line, count, problem), f"{count} fields", cure)
            return
        problem = f"has no name: the line has {count} fields, not {width}"
        if "".join(fields[width:]).strip():
            cure = f"; if line {line} has the names of the columns, remove the lines above it"
            kind = f"{count} fields"
        else:
            cure = "; remove the separators at the ends of these lines"
            kind = f"{count} fields, the last ones empty"
        self._faults.add(self._place(line, width, problem), kind, cure)

    def _bad_bytes(self, fault: BadBytes, record: str) -> FormatError:
        """Return the error for a byte; `record` is the text before the block, from `_line` on."""
        before = record + fault.before.decode("utf-8", "replace")
        line = self._line + len(re.findall(r"\r\n?|\n", before))
        if not self._names:
            heading = _heading(before, self._reading)
            self._separator = heading.separator
            before = "".join(list(io.StringIO(before, newline=""))[heading.skipped :])
        try:
            # The added character makes the last row the one with the fault.
            stream = io.StringIO(f"{before}?", newline="")
            rows = list(csv.reader(stream, delimiter=self._separator))
        except csv.Error:
            return self._fault(line, None, fault.problem)
        if not self._names and len(rows) > 1:
            self._names = rows[0]
        return self._fault(line, len(rows[-1]) - 1, fault.problem)


# ---------------------------------------------------------------- the scan


def _count_uniform_lines(content: bytes, separator: str, columns: int) -> int:
    """Return the number of lines, or 0 if a line is not one row with `columns` fields.

    Both quotes of a quoted field must touch a separator or an end of the line. A line must not end
    inside quotes, and a CR must belong to its end. Temporary memory is a few blocks.
    """
    count = start = 0
    while start < len(content):
        end = content.rfind(b"\n", start, start + _SCAN_BYTES) + 1
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
