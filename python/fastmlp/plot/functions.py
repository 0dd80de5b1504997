"""Activations and their derivatives, as the core computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastmlp._named import as_config, named
from fastmlp.activations import ACTIVATIONS, Activation
from fastmlp.model import MLP
from fastmlp.plot.style import INK, add_legend, add_title, line_look, styled_axes
from fastmlp.validation import flag, real

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["activation_functions"]

Floats = NDArray[np.float64]

_POINTS = 801


def activation_functions(
    activations: str | Activation | Sequence[str | Activation],
    *,
    derivative: bool = False,
    limits: tuple[float, float] = (-4.0, 4.0),
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Activations over their argument.

    Parameters
    ----------
    activations : str, Activation or sequence of these
        As `fastmlp.MLP` takes them.
    derivative : bool
        Draw the slopes that backpropagation multiplies by.
    limits : pair of float
        Of the argument.
    title : str, optional
        An empty one sets none.
    ax : Axes, optional
        By default those of a new figure.

    Returns
    -------
    Axes
        One line per activation.

    Raises
    ------
    TypeError, ValueError
        No such activation, or limits that are no interval.
    """
    items = [activations] if isinstance(activations, (str, Activation)) else activations
    chosen = [named("activations", item, Activation, ACTIVATIONS) for item in items]
    if not chosen:
        raise ValueError("activations must have at least one entry, got none")
    derivative = flag("derivative", derivative)
    low, high = (real("limits", end, -np.inf) for end in limits)
    if low >= high:
        raise ValueError(f"limits must ascend, got {low:g} and {high:g}")
    ax = styled_axes(ax)
    z = np.linspace(low, high, _POINTS)
    for index, activation in enumerate(chosen):
        look = line_look(index, points=_POINTS)
        ax.plot(z, _curve(activation, z, derivative), label=_label(activation), **look)
    ax.axhline(0, color=INK, linewidth=0.8, zorder=1)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    ax.set_xlabel("weighted input z")
    ax.set_ylabel("slope dφ/dz" if derivative else "activation φ(z)")
    add_title(ax, title, "Derivatives of activations" if derivative else "Activations")
    add_legend(ax)
    return ax


def _curve(activation: Activation, z: Floats, derivative: bool) -> Floats:
    """Values or slopes, those of a network of one unit without weights to speak of."""
    unit = MLP([1, 1], output_activation=activation, loss=_sum_of_outputs, dtype="float64")
    unit.weights = [np.ones((1, 1))]
    column = z[:, None]
    if derivative:
        return np.asarray(unit.input_gradients(column, column))[:, 0]
    return np.asarray(unit.forward(column))[:, 0]


def _sum_of_outputs(outputs: Floats, targets: Floats) -> tuple[float, Floats]:
    return float(outputs.sum()), np.ones_like(outputs)


def _label(activation: Activation) -> str:
    config = as_config(activation)
    if isinstance(config, str):
        return config
    settings = ", ".join(f"{name} {value}" for name, value in config.items() if name != "name")
    return f"{activation.name}, {settings}"
