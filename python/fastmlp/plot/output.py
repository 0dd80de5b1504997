"""Figures as SVG text that depends on nothing but the figure."""

from __future__ import annotations

import hashlib
import io
import re
from typing import TYPE_CHECKING, Any

from fastmlp import extras

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["svg"]

# matplotlib writes "<" in texts, comments and attributes as an entity, so this finds elements only.
_ELEMENT = re.compile(r"<[A-Za-z][^<>]*>")
_ID_OR_REFERENCE = re.compile(r'(\bid="|\bhref="#|url\(#)([^")]+)')


def svg(picture: Axes | Figure) -> str:
    """Return a figure as a standalone SVG document; the same figure gives the same text.

    The document has no date. Its ids, which matplotlib draws at random, are made from a digest of
    the document, so that one page can hold several. Letters are outlines, unless matplotlib's
    setting "svg.fonttype" is "none".

    Parameters
    ----------
    picture : matplotlib Axes or Figure
        For Axes, the whole figure is drawn.

    Returns
    -------
    str
        The document; its title is the first title of the figure's axes.

    Raises
    ------
    TypeError
        `picture` is neither.
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
    figure = _figure_of(picture)
    titles = [ax.get_title() for ax in figure.axes]
    title = next((text.replace(r"\$", "$") for text in titles if text), "")
    metadata: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
    if title:
        metadata["Title"] = title
    _forget_layout(figure)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata=metadata)
    return _with_own_ids(stream.getvalue())


def _figure_of(picture: object) -> Figure:
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
    """Reset the positions of axes: a layout depends on the one before it."""
    if figure.get_layout_engine() is None:
        return
    for ax in figure.axes:
        grid = ax.get_subplotspec()
        if grid is not None:
            in_layout = ax.get_in_layout()
            ax.set_position(grid.get_position(figure))
            ax.set_in_layout(in_layout)


def _with_own_ids(document: str) -> str:
    """The document with ids made of its digest and their order."""
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
