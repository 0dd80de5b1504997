"""Output of commands on standard output: one JSON object, or pairs and tables as text."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import click

from fastmlp.cli.errors import printable, use_color
from fastmlp.cli.options import State

__all__ = [
    "SCHEMA_VERSION",
    "document_head",
    "print_json",
    "print_pairs",
    "print_section",
    "print_table",
    "shown_setting",
    "shown_size",
    "text_width",
]

# Incremented when a field changes its meaning or is removed, not when a field is added.
SCHEMA_VERSION = 2
GAP = "  "
# Smallest width to which a column is narrowed to fit a terminal.
NARROWEST = 8


# ---------------------------------------------------------------- JSON


def document_head(command: str) -> dict[str, Any]:
    """Return the first fields of the JSON object of a command such as ``runs list``."""
    return {
        "schema": f"fastmlp.{command.replace(' ', '.')}",
        "schema_version": SCHEMA_VERSION,
        "command": command,
    }


def print_json(state: State, document: dict[str, Any]) -> None:
    """Print the JSON object of the command."""
    from fastmlp.experiment.rundir import clean_json

    click.echo(json.dumps(clean_json(document), allow_nan=False))
    state.result_printed = True


# ---------------------------------------------------------------- text


def shown_size(count: int) -> str:
    """Return a number of bytes as text with a unit."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{count} bytes" if unit == "bytes" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"


def shown_setting(value: Any) -> str:
    """Return a value as text: a name with its parameters, a number, or a list of these."""
    if isinstance(value, (list, tuple)):
        are_widths = all(isinstance(item, int) for item in value)
        return ("," if are_widths else ", ").join(map(shown_setting, value)) or "none"
    if isinstance(value, dict):
        rest = [
            f"{k} {shown_setting(v)}" for k, v in value.items() if k != "name" and v is not None
        ]
        name = str(value.get("name", ""))
        return f"{name} ({', '.join(rest)})" if rest else name
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def print_pairs(rows: Sequence[tuple[str, str]], indent: str = "") -> None:
    """Print names and values in two columns; a narrow terminal gets long values in lines."""
    width = max((text_width(name) for name, _ in rows), default=0)
    room = _room()
    for name, value in rows:
        first = f"{indent}{_aligned(_one_line(name), width)}{GAP}"
        lines = [_one_line(value)]
        if room is not None and room - text_width(first) >= NARROWEST:
            lines = _folded(lines[0], room - text_width(first), shorten=False)
        for line in lines:
            click.echo(f"{first}{line}".rstrip())
            first = " " * text_width(first)


