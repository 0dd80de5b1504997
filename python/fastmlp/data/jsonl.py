"""JSON tables: one object per line, or one document. Every cell is text as spelled there.

A number 1.50 in JSON is the text 1.50, as it would be in a CSV file; true and false are the texts
true and false, and null and keys that an object lacks are missing values.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import shown
from fastmlp.data.collected import Collected, Found, collect
from fastmlp.data.content import Content
from fastmlp.data.encodings import BadBytes, utf8_blocks
from fastmlp.data.faults import Faults
from fastmlp.data.table import Reading, Table
from fastmlp.errors import FormatError
from fastmlp.extras import require

__all__ = ["TooManyRowsError", "read_json", "read_json_rows"]


class TooManyRowsError(FormatError):
    """A document holds more rows than the caller allows."""


def read_json(
    source: bytes | Content | Sequence[Content], origin: str, reading: Reading | None = None
) -> Table:
    """Read a table from files of JSON.

    Parameters
    ----------
    source : bytes, Content, or sequence of Content
        The file, or files with the same keys.
    origin : str
        Name of the source for messages.
    reading : Reading, optional
        Columns that are wanted and used alone may not hold arrays or objects.

    Returns
    -------
    Table
        Columns in the order in which their keys appear first.

    Raises
    ------
    FormatError
        The text is no such table; the message names the lines and, if possible, the keys.
    """
    require("data", "polars")
    return collect(source, _read_one, reading or Reading(), origin)


def read_json_rows(
    data: bytes, origin: str, reading: Reading | None = None, *, most: int | None = None
) -> Table:
    """Read a table from one JSON document: an object, an array of them, or ``{"rows": [...]}``.

    Parameters
    ----------
    data : bytes
        The document.
    origin : str
        Name of the source for messages, which count the objects as rows from 1.
    reading : Reading, optional
        As for `read_json`.
    most : int, optional
        Number of rows that are allowed.

    Returns
    -------
    Table
        The table that `read_json` makes of the same objects, one per line.

    Raises
    ------
    TooManyRowsError
        There are more than `most` rows.
    FormatError
        The text is no such document; the message names the rows and, if possible, the keys.
    """
    require("data", "polars")
    reading = reading or Reading()
    reading = dataclasses.replace(reading, encoding=reading.encoding or "utf-8")
    return collect(data, functools.partial(_read_document, most=most), reading, origin)


def _read_document(
    content: Content, encoding: str, reading: Reading, collected: Collected, most: int | None
) -> Found:
    text = _Objects(content, reading, encoding, collected, most)
    text.read_document()
    return Found(tuple(text.names), has_keys=True)


def _read_one(content: Content, encoding: str, reading: Reading, collected: Collected) -> Found:
    text = _Objects(content, reading, encoding, collected)
    text.read()
    return Found(tuple(text.names), has_keys=True)


class _Number(str):
    """A number of JSON as it is spelled, which always has a point."""

    __slots__ = ()


class _Objects:
    """Objects of a text, whose values become cells."""

    def __init__(
        self,
        content: Content,
        reading: Reading,
        encoding: str,
        collected: Collected,
        most: int | None = None,
    ) -> None:
        self._reading = reading
        self._origin = content.origin
        self._most = most
        self._found = 0
        self._blocks = utf8_blocks(content, encoding)
        self._collected = collected
        self._faults = Faults(content.origin)
        self._line = 1
        self.names: dict[str, None] = {}

    def read(self) -> None:
        """Add the values of all objects to the columns."""
        before = self._collected.rows
        is_array: bool | None = None
        for block in self._checked_blocks():
            if is_array is None and block.strip():
                is_array = block.lstrip()[:1] == b"["
            if is_array:
                rest = b"".join(self._checked_blocks())
                self._add_array((block + rest).decode())
                break
            self._add_lines(block.decode())
        self._require_rows(before)

    def read_document(self) -> None:
        """Add the values of the objects of one document to the columns."""
        before = self._collected.rows
        text = b"".join(self._checked_blocks()).decode()
        value = self._parsed(text, None) if text.strip() else []
        if value is not _BROKEN:
            rows = _rows_in(value)
            if self._most is not None and len(rows) > self._most:
                raise self._too_many(self._most)
            self._add_objects(rows, "row")
        self._require_rows(before)

    def _require_rows(self, before: int) -> None:
        self._faults.require_none()
        if self._collected.rows == before:
            raise FormatError(f"{self._origin}: holds no object, there is nothing to read")
        if not self.names:
            raise FormatError(f"{self._origin}: its objects are empty, there is nothing to read")

    def _checked_blocks(self) -> Iterator[bytes]:
        try:
            yield from self._blocks
        except BadBytes as fault:
            before = fault.before.decode("utf-8", "replace")
            line = self._line + len(re.findall(r"\r\n?|\n", before))
            raise FormatError(f"{self._origin}: line {line}: {fault.problem}") from None

    def _add_lines(self, text: str) -> None:
        rows: list[dict[str, str | None]] = []
        lines: list[int] = []
        if self._line == 1:
            self._require_whole_objects(text)
        for line in io.StringIO(text, newline=""):
            if line.strip():
                row = self._row(line, f"line {self._line}")
                if row is not None:
                    rows.append(row)
                    lines.append(self._line)
            self._line += 1
        self._add(rows, lines)

    def _require_whole_objects(self, text: str) -> None:
        """Raise FormatError if the first object goes on behind its line."""
        first, _, others = text.lstrip().partition("\n")
        if not first.startswith("{") or not others.strip():
            return
        try:
            json.loads(first)
        except json.JSONDecodeError as error:
            if error.pos >= len(first.rstrip()):
                line = 1 + len(re.findall(r"\r\n?|\n", text[: len(text) - len(text.lstrip())]))
                raise FormatError(
                    f"{self._origin}: line {line}: begins an object that does not end in this "
                    "line; write each object in one line, or all in an array: [{...}, {...}]"
                ) from None
        except RecursionError:  # told with its place
            return

    def _add_array(self, text: str) -> None:
        values = self._parsed(text, None)
        if isinstance(values, list):  # else the array is broken, and the fault is noted
            self._add_objects(values, "object")

    def _add_objects(self, values: list[Any], what: str) -> None:
        rows = []
        for number, value in enumerate(values, 1):
            row = self._cells(value, f"{what} {number}")
            if row is not None:
                rows.append(row)
        self._add(rows, None)

    def _row(self, line: str, place: str) -> dict[str, str | None] | None:
        value = self._parsed(line, place)
        return None if value is _BROKEN else self._cells(value, place)

    def _parsed(self, text: str, place: str | None) -> Any:
        try:
            return json.loads(
                text,
                parse_float=_Number,
                parse_int=_Number,
                parse_constant=str,
                object_pairs_hook=_Pairs if self._most is None else self._counted,
            )
        except json.JSONDecodeError as error:
            where = place or f"line {self._line + error.lineno - 1}"
            text = f"{where}: is no JSON object: {error.msg} at character {error.colno}"
            self._faults.add(text, ("no JSON", error.msg))
        except RecursionError:
            self._faults.add(f"{place or 'line 1'}: is no JSON object: is nested too deeply")
        return _BROKEN

    def _counted(self, pairs: list[tuple[str, Any]]) -> _Pairs:
        """Return an object; raise the error while the text is parsed, before all is in memory."""
        self._found += 1
        # One more object may hold the rows.
        if self._most is not None and self._found > self._most + 1:
            raise self._too_many(self._most)
        return _Pairs(pairs)

    def _too_many(self, most: int) -> TooManyRowsError:
        return TooManyRowsError(f"{self._origin}: must hold {most} rows at most")

    def _cells(self, pairs: Any, place: str) -> dict[str, str | None] | None:
        """Return the cells of an object by their keys; None if it has a fault, which is noted."""
        if not isinstance(pairs, _Pairs):
            self._faults.add(
                f'{place}: must be an object, such as {{"age": 31}}, got {shown(pairs)}',
                "no object",
            )
            return None
        cells: dict[str, str | None] = {}
        is_sound = True
        for key, value in pairs:
            problem = None
            if key in cells:
                problem = "occurs twice"
            elif not key.strip():
                problem = "has no name"
            elif not _is_unicode(key):
                problem = "holds half of a character"
            elif not self._collected.keeps(key):
                cells[key] = None
                continue
            elif isinstance(value, list):
                if not self._reading.uses(key):
                    cells[key] = None
                    continue
                kind = "an object" if isinstance(value, _Pairs) else "an array"
                problem = f"must be one value, got {kind}"
                if self._reading.wanted is None and self._most is None:
                    problem += f'; leave the column out with --exclude "{key}" if it is not needed'
            else:
                cells[key] = self._written(key, value)
                if isinstance(value, str) and not _is_unicode(value):
                    problem = "holds half of a character"
            if problem:
                self._faults.add(f"{place}, key {shown(key)}: {problem}", (key, problem))
                is_sound = False
        return cells if is_sound else None

    def _written(self, key: str, value: Any) -> str | None:
        """Return a value as the texts of its column are written."""
        if isinstance(value, bool):
            return _TRUTHS[value]
        if isinstance(value, _Number) and self._collected.has_decimal_comma(key):
            return value.replace(".", ",")
        return None if value is None else str(value)

    def _add(self, rows: list[dict[str, str | None]], lines: list[int] | None) -> None:
        if not rows:
            return
        polars = require("data", "polars")
        keys = dict.fromkeys(key for row in rows for key in row)
        self.names.update(keys)
        columns = {
            key: polars.Series(key, [row.get(key) for row in rows], polars.String)
            for key in keys
            if self._collected.keeps(key)
        }
        places: range | NDArray[np.int64] | None = None
        if lines is not None:
            following = lines[-1] - lines[0] == len(lines) - 1
            places = range(lines[0], lines[-1] + 1) if following else np.array(lines, np.int64)
        self._collected.add(columns, len(rows), places)


class _Pairs(list[tuple[str, Any]]):
    """Keys and values of an object, of which a key may occur twice."""


def _rows_in(document: Any) -> list[Any]:
    """Return the rows of a document: those of an array, those under "rows", or the one object."""
    if not isinstance(document, _Pairs):
        return document if isinstance(document, list) else [document]
    # A cell is never an array, so a column of this name may hold values.
    given = [value for key, value in document if key == "rows" and type(value) is list]
    return given[0] if given else [document]


_BROKEN = object()
_TRUTHS = {True: "true", False: "false"}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
