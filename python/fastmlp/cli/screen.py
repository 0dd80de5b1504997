"""Drawing on a terminal: lines that fit its width, and a block that is redrawn in place."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TextIO

import click

from fastmlp.cli.errors import use_color

__all__ = ["Fact", "Glyphs", "Piece", "Screen", "fitting", "joined", "sparkline"]

Piece = tuple[str, str]
"""Text and the name of its style: "title", "best", "bar", "rest", or "" for none."""

_STYLES: dict[str, dict[str, Any]] = {
    "title": {"bold": True},
    "best": {"bold": True, "fg": "green"},
    "bar": {"fg": "cyan"},
    "rest": {"fg": "bright_black"},
}

_HIDE_CURSOR = "\x1b[?25l"
_SHOW_CURSOR = "\x1b[?25h"
_ERASE_TO_END_OF_LINE = "\x1b[K"
_ERASE_BELOW = "\x1b[J"


class Glyphs(NamedTuple):
    """Characters of bars and curves; `done` and `left` differ even without color."""

    done: str
    left: str
    levels: str


_BLOCKS = Glyphs("━", "─", "▁▂▃▄▅▆▇█")
_ASCII = Glyphs("#", "-", "_.-~=+*#")


class Screen:
    """A stream that may be a terminal.

    Attributes
    ----------
    glyphs : Glyphs
        Characters that the encoding of the stream can represent.
    is_terminal : bool
        Whether the stream can be drawn on; otherwise it is written line by line.
    """

    def __init__(self, stream: TextIO, *, no_color: bool) -> None:
        self.glyphs = _glyphs(stream.encoding)
        # FORCE_COLOR may color a pipe, but the cursor moves only on a terminal.
        self.is_terminal = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._stream = stream
        self._drawing = False
        self._color = use_color(stream, no_color=no_color)

    def size(self) -> tuple[int, int]:
        """Return the current numbers of columns and lines; the variable COLUMNS may be outdated."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24

    def styled(self, pieces: Iterable[Piece], room: int | None = None) -> str:
        """Return the text with its colors, cut off after `room` characters."""
        parts = []
        for text, style in pieces:
            shown = text[:room]
            if room is not None:
                room -= len(shown)
            colored = self._color and style and shown
            parts.append(click.style(shown, **_STYLES[style]) if colored else shown)
        return "".join(parts)

    def draw(self, lines: Sequence[str], block: Sequence[str]) -> None:
        """Print permanent lines and, below them, the block that the next call replaces.

        The cursor is left at the start of the block. When the window changes its width, terminals
        wrap the lines again but keep the cursor at the same text. The next block therefore starts
        in the right place and erases all rows of the old one.

        Parameters
        ----------
        lines : sequence of str
            Permanent lines.
        block : sequence of str
            Lines of the block; fewer and narrower than the terminal.
        """
        parts = ["\r"] if self._drawing else [_HIDE_CURSOR, "\r"]
        self._drawing = True
        if lines:
            parts.append(_ERASE_BELOW)
            parts += [f"{line}\n" for line in lines]
        parts.append(f"{_ERASE_TO_END_OF_LINE}\n".join(block))
        parts.append(_ERASE_BELOW)
        if len(block) > 1:
            parts.append(f"\x1b[{len(block) - 1}A")
        parts.append("\r")
        self._write("".join(parts))

    def print(self, lines: Sequence[str]) -> None:
        """Erase the block, if one is drawn, and print permanent lines."""
        text = "".join(f"{line}\n" for line in lines)
        if self._drawing:
            text = f"\r{_ERASE_BELOW}{text}{_SHOW_CURSOR}"
            self._drawing = False
        self._write(text)

    def _write(self, text: str) -> None:
        # One write per frame, so that the terminal never shows an incomplete frame.
        self._stream.write(text)
        self._stream.flush()


def _glyphs(encoding: str | None) -> Glyphs:
    try:
        "".join(_BLOCKS).encode(encoding or "ascii")
    except UnicodeError:
        return _ASCII
    return _BLOCKS


class Fact(NamedTuple):
    """A text to show; if the room is too small, texts with the highest `need` are removed first."""

    text: str
    need: int
    style: str = ""


def fitting(facts: Sequence[Fact], room: int | None) -> list[Fact]:
    """Return the facts that fit side by side; facts with a need of 0 are never removed."""
    kept = list(facts)
    while room is not None and kept:
        width = sum(len(fact.text) for fact in kept) + 2 * (len(kept) - 1)
        least_needed = max(kept, key=lambda fact: fact.need)
        if width <= room or least_needed.need == 0:
            break
        kept.remove(least_needed)
    return kept


def joined(facts: Sequence[Fact]) -> list[Piece]:
    """Return the facts side by side as pieces."""
    pieces: list[Piece] = []
    for fact in facts:
        pieces += [("  " if pieces else "", ""), (fact.text, fact.style)]
    return pieces


def sparkline(values: Sequence[float], levels: str) -> str:
    """Return one character per value.

    Parameters
    ----------
    values : sequence of float
        Values to show; NaN and infinities become spaces.
    levels : str
        Characters from the smallest to the largest value; at least one.
    """
    finite = [value for value in values if math.isfinite(value)]
    lowest = min(finite, default=0.0)
    span = max(finite, default=0.0) - lowest
    top = len(levels) - 1

    def character(value: float) -> str:
        if not math.isfinite(value):
            return " "
        return levels[round(top * (value - lowest) / span)] if span > 0 else levels[0]

    return "".join(map(character, values))
