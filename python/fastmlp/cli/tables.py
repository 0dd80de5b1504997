"""Tables and sizes as people read them: drawn on a terminal, plain columns elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

import click

from fastmlp.cli.errors import printable, use_color
from fastmlp.cli.options import State

__all__ = ["print_pairs", "print_table", "shown_size"]


def shown_size(count: int) -> str:
    """A number of bytes with a unit."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{count} bytes" if unit == "bytes" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"


def print_pairs(rows: Sequence[tuple[str, str]], indent: str = "") -> None:
    """Print names and values in two columns."""
    width = max((len(name) for name, _ in rows), default=0) + 2
    for name, value in rows:
        click.echo(_one_line(f"{indent}{name:<{width}}{value}".rstrip()))


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str], state: State
) -> None:
    """Print a table on standard output; columns named in `numbers` are aligned to the right."""
    rows = [[_one_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(header, rows, numbers, state)
        return
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [
            f"{cell:>{width}}" if name in numbers else f"{cell:<{width}}"
            for cell, width, name in zip(row, widths, header, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n")


def _draw(
    header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str], state: State
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    color = use_color(sys.stdout, no_color=state.no_color)
    Console(no_color=not color, color_system="auto" if color else None).print(table)
