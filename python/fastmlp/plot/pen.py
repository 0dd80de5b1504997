"""A pen for graphs: it draws in inches on axes of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastmlp.plot.style import frame, ink, short_number, size_in_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FORWARD_AND_BACK", "MOST_NODES", "Pen", "Point"]

Point = tuple[float, float]

FORWARD_AND_BACK = "Values forward, gradients back"
MOST_NODES = 60
"""Number of nodes beyond which a graph with all its numbers cannot be read."""

_FONT = 8.5  # points


class Pen:
    """A pen for a picture of `width` by `height` inches, which shrinks with the axes."""

    def __init__(self, ax: Axes, width: float, height: float) -> None:
        across, up = size_in_points(ax)
        self.ax = ax
        self.width, self.height = width, height
        # The axes of a new figure grow when its layout is computed, hence the factor 1.3.
        self.scale = min(1.0, 1.3 * across / (72 * width), 1.3 * up / (72 * height))

    def text(self, place: Point, text: str, *, size: float = 1.0, **look: Any) -> None:
        """Write a text around a place."""
        look = {"ha": "center", "va": "center", "color": ink(self.ax)} | look
        self.ax.text(*place, text, size=_FONT * size * self.scale, **look)

    def beside(self, place: Point, text: str, **look: Any) -> None:
        """Write the caption of a node above the lines of connections."""
        box = {"facecolor": self.ax.get_facecolor(), "edgecolor": "none", "pad": 0.6}
        options: dict[str, Any] = {"size": 0.85, "zorder": 4, "bbox": box}
        self.text(place, text, **(options | look))

    def pair(self, place: Point, value: float, gradient: float, *, size: float = 1.0) -> None:
        """Write a number and, below it, its derivative."""
        x, y = place
        half = 0.095 * size
        look: dict[str, Any] = {"size": size, "color": "black", "zorder": 5}
        self.text((x, y + half), short_number(value), weight="bold", **look)
        self.text((x, y - half), f"∂ {short_number(gradient)}", style="italic", **look)

    def line(self, points: Sequence[Point], **look: Any) -> None:
        """Draw a line behind everything else."""
        width = look.pop("linewidth") * self.scale
        self.ax.plot(*zip(*points, strict=True), linewidth=width, zorder=1, **look)

    def finish(self, caption: str) -> None:
        """Fit the axes to the picture and write a caption below it."""
        self.ax.set(xlim=(0, self.width), ylim=(-0.05, self.height), aspect="equal")
        self.ax.set_xticks([])
        self.ax.set_yticks([])
        frame(self.ax, None)
        self.ax.set_xlabel(caption, size=_FONT)
