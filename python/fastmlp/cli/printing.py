"""Output of commands on standard output: one JSON object, or pairs and tables as text."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Collection, Sequence
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
    """Print names and values in two columns."""
    width = max((text_width(name) for name, _ in rows), default=0)
    for name, value in rows:
        click.echo(_one_line(f"{indent}{_aligned(name, width)}{GAP}{value}").rstrip())


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
) -> None:
    """Print a table on standard output.

    If the terminal is too narrow, long cells are wrapped.

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
    """
    color = use_color(sys.stdout, no_color=state.no_color)
    lines = [[_one_line(cell) for cell in row] for row in (*([header] if header else []), *rows)]
    if not lines:
        return
    right = [name in numbers for name in header] or [False] * len(lines[0])
    widths = [max(map(text_width, column)) for column in zip(*lines, strict=True)]
    if sys.stdout.isatty():
        widths = _narrowed(widths, right, shutil.get_terminal_size().columns)
    bold = {i + bool(header) for i in bold_rows} | ({0} if header else set())
    if title:
        click.echo(_styled(_one_line(title), color), color=color)
    for number, cells in enumerate(lines):
        for line in _row_lines(cells, widths, right):
            click.echo(_styled(line, color and number in bold), color=color)


def _styled(line: str, bold: bool) -> str:
    return click.style(line, bold=True) if bold else line


def _one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n")


def _narrowed(widths: Sequence[int], right: Sequence[bool], room: int) -> list[int]:
    """Return widths with which the columns fit; text is narrowed first, then numbers."""
    fitted = list(widths)
    excess = sum(fitted) + len(GAP) * (len(fitted) - 1) - room
    for may_shrink in ([not number for number in right], [True] * len(fitted)):
        while excess > 0:
            columns = [i for i, may in enumerate(may_shrink) if may and fitted[i] > NARROWEST]
            if not columns:
                break
            fitted[max(columns, key=fitted.__getitem__)] -= 1
            excess -= 1
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


def _folded(text: str, width: int) -> list[str]:
    """Return the text in lines of at most `width` columns, wrapped at blanks if possible."""
    lines = []
    while text_width(text) > width:
        end = 1
        while text_width(text[: end + 1]) <= width:
            end += 1
        blank = text.rfind(" ", 1, end + 1)
        cut = blank if blank > 0 else end
        lines.append(text[:cut])
        text = text[cut:].lstrip()
    return [*lines, text]


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
