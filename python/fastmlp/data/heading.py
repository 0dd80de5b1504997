"""The beginning of a text table: its separator, comments before the header, and whether a header
names the columns.

All is decided over the first lines, not over the first alone.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fastmlp.data.cells import NUMBER_MISSING, as_number

__all__ = ["Heading", "heading_of", "separator_of"]

USUAL_SEPARATORS = (",", ";", "\t", "|")
_TABS = ("tab", "\\t")
_MOST_CHARACTERS = 1 << 16
_MOST_LINES = 100
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*')
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_ANY_NUMBER = re.compile(r"[+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Heading:
    """How a text table begins.

    Attributes
    ----------
    separator : str
        Character between fields.
    skipped : int
        Number of lines before the header or the first row: blank lines and comments.
    comments : int
        How many of them are comments.
    has_header : bool
        Whether the next line names the columns.
    mark : str
        Comment sign and blanks before the first name, which are no part of it.
    """

    separator: str
    skipped: int
    comments: int
    has_header: bool
    mark: str = ""


def separator_of(separator: str | None) -> str | None:
    """Return the character that the user means; raise ValueError if it is none for fields."""
    if separator is None:
        return None
    if separator.lower() in _TABS:
        return "\t"
    forbidden = separator.isalnum() or separator in '"\0\r\n'
    if len(separator) != 1 or not separator.isascii() or forbidden:
        raise ValueError(
            "separator must be one ASCII character and no letter, digit, quote or line end, "
            f"or tab, got {separator!r}"
        )
    return separator


def heading_of(
    text: str,
    separator: str | None,
    header: bool | None,
    names: Sequence[str] | None,
    wanted: Collection[str] | None = None,
    usual_separator: str | None = None,
) -> Heading:
    """Decide how a text table begins.

    Parameters
    ----------
    text : str
        The first lines.
    separator : str or None
        The separator, if it is known.
    header : bool or None
        Whether the first line names the columns, if it is known.
    names : sequence of str or None
        Names of the columns from the caller, for a table without a header.
    wanted : collection of str or None
        Names of columns that a header is expected to have.
    usual_separator : str or None
        A separator that files of this kind have, which is tried besides the common ones.
    """
    lines = list(io.StringIO(text, newline=""))
    skipped = 0
    if lines and (declared := _SEPARATOR_LINE.fullmatch(lines[0])):
        separator, skipped = separator or declared[1], 1
    comments = 0
    while skipped < len(lines) and (not lines[skipped].strip() or lines[skipped].startswith("#")):
        comments += lines[skipped].startswith("#")
        skipped += 1
    rest = _sample(lines, skipped)
    tried = dict.fromkeys((*USUAL_SEPARATORS, usual_separator or USUAL_SEPARATORS[0]))
    separator = separator or _separator_by_names(rest, wanted, tried) or _separator_of(rest, tried)
    if comments and header is not False:
        found = _marked_header(lines[:skipped], rest, separator)
        if found is not None:
            at, mark = found
            return Heading(separator, at, comments - 1, has_header=True, mark=mark)
    rows = _split(rest, separator)
    has_header = _has_header(rows, names) if header is None else header
    return Heading(separator, skipped, comments, has_header)


def _sample(lines: Sequence[str], start: int) -> list[str]:
    """Return the first lines from `start` on, without one that may be cut off."""
    sample: list[str] = []
    size = 0
    for line in lines[start : start + _MOST_LINES]:
        size += len(line)
        if sample and size > _MOST_CHARACTERS:
            break
        sample.append(line[:_MOST_CHARACTERS])
    return sample


def _split(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Return the fields of each row; blank lines are left out, faults are reported elsewhere."""
    reader = csv.reader(lines, delimiter=separator)
    rows: list[list[str]] = []
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return rows
        except csv.Error:
            continue
        if row and not (len(row) == 1 and not row[0].strip()):
            rows.append(row)


# ---------------------------------------------------------------- separator


