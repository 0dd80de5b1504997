"""What a report consists of, in the words of the template, and how numbers are written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "Block",
    "Card",
    "Code",
    "Column",
    "Gallery",
    "Image",
    "Picture",
    "Section",
    "Table",
    "Tile",
    "count",
    "duration",
    "number",
    "percent",
]


@dataclass(frozen=True)
class Tile:
    """One key figure."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Picture:
    """A plot: a file of its own, and a part of the page."""

    kind: ClassVar[str] = "picture"

    name: str  # of the file, without suffix
    caption: str
    description: str  # for those who cannot see it
    svg: str
    in_page: bool = True  # else the page shows the same in another form
    wide: bool = False  # too much for half of the page


@dataclass(frozen=True)
class Image:
    """A sample as a small picture."""

    uri: str
    description: str


@dataclass(frozen=True)
class Card:
    """A sample and what is said about it, one line each."""

    image: Image
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Gallery:
    """Samples as pictures."""

    kind: ClassVar[str] = "gallery"

    title: str
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Column:
    """Head of a column of a table."""

    title: str
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of texts or images; the first cell of a row is its head."""

    kind: ClassVar[str] = "table"

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | Image, ...], ...]
    totals: tuple[str, ...] = ()  # a last row, over all others
    collapsed: bool = False
    digests: bool = False  # in the last column


@dataclass(frozen=True)
class Code:
    """Text as it stands in a file."""

    kind: ClassVar[str] = "code"

    title: str
    text: str


Block = Picture | Gallery | Table | Code


@dataclass(frozen=True)
class Section:
    """A chapter: a heading, a few sentences or points, and what they are about."""

    id: str
    title: str
    text: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()


def number(value: float, digits: int = 4) -> str:
    """A measurement with this many significant digits."""
    return f"{value:.{digits}g}" if math.isfinite(value) else "not finite"


def percent(share: float) -> str:
    """A share of 1 in per cent, with two decimals; only none is 0 and only all are 100."""
    if not math.isfinite(share):
        return "not finite"
    text = f"{100 * share:.2f}"
    if share > 0 and text == "0.00":
        text = "<\u00a00.01"
    elif share < 1 and text == "100.00":
        text = ">\u00a099.99"
    return f"{text}\u00a0%"


def count(value: int) -> str:
    """A whole number with separated thousands."""
    return f"{value:,}"


def duration(seconds: float) -> str:
    """A time span in the unit that suits it."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