def print_section(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print an empty line, a title and, below it, names and values."""
    click.echo(f"\n{title}{'' if rows else ': none'}")
    print_pairs(rows, indent="  ")


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Collection[str],
    state: State,
    *,
    title: str = "",
    bold_rows: Collection[int] = (),
    least: Sequence[str] = (),
) -> None:
    """Print a table on standard output.

    A pipe gets all of it. On a terminal that is too narrow, the least important columns are left
    out; then texts are wrapped at blanks, and longer words are shortened in the middle; at last,
    columns are printed in several blocks. Numbers are never changed.

    Parameters
    ----------
    header : sequence of str
        Names of the columns; if empty, no header is printed.
    rows : sequence of sequences of str
        Rows of cells, one cell per column.
    numbers : collection of str
        Names of the columns that are aligned to the right.
    state : State
    title : str
        Line above the table.
    bold_rows : collection of int
        Indices of the rows that are printed in bold, counted from 0.
    least : sequence of str
        Names of the columns that may be left out, the least important one first.
    """
    color = use_color(sys.stdout, no_color=state.no_color)
    lines = [[_one_line(cell) for cell in row] for row in (*([header] if header else []), *rows)]
    if not lines:
        return
    right = [name in numbers for name in header] or [False] * len(lines[0])
    widths = [max(map(text_width, column)) for column in zip(*lines, strict=True)]
    room = _room()
    blocks = [list(range(len(widths)))]
    if room is not None:
        blocks = _blocks(widths, right, room, [header.index(name) for name in least])
    bold = {i + bool(header) for i in bold_rows} | ({0} if header else set())
    if title:
        click.echo(_styled(_one_line(title), color), color=color)
    for place, block in enumerate(blocks):
        if place:
            click.echo()
        flags = [right[i] for i in block]
        fitted = [widths[i] for i in block]
        if room is not None:
            fitted = _narrowed(fitted, flags, room)
        for number, cells in enumerate(lines):
            for line in _row_lines([cells[i] for i in block], fitted, flags):
                click.echo(_styled(line, color and number in bold), color=color)


def _room() -> int | None:
    """Return the columns of the terminal; None if the output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _styled(line: str, bold: bool) -> str:
    return click.style(line, bold=True) if bold else line


def _one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n")


def _blocks(
    widths: Sequence[int], right: Sequence[bool], room: int, least: Sequence[int]
) -> list[list[int]]:
    """Return the columns of each block of a table; every block begins with the first column."""
    columns = list(range(len(widths)))
    for column in least:
        if _total(widths[i] for i in columns) <= room:
            break
        columns.remove(column)
    smallest = [
        width if number else min(width, NARROWEST)
        for width, number in zip(widths, right, strict=True)
    ]
    first, *others = columns
    blocks = [[first]]
    for column in others:
        block = blocks[-1]
        if len(block) > 1 and _total(smallest[i] for i in (*block, column)) > room:
            blocks.append([first, column])
        else:
            block.append(column)
    return blocks


def _total(widths: Iterable[int]) -> int:
    found = list(widths)
    return sum(found) + len(GAP) * (len(found) - 1)


def _narrowed(widths: Sequence[int], right: Sequence[bool], room: int) -> list[int]:
    """Return widths with which the columns fit; those of numbers stay."""
    fitted = list(widths)
    for _ in range(_total(fitted) - room):
        columns = [i for i, number in enumerate(right) if not number and fitted[i] > NARROWEST]
        if not columns:
            break
        fitted[max(columns, key=fitted.__getitem__)] -= 1
    return fitted


def _row_lines(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    """Return the lines of one row; a cell that is wider than its column takes several."""
    columns = [_folded(cell, width) for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, columns))
    padded = [
        [_aligned(line, width, right=number) for line in (column + [""] * height)[:height]]
        for column, width, number in zip(columns, widths, right, strict=True)
    ]
    return [GAP.join(parts).rstrip() for parts in zip(*padded, strict=True)]


def _folded(text: str, width: int, *, shorten: bool = True) -> list[str]:
    """Return the text in lines of at most `width` columns, wrapped at blanks.

    Words that are longer are shortened in the middle, or else left as they are.
    """
    if text_width(text) <= width:
        return [text]
    lines: list[str] = []
    for word in text.split(" "):
        word = _shortened(word, width) if shorten else word
        if lines and text_width(lines[-1]) + 1 + text_width(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _shortened(word: str, width: int) -> str:
    """Return a word with the middle replaced by an ellipsis where it is too long."""
    if text_width(word) <= width:
        return word
    head, tail = "", ""
    while True:
        at_head = len(head) <= len(tail)
        longer = (
            (word[: len(head) + 1], tail) if at_head else (head, word[len(word) - len(tail) - 1 :])
        )
        if sum(map(text_width, longer)) + 1 > width:
            return f"{head}\N{HORIZONTAL ELLIPSIS}{tail}"
        head, tail = longer


def _aligned(text: str, width: int, *, right: bool = False) -> str:
    blanks = " " * (width - text_width(text))
    return blanks + text if right else text + blanks


def text_width(text: str) -> int:
    """Return the columns of a text on a terminal: 2 for a wide character, 0 for an accent."""
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
