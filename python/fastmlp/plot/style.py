"""The style of all figures: legible in grayscale, by color-blind readers and at 6 x 4 inches.

No function changes matplotlib's settings, which all threads of a process share.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from fastmlp import extras
from fastmlp.notebook import in_notebook
from fastmlp.plot.fonts import figure_with_fonts, readable, shortened
from fastmlp.plot.numbers import plain_ticks, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.typing import ColorType

__all__ = ["OKABE_ITO", "STYLE"]

# M. Okabe, K. Ito, "Color universal design", 2008; yellow is last because it is faint on white.
OKABE_ITO = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442",
)  # fmt: skip
DASHES: tuple[Any, ...] = (
    "-", "--", "-.", ":", (0, (6, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 3, 2, 3)),
)  # fmt: skip
MARKERS = {"o": 5.0, "s": 4.6, "^": 5.6, "D": 4.6, "v": 5.6, "P": 6.0, "X": 6.0, "*": 7.5}
"""Markers with the sizes in points at which they look equally large."""
INK = "#222222"
GRID = "#D9D9D9"

STYLE: dict[str, Any] = {
    "figure.figsize": (6.0, 4.0),
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11.0,
    "axes.labelsize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": f"cycler('color', {list(OKABE_ITO)})",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 9.0,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "xtick.color": INK,
    "xtick.labelsize": 9.0,
    "ytick.color": INK,
    "ytick.labelsize": 9.0,
}
"""The style as matplotlib settings, to use in other figures:
``with matplotlib.rc_context(plot.STYLE): ...``."""

_FILE_BACKENDS = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")  # of matplotlib
_SHOWN: WeakSet[Figure] = WeakSet()  # figures that pyplot shows

_MOST_POINTS_AS_VECTORS = 2000
_LONGEST_LEGEND_INSIDE = 7
_LETTERS_OF_A_LINE, _LETTERS_BELOW = 7, 75  # room of a legend's line and of the axes
BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
"""Options that place a legend to the right of the axes."""


def styled_axes(
    ax: object, size: tuple[float, float] = STYLE["figure.figsize"], *, grid: bool = True
) -> Axes:
    """Return `ax`, or the axes of a new figure if `ax` is None.

    Parameters
    ----------
    ax : matplotlib Axes or None
    size : pair of float
        Width and height of a new figure in inches.
    grid : bool
        Whether to draw a grid; False is for content that fills the axes, such as an image.

    Raises
    ------
    TypeError
        `ax` is neither Axes nor None.
    MissingExtraError
        matplotlib is not installed.
    """
    extras.require("plot", "matplotlib")
    from matplotlib.axes import Axes

    if isinstance(ax, Axes):
        if not grid:
            ax.grid(False)
        return ax
    if ax is not None:
        raise TypeError(f"ax must be matplotlib Axes or None, got {type(ax).__name__}")
    # "compressed" is for fixed aspect ratios.
    figure = new_figure(size, layout="constrained" if grid else "compressed")
    return styled_subplot(figure, grid=grid)


def styled_subplot(figure: Figure, *place: int, grid: bool = True) -> Axes:
    """Return new axes of a figure; `place` is as of ``Figure.add_subplot``."""
    new: Axes = figure.add_subplot(*place, facecolor=STYLE["axes.facecolor"])
    new.set_axisbelow(True)
    new.spines[:].set_color(INK)
    new.spines[["top", "right"]].set_visible(False)
    new.tick_params(which="both", colors=INK, labelsize=STYLE["xtick.labelsize"])
    new.title.set(size=STYLE["axes.titlesize"], color=INK)
    for axis in (new.xaxis, new.yaxis):
        axis.label.set(size=STYLE["axes.labelsize"], color=INK)
        plain_ticks(axis)
    if grid:
        new.grid(True, color=GRID, linewidth=STYLE["grid.linewidth"])
    else:
        new.grid(False)
    return new


def new_figure(size: tuple[float, float], *, layout: str, shown: bool = True) -> Figure:
    """Return a new figure, which is pyplot's where pyplot can show it to somebody.

    That is in a notebook, and in a program that uses pyplot with windows. Elsewhere pyplot would
    keep the figure forever; and in other threads than the first it must not be used. Nor is a
    figure pyplot's that is one of many and not `shown`.
    """
    kind = figure_with_fonts()
    options = {"figsize": size, "facecolor": STYLE["figure.facecolor"], "layout": layout}
    pyplot = sys.modules.get("matplotlib.pyplot")
    if shown and threading.current_thread() is threading.main_thread():
        if pyplot is None and in_notebook():
            pyplot = importlib.import_module("matplotlib.pyplot")
        if pyplot is not None and pyplot.get_backend().lower() not in _FILE_BACKENDS:
            visible: Figure = pyplot.figure(FigureClass=kind, **options)
            _SHOWN.add(visible)
            return visible
    figure: Figure = kind(**options)
    return figure


def take_from_pyplot(figure: Figure) -> None:
    """Let pyplot not show a figure of this package, which is used in another way."""
    if figure in _SHOWN:
        _SHOWN.discard(figure)
        sys.modules["matplotlib.pyplot"].close(figure)


def line_look(index: int, *, points: int) -> dict[str, Any]:
    """Return color, dashes and about ten markers for line number `index`."""
    turn, place = divmod(index, len(OKABE_ITO))
    return {
        "color": OKABE_ITO[place],
        "linestyle": DASHES[(place + turn) % len(DASHES)],
        "linewidth": STYLE["lines.linewidth"],
        **_marker(index),
        # The markers of lines that coincide are at different places.
        "markevery": _marker_places(index, points),
    }


def _marker_places(index: int, points: int) -> Any:
    step = max(1, points // 10)
    return (index * step // 3 % step, step)


def _marker(index: int) -> dict[str, Any]:
    """Return the marker of a line; lines with the same color have different markers."""
    turn, place = divmod(index, len(OKABE_ITO))
    name, size = list(MARKERS.items())[(place + 2 * turn) % len(MARKERS)]
    return {"marker": name, "markersize": size}


def point_look(index: int, *, points: int) -> dict[str, Any]:
    """Return color and marker of group number `index`; over 2000 points are drawn as a bitmap."""
    return {
        "color": OKABE_ITO[index % len(OKABE_ITO)],
        "linestyle": "none",
        **_marker(index),
        "markeredgecolor": INK,
        "markeredgewidth": 0.4,
        "rasterized": points > _MOST_POINTS_AS_VECTORS,
    }


def mixed_with_white(index: int, share: float) -> tuple[float, float, float]:
    """Return color number `index` with a share of white."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(OKABE_ITO[index % len(OKABE_ITO)])
    return share + (1 - share) * red, share + (1 - share) * green, share + (1 - share) * blue


