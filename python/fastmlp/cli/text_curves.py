"""Curves as text, for terminals and pipes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Curve", "drawn"]

WIDEST, HEIGHT, MOST_TICKS = 100, 16, 7

Points = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Curve:
    """A quantity by epoch: one line, or two to be compared, by their names."""

    title: str
    lines: Mapping[str, Points]


class Look(NamedTuple):
    """How a line is drawn and how the key shows it; markers tell lines apart without colours."""

    marker: str
    shown: str
    color: str


LOOKS = (Look("braille", "\u2836", "blue"), Look("\u2022", "\u2022", "orange"))
ASCII_LOOKS = (Look("*", "*", "blue"), Look("o", "o", "orange"))
FRAME = "\u2500\u2502\u250c\u2510\u2514\u2518\u251c\u2524\u252c\u2534\u253c"
ASCII_FRAME = str.maketrans(FRAME, "-|+++++++++")


def drawn(curves: Sequence[Curve], *, color: bool) -> str:
    """Pictures of curves below each other, as wide as the terminal.

    Plain letters are used where standard output has no others.

    Raises
    ------
    MissingExtraError
        plotext is not installed.
    """
    from fastmlp.extras import require

    plotext = require("plot", "plotext")
    plain = not _can_be_printed(FRAME + "".join(look.shown for look in LOOKS))
    texts = []
    for curve in curves:
        text = _figure(plotext, curve, ASCII_LOOKS if plain else LOOKS).string(colorless=not color)
        texts.append("\n".join(line.rstrip() for line in text.splitlines()))
    text = "\n\n".join(texts)
    return text.translate(ASCII_FRAME) if plain else text


def _can_be_printed(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeError:
        return False
    return True


def _figure(plotext: Any, curve: Curve, looks: Sequence[Look]) -> Any:
    """The matrix of characters of one curve."""
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(min(shutil.get_terminal_size().columns, WIDEST), HEIGHT)
    for points, look in zip(curve.lines.values(), looks, strict=False):
        epochs, values = zip(*points, strict=True)
        marker = plotext.marker(look.marker, plotext.pixel(foreground=look.color))
        figure.draw(figure.signal(epochs, values, marker=marker).lines())
    key = "   ".join(
        f"{look.shown} {name}" for name, look in zip(curve.lines, looks, strict=False)
    )  # fmt: skip
    figure.title(f"{curve.title}: {key}" if len(curve.lines) > 1 else curve.title)
    figure.label("epoch", "x")
    figure.ruler("x").ticks(
        _ticks([epoch for points in curve.lines.values() for epoch, _ in points])
    )
    return figure.build()


def _ticks(epochs: Sequence[int]) -> list[int]:
    """Some of the epochs, evenly spread, with the first and the last."""
    known = sorted(set(epochs))
    gaps = min(len(known), MOST_TICKS) - 1
    if gaps == 0:
        return known
    last = len(known) - 1
    return [known[round(i * last / gaps)] for i in range(gaps + 1)]
