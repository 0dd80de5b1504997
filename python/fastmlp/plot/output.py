"""Conversion of figures to SVG text that depends only on the figure."""

from __future__ import annotations

import hashlib
import io
import re
from typing import TYPE_CHECKING, Any

from fastmlp import extras
from fastmlp.plot.fonts import FONT_STACK, readable
from fastmlp.plot.style import take_from_pyplot
from fastmlp.plot.svg_text import draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["figure_of", "svg"]

# matplotlib escapes "<" in texts, comments and attributes, so this matches elements only.
_ELEMENT = re.compile(r"<[A-Za-z][^<>]*>")
_ID_OR_REFERENCE = re.compile(r'(\bid="|\bhref="#|url\(#)([^")]+)')


def svg(picture: Axes | Figure) -> str:
    """Return a figure as a standalone SVG document; the same figure has the same text.

    The document has no date. The random ids of matplotlib are replaced by ids computed from a
    digest of the document, so that one page can contain several documents. Texts are text, in any
    script: the program that shows the picture chooses the fonts. Formulas are outlines. A
    notebook does not show the figure, too.

    Parameters
    ----------
    picture : matplotlib Axes or Figure
        Figure to convert; for Axes, the figure that contains them.

    Returns
    -------
    str
        SVG document. Its title is the first title of the figure's axes.

    Raises
    ------
    TypeError
        `picture` is neither Axes nor a Figure.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> from fastmlp import plot
    >>> text = plot.svg(plot.activation_functions("relu"))
    >>> "<title>Activations</title>" in text
    True
    >>> text == plot.svg(plot.activation_functions("relu"))
    True
    """
    figure = figure_of(picture)
    take_from_pyplot(figure)
    titles = [ax.get_title() for ax in figure.axes]
    title = next((text.replace(r"\$", "$") for text in titles if text), "")
    metadata: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
    if title:
        metadata["Title"] = readable(title)
    _forget_layout(figure)
    stream = io.StringIO()
    draw_svg(figure, stream, metadata)
    document = stream.getvalue().replace("<svg ", f'<svg font-family="{FONT_STACK}" ', 1)
    return _with_own_ids(document)


def figure_of(picture: object) -> Figure:
    """Return the figure of Axes, or a figure itself.

    Raises
    ------
    TypeError
        `picture` is neither Axes nor a Figure.
    MissingExtraError
        matplotlib is not installed.
    """
    extras.require("plot", "matplotlib")
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    figure = picture.figure if isinstance(picture, Axes) else picture
    if isinstance(figure, SubFigure):
        figure = figure.figure
    if not isinstance(figure, Figure):
        raise TypeError(
            f"picture must be matplotlib Axes or a Figure, got {type(picture).__name__}"
        )
    return figure


def _forget_layout(figure: Figure) -> None:
    """Reset the positions of axes, because a layout depends on the previous one."""
    if figure.get_layout_engine() is None:
        return
    for ax in figure.axes:
        grid = ax.get_subplotspec()
        if grid is not None:
            in_layout = ax.get_in_layout()
            ax.set_position(grid.get_position(figure))
            ax.set_in_layout(in_layout)


def _with_own_ids(document: str) -> str:
    """Replace the ids of the document by a digest of it and their position."""
    numbers: dict[str, int] = {}
    for element in _ELEMENT.findall(document):
        for _, name in _ID_OR_REFERENCE.findall(element):
            numbers.setdefault(name, len(numbers))

    def numbered(prefix: str) -> str:
        def renamed(element: re.Match[str]) -> str:
            return _ID_OR_REFERENCE.sub(
                lambda found: f"{found[1]}{prefix}{numbers[found[2]]}", element[0]
            )

        return _ELEMENT.sub(renamed, document)

    digest = hashlib.sha256(numbered("").encode()).hexdigest()[:12]
    return numbered(f"f{digest}-")
