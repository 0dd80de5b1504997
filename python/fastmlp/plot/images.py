"""Drawing of arrays as images: samples, and the weights of units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.network import Network
from fastmlp.plot.networks import require_network
from fastmlp.plot.style import (
    add_color_bar,
    add_title,
    frame,
    ink,
    plain,
    short_number,
    signed_colors,
    size_in_points,
    styled_axes,
)
from fastmlp.validation import finite_array, integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["images", "weight_templates"]

Floats = NDArray[np.float64]

_WIDTH, _TALLEST = 6.0, 9.0  # inches
_TITLE_SIZE = 9.0
_TITLE_ROOM = 14.0  # points
_MOST_UNITS = 100


@dataclass(frozen=True)
class Mosaic:
    """A grid of tiles of equal size in one array.

    Attributes
    ----------
    count, height, width : int
        Number of tiles, and the size of a tile in pixels.
    columns : int
        Number of tiles in a row.
    row_gap, column_gap : int
        Number of pixels between tiles.
    top : int
        Number of pixels above the first row, for titles.
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
        """Return the grid with few empty places and a shape close to 3 : 2."""

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
        """Number of rows of tiles."""
        return math.ceil(self.count / self.columns)

    def corner(self, index: int) -> tuple[int, int]:
        """Return row and column of the upper left pixel of a tile."""
        row, column = divmod(index, self.columns)
        return (
            self.top + row * (self.height + self.row_gap),
            column * (self.width + self.column_gap),
        )

    def filled(self, tiles: Floats) -> Floats:
        """Return tiles of shape (count, height, width, ...) in one array with NaN in the gaps."""
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
        """Return axes with the shape of the grid, without a frame."""
        across = self.columns * (self.width + self.column_gap)
        down = self.rows * (self.height + self.row_gap)
        height = min(_WIDTH * down / across, _TALLEST)
        ax = styled_axes(ax, (_WIDTH + extra_width, height + extra_height), grid=False)
        ax.set_xticks([])
        ax.set_yticks([])
        frame(ax, None)
        return ax

    def write_titles(self, ax: Axes, titles: Sequence[object]) -> None:
        """Write one title above each tile."""
        points_per_pixel = size_in_points(ax)[0] / (self.columns * (self.width + self.column_gap))
        longest = max(4, int(self.width * points_per_pixel / (0.55 * _TITLE_SIZE)))
        for index, title in enumerate(titles):
            row, column = self.corner(index)
            ax.text(column + self.width / 2 - 0.5, row - 0.5, plain(title, longest), ha="center",
                    va="bottom", size=_TITLE_SIZE, color=ink(ax))  # fmt: skip


def _rgba(mosaic: Floats) -> Floats:
    """Convert colors of shape (rows, columns, 3) in [0, 1] to RGBA with transparent gaps."""
    gaps = np.isnan(mosaic[..., :1])
    return np.concatenate([np.nan_to_num(mosaic), np.where(gaps, 0.0, 1.0)], axis=-1)


