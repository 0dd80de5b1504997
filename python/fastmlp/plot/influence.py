"""The influence of a column on predictions: partial dependence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.plot.fonts import width_of
from fastmlp.plot.style import (
    INK,
    OKABE_ITO,
    STYLE,
    add_legend,
    add_title,
    line_look,
    percent_ticks,
    plain,
    styled_axes,
)
from fastmlp.validation import finite_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["partial_dependence"]

Floats = NDArray[np.float64]

_SIZE = (4.6, 3.2)
_MOST_MARKS = 200
_LONGEST_IN_PAIRS = 20


def partial_dependence(
    values: ArrayLike | Sequence[str],
    means: ArrayLike,
    *,
    column: str = "value",
    outputs: Sequence[str] | None = None,
    present: ArrayLike | None = None,
    dates: bool = False,
    label: str = "mean prediction",
    shares: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean prediction of a model over the value of one column.

    Parameters
    ----------
    values : array of shape (points,) or sequence of str
        Values of the column, or its categories, which are drawn as horizontal bars.
    means : array of shape (points,) or (points, outputs)
        Mean predictions for these values.
    column : str
        Name of the column.
    outputs : sequence of str, optional
        Names of the outputs.
    present : array of shape (samples,), optional
        Values of the column among the samples, of which up to 200 are marked at the bottom.
    dates : bool
        Whether values are days since 1970-01-01.
    label : str
        Label of the axis of the predictions.
    shares : bool
        Whether predictions are shares, written in percent.
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with a line, or bars, for each output.

    Raises
    ------
    TypeError, ValueError
        The arrays do not match.

    Examples
    --------
    >>> from fastmlp import plot
    >>> ax = plot.partial_dependence([20.0, 60.0], [0.2, 0.7], column="age", shares=True)
    >>> ax.get_xlabel()
    'age'
    """
    heights: Floats = finite_array("means", means, np.float64)
    heights = heights.reshape(len(heights), -1)
    if len(heights) != len(values) or not len(heights):  # type: ignore[arg-type, unused-ignore]
        raise ValueError(f"means must have a row for each of the values, got {heights.shape}")
    names = [None] * heights.shape[1] if outputs is None else [plain(name) for name in outputs]
    if len(names) != heights.shape[1]:
        raise ValueError(f"outputs must have {heights.shape[1]} names, got {len(names)}")
    labels = [str(value) for value in values] if _are_names(values) else None  # type: ignore[union-attr, unused-ignore]
    tall = 1.1 + 0.24 * len(heights) * max(1, 0.6 * len(names))
    height = _SIZE[1] if labels is None else float(np.clip(tall, 2.0, 8.0))
    height += 0.2 * len(names) if len(names) > 1 else 0.0
    ax = styled_axes(ax, (_SIZE[0], height))
    if labels is None:
        _lines(ax, finite_array("values", values, np.float64), heights, names, present)
        if dates:
            _date_ticks(ax)
    else:
        _bars(ax, labels, heights, names)
    across, along = (ax.set_xlabel, ax.set_ylabel) if labels is None else (
        ax.set_ylabel, ax.set_xlabel
    )  # fmt: skip
    across(plain(column))
    along(label)
    if shares:
        percent_ticks(ax.yaxis if labels is None else ax.xaxis)
    add_title(ax, title, "Partial dependence")
    if names[0] is not None and len(names) > 1:
        longest = max(width_of(str(name)) for name in names)
        add_legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0),
                   ncols=2 if longest < _LONGEST_IN_PAIRS else 1)  # fmt: skip
    return ax


def _are_names(values: object) -> bool:
    return np.asarray(values).dtype.kind in "UO"


def _lines(
    ax: Axes, values: Floats, heights: Floats, names: Sequence[str | None], present: object
) -> None:
    for index, name in enumerate(names):
        look = line_look(index, points=len(values))
        ax.plot(values, heights[:, index], label=name, **look)
    if present is None:
        return
    marks: Floats = finite_array("present", present, np.float64)
    inside = np.sort(marks[(marks >= values.min()) & (marks <= values.max())])
    step = max(1, -(-len(inside) // _MOST_MARKS))
    ax.plot(inside[::step], np.full(len(inside[::step]), 0.015), "|", color=INK, markersize=6,
            markeredgewidth=0.5, alpha=0.6, transform=ax.get_xaxis_transform())  # fmt: skip


def _bars(ax: Axes, labels: list[str], heights: Floats, names: Sequence[str | None]) -> None:
    rows = np.arange(len(labels))
    thickness = 0.76 / len(names)
    for index, name in enumerate(names):
        place = rows + thickness * (index - (len(names) - 1) / 2)
        ax.barh(place, heights[:, index], height=0.92 * thickness, label=name,
                color=OKABE_ITO[index % len(OKABE_ITO)])  # fmt: skip
    ax.set_yticks(rows, [plain(text) for text in labels])
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(False, axis="y")


def _date_ticks(ax: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    def day(value: float, _: object) -> str:
        try:
            return (datetime(1970, 1, 1) + timedelta(days=float(value))).strftime("%Y-%m-%d")
        except OverflowError:
            return ""

    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.xaxis.set_major_formatter(FuncFormatter(day))
    ax.tick_params(labelsize=STYLE["xtick.labelsize"])
