"""Drawing of an expression as a graph of its operations with values and derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fastmlp.expressions import Expression
from fastmlp.plot.layers import Layers
from fastmlp.plot.pen import FORWARD_AND_BACK, MOST_NODES, Pen, Point
from fastmlp.plot.style import add_title, ink, plain, short_number, styled_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["expression_graph"]

# All lengths are inches.
_COLUMN_WIDTH, _ROW_HEIGHT = 1.2, 1.1
_RADIUS = 0.3
_HALF_BOX = 0.21
_NUMBER_DISTANCE = 0.12  # from the border of a node
_OPERANDS_APART = 0.14
_MARGIN = 0.6
_LONGEST_NAME = 8  # letters that have room in a node
_ORDERLESS = ("+", "×", "max")


def expression_graph(
    expression: Expression, *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw an expression as a graph: values go forward, derivatives come back.

    Parameters
    ----------
    expression : fastmlp.expressions.Expression
        Expression with at most 60 variables and operations.
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure, which grows with the expression.

    Returns
    -------
    Axes
        Axes with a box for each variable and a circle for each operation, from left to right. Above
        a node is its value and below it, after ∂, the derivative of the whole expression by it.
        Where their order counts, the first operand enters a circle above the second one.

    Raises
    ------
    TypeError, ValueError
        `expression` is not an `Expression`, or has too many nodes.

    Examples
    --------
    >>> from fastmlp import plot
    >>> from fastmlp.expressions import variable
    >>> x, y = variable("x", 3.0), variable("y", -4.0)
    >>> ax = plot.expression_graph((x + y) ** 2)
    >>> [text.get_text() for text in ax.texts[-3:]]
    ['x²', '1', '∂ 1']
    """
    if not isinstance(expression, Expression):
        raise TypeError(
            f"expression must be a fastmlp.expressions.Expression, got {type(expression).__name__}"
        )
    derivatives = expression.derivatives()
    if len(derivatives) > MOST_NODES:
        raise ValueError(
            f"expression must have at most {MOST_NODES} variables and operations, got "
            f"{len(derivatives)}; a function such as sigmoid stands for several"
        )
    layers = Layers.of({node: node.operands for node in derivatives})
    lowest = max(layers.heights.values())
    width = 2 * _MARGIN + _COLUMN_WIDTH * (len(layers.columns) - 1)
    height = _ROW_HEIGHT * (lowest + 1)
    places = {
        node: (
            _MARGIN + _COLUMN_WIDTH * column,
            height - _ROW_HEIGHT * (layers.heights[node] + 0.5),
        )
        for column, nodes in enumerate(layers.columns)
        for node in nodes
    }
    # A short graph has room for the title and the caption.
    ax = styled_axes(ax, (max(width, 3.6), height + 0.6), grid=False)
    pen = Pen(ax, width, height)
    for node, derivative in derivatives.items():
        ways = [
            [places[place] for place in layers.routes[operand, node, number]]
            for number, operand in enumerate(node.operands)
        ]
        if node.operation in _ORDERLESS:
            ways.sort(key=lambda points: -points[-2][1])
        for number, points in enumerate(ways):
            _draw_edge(pen, points, _OPERANDS_APART * ((len(ways) - 1) / 2 - number))
        _draw_node(pen, places[node], node, derivative)
    pen.finish("bold: value; ∂: derivative of the result by it")
    add_title(ax, title, FORWARD_AND_BACK)
    return ax


def _draw_edge(pen: Pen, points: Sequence[Point], entry: float) -> None:
    """Draw a curve that is level where it leaves, passes and enters columns.

    It enters the last node so far above its center.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    (x, y), (end_x, end_y) = points[0], points[-1]
    inside = (_RADIUS**2 - entry**2) ** 0.5
    stops = [(x + _RADIUS, y), *points[1:-1], (end_x - inside, end_y + entry)]
    vertices, codes = [stops[0]], [Path.MOVETO]
    for (left, low), (right, high) in pairwise(stops):
        middle = (left + right) / 2
        vertices += [(middle, low), (middle, high), (right, high)]
        codes += [Path.CURVE4] * 3
    look: dict[str, Any] = {"facecolor": "none", "edgecolor": ink(pen.ax), "zorder": 1}
    pen.ax.add_patch(PathPatch(Path(vertices, codes), linewidth=1.0 * pen.scale, **look))


def _draw_node(pen: Pen, place: Point, node: Expression, derivative: float) -> None:
    from matplotlib.patches import Circle, Rectangle

    look: dict[str, Any] = {"edgecolor": "black", "zorder": 3, "linewidth": 1.1 * pen.scale}
    x, y = place
    if node.operands:
        half = _RADIUS
        pen.ax.add_patch(Circle(place, _RADIUS, facecolor="#F4F4F4", **look))
    else:
        half = _HALF_BOX
        corner = (x - _RADIUS, y - half)
        pen.ax.add_patch(Rectangle(corner, 2 * _RADIUS, 2 * half, facecolor="#DDEBF7", **look))
    distance = half + _NUMBER_DISTANCE
    name = plain(node.operation, _LONGEST_NAME)
    size = 1.15 if len(name) < 6 else 0.9
    pen.text(place, name, size=size, color="black", zorder=5)
    pen.beside((x, y + distance), short_number(node.value), size=1.0, weight="bold")
    slope = f"∂ {short_number(derivative)}"
    pen.beside((x, y - distance), slope, size=1.0, style="italic")
