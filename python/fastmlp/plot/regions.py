"""Decision regions of a classifier with two inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.data import Preprocessing
from fastmlp.network import Network
from fastmlp.plot.style import (
    BESIDE,
    INK,
    OKABE_ITO,
    add_legend,
    add_title,
    plain,
    point_look,
    styled_axes,
)
from fastmlp.validation import class_targets, finite_array, integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["decision_regions"]

Floats = NDArray[np.float64]

_TINT, _HATCH_TINT = 0.75, 0.3  # shares of white in the color of a region and of its hatching
_HATCHES = ("", "//", "..", "\\\\", "xx", "--", "||", "oo")
_MARGIN = 0.08  # around the samples, as a share of their range


def decision_regions(
    model: Network,
    x: ArrayLike,
    y: ArrayLike,
    *,
    preprocessing: Preprocessing | None = None,
    class_names: Sequence[str] | None = None,
    resolution: int = 200,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the regions that a classifier with two inputs assigns to each class, and the samples.

    Parameters
    ----------
    model : MLP
        Classifier with two inputs: a model with a loss of classes, or with binary cross-entropy
        and one output.
    x : array of shape (samples, 2)
        Inputs of the model.
    y : array of shape (samples,)
        Class indices.
    preprocessing : Preprocessing, optional
        Preprocessing that produced `x`. With it, axes have the units and names of the data, and the
        legend has the names of the classes.
    class_names : sequence of str, optional
        Names of the classes; by default those of `preprocessing`, else the indices.
    resolution : int
        Number of grid points along each axis, at least 2.
    title : str, optional
        Title of the axes; by default it names the network's layers. An empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with an image of the classes that ``model.predict`` returns at the centers of its
        pixels.
        Regions differ by color and hatching, samples by color and marker. Lines mark the points at
        which the two best classes are equally likely.

    Raises
    ------
    TypeError, ValueError
        The model is not a classifier with two inputs, or samples or names do not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import MLP, plot
    >>> x = np.random.default_rng(0).normal(size=(30, 2))
    >>> y = (x[:, 0] > 0).astype(int)
    >>> ax = plot.decision_regions(MLP([2, 8, 2], seed=0), x, y, resolution=20)
    >>> ax.get_title()
    'Decision regions of a 2-8-2 network'
    """
    classes = _checked_classes(model)
    points = finite_array("x", x, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"x must have shape (samples, 2), got {points.shape}")
    labels = class_targets("y", y, len(points), classes)
    resolution = integer("resolution", resolution, 2)
    _require_preprocessing(preprocessing)
    names = _class_names(class_names, preprocessing, classes)
    if preprocessing is not None:
        points = preprocessing.original_inputs(points)
    ax = styled_axes(ax, grid=False)
    low, high = _limits(points)
    cell = (high - low) / resolution
    lines = [low[i] + cell[i] * (np.arange(resolution) + 0.5) for i in range(2)]
    grid = np.stack(np.meshgrid(*lines), axis=-1).reshape(-1, 2)
    if preprocessing is not None:
        grid = preprocessing.standardized(grid, in_place=True)
    predicted = np.asarray(model.predict(grid)).reshape(resolution, resolution)
    ends = np.stack([low, high])
    _fill(ax, predicted, classes, ends)
    _outline(ax, lines, _margins(model, grid).reshape(-1, resolution, resolution))
    for label in range(classes):
        of_class = points[labels == label]
        look = point_look(label, points=len(points))
        ax.plot(of_class[:, 0], of_class[:, 1], label=names[label], **look)
    ax.set(xlim=ends[:, 0], ylim=ends[:, 1])
    _label(ax, model, preprocessing, title)
    add_legend(ax, title="class", **BESIDE)
    return ax