def _separator_by_names(
    lines: Sequence[str], wanted: Collection[str] | None, tried: Collection[str]
) -> str | None:
    """Return the separator with which the first line has the most names that are wanted."""
    if not wanted:
        return None
    found = {
        separator: len({name.strip() for name in next(iter(_split(lines[:1], separator)), [])}
                       & {name.strip() for name in wanted})
        for separator in tried
    }  # fmt: skip
    most = max(found.values())
    best = [separator for separator, count in found.items() if count == most]
    return best[0] if most and len(best) == 1 else None


def _separator_of(lines: Sequence[str], tried: Collection[str]) -> str:
    """Return the separator with which most lines have as many fields as the first one."""
    best, best_score = USUAL_SEPARATORS[0], (0.0, 0.0, 0)
    for separator in tried:
        rows = _split(lines, separator)
        if not rows or len(rows[0]) < 2:
            continue
        width, below = len(rows[0]), rows[1:] or rows
        alike = sum(len(row) == width for row in below) / len(below)
        cells = [cell.strip() for row in below for cell in row]
        # 1,5;2 has two fields whatever separates them; only one way makes all of them numbers.
        numbers = sum(bool(_ANY_NUMBER.fullmatch(cell)) for cell in cells) / len(cells)
        score = (round(alike, 2), round(numbers, 2), width)
        if score > best_score:
            best, best_score = separator, score
    return best


# ---------------------------------------------------------------- header


def _is_missing(cell: str) -> bool:
    return not cell.strip() or cell.strip() in NUMBER_MISSING


def _is_number(cell: str) -> bool:
    return as_number(cell) is not None or bool(_DECIMAL_COMMA.fullmatch(cell.strip()))


def _has_header(rows: Sequence[Sequence[str]], names: Sequence[str] | None) -> bool:
    """Return whether the first row names the columns, by its cells and those below."""
    if not rows:
        return True
    first, below = [cell.strip() for cell in rows[0]], rows[1:]
    if names is not None and set(first) <= {name.strip() for name in names}:
        return True
    columns = [
        [row[at] for row in below if at < len(row) and not _is_missing(row[at])]
        for at in range(len(first))
    ]
    above_numbers = [
        cell
        for cell, cells in zip(first, columns, strict=True)
        if cells and all(map(_is_number, cells)) and not _is_missing(cell)
    ]
    if not all(map(_is_number, above_numbers)):
        return True
    if names is not None:
        return False
    return not above_numbers or _are_names(first, columns)


def _are_names(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Return whether the numbers of a first row are those that tables have as names."""
    numbers = [cell for cell in first if _is_number(cell)]
    if len(set(numbers)) != len(numbers):
        return False
    if numbers == [str(at) for at in range(len(numbers))]:
        return len(numbers) > 1 or not first[0]
    if not all(map(_is_year, numbers)):
        return False
    below = [cell for name, cells in zip(first, columns, strict=True) if _is_year(name)
             for cell in cells]  # fmt: skip
    return not all(map(_is_year, below))


def _is_year(cell: str) -> bool:
    return len(cell) == 4 and cell.isdecimal() and _FIRST_YEAR <= int(cell) <= _LAST_YEAR


def _marked_header(
    before: Sequence[str], lines: Sequence[str], separator: str
) -> tuple[int, str] | None:
    """Return the line and the sign of a header that begins with the sign of comments.

    The last comment before the rows is a header if it has as many fields as they. If a blank
    follows the sign, as in comments, the rows must look like rows: they must hold numbers.
    """
    at = max(index for index, line in enumerate(before) if line.startswith("#"))
    rows = _split(lines, separator)
    names = next(iter(_split([before[at]], separator)), [])
    if not rows or len(names) != len(rows[0]) or not _has_header([names, *rows], None):
        return None
    has_numbers = any(map(_is_number, rows[0]))
    spaced = re.match(r"#+\s+", names[0])
    if not has_numbers and (spaced or len(names) == 1 or _holds_numbers(rows[1:])):
        return None
    return at, spaced[0] if spaced else ""


def _holds_numbers(rows: Sequence[Sequence[str]]) -> bool:
    return any(_is_number(cell) for row in rows for cell in row)
