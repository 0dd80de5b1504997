"""Decision regions of a classifier in its two inputs, or in two hidden units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.data import Preprocessing
from fastmlp.model import MLP
from fastmlp.network import Network
from fastmlp.plot.networks import in_float64, require_network, require_plain
from fastmlp.plot.plane import checked_resolution, grid_of
from fastmlp.plot.style import (
    BESIDE,
    INK,
    STYLE,
    add_legend,
    add_title,
    mixed_with_white,
    plain,
    point_look,
    short_number,
    styled_axes,
)
from fastmlp.validation import class_targets, finite_array, integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["decision_regions", "hidden_space"]

Floats = NDArray[np.float64]

_TINT, _HATCH_TINT = 0.75, 0.3  # shares of white in the color of a region and of its hatching
_HATCHES = ("", "//", "..", "\\\\", "xx", "--", "||", "oo")
_MARGIN, _WIDE_MARGIN = 0.08, 0.25  # around the samples, as a share of their range
_SAME = 0.04  # distance of points that share a label, as a share of the axes
_MOST_LABELED, _MOST_INPUTS_OF_LABELS = 12, 4


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
        Number of grid points along each axis, 2 to 10000.
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
    resolution = checked_resolution(resolution)
    _require_preprocessing(preprocessing)
    names = _class_names(class_names, preprocessing, classes)
    if preprocessing is not None:
        points = preprocessing.original_inputs(points)
    ax = styled_axes(ax, grid=False)
    limits = _limits(points, _MARGIN)
    lines, grid = grid_of(limits, resolution)
    if preprocessing is not None:
        grid = preprocessing.standardized(grid, in_place=True)
    predicted = np.asarray(model.predict(grid)).reshape(resolution, resolution)
    _fill(ax, predicted, classes, limits)
    _outline(ax, lines, _margins(model, grid).reshape(-1, resolution, resolution))
    _draw_samples(ax, points, labels, names)
    _label(ax, model, preprocessing, title)
    return ax


def hidden_space(
    model: Network,
    x: ArrayLike,
    y: ArrayLike,
    *,
    layer: int = -1,
    labels: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    resolution: int = 200,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw samples in the space of a hidden layer of two units, and how the next layers part them.

    Classes that no line separates in the inputs, such as those of XOR, are separated by a line in
    the space of the last hidden layer.

    Parameters
    ----------
    model : MLP
        Classifier, or network with one output whose values 0 and 1 are the classes: the line is
        then where the output is 1/2. Its layers are plain, such as those of `computational_graph`.
    x : array of shape (samples, features)
        Inputs of the model.
    y : array of shape (samples,)
        Class indices.
    layer : int
        Index of the hidden layer, which has two units; negative values count from the last.
    labels : sequence of str, optional
        What is written beside the samples. By default it is the inputs if there are at most 12
        samples of at most 4 inputs, else nothing. Samples close to each other share a label.
    class_names : sequence of str, optional
        Names of the classes; by default the indices.
    resolution : int
        Number of grid points along each axis, 2 to 10000.
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with the regions of the classes as in `decision_regions`, in the space of the layer.

    Raises
    ------
    TypeError, ValueError
        The layer has not two units, the model is neither a classifier nor has one output, or
        samples or names do not fit it.

    Examples
    --------
    I. Goodfellow, Y. Bengio, A. Courville, "Deep learning", 2016, section 6.1:

    >>> from fastmlp import MLP, plot
    >>> corners, xor = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> model = MLP([2, 2, 1], activation="relu", loss="mse")
    >>> model.weights = [[[1, 1], [1, 1]], [[1], [-2]]]
    >>> model.biases = [[0, -1], [0]]
    >>> ax = plot.hidden_space(model, corners, xor)
    >>> [text.get_text() for text in ax.texts]
    ['(0, 0)', '(0, 1)\\n(1, 0)', '(1, 1)']
    """
    exact = in_float64(require_plain(model))
    hidden_layers = len(exact.layer_sizes) - 2
    if hidden_layers == 0:
        raise ValueError("model must have a hidden layer with two units, got none")
    layer = integer("layer", layer, -hidden_layers, hidden_layers - 1) % hidden_layers
    if exact.layer_sizes[layer + 1] != 2:
        raise ValueError(
            f"layer must be a hidden layer with two units, layer {layer} has "
            f"{exact.layer_sizes[layer + 1]}"
        )
    rest = _layers_behind(exact, layer)
    is_value = not exact.is_classifier and exact.layer_sizes[-1] == 1
    classes = 2 if is_value else _checked_classes(rest)
    inputs = finite_array("x", x, np.float64)
    points = np.asarray(exact.hidden_activations(inputs)[layer], np.float64)
    targets = class_targets("y", y, len(points), classes)
    names = _class_names(class_names, None, classes)
    written = _labels_of(labels, inputs)
    resolution = checked_resolution(resolution)
    ax = styled_axes(ax, grid=False)
    limits = _limits(points, _WIDE_MARGIN if any(written) else _MARGIN)
    lines, grid = grid_of(limits, resolution)
    if is_value:
        margins = _margins_of_value(rest, grid)
        predicted = (margins[1] > 0).astype(np.int64)
    else:
        margins, predicted = _margins(rest, grid), np.asarray(rest.predict(grid))
    _fill(ax, predicted.reshape(resolution, resolution), classes, limits)
    _outline(ax, lines, margins.reshape(-1, resolution, resolution))
    _draw_samples(ax, points, targets, names, larger=any(written))
    _write_labels(ax, points, written, limits)
    ax.set(xlabel="hidden unit 1", ylabel="hidden unit 2")
    sizes = "-".join(map(str, exact.layer_sizes))
    add_title(ax, title, f"Space of hidden layer {layer + 1} of a {sizes} network")
    return ax


