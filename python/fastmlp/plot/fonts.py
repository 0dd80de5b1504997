"""Letters of every script in figures: their width, and the fonts that have them.

A picture in SVG holds its texts as text, and the program that shows it chooses the fonts. Its
layout is computed here, by the default font and, for letters that it lacks, by their usual width.
Bitmaps and PDF files hold glyphs: there a text gets installed fonts for letters that its own lacks.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from functools import lru_cache
from typing import Any

__all__ = ["FONT_STACK", "figure_with_fonts", "readable", "shortened", "width_of", "width_unknown"]

FONT_STACK = (
    "'DejaVu Sans', Verdana, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', "
    "'Hiragino Sans', 'Microsoft YaHei', 'Noto Sans Arabic', 'Noto Sans Hebrew', "
    "'Noto Sans Devanagari', 'Noto Color Emoji', 'Apple Color Emoji', 'Segoe UI Emoji', sans-serif"
)
"""Families of a text in SVG; the first one is that of the layout."""

# Searched before all other installed fonts.
_PREFERRED = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR",
    "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback",
    "PingFang SC", "PingFang HK", "Hiragino Sans", "Apple SD Gothic Neo", "Microsoft YaHei",
    "SimHei", "Yu Gothic", "Malgun Gothic", "Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew",
    "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai", "Noto Sans Tamil",
    "Nirmala UI", "Segoe UI", "Leelawadee UI", "Arial Unicode MS", "Arial", "Segoe UI Symbol",
    "Noto Sans Symbols2", "Noto Emoji", "Symbola",
)  # fmt: skip
# Boxes, and bitmaps in color, which cannot be drawn at any size.
_UNUSABLE = re.compile("Last ?Resort|Color Emoji", re.IGNORECASE)
# Widths in parts of the font size.
_WIDE, _USUAL, _LATIN = 1.0, 0.75, 0.62
# Neither XML nor a file in UTF-8 can hold these.
_UNREADABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def readable(text: str) -> str:
    """Return a text with U+FFFD for control characters and halves of characters."""
    return _UNREADABLE.sub("\ufffd", text)


def width_unknown(letter: str) -> float:
    """Return the usual width of a letter of unknown font, in parts of the font size."""
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0.0  # combined with the letter before it
    return _WIDE if unicodedata.east_asian_width(letter) in "WF" else _USUAL


def width_of(text: str) -> float:
    """Return the width of a text in Latin letters, of which one in Chinese takes 1.6."""
    return sum(
        1.0
        if letter < "\u0300" or "\u2010" <= letter <= "\u2027"  # dashes, quotes, dots
        else width_unknown(letter) / _LATIN
        for letter in text
    )


def shortened(text: str, longest: float) -> str:
    """Return a text that is at most as wide as `longest` Latin letters, with dots if it is cut."""
    if width_of(text) <= longest:
        return text
    width, end = width_of("…"), 0
    while (width := width + width_of(text[end])) <= longest:
        end += 1
    while end and unicodedata.category(text[end])[0] == "M":  # a letter keeps its marks
        end -= 1
    return text[: max(1, end)] + "…"


# ---------------------------------------------------------------- glyphs


@lru_cache(maxsize=4096)
def _families_for(letter: str) -> tuple[str, ...]:
    """Return the family of an installed font that has this letter; nothing if there is none."""
    from matplotlib.font_manager import fontManager

    by_name: dict[str, str] = {}
    for entry in fontManager.ttflist:
        if not _UNUSABLE.search(entry.name):
            by_name.setdefault(entry.name, entry.fname)
    order = [name for name in _PREFERRED if name in by_name]
    for name in dict.fromkeys((*order, *sorted(by_name))):
        if _has(by_name[name], letter):
            return (name,)
    return ()


def _has(path: str, letter: str) -> bool:
    from matplotlib.font_manager import get_font

    try:
        return bool(get_font(path).get_char_index(ord(letter)))
    except (OSError, RuntimeError):  # a font file that is gone or damaged
        return False


def lacking(text: str, properties: Any) -> str:
    """Return the letters of a text that the first font of these properties lacks."""
    if text.isascii():
        return ""
    from matplotlib.font_manager import findfont

    path = findfont(properties)
    return "".join(letter for letter in text if not (letter.isspace() or _has(path, letter)))


def give_fonts(figure: Any) -> None:
    """Add fonts to the texts of a figure whose own fonts lack letters."""
    from matplotlib.axis import Axis
    from matplotlib.text import Text

    for axis in figure.findobj(Axis):
        axis.get_ticklabels()  # which writes the labels of the ticks
    for text in figure.findobj(Text):
        own = list(text.get_fontfamily())
        more = {
            family
            for letter in lacking(text.get_text(), text.get_fontproperties())
            for family in _families_for(letter)
        }
        if more - set(own):
            text.set_fontfamily([*own, *sorted(more - set(own))])


@lru_cache(maxsize=1)
def figure_with_fonts() -> Any:
    """Return the class of figures that give fonts to their texts whenever they are drawn."""
    from matplotlib.figure import Figure

    class FigureWithFonts(Figure):  # type: ignore[misc, unused-ignore]
        def draw(self, renderer: Any) -> None:
            if not getattr(renderer, "writes_text", False):
                give_fonts(self)
            with warnings.catch_warnings():
                # A letter that no installed font has is a box; nothing can be done about it.
                warnings.filterwarnings("ignore", "Glyph .* missing from")
                super().draw(renderer)

    return FigureWithFonts
