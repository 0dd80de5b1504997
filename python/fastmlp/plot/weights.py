"""What units look for: their weights as images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastmlp.network import Network
from fastmlp.plot.images import Mosaic, checked_image_shape, rgba
from fastmlp.plot.style import add_colour_bar, add_title, short_number
from fastmlp.validation import integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["weight_templates"]

Floats = NDArray[np.float64]

_MOST_UNITS = 100


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
    """The weights of each unit as an image: bright or dark where the unit looks for something.

    Parameters
    ----------
    model : MLP
    layer : int
        From the first where >= 0, from the last where negative.
    image_shape : sequence of int, optional
        (height, width) or (height, width, 3). By default that of the model's data, for the first
        layer, or a square.
    units : sequence of int, optional
        Which units; by default all, but no more than the first 100.
    titles : sequence of str, optional
        One for each image, such as the classes of a linear classifier.
    title : str, optional
        By default it names the layer; an empty one sets none.
    ax : Axes, optional
        By default those of a new figure.

    Returns
    -------
    Axes
        With one image, the mosaic. All units share one scale, symmetric around 0: red is positive,
        blue negative. Colours of three channels are grey at 0 instead.

    Raises
    ------
    TypeError, ValueError
        No model, no such layer or unit, or a shape that does not fit.
    """
    if not isinstance(model, Network):
        raise TypeError(f"model must be a fastmlp.MLP, got {type(model).__name__}")
    layers = len(model.layer_sizes) - 1
    layer = integer("layer", layer, -layers, layers - 1) % layers
    weights = np.asarray(model.weights[layer], np.float64)
    preprocessing = getattr(model, "preprocessing", None) if layer == 0 else None
    known = getattr(preprocessing, "image_shape", None)
    shape = checked_image_shape(image_shape, weights.shape[0], known)
    chosen = _chosen_units(units, weights.shape[1])
    if titles is not None and len(titles) != len(chosen):
        raise ValueError(
            f"titles must have one entry per unit: {len(chosen)} needed, got {len(titles)}"
        )
    tiles = weights[:, chosen].T.reshape(-1, *shape)
    mosaic = Mosaic.of(len(chosen), shape[0], shape[1], titled=titles is not None)
    whole = mosaic.filled(tiles)
    limit = float(np.abs(tiles).max()) or 1.0
    coloured = len(shape) == 3
    ax = mosaic.axes(ax, 0.1 if coloured else 1.0, 0.6 if coloured else 0.4)
    if coloured:
        ax.imshow(rgba(0.5 + 0.5 * whole / limit), interpolation="nearest")
        number = short_number(limit)
        ax.set_xlabel(f"weight: grey 0, black \u2212{number}, full colour +{number}")
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
    image = ax.imshow(whole, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    add_colour_bar(ax, image, "weight")
