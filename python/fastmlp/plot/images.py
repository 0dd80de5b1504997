"""Arrays as images: samples, and mosaics of anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.plot.style import add_title, frame, ink, plain, size_in_points, styled_axes
from fastmlp.validation import finite_array, integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Mosaic", "checked_image_shape", "images"]

Floats = NDArray[np.float64]

_WIDTH, _TALLEST = 6.0, 9.0  # inches
_TITLE_SIZE = 9.0
_TITLE_ROOM = 14.0  # points


@dataclass(frozen=True)
class Mosaic:
    """Where tiles of equal size stand in one array.

    Attributes
    ----------
    count, height, width : int
        Of the tiles, in pixels.
    columns : int
    row_gap, column_gap : int
        Pixels between tiles.
    top : int
        Pixels above the first row, for titles.
    """

    count: int
    height: int
    width: int
    columns: int
    row_gap: int
    column_gap: int
    top: int

    @classmethod
    def of(cls, count: int, height: int, width: int, *, titled: bool) -> Mosaic:
        """Tiles in a grid of few empty places, about as wide as 3 : 2."""

        def badness(columns: int) -> float:
            rows = math.ceil(count / columns)
            shape = columns * width / (rows * height)
            return (rows * columns - count) / count + 0.3 * abs(math.log(shape / 1.5))

        columns = min(range(1, count + 1), key=badness)
        column_gap = max(1, round(0.08 * width))
        across = columns * (width + column_gap)
        title = math.ceil(_TITLE_ROOM / (72 * _WIDTH) * across) if titled else 0
        return cls(count, height, width, columns, max(column_gap, title), column_gap, title)

    @property
    def rows(self) -> int:
        """Of tiles."""
        return math.ceil(self.count / self.columns)

    def corner(self, index: int) -> tuple[int, int]:
        """Row and column of the upper left pixel of a tile."""
        row, column = divmod(index, self.columns)
        return (
            self.top + row * (self.height + self.row_gap),
            column * (self.width + self.column_gap),
        )

    def filled(self, tiles: Floats) -> Floats:
        """Tiles (count, height, width, ...) in one array; the rest is NaN."""
        shape = (
            self.top + self.rows * (self.height + self.row_gap) - self.row_gap,
            self.columns * (self.width + self.column_gap) - self.column_gap,
        )
        whole = np.full((*shape, *tiles.shape[3:]), np.nan)
        for index, tile in enumerate(tiles):
            row, column = self.corner(index)
            whole[row : row + self.height, column : column + self.width] = tile
        return whole

    def axes(self, ax: Axes | None, extra_width: float, extra_height: float) -> Axes:
        """Axes for it, of the right shape and without frame."""
        across = self.columns * (self.width + self.column_gap)
        down = self.rows * (self.height + self.row_gap)
        height = min(_WIDTH * down / across, _TALLEST)
        ax = styled_axes(ax, (_WIDTH + extra_width, height + extra_height), grid=False)
        ax.set_xticks([])
        ax.set_yticks([])
        frame(ax, None)
        return ax

    def write_titles(self, ax: Axes, titles: Sequence[object]) -> None:
        """One above each tile."""
        points_per_pixel = size_in_points(ax)[0] / (self.columns * (self.width + self.column_gap))
        longest = max(4, int(self.width * points_per_pixel / (0.55 * _TITLE_SIZE)))
        for index, title in enumerate(titles):
            row, column = self.corner(index)
            ax.text(column + self.width / 2 - 0.5, row - 0.5, plain(title, longest), ha="center",
                    va="bottom", size=_TITLE_SIZE, color=ink(ax))  # fmt: skip


def rgba(mosaic: Floats) -> Floats:
    """Colours (rows, columns, 3) in [0, 1] with gaps that let the background through."""
    gaps = np.isnan(mosaic[..., :1])
    return np.concatenate([np.nan_to_num(mosaic), np.where(gaps, 0.0, 1.0)], axis=-1)


def checked_image_shape(
    image_shape: Sequence[int] | None, features: int, known: Sequence[int] | None = None
) -> tuple[int, ...]:
    """(height, width) or (height, width, 3) of images of so many features.

    Parameters
    ----------
    image_shape : sequence of int, optional
        By default `known`, or a square.
    features : int
    known : sequence of int, optional

    Raises
    ------
    TypeError, ValueError
        Another shape, or none and no square.
    """
    given = known if image_shape is None else image_shape
    if given is None:
        side = math.isqrt(features)
        if side * side != features:
            raise ValueError(
                f"image_shape must be given where the features are no square, got {features}"
            )
        return side, side
    shape = tuple(integer(f"image_shape[{i}]", size, 1) for i, size in enumerate(given))
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3):
        raise ValueError(f"image_shape must be (height, width) or (height, width, 3), got {shape}")
    if math.prod(shape) != features:
        raise ValueError(f"image_shape must have {features} values, got {shape}")
    return shape


def images(
    x: ArrayLike,
    image_shape: Sequence[int] | None = None,
    titles: Sequence[str] | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Samples as images, in a grid.

    Parameters
    ----------
    x : array of shape (samples, features), or (samples, height, width) and so on
        Bytes are brightness from 0 to 255; other numbers span from their smallest to their largest.
    image_shape : sequence of int, optional
        (height, width), grey, or (height, width, 3), colours. By default that of `x`, or a square.
    titles : sequence of str, optional
        One for each image.
    title : str, optional
        Of the whole; none by default.
    ax : Axes, optional
        By default those of a new figure.

    Returns
    -------
    Axes
        With one image, the mosaic.

    Raises
    ------
    TypeError, ValueError
        No samples, a shape that does not fit, or a wrong number of titles.
    """
    pixels = finite_array("x", x, np.float64)
    if pixels.ndim < 2 or pixels.size == 0:
        raise ValueError(f"x must have shape (samples, features), got {pixels.shape}")
    own = pixels.shape[1:] if pixels.ndim > 2 else None
    shape = checked_image_shape(image_shape, math.prod(pixels.shape[1:]), own)
    if titles is not None and len(titles) != len(pixels):
        raise ValueError(
            f"titles must have one entry per image: {len(pixels)} needed, got {len(titles)}"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if np.asarray(x).dtype == np.uint8:
        low, high = 0.0, 255.0
    mosaic = Mosaic.of(len(pixels), shape[0], shape[1], titled=titles is not None)
    whole = mosaic.filled(pixels.reshape(-1, *shape))
    ax = mosaic.axes(ax, 0.1, 0.4 if title else 0.1)
    if len(shape) == 3:
        ax.imshow(rgba((whole - low) / (high - low or 1.0)), interpolation="nearest")
    else:
        ax.imshow(whole, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    if titles is not None:
        mosaic.write_titles(ax, titles)
    add_title(ax, title, "")
    return ax