def _layers_behind(model: MLP, layer: int) -> MLP:
    """Return the layers behind a hidden layer as a network of their own."""
    architecture = model.architecture
    rest = MLP(
        model.layer_sizes[layer + 1 :],
        activation=list(architecture.activations[layer + 1 :]) or "relu",
        parametric=list(architecture.parametric[layer + 1 :]),
        loss=architecture.arguments()["loss"],
        output_activation=architecture.output_activation,
        dtype="float64",
    )
    own = {}
    for name, array in model.parameters().items():
        _, index, kind = name.split(".")
        if int(index) > layer:
            own[f"layers.{int(index) - layer - 1}.{kind}"] = array
    rest.set_parameters(own)
    return rest


def _margins_of_value(model: Network, grid: Floats) -> Floats:
    """Return how far the output is on the side of the value 0, and on that of 1.

    Shape (2, points).
    """
    has_probabilities = model.architecture.losses[0].link == "sigmoid"
    above = model.predict_proba(grid) if has_probabilities else model.predict(grid)
    over = np.asarray(above, np.float64)[:, 0] - 0.5
    return np.stack([-over, over])


def _labels_of(given: Sequence[str] | None, inputs: Floats) -> list[str]:
    if given is None:
        samples, features = inputs.shape
        if samples > _MOST_LABELED or features > _MOST_INPUTS_OF_LABELS:
            return [""] * samples
        return [f"({', '.join(map(short_number, row))})" for row in inputs]
    if len(given) != len(inputs):
        raise ValueError(
            f"labels must have one entry per sample: {len(inputs)} needed, got {len(given)}"
        )
    return [plain(label) for label in given]


def _write_labels(ax: Axes, points: Floats, labels: Sequence[str], limits: Floats) -> None:
    """Write labels beside their points, toward the middle of the axes.

    Points that nearly coincide have one label.
    """
    sizes = limits[:, 1] - limits[:, 0]
    places: list[tuple[Floats, list[str]]] = []
    for point, label in zip(points, labels, strict=True):
        near = [texts for place, texts in places if np.all(abs(place - point) < _SAME * sizes)]
        if near:
            near[0].append(label)
        elif label:
            places.append((point, [label]))
    for place, texts in places:
        right, up = np.where(place <= limits.mean(axis=1), 1, -1)
        ax.annotate(
            "\n".join(filter(None, texts)), tuple(place),
            xytext=(9 * right, 9 * up), textcoords="offset points",
            ha="left" if right > 0 else "right", va="bottom" if up > 0 else "top",
            size=STYLE["legend.fontsize"], color="black",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1.0},
        )  # fmt: skip


def _checked_classes(model: object) -> int:
    model = require_network(model)
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


def _limits(points: Floats, share: float) -> Floats:
    """Return the ends of both axes around points, with a share of their range as margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.maximum(np.abs(low), np.abs(high))
    # Points that differ by their rounding alone have no range that an axis could show.
    with np.errstate(over="ignore"):
        width = high - low
        margin = np.where(width > 1e-9 * size, share * width, np.maximum(1.0, 0.001 * size))
        ends = np.stack([low - margin, high + margin], axis=1)
        is_finite = np.isfinite(np.diff(ends)).all()
    if not is_finite:
        raise ValueError(
            f"x must have columns of a finite range, got {points.min():g} to {points.max():g}; "
            "x / np.abs(x).max() is smaller"
        )
    return ends


def _draw_samples(
    ax: Axes,
    points: Floats,
    labels: NDArray[np.int64],
    names: Sequence[str],
    *,
    larger: bool = False,
) -> None:
    for label, name in enumerate(names):
        of_class = points[labels == label]
        look = point_look(label, points=len(points))
        if larger:
            look["markersize"] *= 2
        ax.plot(of_class[:, 0], of_class[:, 1], label=name, **look)
    add_legend(ax, title="class", **BESIDE)


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


def _fill(ax: Axes, predicted: NDArray[np.int64], classes: int, limits: Floats) -> None:
    from matplotlib.colors import ListedColormap

    tints = [mixed_with_white(label, _TINT) for label in range(classes)]
    ax.imshow(
        predicted,
        cmap=ListedColormap(tints),
        vmin=-0.5,
        vmax=classes - 0.5,
        extent=(limits[0, 0], limits[0, 1], limits[1, 0], limits[1, 1]),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )
    ax.set(xlim=limits[0], ylim=limits[1])


def _outline(ax: Axes, along: list[Floats], margins: Floats) -> None:
    for label, margin in enumerate(margins):
        if margin.max() <= 0:
            continue
        hatch = _HATCHES[label % len(_HATCHES)]
        if hatch:
            area = ax.contourf(*along, margin, levels=[0.0, np.inf], colors="none", hatches=[hatch])
            area.set(edgecolor=mixed_with_white(label, _HATCH_TINT), linewidth=0)
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