def _checked_image_shape(
    image_shape: Sequence[int] | None, features: int, known: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return the shape of an image: `image_shape`, else `known`, else a square.

    Raises
    ------
    TypeError, ValueError
        The shape does not have `features` values, or `features` is not a square number.
    """
    given = known if image_shape is None else image_shape
    if given is None:
        side = math.isqrt(features)
        if side * side != features:
            raise ValueError(
                f"image_shape must be given if the number of features is no square, got {features}"
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
    """Draw samples as images in a grid.

    Parameters
    ----------
    x : array of shape (samples, features), (samples, height, width) or (samples, height, width, 3)
        Samples. uint8 values are brightness from 0 to 255. Other values are scaled so that the
        smallest is black and the largest white.
    image_shape : sequence of int, optional
        Shape of an image: (height, width) for gray or (height, width, 3) for RGB. By default that
        of `x`, or a square.
    titles : sequence of str, optional
        Titles of the images, one for each.
    title : str, optional
        Title of the figure; by default there is none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with one image, the grid.

    Raises
    ------
    TypeError, ValueError
        There are no samples, the shape does not fit, or the number of titles is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import plot
    >>> x = np.random.default_rng(0).integers(0, 256, (6, 64), np.uint8)
    >>> ax = plot.images(x, (8, 8), titles=["a", "b", "c", "d", "e", "f"])
    >>> len(ax.images), len(ax.texts)
    (1, 6)
    """
    pixels = finite_array("x", x, np.float64)
    if pixels.ndim < 2:
        raise ValueError(
            f"x must have shape (samples, features), got {pixels.shape}; "
            "np.reshape(x, (1, -1)) is one sample"
        )
    if pixels.size == 0:
        raise ValueError(f"x must have at least one sample and feature, got shape {pixels.shape}")
    own = pixels.shape[1:] if pixels.ndim > 2 else None
    shape = _checked_image_shape(image_shape, math.prod(pixels.shape[1:]), own)
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
        ax.imshow(_rgba((whole - low) / (high - low or 1.0)), interpolation="nearest")
    else:
        ax.imshow(whole, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    if titles is not None:
        mosaic.write_titles(ax, titles)
    add_title(ax, title, "")
    return ax


def weight_templates(
    model: Network,
    *,
    layer: int = 0,
    image_shape: Sequence[int] | None = None,
    units: Sequence[int] | None = None,
    titles: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the weights of each unit as an image.

    Parameters
    ----------
    model : MLP
    layer : int
        Index of the layer; negative values count from the last.
    image_shape : sequence of int, optional
        Shape of an image: (height, width) or (height, width, 3). By default that of the model's
        data for the first layer, and a square for other layers.
    units : sequence of int, optional
        Indices of the units to draw; by default the first 100.
    titles : sequence of str, optional
        Titles of the images, one for each, such as the classes of a linear classifier.
    title : str, optional
        Title of the figure; by default it names the layer. An empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with one image, the grid. All units have the same scale, symmetric around 0: blue
        is positive, orange negative. With three channels 0 is gray.

    Raises
    ------
    TypeError, ValueError
        `model` is not a model, the layer or a unit does not exist, or the shape does not fit.

    Examples
    --------
    >>> from fastmlp import MLP, plot
    >>> ax = plot.weight_templates(MLP([16, 6], seed=0), image_shape=(4, 4))
    >>> ax.get_title()
    'Weights of layer 1, 6 units'
    """
    require_network(model)
    layers = len(model.layer_sizes) - 1
    layer = integer("layer", layer, -layers, layers - 1) % layers
    weights = np.asarray(model.weights[layer], np.float64)
    if weights.ndim > 2:
        raise ValueError(
            f"layer must be one whose weights the members share, in layer {layer} each has its own"
        )
    reads_pixels = layer == 0 and not model.architecture.inputs
    preprocessing = getattr(model, "preprocessing", None) if reads_pixels else None
    known = getattr(preprocessing, "image_shape", None)
    shape = _checked_image_shape(image_shape, weights.shape[0], known)
    chosen = _chosen_units(units, weights.shape[1])
    if titles is not None and len(titles) != len(chosen):
        raise ValueError(
            f"titles must have one entry per unit: {len(chosen)} needed, got {len(titles)}"
        )
    tiles = weights[:, chosen].T.reshape(-1, *shape)
    mosaic = Mosaic.of(len(chosen), shape[0], shape[1], titled=titles is not None)
    whole = mosaic.filled(tiles)
    limit = float(np.abs(tiles).max()) or 1.0
    colored = len(shape) == 3
    ax = mosaic.axes(ax, 0.1 if colored else 1.0, 0.6 if colored else 0.4)
    if colored:
        ax.imshow(_rgba(0.5 + 0.5 * whole / limit), interpolation="nearest")
        number = short_number(limit)
        ax.set_xlabel(f"weight: gray 0, black \u2212{number}, full color +{number}")
    else:
        _draw_signed(ax, whole, limit)
    if titles is not None:
        mosaic.write_titles(ax, titles)
    some = f" {len(chosen)} of" if len(chosen) < weights.shape[1] else ""
    add_title(ax, title, f"Weights of layer {layer + 1},{some} {weights.shape[1]} units")
    return ax


def _chosen_units(units: Sequence[int] | None, count: int) -> list[int]:
    if units is None:
        return list(range(min(count, _MOST_UNITS)))
    chosen = [integer(f"units[{i}]", unit, 0, count - 1) for i, unit in enumerate(units)]
    if not chosen:
        raise ValueError("units must name at least one unit, got none")
    return chosen


def _draw_signed(ax: Axes, whole: Floats, limit: float) -> None:
    image = ax.imshow(whole, cmap=signed_colors(), vmin=-limit, vmax=limit, interpolation="nearest")
    add_color_bar(ax, image, "weight")