def _checked_classes(model: object) -> int:
    if not isinstance(model, Network):
        raise TypeError(f"model must be a fastmlp.MLP, got {type(model).__name__}")
    sizes = model.layer_sizes
    if sizes[0] != 2:
        raise ValueError(f"model must have 2 inputs, got {sizes[0]}")
    if model.is_classifier:
        return sizes[-1]
    losses = [loss.name for loss in model.architecture.losses]
    if losses != ["binary_cross_entropy"] or sizes[-1] != 1:
        raise ValueError(
            "model must have a loss of classes, or binary_cross_entropy with one output, got "
            f"{', '.join(losses)} with {sizes[-1]}"
        )
    return 2


def _require_preprocessing(preprocessing: object) -> None:
    if preprocessing is None:
        return
    if not isinstance(preprocessing, Preprocessing):
        raise TypeError(
            f"preprocessing must be a Preprocessing, got {type(preprocessing).__name__}"
        )
    if preprocessing.features != 2:
        raise ValueError(f"preprocessing must have 2 features, got {preprocessing.features}")


def _class_names(
    given: Sequence[str] | None, preprocessing: Preprocessing | None, classes: int
) -> list[str]:
    known = preprocessing.class_names if preprocessing is not None else None
    names = known if given is None else given
    if names is None:
        return [str(label) for label in range(classes)]
    if len(names) != classes:
        raise ValueError(
            f"class_names must have one entry per class: {classes} needed, got {len(names)}"
        )
    return [plain(name) for name in names]


def _limits(points: Floats) -> tuple[Floats, Floats]:
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.where(high > low, _MARGIN * (high - low), 1.0)
    return low - margin, high + margin


def _margins(model: Network, grid: Floats) -> Floats:
    """Return the margin of each class over the best other class, shape (classes, points).

    Logarithms of probabilities are compared, because they are nearly linear close to a boundary.
    """
    if model.architecture.losses[0].link == "none":
        scores = np.asarray(model.forward(grid), np.float64).T
    else:
        probabilities = np.asarray(model.predict_proba(grid), np.float64).T
        if len(probabilities) == 1:
            probabilities = np.concatenate([1 - probabilities, probabilities])
        scores = np.log(np.maximum(probabilities, 1e-30))
    if len(scores) == 1:
        return np.ones_like(scores)
    ordered = np.sort(scores, axis=0)
    others = np.where(scores == ordered[-1], ordered[-2], ordered[-1])
    margins: Floats = scores - others
    return margins


def _fill(ax: Axes, predicted: NDArray[np.int64], classes: int, ends: Floats) -> None:
    from matplotlib.colors import ListedColormap

    tints = [_mixed_with_white(label, _TINT) for label in range(classes)]
    ax.imshow(
        predicted,
        cmap=ListedColormap(tints),
        vmin=-0.5,
        vmax=classes - 0.5,
        extent=(ends[0, 0], ends[1, 0], ends[0, 1], ends[1, 1]),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )


def _mixed_with_white(label: int, share: float) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(OKABE_ITO[label % len(OKABE_ITO)])
    return share + (1 - share) * red, share + (1 - share) * green, share + (1 - share) * blue


def _outline(ax: Axes, along: list[Floats], margins: Floats) -> None:
    for label, margin in enumerate(margins):
        if margin.max() <= 0:
            continue
        hatch = _HATCHES[label % len(_HATCHES)]
        if hatch:
            area = ax.contourf(*along, margin, levels=[0.0, np.inf], colors="none", hatches=[hatch])
            area.set(edgecolor=_mixed_with_white(label, _HATCH_TINT), linewidth=0)
        if margin.min() < 0:
            ax.contour(*along, margin, levels=[0.0], colors=INK, linewidths=1.2)


def _label(
    ax: Axes, model: Network, preprocessing: Preprocessing | None, title: str | None
) -> None:
    names = preprocessing.feature_names if preprocessing is not None else None
    first, second = ("input 1", "input 2") if names is None else map(plain, names)
    ax.set_xlabel(first)
    ax.set_ylabel(second)
    sizes = "-".join(map(str, model.layer_sizes))
    add_title(ax, title, f"Decision regions of a {sizes} network")