def signed_colors() -> Colormap:
    """Return the colors of numbers around 0: blue is positive, orange negative, as in graphs."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signed", [OKABE_ITO[1], "#F7F7F7", OKABE_ITO[0]])


def plain(value: object, longest: float = 28) -> str:
    """Return text on one line, as wide as `longest` letters, that matplotlib shows literally."""
    text = shortened(readable(" ".join(str(value).split())), longest)
    # A dollar sign starts a formula, and legends omit labels that begin with an underscore.
    return text.replace("$", r"\$").replace("_", " _", 1 if text.startswith("_") else 0)


def short_number(value: float) -> str:
    """Return a number with three significant digits and a typographic minus sign."""
    return written(value, 3).replace("-", "\u2212")


def ink(ax: Axes) -> ColorType:
    """Return the color of text on these axes."""
    return ax.xaxis.label.get_color()


def add_title(ax: Axes, title: str | None, default: str) -> None:
    """Set `title`, or `default` if it is None; an empty string sets no title.

    Raises
    ------
    TypeError
        `title` is neither a string nor None.
    """
    if title is not None and not isinstance(title, str):
        raise TypeError(f"title must be a string or None, got {type(title).__name__}")
    text = default if title is None else title
    if text:
        ax.set_title(text.replace("$", r"\$"))


def add_legend(ax: Axes, **options: Any) -> None:
    """Add a legend if there are labels; a long legend is placed beside the axes."""
    entries = len(ax.get_legend_handles_labels()[0])
    if entries > _LONGEST_LEGEND_INSIDE:
        options = BESIDE | options
    if entries:
        look = {
            "fontsize": STYLE["legend.fontsize"],
            "labelcolor": ink(ax),
            "frameon": STYLE["legend.frameon"],
        }
        ax.legend(**(look | options))


def add_legend_below(ax: Axes) -> None:
    """Add a legend below the axes, where it covers no data: in one row if that has room."""
    labels = ax.get_legend_handles_labels()[1]
    in_a_row = sum(len(label) + _LETTERS_OF_A_LINE for label in labels) <= _LETTERS_BELOW
    columns = max(len(labels), 1) if in_a_row else 2
    add_legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=columns)


def add_note(ax: Axes, text: str) -> None:
    """Write a sentence in the middle of empty axes."""
    ax.set_xticks([])
    ax.set_yticks([])
    size = STYLE["axes.labelsize"]
    ax.text(0.5, 0.5, text, ha="center", va="center", size=size, color=ink(ax),
            transform=ax.transAxes)  # fmt: skip


def whole_numbers(ax: Axes) -> None:
    """Place ticks of the x axis only at integers."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def percent_ticks(axis: Axis) -> None:
    """Write ticks of shares in percent without the sign, which the axis label has."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: written(round(100 * value, 9), 6)))


def logarithmic(ax: Axes, which: str) -> None:
    """Make the "x" or "y" axis logarithmic, with plain numbers at its ticks."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    getattr(ax, f"set_{which}scale")("log")
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    low, high = sorted(axis.get_view_interval())
    few = low > 0 and high / low < 20
    minor = FuncFormatter(lambda value, _: short_number(value)) if few else NullFormatter()
    axis.set_minor_formatter(minor)


def add_color_bar(ax: Axes, image: ScalarMappable, label: str) -> Colorbar:
    """Add a color bar to the right of the axes, with the same height."""
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.03, 0.0, 0.04, 1.0)))
    bar.set_label(label, size=STYLE["axes.labelsize"], color=ink(ax))
    bar.ax.tick_params(colors=ink(ax), labelsize=STYLE["ytick.labelsize"])
    bar.outline.set_visible(False)
    return bar


def frame(ax: Axes, color: str | None) -> None:
    """Remove the tick marks and draw a thin frame of `color`; None draws no frame."""
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(color is not None)
    if color is not None:
        ax.spines[:].set(color=color, linewidth=0.6)


def text_color_on(rgba: Sequence[float]) -> str:
    """Return "black" or "white", whichever has the larger contrast ratio to a color (WCAG 2.2)."""
    channels = np.asarray(rgba[:3], float)
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"


def size_in_points(ax: Axes) -> tuple[float, float]:
    """Return width and height of the axes in points, before the layout of the figure."""
    points_per_pixel = 72 / ax.figure.dpi
    return float(ax.bbox.width) * points_per_pixel, float(ax.bbox.height) * points_per_pixel
