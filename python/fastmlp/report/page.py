"""The parts of a report's page, the format of its numbers, and its rendering as HTML."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from fastmlp._version import __version__
from fastmlp.extras import require
from fastmlp.plot.numbers import written

__all__ = [
    "Block",
    "Card",
    "Code",
    "Column",
    "Finding",
    "Findings",
    "Gallery",
    "Header",
    "Image",
    "Picture",
    "Section",
    "Sketch",
    "Table",
    "Tile",
    "count",
    "duration",
    "inline_svg",
    "number",
    "percent",
    "png_uri",
    "rendered",
]

_TEMPLATE = "template.html.jinja"


@dataclass(frozen=True)
class Header:
    """The top of the page."""

    title: str
    status: str
    level: str  # "good", "notice" or "bad"
    date: str
    summary: str
    explanation: str


@dataclass(frozen=True)
class Tile:
    """One key figure."""

    label: str
    value: str
    detail: str = ""
    comparisons: tuple[str, ...] = ()  # interval and baselines


@dataclass(frozen=True)
class Finding:
    """Something that a user should look at, with its cure."""

    level: str  # "bad", "notice" or "hint"
    name: str  # of the level
    message: str
    cure: str = ""
    page: str = ""


@dataclass(frozen=True)
class Findings:
    """Findings, the worst first."""

    kind: ClassVar[str] = "findings"

    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Picture:
    """A figure that appears in the page and is also written as a separate file."""

    kind: ClassVar[str] = "picture"

    name: str  # of the file, without suffix
    caption: str
    description: str  # read by screen readers
    svg: str
    in_page: bool = True  # False if the page shows the same content in another form
    wide: bool = False  # needs the full width of the page


@dataclass(frozen=True)
class Image:
    """A sample as a small image."""

    kind: ClassVar[str] = "image"

    uri: str
    description: str


@dataclass(frozen=True)
class Sketch:
    """A distribution as small bars, and another one as a line, both relative to the largest."""

    kind: ClassVar[str] = "sketch"

    bars: tuple[float, ...]
    line: tuple[float, ...]
    description: str

    @property
    def width(self) -> int:
        """Width of a bar of a sketch that is 96 wide."""
        return 96 // max(1, len(self.bars), 6)

    @property
    def path(self) -> str:
        """The line as an SVG path, in steps."""
        steps = [
            f"{'L' if i else 'M'}{i * self.width} {24 - 23 * share:.1f}h{self.width}"
            for i, share in enumerate(self.line)
        ]
        return "".join(steps)


@dataclass(frozen=True)
class Card:
    """A sample as an image with lines of text."""

    image: Image
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Gallery:
    """Samples as images."""

    kind: ClassVar[str] = "gallery"

    title: str
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Column:
    """The header of a table column."""

    title: str
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A table with rows of texts, images or sketches; the first cell of a row is its header."""

    kind: ClassVar[str] = "table"

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | Image | Sketch, ...], ...]
    totals: tuple[str, ...] = ()  # last row, which summarizes the others
    collapsed: bool = False
    digests: bool = False  # whether the last column holds digests


@dataclass(frozen=True)
class Code:
    """The text of a file."""

    kind: ClassVar[str] = "code"

    title: str
    text: str


Block = Picture | Gallery | Table | Code | Findings


@dataclass(frozen=True)
class Section:
    """A section: a heading, sentences or points, and blocks."""

    id: str
    title: str
    text: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The blocks that are pictures."""
        return tuple(block for block in self.blocks if isinstance(block, Picture))


# ---------------------------------------------------------------- numbers


def number(value: float, digits: int = 4) -> str:
    """Return a measurement as text with `digits` significant digits, and all before the point."""
    if not math.isfinite(value):
        return "not finite"
    return written(value, digits)


def percent(share: float) -> str:
    """Return a share in percent with two decimals; only 0 is 0.00 and only 1 is 100.00."""
    if not math.isfinite(share):
        return "not finite"
    text = f"{100 * share:.2f}"
    if share > 0 and text == "0.00":
        text = "<\u00a00.01"
    elif share < 1 and text == "100.00":
        text = ">\u00a099.99"
    return f"{text}\u00a0%"


def count(value: float) -> str:
    """Return a count, or a sum of weights, as text with commas between thousands."""
    return f"{value:,}" if isinstance(value, int) else written(value, 6)


def duration(seconds: float) -> str:
    """Return a duration as text in ms, s, min or h."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


# ---------------------------------------------------------------- pictures in the page


# A style sheet inside an SVG element would apply to the whole page, which has its own.
_LEFT_OUT = ("metadata", "style", "title")


def inline_svg(svg: str, description: str) -> str:
    """Convert an SVG document of `fastmlp.plot.svg` to an element of an HTML page.

    Namespaces and metadata, which HTML does not need, are removed, and with them all web addresses.

    Parameters
    ----------
    svg : str
        SVG document.
    description : str
        Text for screen readers.

    Returns
    -------
    str
        One `svg` element, at most as wide as the figure.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in _LEFT_OUT:
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
    width = root.attrib.pop("width")
    for name in ("height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": description, "style": f"max-width:{width}"}
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def png_uri(pixels: NDArray[Any]) -> str:
    """Return an image as a data URI.

    Parameters
    ----------
    pixels : uint8 array of shape (height, width) or (height, width, 3)
    """
    image = require("plot", "PIL.Image").fromarray(np.ascontiguousarray(pixels))
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


# ---------------------------------------------------------------- the page


def rendered(sections: Sequence[Section], first: Sequence[Section] = (), **facts: Any) -> str:
    """Return the HTML page with these sections.

    Parameters
    ----------
    sections : sequence of Section
    first : sequence of Section
        Sections above the key figures.
    **facts
        Other variables of the template.
    """
    jinja2 = require("plot", "jinja2")
    markupsafe = require("plot", "markupsafe")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = resources.files("fastmlp.report").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    inline = {
        picture.name: markupsafe.Markup(inline_svg(picture.svg, picture.description))
        for section in sections
        for picture in section.pictures
        if picture.in_page
    }
    page: str = environment.from_string(source).render(
        version=__version__, sections=list(sections), first=list(first), inline=inline, **facts
    )
    return page
