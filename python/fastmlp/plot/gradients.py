"""How much of the gradient reaches each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.network import Network
from fastmlp.plot.style import (
    add_legend,
    add_title,
    line_look,
    logarithmic,
    plain,
    styled_axes,
    whole_numbers,
)
from fastmlp.validation import finite_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["gradient_norms"]

Floats = NDArray[np.float64]
Norms = Network | Sequence[float] | ArrayLike


def gradient_norms(
    norms: Norms | Mapping[str, Norms],
    x: ArrayLike | None = None,
    y: Any = None,
    *,
    training: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Euclidean norm of the gradient by each layer's weights.

    Parameters
    ----------
    norms : MLP, array of shape (layers,), or a mapping of names to these
        Models are asked for their norms on `x` and `y`; several are drawn as several lines.
    x, y : arrays, optional
        Samples and targets for models.
    training : bool
        As of `MLP.gradient_norms`.
    title : str, optional
        An empty one sets none.
    ax : Axes, optional
        By default those of a new figure.

    Returns
    -------
    Axes
        Norms on a logarithmic axis, unless one of them is 0.

    Raises
    ------
    TypeError, ValueError
        Negative norms, none at all, or a model without samples.
    """
    named = norms if isinstance(norms, Mapping) else {"": norms}
    if not named:
        raise ValueError("norms must have at least one entry, got none")
    lines = {
        str(name): _norms_of(f"norms[{name!r}]" if name else "norms", item, x, y, training)
        for name, item in named.items()
    }
    ax = styled_axes(ax)
    for index, (name, values) in enumerate(lines.items()):
        layers = np.arange(1, len(values) + 1)
        look = line_look(index, points=len(values)) | {"markevery": None}
        ax.plot(layers, values, label=plain(name) or None, **look)
    if all(values.min() > 0 for values in lines.values()):
        logarithmic(ax, "y")
    whole_numbers(ax)
    ax.set_xlabel("layer of weights, from the inputs")
    ax.set_ylabel("norm of the gradient")
    add_title(ax, title, "Gradient of the loss by the weights of each layer")
    add_legend(ax)
    return ax


def _norms_of(argument: str, item: object, x: Any, y: Any, training: bool) -> Floats:
    if isinstance(item, Network):
        if x is None or y is None:
            raise ValueError(f"{argument} is a model, which needs x and y")
        return np.asarray(item.gradient_norms(x, y, training=training), np.float64)
    values = finite_array(argument, item, np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{argument} must have shape (layers,), got {values.shape}")
    if values.min() < 0:
        raise ValueError(f"{argument} must be >= 0, got {values.min():g}")
    return values
