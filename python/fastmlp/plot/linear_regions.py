"""Regions of a plane in which a network of rectifiers is linear, counted exactly and drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastmlp import validation
from fastmlp.activations import Activation, LeakyReLU
from fastmlp.network import Network
from fastmlp.plot.networks import require_plain
from fastmlp.plot.numbers import written
from fastmlp.plot.plane import Limits, checked_limits
from fastmlp.plot.style import INK, OKABE_ITO, add_title, mixed_with_white, styled_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["count_linear_regions", "linear_regions", "linear_regions_bound"]

Floats = NDArray[np.float64]

_SQUARE = ((-1.0, 1.0), (-1.0, 1.0))
_ON_THE_LINE = 1e-12  # relative to the sizes of what is added
_TINTS = (0.75, 0.5, 0.85)  # shares of white
_FEW_REGIONS = 200


def count_linear_regions(model: Network, limits: Limits = _SQUARE) -> int:
    """Count the regions of a part of the plane in which a network of rectifiers is linear.

    Each unit divides the regions of the layers before it by a line. So the regions are polygons,
    which are cut one unit after another: the count is exact up to the rounding of float64, and has
    no grid. Regions are those of equal activation patterns: the same units are positive.

    Parameters
    ----------
    model : MLP
        Network with two inputs, whose hidden layers are "relu", "leaky_relu" or "identity".
    limits : pair of pairs of float
        Smallest and largest value of the first input, and of the second one.

    Returns
    -------
    int

    Raises
    ------
    TypeError, ValueError
        The model has other activations or inputs, or the limits do not ascend.

    Examples
    --------
    >>> from fastmlp import MLP, plot
    >>> model = MLP([2, 3, 1], loss="mse")
    >>> model.weights[0] = [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    >>> model.biases[0] = [0.0, 0.0, -0.5]  # lines x = 0, y = 0 and x + y = 1/2
    >>> plot.count_linear_regions(model)
    7
    """
    return len(_polygons(model, limits))


def linear_regions_bound(layer_sizes: Sequence[int]) -> int:
    """Return a number of linear regions that some network of rectifiers of these sizes has.

    With n_0 inputs and hidden layers of n_1, ..., n_L >= n_0 units it is
    ``prod(floor(n_i / n_0) ** n_0 for i < L) * sum(binomial(n_L, j) for j = 0, ..., n_0)``:
    it grows exponentially with the number of layers and only polynomially with that of units. Of
    one hidden layer it is the largest possible number.

    Source: G. Montufar, R. Pascanu, K. Cho, Y. Bengio, "On the number of linear regions of deep
    neural networks", NIPS 2014, theorem 4.

    Parameters
    ----------
    layer_sizes : sequence of int
        Inputs, units of each hidden layer and outputs, as of `fastmlp.MLP`.

    Returns
    -------
    int

    Raises
    ------
    TypeError, ValueError
        There is no hidden layer, or one has fewer units than there are inputs.

    Examples
    --------
    >>> from fastmlp import plot
    >>> plot.linear_regions_bound([2, 4, 4, 1]), plot.linear_regions_bound([2, 8, 1])
    (44, 37)
    """
    inputs, *hidden, _ = validation.layer_sizes(layer_sizes)
    if not hidden or min(hidden) < inputs:
        raise ValueError(
            "layer_sizes must have hidden layers with at least as many units as inputs, got "
            f"{list(layer_sizes)}"
        )
    copies: int = math.prod((units // inputs) ** inputs for units in hidden[:-1])
    return copies * sum(math.comb(hidden[-1], j) for j in range(inputs + 1))


def linear_regions(
    model: Network,
    limits: Limits = _SQUARE,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the regions of a part of the plane in which a network of rectifiers is linear.

    Parameters
    ----------
    model, limits
        As of `count_linear_regions`.
    title : str, optional
        Title of the axes; by default it tells the number of regions. An empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with a polygon for each region. Colors only tell neighbors apart.

    Raises
    ------
    TypeError, ValueError
        The model has other activations or inputs, or the limits do not ascend.

    Examples
    --------
    >>> from fastmlp import MLP, plot
    >>> ax = plot.linear_regions(MLP([2, 4, 1], loss="mse", seed=0))
    >>> ax.get_title()  # the four lines meet in the origin
    '8 linear regions of a 2-4-1 network'
    """
    polygons = _polygons(model, limits)
    ax = styled_axes(ax, (4.6, 4.6), grid=False)
    from matplotlib.collections import PolyCollection

    hues = len(OKABE_ITO) - 2  # without black and yellow
    colors = [
        mixed_with_white(index % hues, _TINTS[index // hues % len(_TINTS)])
        for index in range(len(polygons))
    ]
    width = 0.8 if len(polygons) <= _FEW_REGIONS else 0.3
    ax.add_collection(PolyCollection(polygons, facecolors=colors, edgecolors=INK, linewidths=width))
    across, up = checked_limits(limits)
    ax.set(xlim=across, ylim=up, xlabel="input 1", ylabel="input 2")
    sizes = "-".join(map(str, model.layer_sizes))
    some = "region" if len(polygons) == 1 else "regions"
    add_title(ax, title, f"{written(len(polygons))} linear {some} of a {sizes} network")
    return ax


def _polygons(model: Network, limits: Limits) -> list[Floats]:
    """Return the corners of each region."""
    network = require_plain(model)
    if network.layer_sizes[0] != 2:
        raise ValueError(f"model must have 2 inputs, got {network.layer_sizes[0]}")
    if any(network.architecture.parametric):
        raise ValueError("model must have no parametric activations, which are no rectifiers")
    slopes = [_slope(activation) for activation in network.architecture.activations]
    (left, right), (bottom, top) = checked_limits(limits)
    whole = np.array([[left, bottom], [right, bottom], [right, top], [left, top]])
    cells = [(whole, *_of_inputs(network))]
    layers = zip(slopes, network.weights, network.biases, strict=False)
    for slope, weights, biases in layers:
        cells = [
            (piece, matrix * sides, offset * sides)
            for polygon, before, shift in cells
            for matrix, offset in [(before @ weights, shift @ weights + biases)]
            for piece in _pieces(polygon, matrix, offset, slope)
            for sides in [np.where(piece.mean(axis=0) @ matrix + offset > 0, 1.0, slope)]
        ]
    return [polygon for polygon, _, _ in cells]


def _slope(activation: Activation) -> float:
    """Return the slope of an activation below zero."""
    if isinstance(activation, LeakyReLU):
        return activation.slope
    known = {"relu": 0.0, "identity": 1.0}
    if activation.name not in known:
        raise ValueError(
            "model must have hidden layers of relu, leaky_relu or identity, got "
            f"{activation.name}, which is no rectifier"
        )
    return known[activation.name]


def _of_inputs(network: Network) -> tuple[Floats, Floats]:
    """Return matrix and offset by which a network scales its inputs."""
    scale = np.full(2, network.architecture.input_scale)
    if network.standardization is None:
        return np.diag(scale), np.zeros(2)
    scale = scale / network.standardization.deviation
    return np.diag(scale), -network.standardization.mean * scale


def _pieces(polygon: Floats, matrix: Floats, offset: Floats, slope: float) -> list[Floats]:
    """Return the parts into which the units of a layer divide a polygon."""
    pieces = [polygon]
    if slope == 1:
        return pieces
    heights = polygon @ matrix + offset
    for unit in np.flatnonzero((heights.min(axis=0) < 0) & (heights.max(axis=0) > 0)):
        weights, bias = matrix[:, unit], offset[unit]
        pieces = [part for piece in pieces for part in _halves(piece, weights, bias)]
    return pieces


def _halves(polygon: Floats, weights: Floats, bias: float) -> list[Floats]:
    """Return the parts of a convex polygon on both sides of a line; one if it is on one side."""
    heights = polygon @ weights + bias
    zero = _ON_THE_LINE * (np.abs(polygon) @ np.abs(weights) + abs(bias))
    heights[np.abs(heights) <= zero] = 0.0
    if not (heights.max() > 0 > heights.min()):
        return [polygon]
    sides: tuple[list[Floats], list[Floats]] = ([], [])
    for index, (corner, height) in enumerate(zip(polygon, heights, strict=True)):
        other, opposite = polygon[index - 1], heights[index - 1]
        if height * opposite < 0:
            crossing = other + (corner - other) * (opposite / (opposite - height))
            for side in sides:
                side.append(crossing)
        if height >= 0:
            sides[0].append(corner)
        if height <= 0:
            sides[1].append(corner)
    return [np.array(side) for side in sides]
