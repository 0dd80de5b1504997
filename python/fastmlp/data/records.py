"""Records of a text table that the csv module reads, where a record may end in a later block."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from typing import Any

__all__ = ["BadQuotes", "Blocks", "Records"]


class Blocks:
    """Blocks of whole lines in UTF-8, of which the last ones can be put back."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._returned: list[bytes] = []

    def take(self) -> bytes | None:
        """Return the next block; None after the last one."""
        return self._returned.pop() if self._returned else next(self._blocks, None)

    def put_back(self, block: bytes) -> None:
        """Return this block next."""
        if block:
            self._returned.append(block)


class BadQuotes(Exception):  # noqa: N818, it never leaves the reader of text
    """Quotes that do not enclose a field; `column`, if known, counts from 0."""

    def __init__(self, column: int | None, problem: str) -> None:
        super().__init__(problem)
        self.column = column
        self.problem = problem


class Records:
    """Records of a block, read by the csv module; the last one may end in later blocks.

    Attributes
    ----------
    taken : list of str
        Lines of the last record.
    """

    def __init__(self, blocks: Blocks, block: bytes, separator: str) -> None:
        self._blocks = blocks
        self._separator = separator
        self._lines = deque(io.StringIO(block.decode(), newline=""))
        self._is_over = False
        self.taken: list[str] = []
        self._reader = self._new_reader()

    @property
    def has_more(self) -> bool:
        """Whether another record begins in the block."""
        return bool(self._lines) and not self._is_over

    def take(self) -> tuple[list[str], list[str]]:
        """Return the fields and the lines of the next record; raise BadQuotes, BadBytes."""
        self.taken = []
        try:
            return next(self._reader), self.taken
        except csv.Error as error:
            column, problem, is_open = _bad_quotes("".join(self.taken), self._separator, error)
            self._reader = self._new_reader()
            if is_open:  # what follows the line is not part of the field
                self.leave_first()
            raise BadQuotes(column, problem) from None

    def leave_first(self) -> None:
        """Put back all lines of the last record but the first."""
        self._lines.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]

    def rest(self) -> list[str]:
        """Return the lines that are left."""
        return list(self._lines)

    def put_back(self) -> None:
        """Put back the lines that are left."""
        self._blocks.put_back("".join(self._lines).encode())
        self._lines.clear()

    def _new_reader(self) -> Any:
        return csv.reader(self._feed(), delimiter=self._separator, strict=True)

    def _feed(self) -> Iterator[str]:
        while True:
            if not self._lines:
                block = self._blocks.take()
                if block is None:
                    return
                # Only this record is read from the next block, so that blocks stay apart.
                self._is_over = True
                self._lines.extend(io.StringIO(block.decode(), newline=""))
            line = self._lines.popleft()
            self.taken.append(line)
            yield line


def _bad_quotes(record: str, separator: str, error: csv.Error) -> tuple[int | None, str, bool]:
    """Return the column and the problem of a record, and whether its last quote is open."""
    sign = re.escape(separator)
    quoted = re.compile(rf'"[^"]*(?:""[^"]*)*"(?=[{sign}\r\n]|\Z)')
    plain = re.compile(rf'(?!")[^{sign}\r\n]*')
    column, start = 0, 0
    while field := (quoted.match(record, start) or plain.match(record, start)):
        start = field.end() + 1
        column += 1
        if record[field.end() : start] != separator:
            return None, str(error), False
    if "unexpected end" in str(error):
        return column, "begins with a quote that is never closed", True
    if "limit" in str(error):
        return column, f"{error}; perhaps its quote is never closed", True
    return column, "has text after the closing quote", False
